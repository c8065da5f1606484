#!/usr/bin/env python3
"""A job through the service against `tessera render`: Benchmarks/serve_overhead.py PROGRAM [MODEL] [SIZE] [STEPS] [ROUNDS]

Both have two workers on this machine. The service has its workers from an earlier job, and a render starts them each time:
what is compared is the time from the first phase to the finished picture. Rounds alternate; prints the medians and their
ratio as one line of JSON.
"""
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time

MODEL = sys.argv[2] if len(sys.argv) > 2 else "Models/vista"
sys.argv[2:3] = [MODEL]
sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "Tests"))
from serve import PROGRAM, Service  # noqa: E402 (reads PROGRAM and MODEL)

SIZE = sys.argv[3] if len(sys.argv) > 3 else "1024x1024"
STEPS = int(sys.argv[4]) if len(sys.argv) > 4 else 25
ROUNDS = int(sys.argv[5]) if len(sys.argv) > 5 else 3
PROMPT = "a lake at sunset with trees on the shore"


def render(folder, seed):
    """Seconds that the program itself reports from reading the model to the picture, without starting its workers."""
    process = subprocess.Popen(
        [PROGRAM, "render", "--model", os.path.abspath(MODEL), "--workers", "2", "--size", SIZE,
         "--steps", str(STEPS), "--guidance", "3", "--seed", str(seed), "--prompt", PROMPT,
         "--output", f"{folder}/render.png"],
        stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
    begun = None
    for line in process.stderr:
        # The job's name is printed when the workers are ready and the prompts are encoded.
        if re.match(r"job \S+$", line):
            begun = time.time()
    assert process.wait() == 0 and begun
    return time.time() - begun


def job(service, seed):
    settings = {"size": SIZE, "steps": STEPS, "guidance": 3, "seed": seed}
    id = service.submit(prompt=PROMPT, settings=settings)["id"]
    begun = None
    while True:
        state = service.ok("GET", f"/api/v1/jobs/{id}")
        stage = (state.get("progress") or {}).get("stage")
        if begun is None and stage not in (None, "preparing"):
            begun = time.time()
        if state["state"] == "done":
            return time.time() - (begun or state["started"])
        assert state["state"] in ("queued", "running"), state
        time.sleep(0.01)


def main(folder):
    service = Service(folder, "--workers", "2")
    job(service, 1)
    render(folder, 1)
    times = {"serve": [], "render": []}
    for seed in range(2, 2 + ROUNDS):
        times["serve"].append(job(service, seed))
        # The service's idle workers take no processor time meanwhile.
        times["render"].append(render(folder, seed))
    service.stop()
    serve, alone = (statistics.median(times[name]) for name in ("serve", "render"))
    print(json.dumps({"serve_job_s": round(serve, 2), "serve_render_s": round(alone, 2),
                      "serve_overhead": round(serve / alone - 1, 4)}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)

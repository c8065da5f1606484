#!/usr/bin/env python3
"""The memory of `tessera serve` over many jobs: Benchmarks/serve_memory.py PROGRAM MODEL [JOBS]

After a tenth of the jobs everything that the service keeps is in memory; from then on the resident memory must stay
flat. Prints one line of JSON: megabytes at both ends, medians of the tenth part and of the last, and their ratio.
"""
import json
import os
import resource
import statistics
import sys
import tempfile
import threading

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "Tests"))
from serve import Service  # noqa: E402 (reads PROGRAM and MODEL)

JOBS = int(sys.argv[3]) if len(sys.argv) > 3 else 2000
AHEAD = 20


def main(folder):
    service = Service(folder, "--max-requests-per-second", "100000")
    path = f"/proc/{service.process.pid}/statm"
    sizes, ready = [], threading.Semaphore(AHEAD)
    ids, end = [], object()

    def submit():
        for number in range(JOBS):
            ready.acquire()
            job = {"size": f"{64 + 64 * (number % 3)}x{64 + 64 * (number % 2)}", "steps": 1,
                   "seed": number}
            ids.append(service.submit(settings=job, headers={"Tessera-User": f"u{number % 7}"})["id"])
        ids.append(end)

    thread = threading.Thread(target=submit)
    thread.start()
    done = 0
    while done < JOBS:
        while len(ids) <= done:
            threading.Event().wait(0.01)
        service.wait(ids[done], "done")
        service.call("GET", f"/api/v1/jobs/{ids[done]}/picture")
        with open(path) as file:
            sizes.append(int(file.read().split()[1]) * resource.getpagesize() / 2**20)
        done += 1
        ready.release()
    thread.join()
    service.stop()
    tenth = JOBS // 10
    first, last = (statistics.median(part) for part in (sizes[tenth:2 * tenth], sizes[-tenth:]))
    print(json.dumps({"serve_memory_jobs": JOBS, "serve_memory_first_mb": round(first, 1),
                      "serve_memory_last_mb": round(last, 1),
                      "serve_memory_growth": round(last / first - 1, 4)}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)

#!/usr/bin/env python3
"""Several jobs at once: Tests/serve_concurrent.py PROGRAM MODEL [FLOW…]"""
import os
import shutil
import time

from serve import FIXTURES, SMALL, Service, rendered, run  # reads PROGRAM and MODEL

# All of its steps run on the workers; by default, phase 1 runs in the service itself.
LARGE = {"size": "256x256", "steps": 80, "seed": 3, "global-pass": "workers"}


def flow_concurrent(folder):
    """A small picture does not wait behind a large one; both have the bytes that they have alone, over a crash, too."""
    service = Service(folder, "--concurrent-jobs", "2")
    large = service.submit(settings=LARGE)["id"]
    service.wait(large, "running")
    behind = service.submit(settings=LARGE)["id"]
    small = service.submit(settings=SMALL | {"global-pass": "workers"})["id"]
    service.wait(small, "done")
    assert service.ok("GET", f"/api/v1/jobs/{large}")["state"] == "running"
    assert service.ok("GET", f"/api/v1/jobs/{behind}")["state"] == "queued"
    picture = service.ok("GET", f"/api/v1/jobs/{small}/picture")
    assert picture == rendered(folder, SMALL | {"global-pass": "workers"}), "not the bytes of one alone"

    # Killed while both run: each resumes from its own step.
    other = service.submit(settings=LARGE | {"size": "128x128", "steps": 30})["id"]
    service.wait(other, "running")
    deadline = time.time() + 60
    while not all(os.path.exists(f"{folder}/data/jobs/{job}/state/state.safetensors")
                  for job in (large, other)):
        assert time.time() < deadline, service.errors()
        time.sleep(0.01)
    service.kill()
    service.start()
    # One can be paused and cancelled without the other.
    service.wait(large, "running")
    service.ok("POST", f"/api/v1/jobs/{behind}/cancel")
    service.wait(other, "done")
    service.ok("POST", f"/api/v1/jobs/{large}/pause")
    service.wait(large, "paused")
    small = service.submit(settings=SMALL)["id"]
    service.wait(small, "done")
    service.ok("POST", f"/api/v1/jobs/{large}/resume")
    service.wait(large, "done")
    for job, settings in [(large, LARGE), (other, LARGE | {"size": "128x128", "steps": 30}),
                          (small, SMALL)]:
        picture = service.ok("GET", f"/api/v1/jobs/{job}/picture")
        assert picture == rendered(folder, settings), f"not the bytes of one alone: {settings}"
    service.stop()


def flow_weights(folder):
    """A small picture with a LoRA waits until the workers are free, and keeps no other small picture waiting."""
    os.mkdir(f"{folder}/loras")
    shutil.copy(f"{FIXTURES}/lora/sd15-kohya.safetensors", f"{folder}/loras/style.safetensors")
    service = Service(folder, "--concurrent-jobs", "2", "--lora-dir", f"{folder}/loras")
    large = service.submit(settings=LARGE | {"steps": 400})["id"]
    service.wait(large, "running")
    styled = service.submit(settings=SMALL, loras=[{"name": "style"}])["id"]
    small = service.submit(settings=SMALL)["id"]
    service.wait(small, "done")
    assert service.ok("GET", f"/api/v1/jobs/{styled}")["state"] == "queued"
    service.ok("POST", f"/api/v1/jobs/{large}/cancel")
    service.wait(styled, "done")
    picture = service.ok("GET", f"/api/v1/jobs/{styled}/picture")
    assert picture == rendered(folder, SMALL, "a cat", f"--lora={folder}/loras/style.safetensors")
    service.stop()


if __name__ == "__main__":
    run(globals())

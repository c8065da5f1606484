#!/usr/bin/env python3
"""What the default checks cost in processor time: the same render without them and with them, alternating, on two hosts that the
coordinator knows (two keys on this machine). Prints the seconds of coordinator and workers together, and verify_processor_overhead.

    Benchmarks/verify_cost.py TESSERA MODEL [TURNS]
"""
import os
import statistics
import subprocess
import sys
import tempfile

TESSERA, MODEL = os.path.abspath(sys.argv[1]), os.path.abspath(sys.argv[2])
TURNS = int(sys.argv[3]) if len(sys.argv) > 3 else 6
PICTURE = ["--model", MODEL, "--prompt", "a lake at sunset", "--size", "768x768", "--steps", "10", "--seed", "3", "--guidance", "3",
           "--method", "demofusion", "--global-pass", "workers", "--checkpoint-every", "0"]


def seconds(process):
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    return used.ru_utime + used.ru_stime


def render(folder, share):
    """Processor seconds of one render, its checks, and its bytes."""
    coordinator = subprocess.Popen(
        [TESSERA, "coordinator", "--bind", "tcp://127.0.0.1:7573", "--keys", "coordinator", "--allow", "list", "--output", "out.png",
         "--verify", share] + PICTURE, cwd=folder, stdout=subprocess.DEVNULL, stderr=open(f"{folder}/log", "w"))
    workers = [subprocess.Popen(
        [TESSERA, "worker", "--connect", "tcp://127.0.0.1:7573", "--model", MODEL, "--threads", "1", "--keys", name,
         "--coordinator-key", "coordinator.pub"], cwd=folder, stderr=subprocess.DEVNULL) for name in ("one", "two")]
    total = seconds(coordinator)
    for worker in workers:
        worker.terminate()
        total += seconds(worker)
    said = open(f"{folder}/log").read()
    if coordinator.returncode != 0:
        raise SystemExit(said)
    checked = [line for line in said.splitlines() if "checked" in line]
    return total, checked[-1] if checked else "", open(f"{folder}/out.png", "rb").read()


def main():
    with tempfile.TemporaryDirectory() as folder:
        os.environ["XDG_STATE_HOME"] = f"{folder}/state"
        for name in ("coordinator", "one", "two"):
            subprocess.run([TESSERA, "keys", "new", name], cwd=folder, check=True, stdout=subprocess.DEVNULL)
        with open(f"{folder}/list", "w") as allowed:
            allowed.writelines(open(f"{folder}/{name}.pub").read() for name in ("one", "two"))
        # Makes the hosts known.
        for _ in range(2):
            render(folder, "all")
        found = {"off": [], "0.01": []}
        pictures = set()
        for turn in range(TURNS):
            for share in sorted(found, reverse=turn % 2 == 1):
                used, checked, picture = render(folder, share)
                found[share].append(used)
                pictures.add(picture)
                print(f"{share:>5}  {used:7.2f} s  {checked}", flush=True)
        assert len(pictures) == 1, "the pictures differ"
        ratios = [b / a for a, b in zip(found["off"], found["0.01"])]
        error = statistics.stdev(ratios) / len(ratios) ** 0.5
        print(f"verify_processor_overhead {statistics.mean(ratios) - 1:+.4f} ± {error:.4f} of {statistics.mean(found['off']):.1f} s")


if __name__ == "__main__":
    main()

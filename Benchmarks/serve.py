#!/usr/bin/env python3
"""How fast `tessera serve` answers with many jobs in its queue: Benchmarks/serve.py PROGRAM MODEL [JOBS]

Prints one line of JSON: latency of lists and submissions in milliseconds, median and 99th percentile.
"""
import json
import os
import sqlite3
import sys
import tempfile
import time

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "Tests"))
from serve import SMALL, Service  # noqa: E402 (reads PROGRAM and MODEL)

COUNT = int(sys.argv[3]) if len(sys.argv) > 3 else 10_000


def fill(folder, count):
    """Copies the one paused job until there are `count`: submitting each would take minutes."""
    with sqlite3.connect(f"{folder}/data/jobs.sqlite") as database:
        columns = [row[1] for row in database.execute("PRAGMA table_info(job)")]
        row = dict(zip(columns, database.execute("SELECT * FROM job").fetchone()))
        for number in range(2, count + 1):
            row |= {"number": number, "id": f"{number:020d}", "user": f"user{number % 50}",
                    "key": None, "state": "paused" if number % 2 else "queued"}
            database.execute(f"INSERT INTO job ({', '.join(columns)}) VALUES "
                             f"({', '.join('?' * len(columns))})", [row[name] for name in columns])


def measure(body, count):
    times = []
    for number in range(count):
        start = time.perf_counter()
        body(number)
        times.append(1000 * (time.perf_counter() - start))
    times.sort()
    return times[len(times) // 2], times[int(0.99 * len(times))]


def main(folder):
    flags = ("--max-jobs", str(10 * COUNT), "--max-jobs-per-user", str(10 * COUNT))
    service = Service(folder, *flags)
    job = service.submit(settings={"size": "256x256", "steps": 1000, "seed": 1})["id"]
    service.ok("POST", f"/api/v1/jobs/{job}/pause")
    service.wait(job, "paused")
    service.stop()
    fill(folder, COUNT)
    # A long job with a higher priority occupies the worker meanwhile.
    service.start()
    long = {"size": "256x256", "steps": 1000, "seed": 1}
    service.submit(settings=long, priority=100)
    lists = measure(lambda n: service.ok("GET", "/api/v1/jobs"), 200)
    queued = measure(lambda n: service.ok("GET", "/api/v1/jobs?state=queued&user=user2"), 200)
    submits = measure(
        lambda n: service.submit(settings=SMALL, headers={"Tessera-User": f"user{n % 50}"}), 300)
    service.kill()
    names = ("serve_list", "serve_list_of_user", "serve_submit")
    print(json.dumps({"jobs": COUNT} | {
        f"{name}_{part}_ms": round(value, 2)
        for name, pair in zip(names, (lists, queued, submits))
        for part, value in zip(("p50", "p99"), pair)}))


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)

#!/usr/bin/env python3
"""Checks that the service loses no job: Benchmarks/serve_jobs_lost.py PROGRAM MODEL [JOBS] [CLIENTS]

Clients submit jobs of 32 to 256 pixels all at once, to a service that is killed with SIGKILL three times and whose
disk, a small tmpfs (so run it as root), is full for a while. Then every job must be done, each rendered to completion
once, each picture whole, and the order fair: while two users both had jobs waiting, neither got further ahead of the
other than by two of the largest jobs (the bound of start-time fair queueing). Prints one line of JSON.
"""
import collections
import http.client
import itertools
import json
import os
import random
import sqlite3
import subprocess
import sys
import tempfile
import threading
import time
import zlib

sys.path.insert(0, os.path.join(os.path.dirname(__file__), "..", "Tests"))
from serve import Service  # noqa: E402 (reads PROGRAM and MODEL)

JOBS = int(sys.argv[3]) if len(sys.argv) > 3 else 500
CLIENTS = int(sys.argv[4]) if len(sys.argv) > 4 else 50
KILLS = 3


def check_png(data):
    """Every chunk has its checksum, and the last one is there."""
    assert data.startswith(b"\x89PNG\r\n\x1a\n")
    at, kinds = 8, []
    while at < len(data):
        length, kind = int.from_bytes(data[at:at + 4]), data[at + 4:at + 8]
        body = data[at + 4:at + 8 + length]
        assert zlib.crc32(body) == int.from_bytes(data[at + 8 + length:at + 12 + length])
        kinds.append(kind)
        at += 12 + length
    assert kinds[-1] == b"IEND", kinds


class Clients:
    """Clients, each of them a user who submits jobs one after the other, whatever happens to the service."""

    def __init__(self, service):
        self.service, self.sent, self.unavailable = service, {}, 0
        self.threads = [threading.Thread(target=self.run, args=(n,)) for n in range(CLIENTS)]
        for thread in self.threads:
            thread.start()

    def run(self, client):
        choice = random.Random(client)
        for number in range(JOBS // CLIENTS):
            side = [str(32 * choice.randint(1, 8)) for _ in "wh"]
            job = {"prompt": f"{client} {number}",
                   "settings": {"size": "x".join(side), "steps": choice.randint(1, 4)}}
            # The answer may be lost with the service: retry with the same key until there is one.
            headers = {"Tessera-User": f"user{client}", "Idempotency-Key": f"{number}"}
            while (client, number) not in self.sent:
                try:
                    status, _, answer = self.service.call("POST", "/api/v1/jobs", job, headers)
                    if status in (200, 201):
                        self.sent[client, number] = answer["id"]
                    else:
                        # Only the full disk may cause a refusal.
                        assert status == 503, (status, answer)
                        self.unavailable += 1
                        time.sleep(0.2)
                except (OSError, http.client.HTTPException):
                    time.sleep(0.1)


def fill(path, size):
    """Fills the disk while the `with` block runs."""
    # Unbuffered, because the rest of a buffer could not be written when the file is closed.
    with open(f"{path}/ballast", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * size)
        except OSError:
            pass


def unfairness(rows):
    """The largest lead of a user over another while both had jobs waiting, in UNet calls."""
    users = collections.defaultdict(list)
    for user, created, started, cost in rows:
        users[user].append((created, started, cost))
    worst = 0
    for one, other in itertools.combinations(sorted(users), 2):
        lead = low = high = 0
        events = sorted([(job[1], 1, job[2]) for job in users[one]]
                        + [(job[1], -1, job[2]) for job in users[other]])
        for at, sign, cost in events:
            both = all(any(created < at < started or (created < at and started == at)
                           for created, started, _ in users[user]) for user in (one, other))
            if not both:
                lead = low = high = 0
                continue
            lead += sign * cost
            low, high = min(low, lead), max(high, lead)
            worst = max(worst, high - low)
    return worst


def main(folder):
    os.mkdir(f"{folder}/data", 0o700)
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=96m,mode=700", "tmpfs", f"{folder}/data"],
                   check=True)
    try:
        start = time.time()
        # All requests come from one address, many more per second than a person could submit.
        service = Service(folder, "--log-format", "json", "--max-requests-per-second", "100000")
        clients = Clients(service)

        def done():
            with sqlite3.connect(f"file:{folder}/data/jobs.sqlite?mode=ro", uri=True) as database:
                return database.execute("SELECT COUNT(*) FROM job WHERE state = 'done'").fetchone()[0]

        def wait(count):
            deadline = time.time() + 1200
            while done() < count:
                assert time.time() < deadline, service.errors()[-2000:]
                assert service.process.poll() is None, service.errors()[-2000:]
                time.sleep(0.05)

        held = 0
        for turn in range(KILLS):
            wait(JOBS * (turn + 1) // (KILLS + 3))
            time.sleep(random.random())
            service.kill()
            service.start()
            if turn == 1:
                fill(f"{folder}/data", 1 << 16)
                deadline = time.time() + 8
                while time.time() < deadline:
                    held += service.call("GET", "/readyz")[0] == 503
                    time.sleep(0.1)
                os.remove(f"{folder}/data/ballast")
        for thread in clients.threads:
            thread.join()
        wait(JOBS)
        seconds = time.time() - start
        ids = set(clients.sent.values())
        pictures = {id: service.ok("GET", f"/api/v1/jobs/{id}/picture") for id in ids}
        service.stop()

        assert held, "the full disk held nothing up"
        with sqlite3.connect(f"{folder}/data/jobs.sqlite") as database:
            rows = list(database.execute("SELECT id, state, bytes, user, created, started, "
                                         "evaluations FROM job"))
        lost = len(ids - {row[0] for row in rows if row[1] == "done"}) + JOBS - len(ids)
        assert len(rows) == JOBS, f"{len(rows)} jobs are stored"
        ends = collections.Counter()
        for line in service.errors().splitlines():
            entry = json.loads(line) if line.startswith("{") else {}
            if entry.get("message") in ("job ended", "job recovered") and entry["state"] == "done":
                ends[entry["job"]] += 1
        twice = [id for id in ids if ends[id] != 1]
        for id, _, size, *_ in rows:
            check_png(pictures[id])
            assert len(pictures[id]) == size
        lead = unfairness([row[3:] for row in rows])
        largest = max(row[6] for row in rows)
        assert lead <= 2 * largest, f"a lead of {lead} UNet calls; the largest job has {largest}"
        print(json.dumps({
            "serve_jobs": JOBS, "serve_jobs_lost": lost, "serve_jobs_ended_twice": len(twice),
            "serve_kills": KILLS, "serve_refused_by_full_disk": clients.unavailable,
            "serve_lead": lead, "serve_largest_job": largest, "serve_seconds": round(seconds, 1)}))
        assert lost == 0 and not twice, (lost, [(id, ends[id]) for id in twice])
    finally:
        service.process.poll() is None and service.kill()
        subprocess.run(["umount", "-l", f"{folder}/data"], check=True)


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        main(folder)

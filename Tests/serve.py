#!/usr/bin/env python3
"""Flows of `tessera serve`, as clients see them: Tests/serve.py PROGRAM MODEL [FLOW…]

Each flow starts a service of its own in a temporary folder and asserts what it promises.
"""
import atexit
import http.client
import json
import os
import re
import signal
import socket
import sqlite3
import ssl
import subprocess
import sys
import tempfile
import threading
import time

PROGRAM, MODEL = sys.argv[1], os.path.abspath(sys.argv[2])
SMALL = {"size": "128x192", "steps": 4, "seed": 1}
FIXTURES = f"{os.path.dirname(os.path.abspath(__file__))}/Fixtures"


class Service:
    """A running `tessera serve`."""

    def __init__(self, folder, *flags, listen="127.0.0.1:0", authority=None):
        self.folder, self.flags, self.listen = folder, flags, listen
        # Headers sent with every request, and the source address of requests.
        self.headers, self.source = {}, None
        self.tls = ssl.create_default_context(cafile=authority) if authority else None
        self.start()

    def start(self):
        # A flow that fails must not leave the service running: whoever reads our output would wait for it, too.
        atexit.unregister(self.kill)
        atexit.register(self.kill)
        self.log = open(f"{self.folder}/log", "a+")
        self.log.seek(0, 2)
        begin = self.log.tell()
        environment = dict(os.environ, XDG_STATE_HOME=f"{self.folder}/state",
                           XDG_CONFIG_HOME=f"{self.folder}/config")
        self.process = subprocess.Popen(
            [PROGRAM, "serve", "--listen", self.listen, "--data", f"{self.folder}/data",
             "--model", MODEL, "--workers", "1", *self.flags],
            stderr=self.log, stdin=subprocess.DEVNULL, env=environment)
        deadline = time.time() + 60
        while time.time() < deadline:
            self.log.seek(begin)
            found = re.search(r"serving https?://[^\s\"]+:(\d+)", self.log.read())
            if found:
                self.port = int(found[1])
                return
            assert self.process.poll() is None, self.errors()
            time.sleep(0.02)
        raise AssertionError("the service did not start")

    def errors(self):
        return open(f"{self.folder}/log").read()

    def kill(self):
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
        self.process.wait()

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        status = self.process.wait(timeout=60)
        assert status == 0, (status, self.errors())

    def connection(self, timeout=60):
        where = {"host": "127.0.0.1", "port": self.port, "timeout": timeout,
                 "source_address": self.source and (self.source, 0)}
        if self.tls:
            return http.client.HTTPSConnection(context=self.tls, **where)
        return http.client.HTTPConnection(**where)

    def tokens(self, *words):
        """Runs `tessera tokens` on the service's folder."""
        command = [PROGRAM, "tokens", words[0], "--data", f"{self.folder}/data", *words[1:]]
        return subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout.strip()

    def refused(self, status, word, method, path, body=None, headers=None):
        found, answer, content = self.call(method, path, body, headers)
        text = content.decode() if isinstance(content, bytes) else json.dumps(content)
        assert found == status and word in text, (method, path, found, text)
        return answer

    def call(self, method, path, body=None, headers=None, timeout=60):
        """Returns status, headers and body: JSON where it is."""
        connection = self.connection(timeout)
        headers = self.headers | (headers or {})
        if body is not None and not isinstance(body, (bytes, str)):
            body = json.dumps(body)
            headers.setdefault("Content-Type", "application/json")
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        content = answer.read()
        connection.close()
        if (answer.getheader("Content-Type") or "").startswith("application/json"):
            content = json.loads(content)
        return answer.status, answer, content

    def ok(self, method, path, body=None, status=200, **more):
        found, _, content = self.call(method, path, body, **more)
        assert found == status, (method, path, found, content)
        return content

    def submit(self, status=201, headers=None, **fields):
        job = {"prompt": "a cat", "settings": SMALL, **fields}
        return self.ok("POST", "/api/v1/jobs", job, status=status, headers=headers)

    def wait(self, id, *states, seconds=120):
        deadline = time.time() + seconds
        while time.time() < deadline:
            job = self.ok("GET", f"/api/v1/jobs/{id}")
            if job["state"] in states:
                return job
            assert job["state"] not in ("done", "failed", "cancelled"), job
            time.sleep(0.05)
        raise AssertionError(f"{job} is not {states}: {self.errors()}")


def rendered(folder, settings, prompt="a cat", *more, ending="png"):
    """The same picture by `tessera render`."""
    path = f"{folder}/expected.{ending}"
    flags = [f"--{name}={value}" for name, value in settings.items()] + list(more)
    subprocess.run([PROGRAM, "render", "--model", MODEL, "--workers", "1", "--prompt", prompt,
                    "--quiet", "--output", path, *flags], check=True, stdout=subprocess.DEVNULL)
    return open(path, "rb").read()


def flow_render(folder):
    """A job gives the bytes of `tessera render`; keys, lists, documents, metrics."""
    service = Service(folder)
    key = {"Idempotency-Key": "one", "Tessera-User": "ann"}
    job = service.submit(headers=key)
    assert job["user"] == "ann" and job["width"] == 128 and job["height"] == 192
    again = service.submit(status=200, headers=key)
    assert again["id"] == job["id"]
    service.submit(status=409, headers=key, prompt="another")
    done = service.wait(job["id"], "done")
    status, answer, picture = service.call("GET", f"/api/v1/jobs/{job['id']}/picture")
    assert status == 200 and answer.getheader("Content-Type") == "image/png"
    assert len(picture) == done["pictureBytes"]
    assert picture == rendered(folder, SMALL), "not the bytes of tessera render"
    assert not os.path.exists(f"{folder}/data/jobs/{job['id']}/state"), "the state was kept"

    # A seed that nobody gave is chosen and recorded.
    first, second = (service.submit(settings={"size": "128x128", "steps": 1}) for _ in "ab")
    seeds = {j["request"]["settings"]["seed"] for j in (first, second)}
    assert len(seeds) == 2
    for other in (first, second):
        service.wait(other["id"], "done")
    page = service.ok("GET", "/api/v1/jobs?limit=2")
    assert [j["id"] for j in page["jobs"]] == [second["id"], first["id"]]
    rest = service.ok("GET", f"/api/v1/jobs?limit=2&before={page['next']}")
    assert [j["id"] for j in rest["jobs"]] == [job["id"]] and rest["next"] is None
    assert service.ok("GET", "/api/v1/jobs?user=ann")["jobs"][0]["id"] == job["id"]

    plan = service.ok("POST", "/api/v1/plan", {"prompt": "a cat", "settings": SMALL})
    assert plan["unetCalls"] == job["unetCalls"]
    assert service.ok("GET", "/api/v1/models")["models"][0]["default"]
    assert any(s["name"] == "ddim" for s in service.ok("GET", "/api/v1/samplers")["samplers"])
    worker = service.ok("GET", "/api/v1/workers")["workers"][0]
    assert worker["active"] and worker["views"] > 0
    document = service.ok("GET", "/api/v1/openapi.json")
    assert document["openapi"] == "3.1.0"
    settings = document["components"]["schemas"]["Settings"]["properties"]
    assert settings["steps"]["type"] == "integer" and "guidance-interval" in settings
    assert service.ok("GET", "/healthz") and service.ok("GET", "/readyz")
    metrics = service.ok("GET", "/metrics").decode()
    assert 'tessera_jobs{state="done"} 3.0' in metrics, metrics
    assert 'tessera_renders_total{result="done"} 3.0' in metrics
    # The dashboard shows no metric that does not exist.
    board = open(f"{FIXTURES}/../../deploy/grafana/tessera-serve.json").read()
    shown = set(re.findall(r"tessera_\w+", board))
    assert len(shown) > 10 and shown <= set(re.findall(r"tessera_\w+", metrics)), shown

    service.ok("DELETE", f"/api/v1/jobs/{job['id']}", status=204)
    service.ok("GET", f"/api/v1/jobs/{job['id']}", status=404)
    assert not os.path.exists(f"{folder}/data/jobs/{job['id']}")
    service.stop()
    assert "no job is left" in service.errors()


def flow_crash(folder):
    """A killed service goes on from the last step, and gives the same bytes."""
    settings = {"size": "256x256", "steps": 24, "seed": 3}
    service = Service(folder)
    job = service.submit(settings=settings)["id"]
    waiting = service.submit(settings=SMALL)["id"]
    state = f"{folder}/data/jobs/{job}/state/state.safetensors"
    for _ in range(2):
        deadline = time.time() + 60
        while not os.path.exists(state):
            assert time.time() < deadline, service.errors()
            time.sleep(0.01)
        time.sleep(0.3)
        service.kill()
        assert os.path.exists(state), "the job had ended before the service was killed"
        service.start()
    service.wait(job, "done")
    service.wait(waiting, "done")
    picture = service.ok("GET", f"/api/v1/jobs/{job}/picture")
    assert picture == rendered(folder, settings), "another picture after the crashes"
    service.stop()


def flow_change(folder):
    """Cancel, pause, resume and priorities, also of a running job; a graceful stop keeps it."""
    long = {"size": "256x256", "steps": 400, "seed": 3}
    service = Service(folder)
    running = service.submit(settings=long)["id"]
    queued = service.submit()["id"]
    first = service.submit(priority=5)["id"]
    service.wait(running, "running")
    assert service.ok("POST", f"/api/v1/jobs/{queued}/pause")["state"] == "paused"
    service.ok("POST", f"/api/v1/jobs/{running}/pause")
    service.wait(running, "paused")
    assert service.wait(first, "done")
    assert service.ok("POST", f"/api/v1/jobs/{running}/resume")["state"] in ("queued", "running")
    service.wait(running, "running")
    service.ok("DELETE", f"/api/v1/jobs/{running}", status=409)
    service.ok("GET", f"/api/v1/jobs/{running}/picture", status=409)
    service.stop()
    assert "1 job goes on" in service.errors(), service.errors()
    service.start()
    service.wait(running, "running")
    start = time.time()
    assert service.ok("POST", f"/api/v1/jobs/{running}/cancel")["stopping"] == "cancel"
    service.wait(running, "cancelled")
    assert time.time() - start < 10
    service.ok("POST", f"/api/v1/jobs/{running}/resume", status=409)
    job = service.ok("PATCH", f"/api/v1/jobs/{queued}", {"priority": -3})
    assert job["priority"] == -3
    service.ok("POST", f"/api/v1/jobs/{queued}/cancel")
    service.stop()


def flow_events(folder):
    """Server-sent events of a job: its states, its progress, and the end of the stream."""
    service = Service(folder)
    job = service.submit(settings={"size": "256x256", "steps": 12, "seed": 3})["id"]
    connection = http.client.HTTPConnection("127.0.0.1", service.port, timeout=60)
    connection.request("GET", f"/api/v1/jobs/{job}/events")
    text = connection.getresponse().read().decode()
    kinds = re.findall(r"^event: (\w+)$", text, re.M)
    states = re.findall(r'"state":"(\w+)"', text)
    assert "progress" in kinds, text
    assert states[-1] == "done" and states[0] in ("queued", "running"), states
    progress = [json.loads(line[6:]) for line in text.splitlines()
                if line.startswith("data: ") and "share" in line]
    shares = [p["share"] for p in progress]
    assert shares == sorted(shares) and progress[-1]["phases"] >= 1
    service.stop()


def flow_refusals(folder):
    """Bad requests name the field or the limit, and nothing of them is stored."""
    service = Service(folder, "--max-pixels", "100000", "--max-steps", "100",
                      "--max-jobs-per-user", "2")

    def refused(status, word, body, headers=None, path="/api/v1/jobs", method="POST"):
        found, _, content = service.call(method, path, body, headers)
        assert found == status, (status, found, content)
        assert word in json.dumps(content), (word, content)

    refused(422, "prompt", {})
    refused(422, "colour", {"prompt": "a", "colour": "red"})
    refused(422, "stepz", {"prompt": "a", "settings": {"stepz": 3}})
    refused(422, "steps", {"prompt": "a", "settings": {"steps": "many"}})
    refused(422, "pixels", {"prompt": "a", "settings": {"size": "4096x4096"}})
    refused(422, "side", {"prompt": "a", "settings": {"size": "999999x8"}})
    refused(422, "steps", {"prompt": "a", "settings": {"size": "128x128", "steps": 500}})
    refused(422, "model", {"prompt": "a", "model": "../../etc/passwd"})
    refused(422, "NUL", {"prompt": "a\0b"})
    # Values that the picture's file cannot hold, and numbers and sizes that would be read as different ones.
    small = {"size": "64x64", "steps": 1}
    refused(422, "bitDepth", {"prompt": "a", "format": "jpeg", "bitDepth": 16, "settings": small})
    refused(422, "seed", {"prompt": "a", "settings": small | {"seed": (1 << 53) + 1}})
    for wrong in ["64X64", "+64x64", "64x64 "]:
        refused(422, "size", {"prompt": "a", "settings": {"size": wrong}})
    refused(400, "Idempotency-Key", {"prompt": "a", "settings": small}, {"Idempotency-Key": "a b"})
    status, _, answer = service.call("POST", "/api/v1/jobs", {"prompt": "a", "settings": {"size": "65x64"}})
    assert status == 422 and answer["error"]["field"] == "size" and "--" not in answer["error"]["message"], answer
    refused(422, "longer", {"prompt": "a" * 30_000})
    refused(422, "priority", {"prompt": "a", "priority": 1e9})
    refused(400, "JSON", "{", {"Content-Type": "application/json"})
    refused(400, "infinite", '{"prompt": "a", "settings": {"guidance-interval": [0, Infinity]}}',
            {"Content-Type": "application/json"})
    refused(400, "nested", "[" * 100_000, {"Content-Type": "application/json"})
    refused(415, "application/json", b"{}", {"Content-Type": "text/plain"})
    refused(413, "body", b"x" * (2 << 20), {"Content-Type": "application/json"})
    refused(403, "pages", {"prompt": "a"}, {"Origin": "http://evil.example"})
    for host in ["evil.example", "localhost:1/\\evil", "localhost:"]:
        refused(403, "localhost", {"prompt": "a"}, {"Host": host})
    refused(400, "Tessera-User", {"prompt": "a"}, {"Tessera-User": "../x"})
    for path in ["/api/v1/jobs/../../../etc/passwd", "/api/v1/jobs/..%2f..%2fjobs.sqlite/picture",
                 "/etc/passwd", "/api/v1/jobs/%00/picture"]:
        refused(404, "error", None, path=path, method="GET")
    # A path that exists says which methods it supports; OPTIONS is answered.
    for method, path, allow in [("DELETE", "/api/v1/jobs", "GET, POST, OPTIONS"),
                                ("GET", "/api/v1/plan", "POST, OPTIONS"),
                                ("TRACE", "/metrics", "GET, OPTIONS"),
                                ("PUT", "/v1/images/generations", "POST, OPTIONS"),
                                ("DELETE", "/sdapi/v1/options", "GET, POST, OPTIONS")]:
        answer = service.refused(405, allow, method, path)
        assert answer.getheader("Allow") == allow, answer.getheaders()
        status, answer, _ = service.call("OPTIONS", path)
        assert status == 204 and answer.getheader("Allow"), (path, status)
    refused(404, "error", None, path="/v1/nothing", method="GET")
    refused(400, "limit", None, path="/api/v1/jobs?limit=0", method="GET")
    refused(400, "state", None, path="/api/v1/jobs?state=lost", method="GET")
    assert service.ok("GET", "/api/v1/jobs")["jobs"] == []

    long = {"size": "256x256", "steps": 100, "seed": 1}
    jobs = [service.submit(settings=long)["id"] for _ in range(2)]
    refused(429, "jobs-per-user", {"prompt": "a", "settings": long})
    # Another user's queue is not full.
    jobs.append(service.submit(settings=long, headers={"Tessera-User": "ben"})["id"])

    # A client that never finishes its request holds up nobody.
    slow = socket.create_connection(("127.0.0.1", service.port))
    slow.sendall(b"POST /api/v1/jobs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 100\r\n\r\n{")
    streams = [socket.create_connection(("127.0.0.1", service.port)) for _ in range(300)]
    for stream in streams:
        stream.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
    time.sleep(1)
    refused(429, "streams", None, path="/api/v1/events", method="GET")
    for stream in streams:
        stream.close()
    for job in jobs:
        service.ok("POST", f"/api/v1/jobs/{job}/cancel")
    assert service.ok("GET", "/healthz")["status"] == "ok"
    slow.close()
    service.stop()


def flow_many(folder):
    """Jobs of several users at once, while the service is killed: none is lost, none is rendered twice."""
    service = Service(folder)
    users, each = [f"user{n}" for n in range(6)], 5
    sent = {}

    def client(user):
        for n in range(each):
            # The answer may be lost with the service, so the same key is sent until there is one.
            while True:
                try:
                    job = service.call(
                        "POST", "/api/v1/jobs",
                        {"prompt": f"{user} {n}", "settings": {"size": "64x64", "steps": 2}},
                        {"Tessera-User": user, "Idempotency-Key": f"{n}"})
                    assert job[0] in (200, 201), job
                    sent[user, n] = job[2]["id"]
                    break
                except (OSError, http.client.HTTPException):
                    time.sleep(0.1)

    threads = [threading.Thread(target=client, args=(user,)) for user in users]
    for thread in threads:
        thread.start()
    for _ in range(3):
        time.sleep(1.5)
        service.kill()
        service.start()
    for thread in threads:
        thread.join()
    assert len(set(sent.values())) == len(users) * each
    for id in sent.values():
        service.wait(id, "done")
    service.stop()
    with sqlite3.connect(f"{folder}/data/jobs.sqlite") as database:
        rows = list(database.execute("SELECT id, state, starts, crashes, bytes FROM job"))
    assert {row[0] for row in rows} == set(sent.values()), "a job was lost, or queued twice"
    for id, state, starts, crashes, size in rows:
        assert state == "done" and starts - crashes in (0, 1), (id, state, starts, crashes)
        picture = open(f"{folder}/data/jobs/{id}/picture.png", "rb").read()
        assert len(picture) == size and picture.endswith(b"IEND\xaeB`\x82")


def run(flows):
    """Runs the flows that are named on the command line, or all of a module."""
    flows = {name[5:]: flow for name, flow in flows.items() if name.startswith("flow_")}
    for name in sys.argv[3:] or flows:
        with tempfile.TemporaryDirectory() as folder:
            start = time.time()
            flows[name](folder)
            print(f"{name}: {time.time() - start:.1f} s", flush=True)


if __name__ == "__main__":
    run(globals())

#!/usr/bin/env python3
"""The commands that talk to `tessera serve`: Tests/serve_client.py PROGRAM MODEL [FLOW…]"""
import json
import os
import signal
import socket
import subprocess
import threading
import time

from serve import FIXTURES, PROGRAM, SMALL, Service, rendered, run  # reads PROGRAM and MODEL

PICTURE = [f"--{name}={value}" for name, value in SMALL.items()]
LONG = ["--size=256x256", "--steps=400", "--seed=3"]


class Shell:
    """A person's terminal in a folder."""

    def __init__(self, folder, service):
        self.folder = f"{folder}/home"
        os.makedirs(f"{self.folder}/config/tessera", exist_ok=True)
        self.environment = {name: value for name, value in os.environ.items()
                            if not name.startswith("TESSERA_")}
        self.environment["XDG_CONFIG_HOME"] = f"{self.folder}/config"
        self.environment["TESSERA_SERVER"] = f"http://127.0.0.1:{service.port}"

    def start(self, *words):
        return subprocess.Popen([PROGRAM, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE,
                                stdin=subprocess.DEVNULL, text=True, cwd=self.folder,
                                env=self.environment)

    def run(self, *words, status=0):
        """Returns what it printed."""
        process = self.start(*words)
        self.output, self.errors = process.communicate(timeout=120)
        assert process.returncode == status, (words, process.returncode, self.errors)
        if status:
            complaints = [line for line in self.errors.splitlines() if line.startswith("tessera: ")]
            assert len(complaints) == 1, self.errors
        return self.output.strip()

    def path(self, name):
        return f"{self.folder}/{name}"


def flow_commands(folder):
    """Submit, list, watch, fetch and cancel; nothing is replaced unasked, and the bytes are those of render."""
    service = Service(folder)
    shell = Shell(folder, service)
    job = shell.run("submit", "--prompt", "a cat", *PICTURE)
    assert len(job) == 20, job
    shell.run("watch", job)
    assert "is done" in shell.errors, shell.errors
    assert json.loads(shell.run("watch", job, "--json", "--quiet"))["state"] == "done"
    expected = rendered(folder, SMALL)
    assert shell.run("fetch", job) == "out.png"
    assert open(shell.path("out.png"), "rb").read() == expected, "not the bytes of tessera render"
    # An existing file is not replaced by default; if its name is given, it is, and the command says so.
    open(shell.path("out.png"), "w").write("mine")
    assert shell.run("fetch", job) == "out-2.png"
    assert open(shell.path("out.png")).read() == "mine"
    open(shell.path("named.png"), "w").write("old")
    assert shell.run("fetch", job, "--output", "named.png") == "named.png"
    assert "will be replaced" in shell.errors
    assert open(shell.path("named.png"), "rb").read() == expected
    shell.run("fetch", job, "--output", "x.jpg", status=64)
    shell.run("fetch", job, "--output", "x.bmp", status=64)
    assert "stored as .png" in shell.errors, shell.errors
    shell.run("fetch", "abc", status=64)
    assert "20 letters and digits" in shell.errors, shell.errors
    shell.run("fetch", job, "--output", "none/x.png", status=64)
    table = shell.run("jobs")
    assert table.startswith("JOB") and job in table and "a cat" in table, table
    assert shell.run("jobs", "--state", "failed") == ""
    assert json.loads(shell.run("jobs", "--json"))["jobs"][0]["id"] == job

    # In one command, with a format.
    path = shell.run("submit", "--prompt", "a cat", *PICTURE, "--wait", "--output", "new.webp")
    assert path == "new.webp" and open(shell.path(path), "rb").read(4) == b"RIFF"
    result = json.loads(shell.run("submit", "--prompt", "a cat", *PICTURE, "--wait", "--json"))
    assert result["state"] == "done" and open(result["picture"], "rb").read() == expected
    # An init image is sent along.
    photo = f"{FIXTURES}/photos/gradient.png"
    photo = photo if os.path.exists(photo) else shell.path("named.png")
    started = shell.run("submit", "--prompt", "a cat", *PICTURE, "--init-image", photo,
                        "--fidelity=0.5", "--json")
    assert json.loads(started)["request"]["initImage"]
    # The same key gives the same job.
    keyed = ["submit", "--prompt", "a cat", *PICTURE, "--key", "one"]
    assert shell.run(*keyed) == shell.run(*keyed)
    shell.run("submit", "--prompt", "another", *PICTURE, "--key", "one", status=64)

    long = shell.run("submit", "--prompt", "a cat", *LONG)
    assert shell.run("fetch", long, status=75) == "" and "no picture" in shell.errors
    # Waiting jobs can be paused, moved, given another priority, and deleted once they have ended.
    service.wait(long, "running")
    first, second = (shell.run("submit", "--prompt", "a cat", *PICTURE) for _ in range(2))
    place = lambda job: service.ok("GET", f"/api/v1/jobs/{job}")["position"]  # noqa: E731
    shell.run("jobs", "move", second, "--before", first)
    assert place(second) < place(first)
    shell.run("jobs", "pause", first, second)
    assert json.loads(shell.run("jobs", "list", "--state", "paused", "--json"))["jobs"]
    changed = shell.run("jobs", "priority", first, "--to", "7", "--json")
    assert json.loads(changed)["priority"] == 7
    shell.run("jobs", "priority", first, "--to", "1000", status=64)
    shell.run("jobs", "resume", first)
    assert service.ok("GET", f"/api/v1/jobs/{first}")["state"] == "queued"
    shell.run("jobs", "delete", first, status=64)
    shell.run("cancel", first, second)
    shell.run("jobs", "delete", first, second)
    assert service.call("GET", f"/api/v1/jobs/{first}")[0] == 404
    shell.run("jobs", "pauze", first, status=64)
    assert "Did you mean 'tessera jobs pause'?" in shell.errors, shell.errors
    waiting = shell.start("submit", "--prompt", "a cat", *LONG, "--wait")
    service.wait(long, "running")
    shell.run("cancel", long)
    service.wait(long, "cancelled")
    shell.run("watch", long, status=70)
    assert "was cancelled" in shell.errors
    # Stopping to watch a job does not stop the job.
    deadline = time.time() + 60
    while True:
        newest = service.ok("GET", "/api/v1/jobs?limit=1")["jobs"][0]
        if newest["state"] == "running" and newest["id"] != long:
            break
        assert time.time() < deadline, newest
        time.sleep(0.05)
    time.sleep(0.5)
    waiting.send_signal(signal.SIGINT)
    _, errors = waiting.communicate(timeout=30)
    assert waiting.returncode == 130 and "the job goes on" in errors, (waiting.returncode, errors)
    assert service.ok("GET", f"/api/v1/jobs/{newest['id']}")["state"] == "running"
    shell.run("cancel", newest["id"])
    service.stop()


def flow_refusals(folder):
    """One line each, and a status that says who has to act."""
    service = Service(folder, "--max-pixels", "100000", "--max-jobs-per-user", "1")
    shell = Shell(folder, service)
    shell.run("submit", status=64)
    assert "--prompt" in shell.errors
    shell.run("submit", "--prompt", "a", "--size", "4096x4096", status=64)
    assert "pixels" in shell.errors and "100000" in shell.errors, shell.errors
    shell.run("submit", "--prompt", "a", "--model", "none", status=64)
    shell.run("submit", "--prompt", "a", "--output", "a.png", status=64)
    shell.run("submit", "--prompt", "a", "--lora", "a:b:c", status=64)
    shell.run("submit", "--prompt", "a", "--init-image", "none.png", status=64)
    shell.run("watch", "0" * 20, status=64)
    shell.run("fetch", "../../etc/passwd", status=64)
    shell.run("jobs", "--server", "ftp://x", status=64)
    shell.run("jobs", "--server", "http://studio.example", "--token", "x", status=64)
    assert "encryption" in shell.errors
    # The queue is full: try again later.
    first = shell.run("submit", "--prompt", "a", *LONG)
    shell.run("submit", "--prompt", "a", *LONG, status=75)
    assert "jobs-per-user" in shell.errors
    shell.run("cancel", first)
    # The service has its own model names, so local defaults for files do not count.
    shell.environment["TESSERA_MODEL"] = "/none"
    config = shell.path("config/tessera/config.yaml")
    open(config, "w").write("model: /none\nlora: [/none]\nwait: true\n")
    job = shell.run("submit", "--prompt", "a", *PICTURE)
    service.wait(job, "done")
    # Tokens come from a flag, a variable or the configuration file.
    token = service.tokens("new", "--user", "ann")
    shell.run("jobs", status=77)
    assert "TESSERA_TOKEN" in shell.errors
    shell.run("jobs", "--token", "wrong", status=77)
    shell.run("jobs", "--token", token)
    open(config, "w").write(f"token: {token}\nserver: http://127.0.0.1:{service.port}\n")
    del shell.environment["TESSERA_SERVER"]
    shell.run("jobs")
    shell.run("jobs", "--user", "ben", status=77)
    service.stop()
    shell.run("jobs", status=69)
    assert "no service answers" in shell.errors and "refused" in shell.errors, shell.errors
    # Something else may answer at that address.
    other = socket.create_server(("127.0.0.1", 0))

    answers = {"/picture": b"#!/bin/sh", "/api/v1/jobs?": b'{"jobs": [{"id": 5}]}',
               "/events": b"event: state\ndata: {\n\n",
               "/api/v1/jobs/": json.dumps(dict(id="0" * 20, state="done")).encode(),
               "/api/v1/jobs/1": json.dumps(dict(id="1" * 20, state="running")).encode()}

    def answer():
        while True:
            connection = other.accept()[0]
            path = connection.recv(4096).split()[1].decode()
            found = [name for name in answers if name in path]
            body = answers[max(found, key=lambda name: (name.startswith(("/p", "/e")), len(name)))] if found else b"hi"
            status = b"200 OK" if found and hasParts else b"404 Not Found"
            connection.sendall(b"HTTP/1.1 %s\r\nContent-Length: %d\r\n\r\n" % (status, len(body)) + body)
            connection.close()
    hasParts = False
    threading.Thread(target=answer, daemon=True).start()
    port = other.getsockname()[1]
    open(config, "w").write("")
    shell.run("jobs", "--server", f"127.0.0.1:{port}", status=69)
    assert "not tessera serve" in shell.errors, shell.errors
    # Or the answer may be damaged: nothing is stored that is not a picture, and no error is ignored.
    hasParts = True
    for words in [["jobs"], ["fetch", "0" * 20, "--output", "false.png"], ["watch", "1" * 20]]:
        shell.run(*words, "--server", f"127.0.0.1:{port}", status=69)
        assert "not tessera serve" in shell.errors, (words, shell.errors)
    assert not os.path.exists(shell.path("false.png"))


def flow_restart(folder):
    """A watch outlives the service, and the picture is that of an undisturbed one."""
    settings = {"size": "256x256", "steps": 40, "seed": 3}
    service = Service(folder)
    service.listen = f"127.0.0.1:{service.port}"
    shell = Shell(folder, service)
    flags = [f"--{name}={value}" for name, value in settings.items()]
    waiting = shell.start("submit", "--prompt", "a cat", *flags, "--wait", "--output", "a.png")
    deadline = time.time() + 60
    while not os.path.isdir(f"{folder}/data/jobs") or not any(
            os.path.exists(f"{folder}/data/jobs/{name}/state/state.safetensors")
            for name in os.listdir(f"{folder}/data/jobs")):
        assert time.time() < deadline
        time.sleep(0.02)
    service.kill()
    time.sleep(0.5)
    service.start()
    output, errors = waiting.communicate(timeout=120)
    assert waiting.returncode == 0 and output == "a.png\n", (waiting.returncode, errors)
    assert "Trying again" in errors, errors
    assert open(shell.path("a.png"), "rb").read() == rendered(folder, settings)
    service.stop()


if __name__ == "__main__":
    run(globals())

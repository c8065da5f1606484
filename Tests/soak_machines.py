"""Machines of a soak: processes with homes of their own, and clocks that jump."""

import os
import signal
import subprocess
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "Tests/Fixtures/sdxl-tiny"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"


class Machine:
    """A machine that joined by invitation: a folder that is its home, and a process."""

    def __init__(self, soak, name, lie=None):
        self.soak, self.name, self.lie = soak, name, lie
        self.home = soak.work / "machines" / name
        self.home.mkdir(parents=True, exist_ok=True)
        self.clock = Clock(self.home / "clock")
        self.process = None
        self.stopped = False

    def start(self, invitation=None, limit=None):
        """`limit` is the most address space that it gets, in bytes."""
        folders = sorted((self.home / "config/tessera/joined").glob("*"))
        if self.lie and folders and invitation is None:
            words = [self.soak.options.liar, "--model", MODEL, "--connect", self.soak.endpoint,
                     "--name", self.name, "--keys", folders[0] / "worker",
                     "--coordinator-key", folders[0] / "coordinator.pub", "--lie", self.lie]
        else:
            words = [self.soak.options.tessera, "join", *([invitation] if invitation else []),
                     "--model", MODEL, "--threads", "1", "--name", self.name]
        if limit:
            words = ["prlimit", f"--as={limit}", *words]
        environment = self.clock.environment | {
            "XDG_CONFIG_HOME": str(self.home / "config"), "XDG_STATE_HOME": str(self.home / "state")}
        with open(self.home / "log", "ab") as log:
            self.process = subprocess.Popen(["env", *(str(word) for word in words)], stdout=log, stderr=log,
                                            stdin=subprocess.DEVNULL, env=os.environ | environment)
        self.stopped = False

    @property
    def is_running(self):
        return self.process is not None and self.process.poll() is None

    def signal(self, number):
        if self.is_running:
            self.process.send_signal(number)

    def end(self):
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGKILL)
        if self.process:
            self.process.wait()
        self.process = None


class Clock:
    """The wall clock of a process, by libfaketime: a file holds how far it is off. The monotonic clock goes on.

    Programs start through `env`: libfaketime adds a variable in the first process that loads it, and then Swift does not
    find that process's arguments.
    """

    def __init__(self, path):
        self.path = path
        if not path.exists():
            self.set(0)

    def set(self, seconds):
        new = self.path.with_suffix(".new")
        new.write_text(f"{seconds:+d}s\n")
        new.rename(self.path)

    @property
    def environment(self):
        if not os.path.exists(FAKETIME):
            return {}
        return {"LD_PRELOAD": FAKETIME, "FAKETIME_TIMESTAMP_FILE": str(self.path),
                "FAKETIME_CACHE_DURATION": "1", "DONT_FAKE_MONOTONIC": "1"}

#!/usr/bin/env python3
"""Renders under random faults; every picture must have the bytes of an undisturbed render.

    Tests/soak.py [--faults 50] [--seed N] [--state DIR] [--tessera PROGRAM] [--liar PROGRAM]

Renders are repeated, each with another seed, until there were as many faults. With --state everything is kept in that
folder: an interrupted soak goes on there when it is started again with the same folder. The faults are in `Storm`.
"""

import argparse
import collections
import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MODEL = ROOT / "Tests/Fixtures/sdxl-tiny"
FAKETIME = "/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1"
PICTURE = ["--prompt", "a lake at sunset", "--size", "256x192", "--steps", "60", "--guidance", "3",
           "--global-pass", "workers"]
MOST_MACHINES = 5


class Failed(Exception):
    pass


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


class Soak:
    def __init__(self, options, work):
        self.options, self.work = options, work
        self.path = work / "soak.json"
        if self.path.exists():
            self.state = json.loads(self.path.read_text())
        else:
            self.state = {"seed": options.seed or random.randrange(1 << 30), "render": 0, "faults": 0,
                          "counts": {}, "port": 20000 + random.randrange(20000), "machines": 0}
        self.random = random.Random(f"{self.state['seed']}/{self.state['faults']}")
        self.endpoint = f"tcp://127.0.0.1:{self.state['port']}"
        self.clock = Clock(work / "clock")
        self.clock.set(0)
        # The coordinator's state is on a disk that can be full.
        self.disk = work / "disk"
        self.disk.mkdir(exist_ok=True)
        self.is_mounted = os.path.ismount(self.disk)
        if not self.is_mounted and os.geteuid() == 0:
            command = ["mount", "-t", "tmpfs", "-o", "size=24m,mode=700", "none", self.disk]
            self.is_mounted = subprocess.run(command, stderr=subprocess.DEVNULL).returncode == 0
        self.file = work / "cluster.yaml"
        self.file.write_text(
            f"coordinator: {{endpoint: \"{self.endpoint}\"}}\nmodel: {MODEL}\n"
            "timeouts: {silence: 3, grace: 120}\nhosts: [{name: localhost, threads: 1}]\n")
        self.machines = []
        self.coordinator = None

    def save(self):
        new = self.path.with_suffix(".new")
        new.write_text(json.dumps(self.state, indent=1))
        new.rename(self.path)

    def count(self, kind):
        self.state["counts"][kind] = self.state["counts"].get(kind, 0) + 1
        self.state["faults"] += 1
        self.save()
        print(f"{self.state['faults']:5} {kind}", flush=True)

    @property
    def environment(self):
        return os.environ | self.clock.environment | {
            "XDG_STATE_HOME": str(self.disk / "state"), "XDG_CONFIG_HOME": str(self.work / "config")}

    def run(self, *words):
        return subprocess.run(["env", str(self.options.tessera), *map(str, words)], text=True, capture_output=True,
                              env=self.environment, stdin=subprocess.DEVNULL, timeout=120)

    def flags(self, seed):
        return [*PICTURE, "--model", MODEL, "--seed", str(seed)]

    def quiet(self, seed):
        """The picture of an undisturbed render."""
        picture = self.work / f"quiet-{seed}.png"
        if not picture.exists():
            part = picture.with_suffix(".part.png")
            done = subprocess.run([str(word) for word in [
                self.options.tessera, "render", *self.flags(seed), "--workers", "2", "--output", part]],
                capture_output=True, text=True, env=os.environ | {"XDG_STATE_HOME": str(self.work / "quiet")})
            if done.returncode != 0:
                raise Failed(f"the undisturbed render failed: {done.stderr}")
            part.rename(picture)
        return picture.read_bytes()

    @property
    def job(self):
        return self.disk / "job"

    def begin(self, seed):
        if (self.job / "job.json").exists():
            words = ["resume", self.job]
        else:
            shutil.rmtree(self.job, ignore_errors=True)
            words = ["render", "--cluster", self.file, "--job-dir", self.job, "--verify", "all",
                     *self.flags(seed), "--output", self.work / "storm.png"]
        with open(self.work / "coordinator.log", "ab") as log:
            self.coordinator = subprocess.Popen(["env", *(str(word) for word in [self.options.tessera, *words])],
                                                stdout=log, stderr=log, stdin=subprocess.DEVNULL,
                                                env=self.environment, cwd=self.work)

    def log(self, lines=8):
        text = (self.work / "coordinator.log").read_text(errors="replace")
        return "\n".join(text.replace("\r", "\n").split("\n")[-lines:])

    def invite(self, lie=None, limit=None):
        """A new machine joins; the name says what it is."""
        self.state["machines"] += 1
        self.save()
        name = f"{'liar' if lie else 'machine'}{self.state['machines']}"
        done = self.run("cluster", "invite", "--cluster", self.file)
        if done.returncode != 0:
            return None
        machine = Machine(self, name, lie)
        machine.start(done.stdout.split()[-1], limit)
        if lie:
            # It joins as any other does, and lies once it has the key.
            deadline = time.monotonic() + 30
            while not list((machine.home / "config/tessera/joined").glob("*/place.json")):
                if time.monotonic() > deadline or not machine.is_running:
                    machine.end()
                    return None
                time.sleep(0.1)
            time.sleep(1)
            machine.end()
            machine.start()
        self.machines.append(machine)
        return machine

    def render(self, seed, wanted):
        """One render, under faults until there were so many; then it must end by itself."""
        quiet = self.quiet(seed)
        picture = self.work / "storm.png"
        if not (self.job / "job.json").exists():
            picture.unlink(missing_ok=True)
        storm = Storm(self, seed)
        self.begin(seed)
        for _ in range(2):
            self.invite()
        calm = None
        while True:
            code = self.coordinator.poll()
            if code == 0:
                break
            if code is not None:
                # Only a full disk may end it.
                if not storm.explains(code):
                    raise Failed(f"the coordinator ended with {code}:\n{self.log()}")
                storm.free_disk()
                self.begin(seed)
            if self.state["faults"] < wanted:
                time.sleep(self.random.uniform(0.1, 0.6))
                storm.next()
                continue
            if calm is None:
                storm.calm()
                calm = time.monotonic()
            if time.monotonic() - calm > 600:
                raise Failed(f"the render has not ended ten minutes after the last fault:\n{self.log()}")
            time.sleep(0.3)
        storm.calm()
        if picture.read_bytes() != quiet:
            raise Failed(f"seed {seed}: {picture} is not {self.work}/quiet-{seed}.png")
        if (self.job / "job.json").exists():
            raise Failed("the finished job was not removed")
        print(f"      render {self.state['render'] + 1}: the same bytes", flush=True)

    def all(self):
        while self.state["faults"] < self.options.faults:
            self.render(1 + self.state["render"], self.options.faults)
            self.state["render"] += 1
            self.save()
            for machine in self.machines:
                machine.end()
            self.machines = []
        for kind, number in sorted(self.state["counts"].items()):
            print(f"{number:6} {kind}")
        print(f"{self.state['faults']} faults in {self.state['render']} renders, and every picture is the same to the byte")

    def end(self):
        for machine in self.machines:
            machine.end()
        if self.coordinator and self.coordinator.poll() is None:
            # Its workers end with it.
            self.coordinator.kill()
            self.coordinator.wait()
        if self.is_mounted and not self.options.state:
            subprocess.run(["umount", "-l", self.disk])


class Storm:
    """The faults of one render."""

    def __init__(self, soak, seed):
        self.soak, self.seed = soak, seed
        self.filler = soak.disk / "filler"
        self.was_full = False

    def next(self):
        faults = [(3, self.kill), (3, self.stop), (4, self.go_on), (3, self.join), (3, self.lie),
                  (2, self.turn_clock), (2, self.starve), (2, self.remove), (1, self.kill_coordinator)]
        if self.soak.is_mounted:
            faults.append((1, self.fill_disk) if not self.filler.exists() else (4, self.free_disk))
        weights, bodies = zip(*faults)
        kind = self.soak.random.choices(bodies, weights)[0]()
        if kind:
            self.soak.count(kind)

    def pick(self, good=lambda machine: True):
        living = [machine for machine in self.soak.machines if machine.is_running and good(machine)]
        return self.soak.random.choice(living) if living else None

    def kill(self):
        machine = self.pick()
        if machine:
            machine.end()
            return "workers killed"

    def stop(self):
        machine = self.pick(lambda machine: not machine.stopped)
        if machine:
            machine.signal(signal.SIGSTOP)
            machine.stopped = True
            return "workers stopped"

    def go_on(self):
        """Not a fault: machines that were stopped continue, and those that ended start again."""
        for machine in self.soak.machines:
            if machine.stopped:
                machine.signal(signal.SIGCONT)
                machine.stopped = False
            elif not machine.is_running:
                machine.start()

    def join(self):
        if sum(machine.is_running for machine in self.soak.machines) < MOST_MACHINES:
            return "joins by invitation" if self.soak.invite() else None

    def lie(self):
        if self.pick(lambda machine: machine.lie) is None:
            manner = self.soak.random.choice(["always", "every:10", "every:200", "below:300"])
            return "liars" if self.soak.invite(lie=manner) else None

    def turn_clock(self):
        machine = self.pick()
        clock = machine.clock if machine and self.soak.random.random() < 0.5 else self.soak.clock
        if not clock.environment:
            return None
        clock.set(self.soak.random.choice([0, 3600, -3600, 86400, -86400 * 30, 86400 * 365]))
        return "clock jumps"

    def starve(self):
        """A process may get no more address space: what it has, or a little more."""
        machine = self.pick(lambda machine: not machine.stopped)
        if not machine:
            return None
        status = Path(f"/proc/{machine.process.pid}/status").read_text()
        size = next(int(line.split()[1]) << 10 for line in status.split("\n") if line.startswith("VmSize"))
        limit = size + self.soak.random.choice([0, 1 << 20, 64 << 20])
        subprocess.run(["prlimit", f"--pid={machine.process.pid}", f"--as={limit}"], stderr=subprocess.DEVNULL)
        return "memory limits"

    def remove(self):
        if sum(machine.is_running for machine in self.soak.machines) < 2:
            return None
        machine = self.pick()
        if self.soak.run("cluster", "remove", machine.name, "--cluster", self.soak.file).returncode != 0:
            return None
        self.soak.machines.remove(machine)
        machine.end()
        return "machines removed"

    def kill_coordinator(self):
        # Only once it has something to resume from.
        if not (self.soak.job / "state.safetensors").exists():
            return None
        self.soak.coordinator.kill()
        self.soak.coordinator.wait()
        self.soak.begin(self.seed)
        return "coordinators killed"

    def fill_disk(self):
        with open(self.filler, "wb", buffering=0) as file:
            try:
                while True:
                    file.write(bytes(1 << 16))
            except OSError:
                pass
        self.was_full = True
        return "disks full"

    def free_disk(self):
        self.filler.unlink(missing_ok=True)

    def explains(self, code):
        """Whether the end of the coordinator follows from a full disk."""
        was_full, self.was_full = self.was_full, self.filler.exists()
        return was_full and code in (69, 73, 74)

    def calm(self):
        """No more faults: clocks, disk and machines are well."""
        self.free_disk()
        self.soak.clock.set(0)
        for machine in self.soak.machines:
            machine.clock.set(0)
        self.go_on()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--faults", type=int, default=50)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--state", type=Path)
    parser.add_argument("--tessera", type=Path, default=ROOT / ".build/release/tessera")
    parser.add_argument("--liar", type=Path, default=ROOT / ".build/release/TestWorker")
    options = parser.parse_args()
    work = (options.state or Path(tempfile.mkdtemp(prefix="tessera-soak-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    soak = Soak(options, work)
    print(f"seed {soak.state['seed']}, in {work}, after {soak.state['faults']} faults", flush=True)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: sys.exit(130))
    try:
        soak.all()
    except Failed as error:
        print(f"soak: {error}", file=sys.stderr)
        print(f"soak: the logs are in {work}", file=sys.stderr)
        sys.exit(1)
    finally:
        soak.end()
    if not options.state:
        shutil.rmtree(work, ignore_errors=True)


main()

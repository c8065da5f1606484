#!/usr/bin/env python3
"""Renders under random faults; every picture must have the bytes of an undisturbed render.

    Tests/soak.py [--faults 50] [--seed N] [--state DIR] [--tessera PROGRAM] [--liar PROGRAM]

Renders are repeated, each with another seed, until there were as many faults. With --state everything is kept in that
folder: an interrupted soak goes on there when it is started again with the same folder. The faults are in soak_storm.py.
"""

import argparse
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

from soak_machines import MODEL, ROOT, Clock, Machine
from soak_storm import Storm

PICTURE = ["--prompt", "a lake at sunset", "--size", "256x192", "--steps", "60", "--guidance", "3",
           "--global-pass", "workers"]


class Failed(Exception):
    pass


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
        # The coordinator's state is on a disk that can fill up.
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
            # It joins like any other machine, and lies once it has its key.
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
                # Only a full disk may end the coordinator.
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

"""The faults of a soak."""

import signal
import subprocess
from pathlib import Path

MOST_MACHINES = 5


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
        # Only when there is something to resume from.
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

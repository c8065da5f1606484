#!/usr/bin/env python3
"""Runs the program on damaged files, and judges what it does.

    Tests/Fuzz/fuzz.py --rounds 2000 --seed 7     some rounds of every kind
    Tests/Fuzz/fuzz.py --specials                 pipes, folders, devices and the like in place of every file
    Tests/Fuzz/fuzz.py --crafted                  files that once did harm
    Tests/Fuzz/fuzz.py --seed 7 --round 123       one round again

What must hold, whatever the file: no signal, no hang, less than 1 GB of memory, exit status 0 or 64, and on 64 one line
that names the file. A round that breaks this is kept, with the command that repeats it.
"""

import argparse
import collections
import os
import random
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import crafted
import fixtures
import kinds

# Processor time, because wall-clock time says little about a process on a busy machine; and wall-clock time, for a
# process that sleeps.
MAX_SECONDS = 5
MAX_CLOCK = 20
MAX_BYTES = 1 << 30
# A damaged file is bad input: no other exit status is right.
GOOD = (0, 64)


class Outcome:
    def __init__(self, status, output, error, seconds, clock, memory):
        self.status, self.output, self.error = status, output, error
        self.seconds, self.clock, self.memory = seconds, clock, memory


def run(command, folder, environment):
    """Runs to the end, or kills the whole group."""
    out = open(folder / "stdout", "w+b")
    err = open(folder / "stderr", "w+b")
    # Other processes may use the processors, too.
    limit = min(120, MAX_CLOCK * max(1, 2 * os.getloadavg()[0] / os.cpu_count()))
    start = time.monotonic()
    process = subprocess.Popen(
        command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True)
    status, usage, pause = None, None, 0.001
    while status is None:
        pid, code, used = os.wait4(process.pid, os.WNOHANG)
        if pid:
            status, usage = os.waitstatus_to_exitcode(code), used
        elif time.monotonic() - start > limit:
            os.killpg(process.pid, signal.SIGKILL)
            _, _, usage = os.wait4(process.pid, 0)
            status = "hang"
        else:
            time.sleep(pause)
            pause = min(0.02, pause * 1.5)
    process.returncode = 0
    clock = time.monotonic() - start
    try:
        os.killpg(process.pid, signal.SIGKILL)
        orphans = True
    except ProcessLookupError:
        orphans = False
    texts = []
    for file in (out, err):
        file.seek(0)
        texts.append(file.read(4 << 20).decode("utf-8", "replace"))
        file.close()
    outcome = Outcome(status, *texts, usage.ru_utime + usage.ru_stime, clock, usage.ru_maxrss * 1024)
    outcome.orphans = orphans
    return outcome


def faults(case, outcome):
    """What is wrong with an outcome, one line each."""
    found = []
    if outcome.status == "hang":
        found.append(f"hangs: {outcome.clock:.0f} s")
    elif outcome.status < 0:
        found.append(f"ended by {signal.Signals(-outcome.status).name}")
    elif outcome.status not in GOOD + case.allowed:
        found.append(f"exit status {outcome.status}")
    if outcome.seconds > MAX_SECONDS:
        found.append(f"takes {outcome.seconds:.1f} s of processor time")
    if outcome.memory > MAX_BYTES:
        found.append(f"takes {outcome.memory >> 20} MB")
    if re.search(r"Fatal error|Current stack trace|Thread \d+ crashed|crashed:|AddressSanitizer", outcome.error):
        found.append("a process crashed")
    if outcome.orphans:
        found.append("leaves processes behind")
    complaints = [line for line in outcome.error.split("\n") if line.startswith("tessera: ")]
    if outcome.status == 64:
        rest = outcome.error[outcome.error.find("tessera: "):].rstrip("\n")
        if len(complaints) != 1 or "\n" in rest:
            found.append("the error is not one line")
        elif not any(str(name) in rest for name in [case.file, *case.names]):
            found.append("the file is not named")
        elif len(rest) > 1500 + len(str(case.file)):
            found.append(f"the error has {len(rest)} characters")
        elif any(ord(letter) < 32 or letter == "\x7f" for letter in rest):
            found.append("control characters reach the terminal")
    elif outcome.status == 0 and complaints:
        found.append("an error, and status 0")
    return found


class Run:
    def __init__(self, options):
        self.options = options
        self.program = Path(options.program).resolve()
        base = "/dev/shm" if os.access("/dev/shm", os.W_OK) else None
        self.work = Path(tempfile.mkdtemp(prefix="tessera-fuzz-", dir=base))
        self.environment = {
            "PATH": os.environ["PATH"], "HOME": str(self.work), "XDG_CACHE_HOME": str(self.work / "cache"),
            "XDG_STATE_HOME": str(self.work / "state"), "TMPDIR": str(self.work), "LANG": "C.UTF-8",
            "SWIFT_BACKTRACE": "enable=no",
        }
        self.kinds = kinds.Kinds(self.program, self.work / "store")
        self.statuses = collections.Counter()
        self.by_kind = collections.Counter()
        self.failures = 0
        self.signatures = collections.Counter()

    def execute(self, label, again, make):
        """Makes a case in a new folder, runs and judges it."""
        folder = self.work / "case"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        case = make(folder)
        command = [str(self.program), *case.arguments]
        outcome = run(command, folder, self.environment)
        found = faults(case, outcome)
        self.statuses[outcome.status] += 1
        if found:
            self.keep(label, again, command, folder, outcome, found)
        elif self.options.verbose:
            print(f"{label}: {outcome.status} {outcome.seconds:.2f} s {outcome.error.strip()[:200]}")
        return outcome

    def keep(self, label, again, command, folder, outcome, found):
        self.failures += 1
        what = "; ".join(found)
        first = next((line for line in outcome.error.split("\n") if line.strip()), "")
        signature = re.sub(r"\d+|'[^']*'|/\S+", "…", what + first)[:200]
        self.signatures[signature] += 1
        print(f"FAULT {label}: {what}\n    {first[:300]}\n    again: {again}", flush=True)
        if self.signatures[signature] > self.options.keep_each:
            return
        place = Path(self.options.keep) / label.replace(" ", "-").replace("/", "-")
        shutil.rmtree(place, ignore_errors=True)
        try:
            shutil.copytree(folder, place, symlinks=True, ignore=ignore_special)
        except (OSError, shutil.Error) as error:
            print(f"    not all of it could be kept: {error}"[:300])
            place.mkdir(parents=True, exist_ok=True)
        text = shlex.join(command).replace(str(folder), str(place))
        (place / "command.sh").write_text(f"# {what}\n# {again}\ncd {shlex.quote(str(place))} && {text}\n")

    def finish(self):
        shutil.rmtree(self.work, ignore_errors=True)
        total = sum(self.statuses.values())
        print(f"{total} runs: " + ", ".join(f"{count} × {status}" for status, count in sorted(
            self.statuses.items(), key=lambda item: str(item[0]))) + f"; {self.failures} faults")
        if self.options.verbose or self.failures:
            print("  " + ", ".join(f"{kind} {count}" for kind, count in sorted(self.by_kind.items())))
        for signature, count in self.signatures.most_common():
            print(f"  {count} × {signature}")
        return 1 if self.failures else 0


def ignore_special(folder, names):
    """Names of files that cannot be copied."""
    return [name for name in names if (Path(folder) / name).is_fifo() or (Path(folder) / name).is_socket()]


def rounds(state, options, wanted):
    """Mutated files: round n of a seed is the same whatever was run before it."""
    again = f"Tests/Fuzz/fuzz.py --program {options.program} --seed {options.seed} --round"
    names = [name for name in state.kinds.all for _ in range(kinds.Kinds.shares[name])]
    for number in wanted:
        rng = random.Random(f"{options.seed}/{number}")
        kind = rng.choice(names)
        if options.only and kind not in options.only:
            continue
        if over(options):
            break
        state.by_kind[kind] += 1
        state.execute(f"{kind} {options.seed}/{number}", f"{again} {number}", lambda f: state.kinds.all[kind](rng, f))


def specials(state, options):
    """Each kind of special file, in place of several files of each kind."""
    again = f"Tests/Fuzz/fuzz.py --program {options.program} --specials --only"
    for kind, make in state.kinds.all.items():
        if options.only and kind not in options.only:
            continue
        for what in kinds.SPECIALS:
            for turn in range(options.turns):
                if over(options):
                    return
                rng = random.Random(f"{kind}/{what}/{turn}")

                def case(folder):
                    made = make(rng, folder)
                    kinds.make_special(what, made.file)
                    return made
                state.by_kind[kind] += 1
                state.execute(f"{kind} {what} {turn}", f"{again} {kind} --turns {options.turns}", case)


def all_crafted(state, options):
    again = f"Tests/Fuzz/fuzz.py --program {options.program} --crafted"
    for name, make in crafted.CRAFTED.items():
        state.by_kind["crafted"] += 1
        state.execute(f"crafted {name}", again, make)


def over(options):
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    own = time.process_time()
    return options.seconds is not None and used.ru_utime + used.ru_stime + own > options.seconds


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--program", default=str(fixtures.ROOT / ".build/release/tessera"))
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=0)
    parser.add_argument("--round", type=int, help="only this one")
    parser.add_argument("--specials", action="store_true")
    parser.add_argument("--crafted", action="store_true")
    parser.add_argument("--turns", type=int, default=3, help="files of each kind that are replaced by each special file")
    parser.add_argument("--only", nargs="*", help="kinds: " + " ".join(kinds.Kinds.shares))
    parser.add_argument("--seconds", type=float, help="processor time after which no more is begun")
    parser.add_argument("--keep", default=str(fixtures.ROOT / ".build/fuzz/faults"), help="folder for what failed")
    parser.add_argument("--keep-each", type=int, default=3, help="alike faults whose files are kept")
    parser.add_argument("--verbose", action="store_true")
    options = parser.parse_args()
    state = Run(options)
    try:
        if options.crafted:
            all_crafted(state, options)
        if options.specials:
            specials(state, options)
        wanted = [options.round] if options.round is not None else range(options.rounds)
        rounds(state, options, wanted)
    finally:
        status = state.finish()
    return status


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""Renders small pictures with a program and writes a digest of each, to see that a refactoring changed nothing.

    Tests/digests.py record PROGRAM FILE [NAME ...]    renders, and writes one line for each result
    Tests/digests.py compare OLD NEW                   exits with 1 when a result differs or is missing

A digest holds for one kind of processor only: record with the old and the new program on one machine.
SLOW=1 adds renders that take minutes. "file" is the digest of the bytes on disk. "pixels" leaves out the text that a picture carries: of a PNG it covers
the header and the decompressed pixel data, of a TIFF the compressed tiles. `compare --pixels` ignores "file".
"""
import hashlib
import os
import re
import signal
import struct
import subprocess
import sys
import tempfile
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
FIXTURES = Path(os.environ.get("TESSERA_FIXTURES", ROOT / "Tests/Fixtures"))
PHOTO = str(ROOT / "Tests/Fixtures/pictures/rgb8.png")
LORA = ROOT / "Tests/Fixtures/lora"
SLOW = os.environ.get("SLOW") == "1"
PROMPT = ["--prompt", "a lighthouse at dawn, oil painting", "--negative-prompt", "rain"]


def model(name):
    return str(ROOT / "Models/vista") if name == "vista" else str(FIXTURES / f"{name}-tiny")


def has_bfloat16():
    """Whether the processor multiplies bfloat16; elsewhere the program refuses that precision."""
    return "avx512_bf16" in Path("/proc/cpuinfo").read_text()


def cases():
    """Name, model and flags of every render. `{dir}` is a folder of its own."""
    small = "--size 192x160 --steps 3 --seed 5"
    for name in ["sd15", "sd21", "sdxl"]:
        yield f"{name}", name, small
        for scheduler in ["ddim", "euler", "euler_a", "dpmpp_2m", "lcm"] if name != "sdxl" else []:
            yield f"{name}-{scheduler}", name, f"--size 160x128 --steps 5 --scheduler {scheduler}"
        yield f"{name}-karras", name, "--size 160x128 --steps 4 --scheduler dpmpp_2m --karras"
        yield f"{name}-unguided", name, f"{small} --guidance 1"
        yield f"{name}-lora", name, f"{small} --lora {LORA}/{name}-kohya.safetensors:0.5"
        yield f"{name}-dump", name, f"{small} --dump {{dir}}/dump.safetensors --border zeros"
        yield f"{name}-init", name, f"{small} --init-image {PHOTO} --strength 0.7"
    yield "euler-karras", "sdxl", f"{small} --scheduler euler --karras"
    yield "vista", "vista", "--size 288x256 --steps 1 --guidance 3 --seed 7"
    yield "vista-odd", "vista", "--size 296x264 --steps 1 --ladder auto --seed 7 --stride window"
    yield "ladder", "sd15", f"{small} --ladder 1,1.5,2"
    yield "ladder-auto", "sdxl", "--size 272x208 --steps 2 --ladder auto"
    yield "panorama", "sd15", "--size 320x96 --steps 2"
    yield "border", "sdxl", f"{small} --border zeros"
    yield "stride", "sd15", f"{small} --stride 6"
    yield "stride-window", "sdxl", f"{small} --stride window --steps 6"
    yield "gaussian", "sd21", f"{small} --window-weight gaussian"
    yield "skip-below", "sd15", f"{small} --steps 8 --skip-below 0.1"
    yield "cosine", "sd15", f"{small} --cosine-scales 2,1.5,1 --sigma 0.7"
    yield "upscale-image", "sd15", f"{small} --upscale-mode image"
    yield "philox", "sdxl", f"{small} --rng philox"
    yield "f16", "sd15", f"{small} --wire f16"
    yield "f16-workers", "sdxl", f"{small} --wire f16 --global-pass workers"
    yield "global-workers", "sd15", f"{small} --global-pass workers"
    yield "global-workers-unguided", "sd21", f"{small} --global-pass workers --guidance 1"
    yield "openblas", "sdxl", f"{small} --backend openblas"
    yield "onednn", "sdxl", f"{small} --backend onednn --precision f32"
    yield "phases", "sd15", f"{small} --save-phases {{dir}}/phases"
    yield "png16", "sd15", f"{small} --bit-depth 16"
    yield "tiff", "sd15", f"{small} --output {{dir}}/out.tif"
    yield "tiff16", "sdxl", f"{small} --bit-depth 16 --output {{dir}}/out.tif"
    yield "init-enlarged", "sd15", f"--size 200x136 --steps 4 --init-image {PHOTO} --fidelity 0.25"
    yield "init-free", "sd15", f"--size 200x136 --steps 4 --init-image {PHOTO} --fidelity 0 --strength 0.5"
    yield "init-whole", "sd21", f"--size 200x136 --steps 4 --init-image {PHOTO} --fidelity 1 --scheduler euler_a"
    yield "one-worker", "sd15", f"{small} --workers 1 --threads-per-worker 2"
    yield "three-workers", "sdxl", f"{small} --workers 3"
    if has_bfloat16():
        yield "bf16", "sd15", f"{small} --backend onednn --precision bf16"
        yield "bf16-vista", "vista", "--size 256x256 --steps 2 --backend onednn --precision bf16"
    if SLOW:
        yield "tiles-init", "sd15", f"--size 1048x1032 --steps 4 --strength 0 --init-image {PHOTO}"
        yield "tiles", "sd15", "--size 1048x1032 --steps 1 --ladder auto --stride window --guidance 1"
        yield "tiles-phases", "vista", "--size 1048x1032 --steps 1 --ladder auto --save-phases {dir}/phases"


# Interrupted after a step, then resumed.
RESUMED = {
    "resume": ("sd15", "--size 192x128 --steps 20 --seed 5"),
    "resume-multistep": ("sd21", "--size 192x128 --steps 20 --scheduler dpmpp_2m"),
    "resume-init": ("sdxl", f"--size 192x128 --steps 20 --init-image {PHOTO} --strength 0.9"),
}


def digest(data):
    return hashlib.sha256(data).hexdigest()[:32]


def png_pixels(data):
    at, header, compressed = 8, b"", b""
    while at < len(data):
        length, kind = struct.unpack(">I4s", data[at : at + 8])
        body = data[at + 8 : at + 8 + length]
        if kind == b"IHDR":
            header = body
        if kind == b"IDAT":
            compressed += body
        at += length + 12
    return header + zlib.decompress(compressed)


def tiff_pixels(data):
    """Tiles of every directory of a little-endian BigTIFF."""
    assert data[:4] == b"II+\0", "not a BigTIFF"
    (at,) = struct.unpack("<Q", data[8:16])
    found = b""
    size = {1: 1, 2: 1, 3: 2, 4: 4, 12: 8, 16: 8, 13: 4, 18: 8}

    def values(kind, count, field):
        length = size.get(kind, 1) * count
        raw = field[:length] if length <= 8 else data[struct.unpack("<Q", field)[0] :][:length]
        letter = {3: "H", 4: "I", 16: "Q", 13: "I", 18: "Q"}[kind]
        return struct.unpack(f"<{count}{letter}", raw)

    pending = [at]
    while pending:
        at = pending.pop(0)
        (count,) = struct.unpack("<Q", data[at : at + 8])
        tags = {}
        for i in range(count):
            entry = data[at + 8 + 20 * i :][:20]
            tag, kind, n = struct.unpack("<HHQ", entry[:12])
            if tag in (256, 257, 258, 324, 325, 330):
                tags[tag] = values(kind, n, entry[12:])
        found += repr([tags.get(t) for t in (256, 257, 258)]).encode()
        for offset, length in zip(tags.get(324, ()), tags.get(325, ())):
            found += data[offset : offset + length]
        pending += tags.get(330, ())
        (following,) = struct.unpack("<Q", data[at + 8 + 20 * count :][:8])
        if following:
            pending.append(following)
    return found


def results(folder):
    """Lines for all files in a folder."""
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        data = path.read_bytes()
        pixels = data
        if path.suffix == ".png":
            pixels = png_pixels(data)
        if path.suffix == ".tif":
            pixels = tiff_pixels(data)
        yield f"{path.relative_to(folder)} file={digest(data)} pixels={digest(pixels)}"


class Recorder:
    def __init__(self, program):
        self.program = program

    def environment(self, work):
        return os.environ | {
            "XDG_STATE_HOME": f"{work}/state",
            "XDG_CACHE_HOME": f"{work}/cache",
        }

    def command(self, name, flags, out):
        flags = [flag.replace("{dir}", str(out)) for flag in flags.split()]
        if "--output" not in flags:
            flags += ["--output", f"{out}/out.png"]
        if "--workers" not in flags:
            flags += ["--workers", "2", "--threads-per-worker", "1"]
        return [self.program, "render", "--model", model(name), *PROMPT, *flags]

    def render(self, name, flags):
        with tempfile.TemporaryDirectory() as work:
            out = Path(work) / "out"
            out.mkdir()
            done = subprocess.run(
                self.command(name, flags, out),
                cwd=ROOT,
                env=self.environment(work),
                capture_output=True,
                text=True,
            )
            if done.returncode != 0:
                return [f"failed with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"]
            return list(results(out))

    def resume(self, name, flags):
        with tempfile.TemporaryDirectory() as work:
            out, job = Path(work) / "out", Path(work) / "job"
            out.mkdir()
            environment = self.environment(work)
            running = subprocess.Popen(
                self.command(name, f"{flags} --job-dir {job}", out),
                cwd=ROOT,
                env=environment,
                stderr=subprocess.PIPE,
                text=True,
            )
            while not (job / "state.safetensors").exists() and running.poll() is None:
                time.sleep(0.002)
            running.send_signal(signal.SIGINT)
            errors = running.communicate()[1]
            if running.returncode != 130:
                return [f"not interrupted: {running.returncode} {errors.strip().splitlines()[-1:]}"]
            done = subprocess.run(
                [self.program, "resume", str(job)], cwd=ROOT, env=environment, capture_output=True, text=True
            )
            if done.returncode != 0:
                return [f"failed with {done.returncode}: {done.stderr.strip().splitlines()[-1:]}"]
            return list(results(out))


def record(program, file, wanted):
    recorder = Recorder(os.path.abspath(program))
    work = [(name, recorder.render, kind, flags) for name, kind, flags in cases()]
    work += [(name, recorder.resume, kind, flags) for name, (kind, flags) in RESUMED.items()]
    work = [item for item in work if not wanted or item[0] in wanted]

    def run(item):
        name, call, kind, flags = item
        lines = [f"{name} {line}" for line in call(kind, flags)]
        for line in lines:
            if "file=" not in line:
                print(line, file=sys.stderr)
        return lines

    with ThreadPoolExecutor(2) as pool:
        lines = [line for lines in pool.map(run, work) for line in lines]
    Path(file).write_text("".join(f"{line}\n" for line in lines))
    print(f"{len(work)} renders, {len(lines)} results in {file}")
    return 1 if any("file=" not in line for line in lines) else 0


def compare(old, new, pixels_only):
    def read(file):
        found = {}
        for line in Path(file).read_text().splitlines():
            name, result, rest = line.split(" ", 2)
            found[f"{name} {result}"] = re.sub(r"file=\S+ ", "", rest) if pixels_only else rest
        return found

    a, b = read(old), read(new)
    different = [key for key in sorted(a | b) if a.get(key) != b.get(key)]
    for key in different:
        print(f"{key}: {a.get(key, 'missing')} -> {b.get(key, 'missing')}")
    print(f"{len(a)} results, {len(different)} differ")
    return 1 if different or not a else 0


def main():
    words = [word for word in sys.argv[1:] if word != "--pixels"]
    if words[:1] == ["record"] and len(words) >= 3:
        return record(words[1], words[2], words[3:])
    if words[:1] == ["compare"] and len(words) == 3:
        return compare(words[1], words[2], "--pixels" in sys.argv)
    print(__doc__, file=sys.stderr)
    return 64


if __name__ == "__main__":
    sys.exit(main())

#!/usr/bin/env python3
"""How fast a large picture opens in the page, and what that takes: Tests/page_large.py PROGRAM MODEL [SIDE]

A finished job is given a picture of SIDE x SIDE pixels (32768). Measured are the time until its tiles are cut, the largest
resident memory of the service meanwhile, and the time from the click to the first sight of the picture, and to a sharp one, in a
headless Chromium. Needs 3 GB of disk for a side of 32768. Not part of the tests: it measures time.
"""
import os
import random
import sqlite3
import struct
import sys
import tempfile
import time
import zlib

SIDE = int(sys.argv.pop(3)) if len(sys.argv) > 3 else 32768
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from browser import Browser  # noqa: E402
from serve import Service  # noqa: E402


def band(side, rows):
    """Rows of a PNG: squares on gradients, with the noise of a photograph."""
    noise = [random.Random(seed).randbytes(3 * side).translate(bytes(i & 7 for i in range(256))) for seed in range(8)]
    across = bytes(x * 200 // side for x in range(side))
    squares = [bytes(40 + (x // 128 + odd) % 2 * 120 for x in range(side)) for odd in (0, 1)]
    lines = []
    for y in range(rows):
        line = bytearray(3 * side)
        line[0::3], line[1::3], line[2::3] = across, squares[y // 128 % 2], bytes([y * 200 // rows]) * side
        mixed = int.from_bytes(line, "big") + int.from_bytes(noise[y % 8], "big")
        lines.append(b"\0" + mixed.to_bytes(3 * side, "big"))
    return b"".join(lines)


def write_png(path, side):
    """One compressed band, repeated."""
    rows = min(512, side)
    raw = band(side, rows)
    press = zlib.compressobj(1, wbits=-15)
    block = press.compress(raw) + press.flush(zlib.Z_FULL_FLUSH)
    with open(path, "wb") as out:
        def chunk(kind, data):
            out.write(struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)))
        out.write(b"\x89PNG\r\n\x1a\n")
        chunk(b"IHDR", struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0))
        check = 1
        for turn in range(side // rows):
            chunk(b"IDAT", (b"\x78\x01" if turn == 0 else b"") + block)
            check = zlib.adler32(raw, check)
        chunk(b"IDAT", b"\x03\x00" + struct.pack(">I", check))
        chunk(b"IEND", b"")


def memory(service):
    """The largest resident memory so far, in MB."""
    lines = open(f"/proc/{service.process.pid}/status").read().splitlines()
    return next(int(line.split()[1]) // 1000 for line in lines if line.startswith("VmHWM"))


def enlarge(service, id):
    """Replaces the picture of a finished job, as if it had been rendered at that size."""
    service.stop()
    folder = f"{service.folder}/data/jobs/{id}"
    write_png(f"{folder}/picture.png", SIDE)
    for path, names, files in os.walk(f"{folder}/tiles", topdown=False):
        for name in files:
            os.unlink(f"{path}/{name}")
        os.rmdir(path)
    database = sqlite3.connect(f"{service.folder}/data/jobs.sqlite")
    database.execute("UPDATE job SET width = ?, height = ?, bytes = ?",
                     (SIDE, SIDE, os.path.getsize(f"{folder}/picture.png")))
    database.commit()
    database.close()
    service.start()


def opening(service):
    """Seconds from the click to the first tile and to a sharp picture."""
    browser = Browser()
    browser.size(1280, 860)
    browser.open(f"http://127.0.0.1:{service.port}/")
    browser.until("document.querySelector('#gallery img[src]')?.complete", seconds=120)
    browser.js("""(() => {
        const start = performance.now();
        window.times = {};
        const draw = CanvasRenderingContext2D.prototype.drawImage;
        CanvasRenderingContext2D.prototype.drawImage = function (...given) {
            window.times.first ??= performance.now() - start;
            window.times.last = performance.now() - start;
            return draw.apply(this, given);
        };
        document.querySelector("#gallery .shot").click();
    })()""")
    last = None
    while last is None or browser.js("window.times.last") != last:
        last = browser.js("window.times.last")
        time.sleep(1)
    times = browser.js("window.times")
    browser.close()
    return times["first"] / 1000, times["last"] / 1000


with tempfile.TemporaryDirectory() as folder:
    service = Service(folder)
    job = service.submit(settings={"size": "64x64", "steps": 1})["id"]
    service.wait(job, "done")
    enlarge(service, job)
    before, start = memory(service), time.time()
    size = os.path.getsize(f"{folder}/data/jobs/{job}/picture.png")
    print(f"{SIDE} x {SIDE} pixels, {size / 1e6:.0f} MB", flush=True)
    while not service.ok("GET", f"/api/v1/jobs/{job}/tiles")["ready"]:
        time.sleep(0.2)
    print(f"cut into tiles: {time.time() - start:.1f} s; memory: {before} MB before, at most {memory(service)} MB", flush=True)
    first, last = opening(service)
    print(f"opened: first sight after {first:.2f} s, sharp after {last:.2f} s; memory: at most {memory(service)} MB")
    service.stop()

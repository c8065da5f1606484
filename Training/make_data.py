"""Draws training pictures into shards, in several processes, indefinitely.

    python make_data.py OUT --shards 16 --processes 1

A shard holds 1,000 samples: `pictures` uint8 [n, h, w, 3], `ids` float32 [n, 6] (SDXL's size and
crop conditioning as DemoFusion and refine give it), `heights` (of the whole drawing, in pixels),
`attributes` and `captions` (JSON; for each drawing four wordings, each as drawn and mirrored). Layouts have the disc on the right or in the middle; training mirrors half of them.
Every seventh shard is wide and every eleventh tall. A shard follows from its number alone.
"""

import argparse
import json
import os
from multiprocessing import Pool

import numpy as np

from captions import caption
from landscapes import Scene

FINALS, FINAL_CHANCES = (512, 1024, 2048, 4096), (0.15, 0.35, 0.25, 0.25)
VARIANTS = 4
MIRRORED = {"left": "right", "right": "left", "middle": "middle"}
MARGIN = 32  # pixels of DemoFusion's jitter margin, from which window origins are counted


def shape_of(number):
    if number % 7 == 6:
        return [(168, 256), (144, 256)][number // 7 % 2]
    if number % 11 == 10:
        return [(256, 168), (256, 192)][number // 11 % 2]
    return 256, 256


def sample(rng, h, w):
    """One picture, its ids, the height of the whole drawing, and its attributes: a whole scene, or a window of a larger drawing."""
    layout = "right" if rng.random() < 0.64 else "middle"  # training mirrors half of them
    final = int(rng.choice((256,) + FINALS))
    if (h, w) != (256, 256) or rng.random() < 0.5:
        scene = Scene.random(rng, aspect=w / h, layout=layout)
        scale, v = final / 256, h
        ids = (h * scale, w * scale, 0, 0, h * scale, w * scale)
        picture = scene.draw(h)
    else:
        # A window of a stage of `v` pixels on the way to a final picture of `final`.
        final = int(rng.choice(FINALS, p=FINAL_CHANCES))
        v = 512 << int(rng.integers(0, (final // 512).bit_length()))
        if rng.random() < 0.15:
            v = int(256 * rng.integers(2, final // 256 + 1))
        scene = Scene.random(rng, layout=layout)
        # Of two windows keep the one with more content: most of a large picture is sky.
        shown = []
        for _ in range(2):
            top, left = (int(8 * rng.integers(0, (v - 256) // 8 + 1)) for _ in range(2))
            preview = scene.draw(v // 8, (top // 8, left // 8, 32, 32))
            shown.append((float(preview.std()), top, left))
        _, top, left = max(shown)
        ids = (final, final, top + MARGIN, left + MARGIN, final, final)
        picture = scene.draw(v, (top, left, 256, 256))
    return np.round(picture * 255).astype(np.uint8), ids, v, scene.attributes


def wordings(attributes, rng):
    """Captions of a drawing, and as many of its mirror image."""
    mirrored = attributes | {"layout": MIRRORED[attributes["layout"]]}
    return [(caption(attributes, rng), caption(mirrored, rng)) for _ in range(VARIANTS)]


def shard(job):
    out, number, count = job
    path = f"{out}/{number:05d}.npz"
    if os.path.exists(path):
        return number
    rng = np.random.default_rng(1_000_000 + number)
    samples = [sample(rng, *shape_of(number)) for _ in range(count)]
    np.savez(path + ".tmp.npz", pictures=np.stack([s[0] for s in samples]),
             ids=np.array([s[1] for s in samples], np.float32), heights=np.array([s[2] for s in samples]),
             attributes=np.array(json.dumps([s[3] for s in samples])),
             captions=np.array(json.dumps([wordings(s[3], rng) for s in samples])))
    os.rename(path + ".tmp.npz", path)
    return number


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--shards", type=int, default=16)
    a.add_argument("--first", type=int, default=0)
    a.add_argument("--count", type=int, default=1000)
    a.add_argument("--processes", type=int, default=1)
    a = a.parse_args()
    os.makedirs(a.out, exist_ok=True)
    with Pool(a.processes) as pool:
        for n in pool.imap_unordered(shard, [(a.out, n, a.count) for n in range(a.first, a.first + a.shards)]):
            print("shard", n, flush=True)

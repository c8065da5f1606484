"""Draws training pictures into shards, in several processes, for as long as wanted.

    python make_data.py OUT --shards 16 --first 0 --processes 2

A shard holds 1,000 samples: `pictures` uint8 [n, h, w, 3], `ids` float32 [n, 6] (SDXL's size and
crop conditioning as DemoFusion gives it) and `attributes` (JSON). Every seventh shard is wide and
every eleventh tall. A shard follows from its number alone.
"""

import argparse
import json
import os
from multiprocessing import Pool

import numpy as np

from landscapes import Scene

SIZES = (256, 384, 512, 768, 1024, 1536, 2048)
CROP_SIZES = (512, 768, 1024, 1536, 2048)
CROP_CHANCES = (0.2, 0.2, 0.4, 0.1, 0.1)
MARGIN = 32  # pixels of DemoFusion's jitter margin, from which window origins are counted


def shape_of(number):
    if number % 7 == 6:
        return [(168, 256), (144, 256)][number // 7 % 2]
    if number % 11 == 10:
        return [(256, 168), (256, 192)][number // 11 % 2]
    return 256, 256


def sample(rng, h, w):
    """One picture with its ids: a whole scene, or a window of a larger drawing of one."""
    whole = (h, w) != (256, 256) or rng.random() < 0.4
    if whole:
        scene = Scene.random(rng, aspect=w / h)
        scale = rng.choice(SIZES) / 256
        ids = (h * scale, w * scale, 0, 0, h * scale, w * scale)
        picture = scene.draw(h)
    else:
        # A window of phase size `v` on the way to a final picture of size `final`.
        final = int(rng.choice(CROP_SIZES, p=CROP_CHANCES))
        v = final if rng.random() < 0.5 else int(256 * rng.integers(2, final // 256 + 1))
        scene = Scene.random(rng)
        top, left = (int(8 * rng.integers(0, (v - 256) // 8 + 1)) for _ in range(2))
        ids = (final, final, top + MARGIN, left + MARGIN, final, final)
        picture = scene.draw(v, (top, left, 256, 256))
    return np.round(picture * 255).astype(np.uint8), ids, scene.attributes


def shard(job):
    out, number, count = job
    path = f"{out}/{number:05d}.npz"
    if os.path.exists(path):
        return number
    rng = np.random.default_rng(1_000_000 + number)
    samples = [sample(rng, *shape_of(number)) for _ in range(count)]
    np.savez(path + ".tmp.npz", pictures=np.stack([s[0] for s in samples]),
             ids=np.array([s[1] for s in samples], np.float32),
             attributes=np.array(json.dumps([s[2] for s in samples])))
    os.rename(path + ".tmp.npz", path)
    return number


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("out")
    a.add_argument("--shards", type=int, default=16)
    a.add_argument("--first", type=int, default=0)
    a.add_argument("--count", type=int, default=1000)
    a.add_argument("--processes", type=int, default=2)
    a = a.parse_args()
    os.makedirs(a.out, exist_ok=True)
    with Pool(a.processes) as pool:
        for n in pool.imap_unordered(shard, [(a.out, n, a.count) for n in range(a.first, a.first + a.shards)]):
            print("shard", n, flush=True)

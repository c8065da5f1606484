#!/usr/bin/env python3
"""Fits rough colours of a model's latents to its decoded pictures, for previews of renders in progress:
Training/latent_colours.py PROGRAM MODEL [SIZE]

Prints the rows of LatentColours.shipped: for red, green and blue the weight of each channel, and a constant.
"""
import json
import subprocess
import sys
import tempfile

import numpy

PROMPTS = ["a mountain lake at sunset", "a desert by day with one sun", "a forest in winter", "the sea at night with a moon",
           "a red boat", "green hills in the morning", "a city in the rain", "a flower"]


def tensors(path):
    with open(path, "rb") as file:
        length = int.from_bytes(file.read(8), "little")
        header = json.loads(file.read(length))
        data = file.read()
    return {name: numpy.frombuffer(data[slice(*entry["data_offsets"])], numpy.float32).reshape(entry["shape"])
            for name, entry in header.items() if name != "__metadata__"}


def pairs(program, model, prompt, seed, size, folder):
    dump = f"{folder}/dump.safetensors"
    subprocess.run([program, "render", "--model", model, "--workers", "1", "--quiet", "--prompt", prompt, "--steps", "12",
                    "--size", size, "--seed", str(seed), "--output", f"{folder}/picture.png", "--dump", dump],
                   check=True, stdout=subprocess.DEVNULL)
    found = tensors(dump)
    latent = found[max(name for name in found if name.startswith("final."))][0]
    image = found["image"][0] / 2 + 0.5
    channels, height, width = latent.shape
    factor = image.shape[1] // height
    means = image.clip(0, 1).reshape(3, height, factor, width, factor).mean((2, 4))
    return latent.reshape(channels, -1).T, means.reshape(3, -1).T


def main():
    program, model = sys.argv[1:3]
    size = sys.argv[3] if len(sys.argv) > 3 else "256x256"
    with tempfile.TemporaryDirectory() as folder:
        found = [pairs(program, model, prompt, seed, size, folder) for seed, prompt in enumerate(PROMPTS, 1)]
    latents, colours = (numpy.concatenate(parts).astype(numpy.float64) for parts in zip(*found))
    known = numpy.hstack([latents, numpy.ones((len(latents), 1))])
    weights, *_ = numpy.linalg.lstsq(known, colours, rcond=None)
    error = numpy.sqrt(((known @ weights - colours) ** 2).mean())
    for row in weights.T:
        print("[" + ", ".join(f"{value:.4f}" for value in row) + "],")
    print(f"root mean square error {error:.4f} of {colours.std():.4f}", file=sys.stderr)


if __name__ == "__main__":
    main()

"""Tessera's torch backend against diffusers on the same PyTorch, device, weights, inputs and threads, interleaved.

    python compare_torch.py FIGURES WORK [--device cpu|cuda:0] [--precisions f32,bf16] [--parts …] [--side 128] [--rounds 3]
        [--threads N] [--alone]

Adds torch_unet_ratio_cpu, torch_vae_ratio_cpu and so on to the flat JSON file FIGURES, for SDXL's size; the ratio in the
shortest precision counts, and each precision also has its own row. WORK is the folder of compare.py.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import torch
from safetensors.torch import load_file

import compare


def sides(model, part, precision, a, inputs):
    out = lambda name: f"{a.work}/{name}.safetensors"
    folder = os.path.join(os.path.dirname(torch.__file__), "lib")
    ours = [compare.TESSERA, model, part, "torch", precision, str(a.threads), inputs, out("tessera"), "--device", a.device,
            "--torch", folder]
    theirs = [sys.executable, f"{compare.HERE}/torch_side.py", model, part, a.device, precision, str(a.threads), inputs,
              out("torch")]
    return [ours, theirs]


def measure_alone(commands, rounds):
    """The same with one process at a time, if memory is too small for two: the second evaluation of each counts."""
    times = ([], [])
    memory = 0
    for _ in range(rounds):
        for command, t in zip(commands, times):
            side = compare.Side(command)
            side.evaluate()
            t.append(side.evaluate())
            if command is commands[0]:
                memory = max(memory, side.memory)
            side.end()
    return [statistics.median(t) for t in times], memory


def measure(commands, rounds):
    """Seconds per evaluation of both sides, alternating, and peak memory of the first."""
    running = [compare.Side(c) for c in commands]
    times = ([], [])
    for side in running:
        side.turn()
    for _ in range(rounds):
        for side, t in zip(running, times):
            t.append(side.turn())
    memory = running[0].memory
    for side in running:
        side.end()
    return [statistics.median(t) for t in times], memory


def main(a, figures):
    sdxl = f"{a.work}/sdxl"
    wanted = [("unet", sdxl, "unet", 1.0), ("vae", sdxl, "decoder", 1.02), ("vista_unet", compare.VISTA, "unet", 1.0)]
    wanted = [w for w in wanted if not a.parts or w[0] in a.parts]
    if any(w[1] == sdxl for w in wanted) and not os.path.exists(f"{sdxl}/scheduler"):
        print("writing a checkpoint of SDXL's size", flush=True)
        subprocess.run([sys.executable, f"{compare.HERE}/sdxl_checkpoint.py", sdxl], check=True)
    compare.inputs_of(f"{a.work}/sdxl-in.safetensors", a.side, 2048, 1280)
    compare.inputs_of(f"{a.work}/vista-in.safetensors", 32, 224, 128)
    kind = a.device.split(":")[0]
    print(f"{'torch on ' + a.device:24}{'Tessera':>10}{'diffusers':>10}{'ratio':>8}{'bar':>6}{'memory':>9}{'differ':>9}")
    for precision in a.precisions:
        for name, model, part, bar in wanted:
            inputs = f"{a.work}/{'vista' if model == compare.VISTA else 'sdxl'}-in.safetensors"
            way = measure_alone if a.alone else measure
            (ours, theirs), memory = way(sides(model, part, precision, a, inputs), a.rounds)
            out = [load_file(f"{a.work}/{s}.safetensors")["output"] for s in ("tessera", "torch")]
            differ = ((out[0] - out[1]).pow(2).mean().sqrt() / out[1].std()).item()
            print(f"{name + ' ' + precision:24}{ours:9.4f}s{theirs:9.4f}s{ours / theirs:8.2f}{bar:6.2f}{memory / 1e9:7.2f}GB"
                  f"{differ:9.1e}", flush=True)
            figures[f"torch_{name}_{precision}_ratio_{kind}"] = round(ours / theirs, 3)
            figures[f"torch_{name}_{precision}_seconds_{kind}"] = round(ours, 4)
            figures[f"torch_{name}_{precision}_memory_gb_{kind}"] = round(memory / 1e9, 2)
            figures.setdefault(f"torch_{name}_ratio_{kind}", round(ours / theirs, 3))
            if not differ <= (4e-2 if precision != "f32" else 2e-4):
                sys.exit(f"{name} {precision}: the outputs differ by {differ}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("figures")
    parser.add_argument("work")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--precisions", type=lambda s: s.split(","), default=["bf16", "f32"])
    parser.add_argument("--parts", type=lambda s: s.split(","), default=None, help="of unet,vae,vista_unet")
    parser.add_argument("--side", type=int, default=128, help="of SDXL's latent; a smaller one for slow processors")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--alone", action="store_true", help="one process at a time, for memory")
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = parser.parse_args()
    figures = json.load(open(a.figures)) if os.path.exists(a.figures) else {}
    try:
        main(a, figures)
    finally:
        json.dump(figures, open(a.figures, "w"), indent=1)

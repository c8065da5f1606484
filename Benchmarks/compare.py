"""Tessera against PyTorch and diffusers on the same weights, inputs and threads, in one interleaved run.

    python compare.py FIGURES WORK [--precisions f32,bf16] [--rounds 3] [--threads N]

Adds to the flat JSON file FIGURES; keeps the checkpoint and inputs in the folder WORK. Both sides hold their
weights while they take turns; if memory is too short for that, each is restarted for its turns.
"""

import argparse
import json
import os
import statistics
import subprocess
import sys

import torch
from diffusers import AutoencoderKL, UNet2DConditionModel
from safetensors.torch import load_file, save_file
from torch.utils.flop_counter import FlopCounterMode

HERE = os.path.dirname(os.path.abspath(__file__))
TESSERA = f"{HERE}/../.build/release/Evaluations"
VISTA = os.path.abspath(f"{HERE}/../Models/vista")


class Side:
    """A process that evaluates on request."""

    def __init__(self, command):
        self.process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
        self.loading, self.memory = self.answer()

    def answer(self):
        line = self.process.stdout.readline().split()
        if len(line) != 2:
            sys.exit(f"{self.process.args[0]} ended early")
        return float(line[0]), int(line[1])

    def evaluate(self):
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        seconds, self.memory = self.answer()
        return seconds

    def turn(self):
        """Seconds per evaluation, back to back as in a render: for half a second, or one evaluation if it takes longer."""
        times = []
        while sum(times) < 0.5:
            times.append(self.evaluate())
        return statistics.mean(times)

    def end(self):
        self.process.stdin.close()
        self.process.wait()


def sides(model, part, precision, threads, inputs, work):
    tail = lambda name, backend: [model, part, backend, precision, str(threads), inputs, f"{work}/{name}.safetensors"]
    return [[TESSERA] + tail("tessera", "onednn"), [sys.executable, f"{HERE}/torch_side.py"] + tail("torch", "-")]


def available():
    for line in open("/proc/meminfo"):
        if line.startswith("MemAvailable:"):
            return int(line.split()[1]) * 1024


def measure(model, part, precision, a, inputs, need):
    """Seconds per evaluation of both sides, peak memory of the first, and seconds of its first and second loading."""
    commands = sides(model, part, precision, a.threads, inputs, a.work)
    # The first start may have to pack the weights; later starts are measured.
    first = Side(commands[0])
    first.end()
    times = ([], [])
    if available() > need:
        running = [Side(c) for c in commands]
        for r in running:
            r.turn()
        for _ in range(a.rounds):
            for r, t in zip(running, times):
                t.append(r.turn())
        memory, loading = running[0].memory, running[0].loading
        for r in running:
            r.end()
    else:
        for c, t in zip(commands, times):
            side = Side(c)
            side.turn()
            t += [side.turn() for _ in range(a.rounds)]
            if t is times[0]:
                memory, loading = side.memory, side.loading
            side.end()
    return [statistics.median(t) for t in times], memory, (first.loading, loading)


def flops(model, part, inputs):
    """FLOPs of one evaluation, counted by PyTorch on meta tensors."""
    given = load_file(inputs)
    empty = {k: torch.empty(v.shape, device="meta") for k, v in given.items()}
    with torch.device("meta"):
        if part == "unet":
            net = UNet2DConditionModel.from_config(UNet2DConditionModel.load_config(f"{model}/unet"))
        else:
            net = AutoencoderKL.from_config(AutoencoderKL.load_config(f"{model}/vae"))
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        if part == "unet":
            net(empty["latents"], 500, encoder_hidden_states=empty["context"],
                added_cond_kwargs=dict(text_embeds=empty["pooled"], time_ids=empty["time_ids"]))
        else:
            net.decode(empty["latents"])
    return counter.get_total_flops(), sum(p.numel() for p in net.parameters())


def inputs_of(path, side, context, pooled):
    torch.manual_seed(1)
    ids = torch.tensor([[8.0 * side, 8 * side, 0, 0, 8 * side, 8 * side]])
    save_file(dict(latents=torch.randn(1, 4, side, side), timestep=torch.tensor([500.0]), context=torch.randn(1, 77, context),
                   pooled=torch.randn(1, pooled), time_ids=ids), path)


def peak(precision, a):
    """FLOP/s of a large product."""
    side = Side([TESSERA, "none", "product", "onednn", precision, str(a.threads), "none", f"{a.work}/product.safetensors"])
    times = [side.evaluate() for _ in range(6)]
    side.end()
    return 2 * 4096**3 / min(times)


def compare(figures, a):
    sdxl = f"{a.work}/sdxl"
    if not os.path.exists(f"{sdxl}/scheduler"):
        print("writing a checkpoint of SDXL's size", flush=True)
        subprocess.run([sys.executable, f"{HERE}/sdxl_checkpoint.py", sdxl], check=True)
    inputs_of(f"{a.work}/sdxl-in.safetensors", 128, 2048, 1280)
    inputs_of(f"{a.work}/vista-in.safetensors", 32, 224, 128)
    wanted = [("sdxl_unet", sdxl, "unet", 0.55, 0.5), ("sdxl_vae", sdxl, "decoder", 0.68, 0.72), ("vista_unet", VISTA, "unet", 0.5, 0.5)]
    print(f"{'what':24}{'Tessera':>10}{'PyTorch':>10}{'ratio':>8}{'bar':>6}{'GFLOP/s':>9}{'of peak':>9}{'memory':>9}{'differ':>9}")
    for precision in a.precisions:
        best = peak(precision, a)
        print(f"peak of a product, {precision}: {best / 1e9:.0f} GFLOP/s", flush=True)
        figures[f"product_{precision}_gflops"] = round(best / 1e9, 1)
        for name, model, part, *bars in wanted:
            if a.parts and name not in a.parts:
                continue
            inputs = f"{a.work}/{'vista' if model == VISTA else 'sdxl'}-in.safetensors"
            work, parameters = flops(model, part, inputs)
            size = 2 if precision == "bf16" else 4
            (ours, theirs), memory, loading = measure(model, part, precision, a, inputs, 2 * parameters * size + (6 << 30))
            out = [load_file(f"{a.work}/{s}.safetensors")["output"] for s in ("tessera", "torch")]
            differ = ((out[0] - out[1]).pow(2).mean().sqrt() / out[1].std()).item()
            bar = bars[0] if precision == "bf16" else bars[1]
            label = "vista_unet_ratio" if name == "vista_unet" else f"{name}_{precision}_ratio"
            print(f"{name + ' ' + precision:24}{ours:9.4f}s{theirs:9.4f}s{ours / theirs:8.2f}{bar:6.2f}{work / ours / 1e9:9.0f}"
                  f"{work / ours / best:8.0%}{memory / 1e9:7.2f}GB{differ:9.1e}", flush=True)
            figures[label] = round(ours / theirs, 3)
            figures[f"{name}_{precision}_seconds"] = round(ours, 4)
            figures[f"{name}_{precision}_first_load_seconds"] = round(loading[0], 2)
            figures[f"{name}_{precision}_load_seconds"] = round(loading[1], 2)
            if name == "sdxl_unet":
                figures.setdefault("sdxl_unet_rss_over_weights_gb", round((memory - parameters * size) / 1e9, 2))
            limit = 2e-2 if precision == "bf16" else 2e-4
            # Our bf16 may differ from float32 as much as PyTorch's does.
            if not differ <= (2 * limit if precision == "bf16" else limit):
                sys.exit(f"{name} {precision}: the outputs differ by {differ}")


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("figures")
    parser.add_argument("work")
    parser.add_argument("--precisions", type=lambda s: s.split(","), default=None)
    parser.add_argument("--parts", type=lambda s: s.split(","), default=None, help="of sdxl_unet,sdxl_vae,vista_unet")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--threads", type=int, default=len(os.sched_getaffinity(0)))
    a = parser.parse_args()
    if a.precisions is None:
        flags = open("/proc/cpuinfo").read()
        a.precisions = (["bf16"] if "avx512_bf16" in flags or "amx_bf16" in flags else []) + ["f32"]
    figures = json.load(open(a.figures)) if os.path.exists(a.figures) else {}
    try:
        compare(figures, a)
    finally:
        json.dump(figures, open(a.figures, "w"), indent=1)

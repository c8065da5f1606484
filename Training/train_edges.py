"""Trains the decoder to draw edges of a picture as it draws the same pixels inside a larger one.

    python train_edges.py --vae ../Models/vista/vae --latents 'dumps/*.safetensors' --shards /data/shards --state /data/edges --minutes 40

The teacher, the decoder as it was, decodes a latent; the student decodes a part of it, whose edges lie inside the teacher's. What it
should draw is the teacher's picture of that part: zero padding must make no difference. Away from edges nothing changes.
`--latents`: files that `tessera render --dump` wrote; half of the samples, the other half are latents of drawings.
"""

import argparse
import glob
import json
import os
import time

import numpy as np
import torch
from diffusers import AutoencoderKL
from safetensors.torch import load_file

import train_vae

MARGIN = 5  # latent pixels of context on each side: what lies farther changes an edge by less than a level


def samples(a, rng):
    """Batches of latents [n, 4, side + 2 · MARGIN, …]."""
    side = a.side + 2 * MARGIN
    generated = [v for f in sorted(glob.glob(a.latents)) for k, v in load_file(f).items() if k.startswith("final.")]
    generated = [g.float() for g in generated if min(g.shape[-2:]) >= side]
    drawings = train_vae.Crops(a.shards, int(rng.integers(1 << 30)))
    while True:
        z = list(train_vae.latents_of(drawings.batch(a.batch // 2, 8 * side)).unbind())
        while len(z) < a.batch:
            g = generated[rng.integers(len(generated))][0]
            y, x = (rng.integers(0, s - side + 1) for s in g.shape[-2:])
            g = g[:, y:y + side, x:x + side]
            z.append(g.flip(-1) if rng.random() < 0.5 else g)
        yield torch.stack(z)


def main():
    p = argparse.ArgumentParser()
    p.add_argument("--vae", required=True, help="the decoder as it was")
    p.add_argument("--begin-from", help="another to begin from")
    p.add_argument("--latents", required=True)
    p.add_argument("--shards", required=True)
    p.add_argument("--state", required=True)
    p.add_argument("--out", help="where the VAE is written at the end")
    p.add_argument("--minutes", type=float, default=40)
    p.add_argument("--rate", type=float, default=1e-4)
    p.add_argument("--batch", type=int, default=4)
    p.add_argument("--side", type=int, default=14, help="latent pixels of the student's part")
    p.add_argument("--seed", type=int, default=int(time.time()))
    a = p.parse_args()
    torch.set_num_threads(1)
    rng = np.random.default_rng(a.seed)
    torch.manual_seed(a.seed)
    load = lambda path: AutoencoderKL.from_pretrained(path).float().to(memory_format=torch.channels_last)
    teacher = load(a.vae).requires_grad_(False)
    student = load(a.begin_from or a.vae).requires_grad_(False)
    trained = list(student.decoder.parameters())
    for q in trained:
        q.requires_grad_(True)
    slow = train_vae.rate_factors(student)
    opt = torch.optim.AdamW(trained, lr=a.rate, betas=(0.9, 0.99), weight_decay=0)
    ema = [q.detach().clone() for q in trained]
    steps = 0
    path = f"{a.state}/edges.pt"
    if os.path.exists(path):
        s = torch.load(path)
        student.load_state_dict(s["model"]), opt.load_state_dict(s["opt"])
        ema, steps = s["ema"], s["steps"]
    os.makedirs(a.state, exist_ok=True)
    pixels = 8 * a.side
    near = torch.minimum(torch.arange(pixels), torch.arange(pixels).flip(0))
    near = torch.minimum(near[:, None], near[None])
    weight = 1 + 8.0 * (near < 1) + 5.0 * (near < 2) + 3.0 * (near < 4) + 1.0 * (near < 12)
    weight = weight / weight.mean()
    start = saved = time.time()
    sums = np.zeros(4)

    def save(last=False):
        torch.save({"model": student.state_dict(), "opt": opt.state_dict(), "ema": ema, "steps": steps}, path + ".tmp")
        os.rename(path + ".tmp", path)
        if last and a.out:
            with torch.no_grad():
                for q, e in zip(trained, ema):
                    q.copy_(e)
            student.half().save_pretrained(a.out, safe_serialization=True)

    for z in samples(a, rng):
        progress = (time.time() - start) / (60 * a.minutes)
        if progress >= 1:
            break
        for g in opt.param_groups:
            g["lr"] = a.rate * min(1, (steps + 1) / 100) * min(1.0, 2.5 * (1 - progress))
        inner = slice(MARGIN, MARGIN + a.side)
        with torch.no_grad():
            cut = 8 * MARGIN
            target = teacher.decode(z).sample[..., cut:cut + pixels, cut:cut + pixels]
        y = student.decode(z[..., inner, inner]).sample
        error = (y - target).square()
        loss = (error * weight).mean() + 0.1 * ((y - target).abs() * weight).mean()
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(trained, 0.5)
        with torch.no_grad():
            before = {q: q[part].clone() for q, (part, _) in slow.items()}
            opt.step()
            for q, (part, factor) in slow.items():
                q[part] = torch.lerp(before[q], q[part], factor)
        steps += 1
        with torch.no_grad():
            torch._foreach_lerp_(ema, [q.detach() for q in trained], 1 - min(0.995, (1 + steps) / (10 + steps)))
            e = error.detach().mean((0, 1))
            sums += [e[near == 0].mean(), e[near == 1].mean(), e[(near > 1) & (near < 8)].mean(), e[near >= 16].mean()]
        if steps % 25 == 0:
            db = [round(-10 * float(np.log10(v / 25 / 4)), 2) for v in sums]
            print(f"steps {steps} {progress * a.minutes:.1f} min: edge, second, to the 8th, interior {db} dB", flush=True)
            sums[:] = 0
        if time.time() - saved > 120:
            save()
            saved = time.time()
    save(last=True)


if __name__ == "__main__":
    main()

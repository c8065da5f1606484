"""Trains the VAE on crops of the drawings. Resumable: run it again to go on.

    python train_vae.py --data /path/shards --state /path/vae --minutes 30
"""

import argparse
import glob
import json
import os
import time

import numpy as np
import torch
import torch.nn.functional as F
from diffusers import AutoencoderKL

CONFIG = dict(
    block_out_channels=(32, 64, 96, 128), layers_per_block=1, latent_channels=4, norm_num_groups=8, sample_size=256,
    down_block_types=("DownEncoderBlock2D",) * 4, up_block_types=("UpDecoderBlock2D",) * 4, force_upcast=False,
)


class Crops:
    """Random crops of random pictures, from whichever shards exist by now."""

    def __init__(self, folder, seed):
        self.folder, self.rng = folder, np.random.default_rng(seed)
        self.loaded, self.used = [], 0

    def refresh(self):
        files = sorted(f for f in glob.glob(f"{self.folder}/*.npz") if ".tmp" not in f)
        for f in self.rng.choice(files, min(3, len(files)), replace=False):
            self.loaded.append(np.load(f)["pictures"])
        self.loaded = self.loaded[-6:]

    def batch(self, n, size):
        if self.used % 200 == 0:
            self.refresh()
        self.used += 1
        out = np.empty((n, size, size, 3), np.uint8)
        for i in range(n):
            pictures = self.loaded[self.rng.integers(len(self.loaded))]
            p = pictures[self.rng.integers(len(pictures))]
            y, x = (self.rng.integers(0, s - size + 1) for s in p.shape[:2])
            out[i] = p[y:y + size, x:x + size]
            if self.rng.random() < 0.5:
                out[i] = out[i][:, ::-1]
        return torch.from_numpy(out).permute(0, 3, 1, 2).float().div_(127.5).sub_(1).contiguous(memory_format=torch.channels_last)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--data", required=True)
    a.add_argument("--state", required=True)
    a.add_argument("--minutes", type=float, default=30)
    a.add_argument("--total-minutes", type=float, default=30, help="length of the learning-rate schedule")
    a.add_argument("--batch", type=int, default=12)
    a.add_argument("--size", type=int, default=64)
    a = a.parse_args()
    os.makedirs(a.state, exist_ok=True)
    torch.manual_seed(0)
    torch.set_num_threads(2)
    vae = AutoencoderKL(**CONFIG).to(memory_format=torch.channels_last)
    ema = AutoencoderKL(**CONFIG).requires_grad_(False)
    ema.load_state_dict(vae.state_dict())
    opt = torch.optim.AdamW(vae.parameters(), lr=1e-3, betas=(0.9, 0.99), weight_decay=0.01)
    state = dict(step=0, minutes=0.0, curve=[])
    path = f"{a.state}/state.pt"
    if os.path.exists(path):
        saved = torch.load(path, weights_only=False)
        vae.load_state_dict(saved["vae"]), ema.load_state_dict(saved["ema"]), opt.load_state_dict(saved["opt"])
        state = saved["state"]
    print(sum(p.numel() for p in vae.parameters()) / 1e6, "M parameters, from step", state["step"], flush=True)
    crops = Crops(a.data, state["step"])
    start = last = time.time()
    began = state["minutes"]
    errors = []

    def save():
        torch.save(dict(vae=vae.state_dict(), ema=ema.state_dict(), opt=opt.state_dict(), state=state), path + ".tmp")
        os.rename(path + ".tmp", path)

    while time.time() - start < a.minutes * 60:
        progress = min(1, state["minutes"] / a.total_minutes)
        lr = 2e-3 * min(1, (state["step"] + 1) / 100) * (0.02 + 0.98 * 0.5 * (1 + np.cos(np.pi * progress)))
        for group in opt.param_groups:
            group["lr"] = lr
        x = crops.batch(a.batch, a.size)
        # float32: at these widths bfloat16's backward pass is 1.7 times slower on a CPU.
        posterior = vae.encode(x).latent_dist
        y = vae.decode(posterior.sample()).sample
        mean, logvar = posterior.mean, posterior.logvar
        mse = F.mse_loss(y, x)
        coarse = F.l1_loss(F.avg_pool2d(y, 4), F.avg_pool2d(x, 4))
        kl = 0.5 * (mean ** 2 + logvar.exp() - 1 - logvar).mean()
        loss = 0.5 * F.l1_loss(y, x) + 2 * mse + 0.25 * coarse + 3e-4 * kl
        opt.zero_grad(set_to_none=True)
        loss.backward()
        torch.nn.utils.clip_grad_norm_(vae.parameters(), 1.0)
        opt.step()
        state["step"] += 1
        decay = min(0.999, (1 + state["step"]) / (10 + state["step"]))
        with torch.no_grad():
            torch._foreach_lerp_(list(ema.parameters()), list(vae.parameters()), 1 - decay)
        state["minutes"] = began + (time.time() - start) / 60
        errors.append(mse.item())
        if state["step"] % 50 == 0:
            psnr = 10 * np.log10(4 / np.mean(errors[-50:]))
            state["curve"].append((state["step"], state["minutes"], psnr, kl.item()))
            print(f"step {state['step']} {state['minutes']:.1f} min  psnr {psnr:.2f}  kl {kl.item():.3f}  std {mean.std().item():.2f} lr {lr:.1e}", flush=True)
        if time.time() - last > 120:
            save()
            last = time.time()
    save()
    json.dump(state["curve"], open(f"{a.state}/curve.json", "w"))


if __name__ == "__main__":
    main()

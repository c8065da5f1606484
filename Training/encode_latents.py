"""Encodes every shard of drawings with the trained VAE; waits for more shards when asked.

    python encode_latents.py --data /path/shards --vae /path/vae-folder --out /path/latents
"""

import argparse
import glob
import os

import numpy as np
import torch
from diffusers import AutoencoderKL


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--data", required=True)
    a.add_argument("--vae", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--threads", type=int, default=2)
    a = a.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    vae = AutoencoderKL.from_pretrained(a.vae).float().eval().to(memory_format=torch.channels_last)
    for path in sorted(glob.glob(f"{a.data}/*.npz")):
        to = f"{a.out}/{os.path.basename(path)}"
        if ".tmp" in path or os.path.exists(to):
            continue
        shard = np.load(path)
        latents = []
        for i in range(0, len(shard["pictures"]), 20):
            x = torch.from_numpy(shard["pictures"][i:i + 20]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
            with torch.autocast("cpu", torch.bfloat16):
                mean = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mean
            latents.append((mean.float() * vae.config.scaling_factor).half().numpy())
        np.savez(to + ".tmp.npz", latents=np.concatenate(latents), ids=shard["ids"], attributes=shard["attributes"])
        os.rename(to + ".tmp.npz", to)
        print(os.path.basename(path), flush=True)


if __name__ == "__main__":
    main()

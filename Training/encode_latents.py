"""Encodes every shard of drawings with the trained VAE.

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
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--part", default="0/1", help="k/n: take every nth shard, from the kth; run n of these beside each other")
    a = a.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    vae = AutoencoderKL.from_pretrained(a.vae).float().eval().to(memory_format=torch.channels_last)
    part, parts = map(int, a.part.split("/"))
    for path in sorted(glob.glob(f"{a.data}/*.npz"))[part::parts]:
        to = f"{a.out}/{os.path.basename(path)}"
        if ".tmp" in path or os.path.exists(to):
            continue
        shard = np.load(path)
        latents = []
        for i in range(0, len(shard["pictures"]), 20):
            x = torch.from_numpy(shard["pictures"][i:i + 20]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
            mean = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mean
            latents.append((mean * vae.config.scaling_factor).half().numpy())
        np.savez(to + ".tmp.npz", latents=np.concatenate(latents), ids=shard["ids"], attributes=shard["attributes"])
        os.rename(to + ".tmp.npz", to)
        print(os.path.basename(path), flush=True)


if __name__ == "__main__":
    main()

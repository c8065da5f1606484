"""Encodes every shard of drawings with the trained VAE.

    python encode_latents.py --data /path/shards --vae /path/vae-folder --out /path/latents
"""

import argparse
import glob
import json
import os

import numpy as np
import torch
from diffusers import AutoencoderKL

PIECE = 200  # pictures in a file of latents: training can begin with the first


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--data", required=True)
    a.add_argument("--vae", required=True)
    a.add_argument("--out", required=True)
    a.add_argument("--threads", type=int, default=1)
    a.add_argument("--bfloat16", action="store_true", help="faster where the processor has it")
    a.add_argument("--part", default="0/1", help="k/n: take every nth shard, from the kth; run n of these beside each other")
    a = a.parse_args()
    os.makedirs(a.out, exist_ok=True)
    torch.set_num_threads(a.threads)
    torch.set_grad_enabled(False)
    vae = AutoencoderKL.from_pretrained(a.vae).float().eval().to(memory_format=torch.channels_last)
    part, parts = map(int, a.part.split("/"))
    for path in sorted(glob.glob(f"{a.data}/*.npz"))[part::parts]:
        if ".tmp" in path:
            continue
        shard = np.load(path)
        pictures, ids, attributes = shard["pictures"], shard["ids"], json.loads(str(shard["attributes"]))
        for first in range(0, len(pictures), PIECE):
            to = f"{a.out}/{os.path.basename(path)[:-4]}-{first:04d}.npz"
            if os.path.exists(to):
                continue
            latents, last = [], min(first + PIECE, len(pictures))
            for i in range(first, last, 20):
                x = torch.from_numpy(pictures[i:min(i + 20, last)]).permute(0, 3, 1, 2).float().div(127.5).sub(1)
                with torch.autocast("cpu", torch.bfloat16, enabled=a.bfloat16):
                    mean = vae.encode(x.contiguous(memory_format=torch.channels_last)).latent_dist.mean
                latents.append((mean.float() * vae.config.scaling_factor).half().numpy())
            np.savez(to + ".tmp.npz", latents=np.concatenate(latents), ids=ids[first:last], attributes=np.array(json.dumps(attributes[first:last])))
            os.rename(to + ".tmp.npz", to)
            print(os.path.basename(to), flush=True)


if __name__ == "__main__":
    main()

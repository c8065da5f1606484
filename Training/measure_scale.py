"""Writes scaling_factor.json beside the VAE's state: 1 / (deviation of latents of drawings).

    python measure_scale.py --vae-state /path/vae
"""

import argparse
import json

import numpy as np
import torch

from assemble import trained_vae
from landscapes import Scene


@torch.no_grad()
def main():
    a = argparse.ArgumentParser()
    a.add_argument("--vae-state", required=True)
    a.add_argument("--pictures", type=int, default=60)
    a = a.parse_args()
    rng = np.random.default_rng(4)
    vae = trained_vae(a.vae_state).float().eval()
    means = [vae.encode(torch.from_numpy(Scene.random(rng).draw(256)).permute(2, 0, 1)[None] * 2 - 1).latent_dist.mean
             for _ in range(a.pictures)]
    z = torch.cat(means)
    factor = round(1 / z.std().item(), 5)
    json.dump(factor, open(f"{a.vae_state}/scaling_factor.json", "w"))
    print("scaling factor", factor, "channel deviations", (z.std((0, 2, 3)) * factor).tolist())


if __name__ == "__main__":
    main()

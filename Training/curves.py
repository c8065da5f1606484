"""Draws the training curves into results/curves.png.

    python curves.py --vae-state /path/vae --unet-state /path/unet
"""

import argparse
import json

import matplotlib.pyplot as plt
import numpy as np


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--vae-state", required=True)
    a.add_argument("--unet-state", required=True)
    a.add_argument("--out", default="results/curves.png")
    a = a.parse_args()
    read = lambda state: np.array([json.loads(line) for line in open(f"{state}/curve.jsonl")])
    figure, (left, right) = plt.subplots(1, 2, figsize=(9, 3.6), layout="constrained")
    vae, unet = read(a.vae_state), read(a.unet_state)
    left.plot(vae[:, 1], 10 * np.log10(4 / vae[:, 2]))
    left.set(title="Decoder: PSNR of training crops (of the mean error)", xlabel="minutes", ylabel="dB")
    right.plot(unet[:, 1], unet[:, 2], alpha=0.35)
    width = max(1, min(9, len(unet) // 8))
    right.plot(unet[width - 1:, 1], np.convolve(unet[:, 2], np.ones(width) / width, "valid"))
    right.set(title="UNet: mean squared error of v", xlabel="minutes", ylabel="", yscale="log")
    for axes in (left, right):
        axes.grid(alpha=0.3)
    figure.savefig(a.out, dpi=80)


if __name__ == "__main__":
    main()

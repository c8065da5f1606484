"""Removes the coloured frame that the decoder draws along the edges of a picture, by construction.

    python edges.py ../Models/vista/vae

Beyond a picture's edge lie zeros, which the kernel (1, 2, 1) / 4 of each enlargement takes for grey. Training learns to
make up for that, and after the last enlargement it overdid it: on the outermost pixels colours were 1.1 to 1.3 times as
strong as they should be, with a different tint on each side. Here gates that open at the edge alone take that back. They
are built from hidden channels of the first block after the last enlargement that contribute nothing measurable (0.03 dB).
"""

import argparse

import numpy as np
import torch
from diffusers import AutoencoderKL

from landscapes import Scene

OPEN = 12.0  # pre-activation of an open gate; −OPEN closes it
GAIN = 6.0
# Groups of four hidden channels that contribute least to generated pictures: one for each colour, two for the sides' tints.
GROUPS = (0, 2, 4, 5, 7)
STEADY = 40.0  # a constant pair in every group, so that the normalisation divides by the same forevery picture


def edge_detector(block, k, kernel, seen):
    """Makes hidden channel `k` OPEN where `kernel` misses a quarter of the carried constants or more, −OPEN elsewhere."""
    slope = 8 * OPEN / seen
    block.conv1.weight[k, 2] = block.conv1.weight[k, 6] = -slope / 2 * kernel
    block.conv1.bias[k] = slope * seen - OPEN


def steady(block, k):
    """Fills up a group of two gates."""
    group = slice(k, k + 4)
    block.conv1.bias[k + 2], block.conv1.bias[k + 3] = STEADY, -STEADY
    block.norm2.weight[group] = ((2 * OPEN ** 2 + 2 * STEADY ** 2) / 4 - OPEN ** 2 / 4) ** 0.5
    block.norm2.bias[group] = -OPEN / 2


@torch.no_grad()
def mend(vae, x, gain, tint):
    """`x`: what the last up block is given for some typical pictures. `gain`: what to add of each colour at an edge;
    `tint` [4, 3]: what to add to each colour at the top, the bottom, the left and the right."""
    block = vae.decoder.up_blocks[3].resnets[0]
    conv1, conv2, weight = block.conv1, block.conv2, block.norm1.weight
    normed, size = block.norm1(x), x.shape[1] // block.norm1.num_groups
    spread = x.flatten(2).unflatten(1, (block.norm1.num_groups, -1)).flatten(2).std(2).mean(0)
    seen = torch.nn.functional.silu(normed[:, [2, 6]])[:, :, 2:-2, 2:-2].mean().item()
    tent = torch.tensor([1.0, 2, 1])[:, None] * torch.tensor([1.0, 2, 1]) / 16
    # Zeros above: what a kernel of one tap misses there is all, so it is scaled to a quarter.
    sides = torch.zeros(4, 3, 3)
    sides[:, 1, 1] = 0.75
    sides[0, 0, 1] = sides[1, 2, 1] = sides[2, 1, 0] = sides[3, 1, 2] = 0.25
    for group in GROUPS:
        used = slice(4 * group, 4 * group + 4)
        conv1.weight[used], conv1.bias[used], conv2.weight[:, used] = 0, 0, 0
    for c in range(3):
        plus, minus, at = 4 * c, 4 * c + 1, 4 * GROUPS[c]
        for k, sign in ((at, 1), (at + 1, -1)):
            edge_detector(block, k, tent, seen)
            conv1.weight[k, plus, 1, 1] = sign * GAIN / weight[plus]
            conv1.weight[k, minus, 1, 1] = -sign * GAIN / weight[minus]
            w = gain * spread[plus // size] / (2 * GAIN)
            conv2.weight[plus, k, 1, 1], conv2.weight[minus, k, 1, 1] = sign * w, -sign * w
        steady(block, at)
    for side in range(4):
        k = 4 * GROUPS[3 + side // 2] + side % 2
        edge_detector(block, k, sides[side], seen)
        for c in range(3):
            w = tint[side][c] / OPEN
            conv2.weight[4 * c, k, 1, 1], conv2.weight[4 * c + 1, k, 1, 1] = w, -w
    steady(block, 4 * GROUPS[3]), steady(block, 4 * GROUPS[4])


def last_block_input(vae, latents):
    kept = []
    hook = vae.decoder.up_blocks[2].register_forward_hook(lambda m, i, o: kept.append(o))
    vae.decode(latents)
    hook.remove()
    return kept[0]


def last_block(vae, x):
    d = vae.decoder
    return d.conv_out(d.conv_act(d.conv_norm_out(d.up_blocks[3](x))))


def edges_of(y):
    """The four outermost lines of pictures [n, 3, h, w], as [4, 3, pixels]."""
    return torch.stack([e.transpose(0, 1).flatten(1) for e in (y[:, :, 0], y[:, :, -1], y[..., 0], y[..., -1])])


def strengths(y, x):
    """Of each side and colour, how strong the edge of `y` is where `x` is right, and what is added to it."""
    p, q = edges_of(y), edges_of(x)
    a = ((p - p.mean(2, True)) * (q - q.mean(2, True))).mean(2) / q.var(2, correction=0)
    return a, (p - a[..., None] * q).mean(2)


@torch.no_grad()
def fit(vae, pictures):
    """Fits the correction to the edges of some pictures, in three rounds."""
    x = last_block_input(vae, vae.encode(pictures).latent_dist.mean)
    gain, tint = 0.0, torch.zeros(4, 3)
    for _ in range(3):
        mend(vae, x, gain, tint)
        strong, added = strengths(last_block(vae, x), pictures)
        print("edges' strength", strong.mean(1).tolist(), "tint", added.tolist(), flush=True)
        # What the gates add is seen 1.0 and 1.6 times in the picture.
        gain, tint = gain + 1.0 - strong.mean().item(), tint - added / 1.6
    mend(vae, x, gain, tint)
    return x


def main():
    a = argparse.ArgumentParser()
    a.add_argument("vae", help="folder of the VAE; rewritten")
    a.add_argument("--pictures", type=int, default=8)
    a = a.parse_args()
    vae = AutoencoderKL.from_pretrained(a.vae).float().eval()
    rng = np.random.default_rng(4)
    drawn = np.stack([Scene.random(rng).draw(256) for _ in range(a.pictures)])
    fit(vae, torch.from_numpy(drawn).permute(0, 3, 1, 2) * 2 - 1)
    vae.half().save_pretrained(a.vae, safe_serialization=True)


if __name__ == "__main__":
    main()

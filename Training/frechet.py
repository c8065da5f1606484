"""The Fréchet distance between windows of generated pictures and of true drawings at the same scale.

    python frechet.py --train /data/shards          # makes frechet.safetensors, the small network whose features are compared
    python frechet.py                               # the distance of drawings that were blurred, enlarged or made noisy

The network learns on drawings to tell the scene, the hour and the scale of a window, and what was done to it: a network that
must tell a blurred window from a clean one has features that see blur. A distance is between 2,000 windows and 2,000.
"""

import argparse
import json
import os

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from safetensors.torch import load_file, save_file
from scipy import linalg, ndimage

from landscapes import LAYOUTS, SCENES, SEASONS, TIMES, Scene
from trainer import DEVICE

SIDE = 256
WEIGHTS = os.path.join(os.path.dirname(os.path.abspath(__file__)), "frechet.safetensors")
DAMAGES = ("none", "blurred", "enlarged", "noisy", "patched", "banded")
SCALES = (1, 2, 4, 8, 16)
HEADS = dict(scene=SCENES, time=TIMES, season=SEASONS, layout=LAYOUTS, body=("none", "sun", "moon"), clouds=("clear", "some", "cloudy"),
             scale=SCALES, damage=DAMAGES)


class Features(nn.Module):
    """Means of four layers over a window: sharpness, strokes, shapes and objects."""

    WIDTHS = (6, 24, 48, 96, 128)

    def __init__(self):
        super().__init__()
        self.layers = nn.ModuleList([nn.Conv2d(i, o, 3, 2, 1) for i, o in zip(self.WIDTHS, self.WIDTHS[1:])])
        self.norms = nn.ModuleList([nn.GroupNorm(1, o) for o in self.WIDTHS[1:]])
        self.heads = nn.ModuleDict({k: nn.Linear(sum(self.WIDTHS[1:]), len(v)) for k, v in HEADS.items()})

    def forward(self, x):
        # The colours, and their detail finer than three pixels.
        pooled, x = [], torch.cat([x * 2 - 1, 8 * (x - F.avg_pool2d(x, 3, 1, 1, count_include_pad=False))], 1)
        for layer, norm in zip(self.layers, self.norms):
            x = F.silu(norm(layer(x)))
            pooled.append(x.mean((2, 3)))
        return torch.cat(pooled, 1)


def tensor(windows):
    """uint8 [n, h, w, 3] to float [n, 3, h, w], 0…1."""
    return torch.from_numpy(np.ascontiguousarray(windows)).permute(0, 3, 1, 2).float().div_(255)


_network = []


@torch.no_grad()
def features(windows):
    """Features [n, 296] of uint8 windows [n, 256, 256, 3]."""
    if not _network:
        net = Features()
        net.load_state_dict({k: v.float() for k, v in load_file(WEIGHTS).items()})
        _network.append(net.eval())
    return np.concatenate([_network[0](tensor(windows[i:i + 50])).numpy() for i in range(0, len(windows), 50)]).astype(np.float64)


def frechet(windows_a, windows_b):
    """The Fréchet distance of two sets of windows, from the means and covariances of their features."""
    a, b = features(windows_a), features(windows_b)
    covariance_a, covariance_b = np.cov(a.T), np.cov(b.T)
    eigenvalues, vectors = linalg.eigh(covariance_a)
    root = vectors * np.sqrt(np.clip(eigenvalues, 0, None)) @ vectors.T
    between = np.sqrt(np.clip(linalg.eigvalsh(root @ covariance_b @ root), 0, None)).sum()
    return float(((a.mean(0) - b.mean(0)) ** 2).sum() + np.trace(covariance_a) + np.trace(covariance_b) - 2 * between)


def ssim(a, b):
    """Mean structural similarity of two pictures' luma (Wang et al., 2004: Gaussian of 1.5 pixels)."""
    a, b = (p.astype(np.float64) @ np.array([0.299, 0.587, 0.114]) for p in (a, b))
    blur = lambda x: ndimage.gaussian_filter(x, 1.5, truncate=3.5)
    ma, mb = blur(a), blur(b)
    va, vb, both = blur(a * a) - ma ** 2, blur(b * b) - mb ** 2, blur(a * b) - ma * mb
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    return float(((2 * ma * mb + c1) * (2 * both + c2) / ((ma ** 2 + mb ** 2 + c1) * (va + vb + c2))).mean())


def windows_of(pictures, count, seed=0):
    """`count` windows at random places of pictures [h, w, 3] (uint8), as many from each."""
    rng, out = np.random.default_rng(seed), []
    for i in range(count):
        p = pictures[i % len(pictures)]
        top, left = (rng.integers(0, s - SIDE + 1) for s in p.shape[:2])
        out.append(p[top:top + SIDE, left:left + SIDE])
    return np.stack(out)


def windows_drawn(wanted, side, count, seed=0):
    """`count` windows of as many drawings, `side` pixels tall, of scenes with the attributes `wanted` (a dictionary or a list of them)."""
    rng, out = np.random.default_rng((9_800_000, seed)), []
    wanted = [wanted] if isinstance(wanted, dict) else wanted
    for i in range(count):
        scene = Scene.random(rng, **wanted[i % len(wanted)])
        top, left = (int(rng.integers(0, side - SIDE + 1)) for _ in range(2))
        out.append(np.round(255 * scene.draw(side, (top, left, SIDE, SIDE))).astype(np.uint8))
    return np.stack(out)


def damaged(x, kind, amount, rng):
    """Windows [n, 3, h, w] after a typical artefact of enlarging; amount 0…1."""
    if kind == "blurred":
        s = 0.6 + 2 * amount
        k = torch.exp(-torch.arange(-6, 7, device=x.device).float() ** 2 / (2 * s * s))
        k = (k / k.sum()).expand(3, 1, 1, 13)
        return F.conv2d(F.conv2d(F.pad(x, (6, 6, 6, 6), mode="reflect"), k, groups=3), k.transpose(2, 3), groups=3)
    if kind == "enlarged":
        small = F.avg_pool2d(x, 2 if amount < 0.5 else 4)
        return F.interpolate(small, size=x.shape[2:], mode="bicubic").clamp(0, 1)
    if kind == "noisy":
        coarse = torch.from_numpy(rng.standard_normal((len(x), 3, *(s // 2 for s in x.shape[2:]))).astype(np.float32))
        return (x + (0.02 + 0.1 * amount) * F.interpolate(coarse.to(x.device), size=x.shape[2:], mode="bilinear")).clamp(0, 1)
    if kind == "patched":  # a slight colour shift per patch, as from windows rendered independently
        shift = torch.from_numpy(rng.standard_normal((len(x), 3, 2, 2)).astype(np.float32))
        return (x + (0.02 + 0.06 * amount) * F.interpolate(shift.to(x.device), size=x.shape[2:], mode="nearest")).clamp(0, 1)
    if kind == "banded":
        return torch.round(x * (6 + 10 * (1 - amount))) / (6 + 10 * (1 - amount))
    return x


def train(folder, steps, crop):
    """Learns from square crops of windows, for speed: the features are means over the input, whatever its size."""
    rng = np.random.default_rng(3)
    torch.manual_seed(3)
    net, loaded = Features().to(DEVICE, memory_format=torch.channels_last), []
    opt = torch.optim.AdamW(net.parameters(), lr=4e-3, weight_decay=0.01)
    for name in sorted(os.listdir(folder)):
        shard = np.load(f"{folder}/{name}") if name.endswith(".npz") and ".tmp" not in name else None
        if shard is not None and shard["pictures"].shape[1:3] == (SIDE, SIDE):
            loaded.append((shard["pictures"], shard["heights"], json.loads(str(shard["attributes"]))))
    for step in range(steps):
        opt.param_groups[0]["lr"] = 4e-3 * min(1, (step + 1) / 50) * 0.5 * (1 + np.cos(np.pi * step / steps))
        pictures, heights, attributes = loaded[rng.integers(len(loaded))]
        pick, kinds = rng.integers(len(pictures), size=96), rng.integers(len(DAMAGES), size=48)
        top, left = rng.integers(0, SIDE - crop + 1, 2)
        x = pictures[pick, top:top + crop, left:left + crop]
        fullest = np.argsort(x[:, ::4, ::4].std((1, 2, 3)))[48:]  # damage to a plain sky cannot be recognised
        pick, x = pick[fullest], tensor(x[fullest]).to(DEVICE)
        for k in range(1, len(DAMAGES)):
            of_kind = np.flatnonzero(kinds == k)
            if len(of_kind):
                of_kind = torch.from_numpy(of_kind).to(DEVICE)
                x[of_kind] = damaged(x[of_kind], DAMAGES[k], rng.random(), rng)
        mirrored = rng.random(48) < 0.5
        x = torch.where(torch.from_numpy(mirrored).to(DEVICE)[:, None, None, None], x.flip(3), x)
        pooled = net(x.contiguous(memory_format=torch.channels_last))
        loss, told = 0, {}
        for head, values in HEADS.items():
            if head == "damage":
                labels = kinds
            elif head == "scale":
                labels = np.clip(np.round(np.log2(heights[pick] / SIDE)), 0, 4)
            elif head == "layout":
                turn = {"left": "right", "right": "left", "middle": "middle"}
                labels = [values.index(turn[attributes[i]["layout"]] if m else attributes[i]["layout"]) for i, m in zip(pick, mirrored)]
            else:
                labels = [values.index(attributes[i][head]) for i in pick]
            labels, out = torch.tensor(np.array(labels)).long().to(DEVICE), net.heads[head](pooled)
            loss = loss + (3 if head == "damage" else 1) * F.cross_entropy(out, labels)
            told[head] = (out.argmax(1) == labels).float().mean()
        opt.zero_grad(), loss.backward(), opt.step()
        if step % 100 == 99:
            print(step + 1, f"loss {loss.item():.2f}", {k: round(v.item(), 2) for k, v in told.items()}, flush=True)
            save_file({k: v.half().contiguous().cpu() for k, v in net.state_dict().items()}, WEIGHTS)


def check(count, side):
    """Distances of damaged drawings from drawings, at one scale."""
    a, b = windows_drawn({}, side, count, 1), windows_drawn({}, side, count, 2)
    rng = np.random.default_rng(0)
    print(f"| {count} windows of {side}-pixel drawings, and as many of others | {frechet(a, b):.3f} |")
    for kind in DAMAGES[1:]:
        for amount in (0.1, 0.9):
            y = np.concatenate([(damaged(tensor(b[i:i + 50]), kind, amount, rng) * 255).round().byte().permute(0, 2, 3, 1).numpy()
                                for i in range(0, count, 50)])
            print(f"| {kind}, {amount} | {frechet(a, y):.3f} |", flush=True)


if __name__ == "__main__":
    a = argparse.ArgumentParser()
    a.add_argument("--train", help="folder of shards; makes frechet.safetensors")
    a.add_argument("--steps", type=int, default=600)
    a.add_argument("--crop", type=int, default=64)
    a.add_argument("--count", type=int, default=2000)
    a.add_argument("--side", type=int, default=1024)
    a = a.parse_args()
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    if a.train:
        train(a.train, a.steps, a.crop)
    else:
        check(a.count, a.side)

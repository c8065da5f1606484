"""Measures the default model; writes results/evaluation.json, results/evaluation.md and contact sheets.

    python evaluate.py --model ../Models/vista --tessera ../.build/release/tessera --state /path/evaluation

1. VAE: PSNR on unseen drawings.
2. Prompts: a small classifier, trained on drawings, looks for the prompted scene and time of day in
   generated 256-pixel pictures.
3. One sun or moon: a small detector, trained on drawings and on mosaics of them, counts discs in 1,024-pixel renders
   by refinement, by DemoFusion, by plain windows (dilated path off) and by one direct pass.

The trained judges are kept in --state. Parts can be run alone: --only vae,prompts,count.
"""

import argparse
import json
import os
import subprocess

import numpy as np
import torch
import torch.nn as nn
import torch.nn.functional as F
from PIL import Image
from scipy import ndimage

import lora
from captions import NOUNS, TIMES as TIME_WORDS
from landscapes import SCENES, TIMES, Scene

UNSEEN = 9_000_000


def to_tensor(pictures):
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2).float()


def sheet(path, rows, width=256):
    rows = [np.concatenate([np.asarray(Image.fromarray(p).resize((width, width), Image.LANCZOS)) for p in row], 1) for row in rows]
    Image.fromarray(np.concatenate(rows, 0)).save(path, quality=90)


def levels(x):
    return np.round(np.clip(x, 0, 1) * 255).astype(np.uint8)


# ---------------------------------------------------------------------------------------- VAE

def evaluate_vae(a, results):
    from diffusers import AutoencoderKL
    vae = AutoencoderKL.from_pretrained(f"{a.model}/vae").float().eval()
    rng = np.random.default_rng(UNSEEN)
    originals = [Scene.random(rng).draw(256) for _ in range(100)]
    errors, shown = [], []
    for i in range(0, 100, 10):
        x = to_tensor(originals[i:i + 10]) * 2 - 1
        y = vae.decode(vae.encode(x).latent_dist.mean).sample.clamp(-1, 1)
        errors += ((x - y) / 2).pow(2).mean((1, 2, 3)).tolist()
        shown.append(y[0].permute(1, 2, 0).numpy() / 2 + 0.5)
    psnr = -10 * np.log10(errors)
    results["vae"] = dict(pictures=100, psnr_mean=float(np.mean(psnr)), psnr_of_mean_error=float(-10 * np.log10(np.mean(errors))),
                          psnr_worst=float(np.min(psnr)))
    sheet(f"{a.out}/vae.jpg", [[levels(originals[10 * i]) for i in range(8)], [levels(s) for s in shown[:8]]])


# ------------------------------------------------------------------------------------ prompts

class Classifier(nn.Module):
    def __init__(self):
        super().__init__()
        widths = (3, 24, 48, 96, 128)
        self.body = nn.Sequential(*[m for i, o in zip(widths, widths[1:])
                                    for m in (nn.Conv2d(i, o, 3, 2, 1), nn.BatchNorm2d(o), nn.ReLU(), nn.Conv2d(o, o, 3, 1, 1), nn.BatchNorm2d(o), nn.ReLU())])
        self.scene, self.time = nn.Linear(128, len(SCENES)), nn.Linear(128, len(TIMES))

    def forward(self, x):
        x = self.body(F.interpolate(x, size=(96, 96), mode="area") * 2 - 1).mean((2, 3))
        return self.scene(x), self.time(x)


def classifier(a):
    path, net = f"{a.state}/classifier.pt", Classifier()
    if os.path.exists(path):
        net.load_state_dict(torch.load(path))
        return net.eval()
    rng = np.random.default_rng(77)
    pictures, scenes, times = [], [], []
    for _ in range(5000):
        s = Scene.random(rng)
        pictures.append(levels(s.draw(96)))
        scenes.append(SCENES.index(s.attributes["scene"])), times.append(TIMES.index(s.attributes["time"]))
    x, ys, yt = to_tensor(pictures) / 255, torch.tensor(scenes), torch.tensor(times)
    with torch.enable_grad():
        opt = torch.optim.AdamW(net.parameters(), lr=2e-3, weight_decay=0.05)
        steps = 900
        for step in range(steps):
            opt.param_groups[0]["lr"] = 2e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
            pick = torch.from_numpy(rng.integers(4500, size=48))
            # Generated pictures are softer than drawings: noise and blur make the classifier robust to that.
            batch = x[pick] + 0.03 * torch.rand(1) * torch.randn(48, 3, 96, 96)
            if rng.random() < 0.5:
                batch = F.interpolate(F.avg_pool2d(batch, 2), size=(96, 96), mode="bilinear")
            s, t = net(batch)
            loss = F.cross_entropy(s, ys[pick]) + F.cross_entropy(t, yt[pick])
            opt.zero_grad(), loss.backward(), opt.step()
    net.eval()
    s, t = net(x[4500:])
    print("classifier on unseen drawings: scene", (s.argmax(1) == ys[4500:]).float().mean().item(), "time", (t.argmax(1) == yt[4500:]).float().mean().item())
    torch.save(net.state_dict(), path)
    return net


def evaluate_prompts(a, results):
    from diffusers import StableDiffusionXLPipeline
    net = classifier(a)
    rng = np.random.default_rng(UNSEEN + 1)
    drawn = [Scene.random(rng) for _ in range(300)]
    s, t = net(to_tensor([d.draw(96) for d in drawn]))
    accuracy = (np.mean([SCENES[i] == d.attributes["scene"] for i, d in zip(s.argmax(1), drawn)]),
                np.mean([TIMES[i] == d.attributes["time"] for i, d in zip(t.argmax(1), drawn)]))
    pipe = StableDiffusionXLPipeline.from_pretrained(a.model, dtype=torch.float32, add_watermarker=False)
    if a.lora:
        lora.merge(pipe.unet, a.lora)
    pipe.set_progress_bar_config(disable=True)
    wanted, pictures = [], []
    for i in range(0, a.pictures, 8):
        pairs = [(SCENES[j % len(SCENES)], TIMES[j // len(SCENES) % len(TIMES)]) for j in range(i, min(i + 8, a.pictures))]
        texts = [f"{NOUNS[s][rng.integers(len(NOUNS[s]))]} {TIME_WORDS[t][rng.integers(len(TIME_WORDS[t]))]}" for s, t in pairs]
        wanted += pairs
        out = pipe(texts, num_inference_steps=a.steps, guidance_scale=a.guidance, height=256, width=256, output_type="np",
                   generator=torch.Generator().manual_seed(i)).images
        pictures += [p for p in out.astype(np.float32)]
    s, t = net(to_tensor(pictures))
    s, t = [SCENES[i] for i in s.argmax(1)], [TIMES[i] for i in t.argmax(1)]
    scene, hour = [x == w[0] for x, w in zip(s, wanted)], [x == w[1] for x, w in zip(t, wanted)]
    results["prompts"] = dict(
        pictures=len(wanted), steps=a.steps, guidance=a.guidance, scene=float(np.mean(scene)), time=float(np.mean(hour)),
        both=float(np.mean(np.logical_and(scene, hour))), classifier_scene_on_drawings=float(accuracy[0]),
        classifier_time_on_drawings=float(accuracy[1]),
        by_scene={n: float(np.mean([h for h, w in zip(scene, wanted) if w[0] == n])) for n in SCENES},
        by_time={n: float(np.mean([h for h, w in zip(hour, wanted) if w[1] == n])) for n in TIMES})
    sheet(f"{a.out}/prompts.jpg", [[levels(pictures[r + c * len(SCENES)]) for c in range(4)] for r in range(len(SCENES))], 200)


# --------------------------------------------------------------------------------- sun or moon

class Detector(nn.Module):
    """Predicts for every 2×2 pixels of a 128-pixel picture whether they lie on a disc."""

    def __init__(self):
        super().__init__()
        c = lambda i, o, d=1, s=1: [nn.Conv2d(i, o, 3, s, d, d), nn.BatchNorm2d(o), nn.ReLU()]
        self.body = nn.Sequential(*c(3, 16, 1, 2), *c(16, 32), *c(32, 32, 2), *c(32, 32, 4), *c(32, 32, 8), *c(32, 32), nn.Conv2d(32, 1, 1))

    def forward(self, x):
        return self.body(x * 2 - 1)


def mosaic(rng):
    """A picture of 1, 4 or 16 drawings, and the mask of its discs."""
    n = int(rng.choice([1, 2, 4], p=[0.5, 0.25, 0.25]))
    side = 128 // n
    picture, mask = np.zeros((128, 128, 3), np.float32), np.zeros((64, 64), np.float32)
    yy, xx = np.mgrid[0:side, 0:side]
    for i in range(n):
        for j in range(n):
            s = Scene.random(rng)
            picture[i * side:(i + 1) * side, j * side:(j + 1) * side] = s.draw(side)
            if s.disc:
                dx, dy, r = s.disc
                disc = ((yy + 0.5) / side - dy) ** 2 + ((xx + 0.5) / side - dx) ** 2 < r ** 2
                mask[i * side // 2:(i + 1) * side // 2, j * side // 2:(j + 1) * side // 2] = disc.reshape(side // 2, 2, side // 2, 2).mean((1, 3))
    return picture, mask


def count_discs(net, picture):
    """Discs in a picture (float32 [h, w, 3], 0…1) of any size."""
    x = F.interpolate(to_tensor([picture]), size=(128, 128), mode="area")
    found = (net(x).sigmoid()[0, 0].numpy() > 0.5)
    labels, n = ndimage.label(found, np.ones((3, 3)))
    return int(sum((labels == k + 1).sum() >= 2 for k in range(n)))


def detector(a):
    path, net = f"{a.state}/detector.pt", Detector()
    if os.path.exists(path):
        net.load_state_dict(torch.load(path))
        return net.eval()
    rng = np.random.default_rng(88)
    pairs = [mosaic(rng) for _ in range(1200)]
    x, y = to_tensor([levels(p) for p, _ in pairs]) / 255, torch.from_numpy(np.stack([m for _, m in pairs]))[:, None]
    with torch.enable_grad():
        opt = torch.optim.AdamW(net.parameters(), lr=3e-3, weight_decay=0.01)
        steps = 600
        for step in range(steps):
            opt.param_groups[0]["lr"] = 3e-3 * 0.5 * (1 + np.cos(np.pi * step / steps))
            pick = torch.from_numpy(rng.integers(len(x), size=12))
            batch = x[pick]
            if rng.random() < 0.5:  # generated pictures are soft
                batch = F.interpolate(F.avg_pool2d(batch, 2), size=(128, 128), mode="bilinear")
            batch = batch + 0.03 * torch.rand(1) * torch.randn(12, 3, 128, 128)
            loss = F.binary_cross_entropy_with_logits(net(batch), y[pick], pos_weight=torch.tensor(3.0))
            opt.zero_grad(), loss.backward(), opt.step()
    net.eval()
    torch.save(net.state_dict(), path)
    return net


MODES = {
    "refinement": ["--method", "refine"],
    "DemoFusion": ["--method", "demofusion", "--ladder", "1,2,4"],
    "plain windows": ["--method", "demofusion", "--ladder", "1,2,4", "--cosine-scales", "3,1000000,1"],
    "one direct pass": ["--method", "demofusion", "--ladder", "1"],
}
SUN_PROMPTS = [
    "a calm sea at sunset with one sun", "mountains by day with one sun, clear sky", "a desert at night with one moon and stars",
    "a city skyline at night with one moon", "a lake at dawn with one sun", "an open plain at sunset with one sun",
    "the ocean at night with one moon", "a pine forest at sunset with one sun", "sand dunes by day with one sun",
    "a mountain range at night with one moon",
]


def evaluate_count(a, results):
    net = detector(a)
    rng = np.random.default_rng(UNSEEN + 2)
    scenes = [Scene.random(rng) for _ in range(150)]
    right = [count_discs(net, s.draw(256)) == (1 if s.disc else 0) for s in scenes]
    counts, pictures = {m: [] for m in MODES}, {m: [] for m in MODES}
    for i in range(a.refined):
        prompt = SUN_PROMPTS[i % len(SUN_PROMPTS)]
        for mode, flags in MODES.items():
            if mode != "refinement" and i >= a.renders:
                continue
            path = f"{a.state}/{mode.replace(' ', '-')}-{i}.png"
            if not os.path.exists(path):
                subprocess.run([a.tessera, "render", "--model", a.model, "--prompt", prompt, "--size", "1024x1024", "--steps", str(a.render_steps),
                                "--guidance", str(a.guidance), "--seed", str(100 + i), "--workers", str(a.workers), "--precision", a.precision,
                                "--output", path, *flags], check=True, stderr=subprocess.DEVNULL)
            picture = np.asarray(Image.open(path).convert("RGB"))
            counts[mode].append(count_discs(net, picture.astype(np.float32) / 255))
            pictures[mode].append(picture)
            print(mode, i, counts[mode][-1], flush=True)
    results["count"] = dict(renders={m: len(c) for m, c in counts.items()}, steps=a.render_steps, detector_right_on_drawings=float(np.mean(right)),
                            exactly_one={m: float(np.mean([c == 1 for c in v])) for m, v in counts.items()}, counts=counts)
    sheet(f"{a.out}/count.jpg", [pictures[m][:a.renders] for m in MODES], 200)
    half = a.refined // 2
    sheet(f"{a.out}/discs.jpg", [pictures["refinement"][:half], pictures["refinement"][half:]], 200)


def table(results):
    lines = ["| what | figure |", "| --- | --- |"]
    if "vae" in results:
        v = results["vae"]
        lines.append(f"| VAE, {v['pictures']} unseen drawings | {v['psnr_mean']:.1f} dB mean PSNR ({v['psnr_of_mean_error']:.1f} dB of the mean error) |")
    if "prompts" in results:
        p = results["prompts"]
        lines.append(f"| prompted scene found, {p['pictures']} pictures | {100 * p['scene']:.0f} % (the classifier finds {100 * p['classifier_scene_on_drawings']:.0f} % on drawings) |")
        lines.append(f"| prompted time of day found | {100 * p['time']:.0f} % (drawings: {100 * p['classifier_time_on_drawings']:.0f} %) |")
        lines.append(f"| both found | {100 * p['both']:.0f} % |")
    if "count" in results:
        c = results["count"]
        for mode, share in c["exactly_one"].items():
            lines.append(f"| exactly one sun or moon at 1024×1024, {c['renders'][mode]} renders, {mode} | {100 * share:.0f} % |")
        lines.append(f"| the disc detector is right on drawings | {100 * c['detector_right_on_drawings']:.0f} % |")
    return "\n".join(lines) + "\n"


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", default="../Models/vista")
    a.add_argument("--lora", help="a LoRA by distil.py, for the prompts: --steps 4 --guidance 1")
    a.add_argument("--tessera", default="../.build/release/tessera")
    a.add_argument("--state", required=True, help="where trained judges and renders are kept")
    a.add_argument("--out", default="results")
    a.add_argument("--only", default="vae,prompts,count")
    a.add_argument("--pictures", type=int, default=200)
    a.add_argument("--steps", type=int, default=20)
    a.add_argument("--guidance", type=float, default=3.0)
    a.add_argument("--refined", type=int, default=20, help="pictures by refinement whose discs are counted")
    a.add_argument("--renders", type=int, default=10, help="as many of each other method")
    a.add_argument("--workers", type=int, default=2)
    a.add_argument("--precision", default="f32", help="of the renders")
    a.add_argument("--render-steps", type=int, default=20)
    a = a.parse_args()
    os.makedirs(a.state, exist_ok=True), os.makedirs(a.out, exist_ok=True)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    path = f"{a.out}/evaluation.json"
    for part, run in (("vae", evaluate_vae), ("prompts", evaluate_prompts), ("count", evaluate_count)):
        if part in a.only.split(","):
            measured = {}
            run(a, measured)
            # Parts may run concurrently: read again what the others have written.
            results = json.load(open(path)) if os.path.exists(path) else {}
            json.dump(results | measured, open(path, "w"), indent=1)
    results = json.load(open(path))
    open(f"{a.out}/evaluation.md", "w").write(table(results))
    print(table(results))


if __name__ == "__main__":
    main()

"""Compares methods of rendering large pictures with the default model; writes docs/quality.md and docs/quality.jpg.

    python quality.py --model ../Models/vista --tessera ../.build/release/tessera --state ../.build/quality --out ../docs

Every prompt is rendered at 2, 4 and 8 times the native size by refinement, by DemoFusion, by plain windows (dilated path off) and by one
direct pass; phase 1 of DemoFusion is enlarged by bicubic and Lanczos interpolation. Drawings of the same kind of scene at the same sizes
show what a picture with true detail looks like. Two tables compare settings of refinement and of DemoFusion at 4 times, a third
ways to enlarge a small drawing with the large drawing of the same scene.

Renders and the disc detector are kept in --state, under a name derived from the model's weights: what is there is
reused.
"""

import argparse
import hashlib
import json
import os
import re
import subprocess
import textwrap
import time

import numpy as np
import torch
from PIL import Image

from evaluate import count_discs, detector, levels
from frechet import frechet, ssim, windows_drawn, windows_of
from landscapes import Scene

# What to render, and what to draw for comparison. No cities: their straight vertical edges would count as seams.
PROMPTS = [
    ("a calm sea at sunset with one sun", dict(scene="sea", time="sunset", body="sun")),
    ("mountains by day with one sun, clear sky", dict(scene="mountains", time="day", body="sun", clouds="clear")),
    ("a desert at night with one moon and stars", dict(scene="desert", time="night", body="moon", clouds="clear")),
    ("a lake at dawn with one sun", dict(scene="lake", time="dawn", body="sun")),
    ("an open plain at sunset with one sun", dict(scene="plain", time="sunset", body="sun")),
    ("a pine forest at sunset with one sun", dict(scene="forest", time="sunset", body="sun")),
    ("the ocean at night with one moon", dict(scene="sea", time="night", body="moon")),
    ("sand dunes by day with one sun", dict(scene="desert", time="day", body="sun")),
]
DEMOFUSION = ["--method", "demofusion"]
METHODS = {
    "refinement": ["--method", "refine"],
    "DemoFusion": DEMOFUSION + ["--ladder", "auto"],
    "plain windows": DEMOFUSION + ["--ladder", "auto", "--cosine-scales", "3,1000000,1"],
    "one direct pass": DEMOFUSION + ["--ladder", "1"],
}
VARIANTS = {
    "defaults": [],
    "`--ladder` of every scale": ["--ladder", "1,2,3,4"],
    "`--stride window`": ["--stride", "window"],
    "`--skip-below 0.01`": ["--skip-below", "0.01"],
    "`--skip-below 0.05`": ["--skip-below", "0.05"],
    "`--skip-below 0.2`": ["--skip-below", "0.2"],
    "both for speed": ["--stride", "window", "--skip-below", "0.05"],
    "`--upscale-mode image`": ["--upscale-mode", "image"],
}
REFINEMENTS = {
    "defaults: windows 24 apart, 3 steps from 0.25, noise 0.3": [],
    "`--stride 16 --refine-steps 1`": ["--stride", "16", "--refine-steps", "1"],
    "`--stride 20 --refine-steps 2`": ["--stride", "20", "--refine-steps", "2"],
    "`--refine-steps 2`": ["--refine-steps", "2"],
    "`--refine-from 0.35`": ["--refine-from", "0.35"],
    "`--refine-from 0.5`": ["--refine-from", "0.5"],
    "`--refine-noise 0.6`": ["--refine-noise", "0.6"],
    "`--refine-guidance 2`": ["--refine-guidance", "2"],
}
# What was measured once and then removed; the page ends with it.
TRIED = os.path.join(os.path.dirname(os.path.abspath(__file__)), "tried.md")
# Side of the model's own pictures in pixels; default distances of windows, in latent pixels of 8 pixels.
NATIVE, STRIDE, REFINE_STRIDE = 256, 16, 24
UNSEEN = 9_500_000


# ------------------------------------------------------------------------------------ measures

def luma(picture):
    return picture.astype(np.float64) @ np.array([0.299, 0.587, 0.114])


def traces(gray):
    """How much every upright line between latent pixels stands out, as a logarithm: the jump from one mean of 8×8 pixels to the
    next beyond what the slopes beside it predict, in the geometric mean over all rows, over that of the 2 to 6 lines on either side.

    A seam runs through sky, trees and water alike, where outlines cross a few rows: hence the geometric mean. Lines between
    latent pixels, because the decoder's own grid of 8 pixels is everywhere; upright ones alone, because horizons are level.
    Element 0 is the line between latent columns 7 and 8.
    """
    side = gray.shape[0] // 8
    b = gray[:side * 8, :side * 8].reshape(side, 8, side, 8).mean((1, 3))
    slope = np.diff(b, axis=1)
    jump = slope[:, 1:-1] - (slope[:, :-2] + slope[:, 2:]) / 2
    size = np.log(np.abs(jump) + 0.25).mean(0)
    return np.array([size[x] - np.median(np.r_[size[x - 6:x - 1], size[x + 2:x + 7]]) for x in range(6, len(size) - 6)])


def borders(side, stride):
    """Latent columns at which unshifted windows begin or end inside a latent of `side` columns."""
    window = NATIVE // 8
    starts = sorted({min(x, side - window) for x in range(0, side - window + stride, stride)})
    return sorted({x for start in starts for x in (start, start + window)} - {0, side})


def lines_at(found, borders):
    """The traces of the lines on borders, and of those in the middle between two borders that are not close together."""
    middle = {(a + b) // 2 for a, b in zip(borders, borders[1:]) if b - a > 8}
    return [[t for x, t in enumerate(found, 8) if x in columns] for columns in (set(borders), middle)]


def spectrum(gray):
    """Mean power at each whole number of cycles per picture, of a square picture."""
    side = gray.shape[0]
    window = np.hanning(side)
    power = np.abs(np.fft.rfft2((gray - gray.mean()) * window[:, None] * window)) ** 2 / side ** 4
    fy, fx = np.fft.fftfreq(side, 1 / side)[:, None], np.arange(side // 2 + 1)[None]
    radius = np.hypot(fy, fx).astype(int).ravel()
    return np.bincount(radius, power.ravel())[:side // 2] / np.bincount(radius)[:side // 2]


def beyond_native(power):
    """Mean power in dB at frequencies that a native picture cannot hold."""
    return 10 * np.log10(power[NATIVE // 2:int(0.9 * len(power))].mean() + 1e-12)


def slope(power):
    """Exponent with which power falls with frequency, from a quarter of what a native picture holds to 0.7 of what this one
    does; in equal steps of the logarithm."""
    f = np.unique(np.geomspace(NATIVE // 8, 0.7 * len(power), 40).astype(int))
    return np.polyfit(np.log(f), np.log(power[f] + 1e-12), 1)[0]


def measure(picture, net, stride):
    gray = luma(picture)
    power, lines = spectrum(gray), traces(gray)
    border, midway = lines_at(lines, borders(len(gray) // 8, stride))
    return dict(border=border, midway=midway, line=float(np.exp(lines.max())),
                discs=count_discs(net, picture.astype(np.float32) / 255), beyond=beyond_native(power), slope=slope(power))


# ------------------------------------------------------------------------------------- renders

class Renders:
    """Pictures, by the settings that they were rendered with."""

    def __init__(self, a):
        self.a, weights = a, hashlib.sha256()
        for part in ("unet", "vae", "text_encoder", "text_encoder_2"):
            for name in sorted(os.listdir(f"{a.model}/{part}")):
                weights.update(open(f"{a.model}/{part}/{name}", "rb").read())
        self.folder = f"{a.state}/{weights.hexdigest()[:12]}"
        os.makedirs(self.folder, exist_ok=True)

    def __call__(self, prompt, scale, flags):
        """The picture, phase 1's picture, UNet calls and seconds."""
        a, side = self.a, scale * NATIVE
        flags = ["--prompt", prompt, "--size", f"{side}x{side}", "--steps", str(a.steps), "--guidance", str(a.guidance), "--seed", str(a.seed)] + flags
        name = hashlib.sha256(json.dumps(flags).encode()).hexdigest()[:16]
        path, told = f"{self.folder}/{name}.png", f"{self.folder}/{name}.json"
        if not os.path.exists(told):
            start = time.time()
            done = subprocess.run(a.tessera.split() + ["render", "--model", a.model, "--workers", str(a.workers), "--checkpoint-every", "0",
                                   "--output", path, "--save-phases", f"{self.folder}/{name}"] + flags, stderr=subprocess.PIPE, text=True)
            if done.returncode != 0:
                raise SystemExit(done.stderr)
            calls = int(re.search(r"^(\d+) UNet calls", done.stderr, re.M).group(1))
            json.dump(dict(flags=flags, calls=calls, seconds=time.time() - start), open(told, "w"))
            print(f"{scale}x {' '.join(flags[10:])}: {calls} calls, {time.time() - start:.0f} s", flush=True)
        told = json.load(open(told))
        first = next(f for f in os.listdir(f"{self.folder}/{name}") if f.startswith("phase-1-"))
        read = lambda p: np.asarray(Image.open(p).convert("RGB"))
        return read(path), read(f"{self.folder}/{name}/{first}"), told["calls"], told["seconds"]


def enlarge(picture, side, kind):
    return np.asarray(Image.fromarray(picture).resize((side, side), kind))


def drawings(wanted, side, count, seed):
    rng = np.random.default_rng((UNSEEN, seed))
    return [levels(Scene.random(rng, **wanted).draw(side)) for _ in range(count)]


# -------------------------------------------------------------------------------------- tables

def summary(found):
    """One row of a table out of the measures of several pictures."""
    excess = lambda key: np.concatenate([f[key] for f in found])
    spread = lambda x: x.std(ddof=1) / np.sqrt(len(x)) if len(x) > 1 else float("nan")
    border, midway = excess("border"), excess("midway")
    return dict(border=float(np.exp(border.mean())), midway=float(np.exp(midway.mean())), spread=float(spread(np.r_[border, midway])),
                line=float(np.median([f["line"] for f in found])), one=sum(f["discs"] == 1 for f in found), n=len(found),
                beyond=float(np.mean([f["beyond"] for f in found])), slope=float(np.mean([f["slope"] for f in found])))


def psnr(a, b):
    error = ((a.astype(np.float64) - b) ** 2).mean()
    return 10 * np.log10(255 ** 2 / error) if error else float("inf")


def by_method(a, renders, net, sheets):
    rows = []
    for scale in a.scales:
        side, found, costs, pictures = scale * NATIVE, {}, {}, {}
        keep = lambda method, picture: found.setdefault(method, []).append(
            measure(picture, net, REFINE_STRIDE if method == "refinement" else STRIDE))
        for i, (prompt, wanted) in enumerate(PROMPTS[:a.prompts if scale < 8 else a.prompts_at_8]):
            shown = {}
            for method, flags in METHODS.items():
                picture, first, calls, seconds = renders(prompt, scale, flags)
                costs.setdefault(method, []).append((calls, round(seconds)))
                shown[method] = picture
                if method == "DemoFusion":
                    native = first
            shown = {"bicubic": enlarge(native, side, Image.BICUBIC), "Lanczos": enlarge(native, side, Image.LANCZOS)} | shown
            for method, picture in shown.items():
                keep(method, picture)
            drawn = drawings(wanted, side, 2, i)
            for picture in drawn:
                keep("drawings", picture)
            sheets.setdefault(scale, []).append(shown | {"a drawing": drawn[0]})
            for method, picture in shown.items():
                pictures.setdefault(method, []).append(picture)
        base = summary(found["bicubic"])["beyond"]
        wanted = [w for _, w in PROMPTS[:len(sheets[scale])]]
        true = windows_drawn(wanted, side, a.windows)
        distances = {method: frechet(windows_of(shown, a.windows), true) for method, shown in pictures.items()}
        distances["drawings"] = frechet(windows_drawn(wanted, side, a.windows, seed=1), true)
        for method, measures in found.items():
            row = summary(measures)
            row.update(scale=scale, method=method, gain=row["beyond"] - base, calls=costs.get(method, [(None, None)])[0][0], seconds=min((s for _, s in costs.get(method, [])), default=None),
                       distance=distances[method])
            rows.append(row)
    return rows


def by_variant(a, renders, net, common, variants, count):
    """Settings of one method at 4 times, on `count` prompts."""
    usual = REFINE_STRIDE if "refine" in common else STRIDE
    found, rows, prompts = {}, [], PROMPTS[:count]
    for prompt, _ in prompts:
        whole = None
        for name, flags in variants.items():
            own = [f for f in common if "--ladder" not in flags or f not in ("--ladder", "auto")]
            picture, _, calls, _ = renders(prompt, 4, own + flags)
            whole = picture if whole is None else whole
            entry = found.setdefault(name, dict(measures=[], psnr=[], pictures=[], calls=calls))
            stride = int(flags[flags.index("--stride") + 1]) if "--stride" in flags and "window" not in flags else usual
            entry["measures"].append(measure(picture, net, stride))
            entry["psnr"].append(psnr(picture, whole))
            entry["pictures"].append(picture)
    true = windows_drawn([w for _, w in prompts], 4 * NATIVE, a.windows) if prompts else None
    for name, entry in found.items():
        row = summary(entry["measures"])
        row.update(variant=name, calls=entry["calls"], psnr=float(np.mean(entry["psnr"])), distance=frechet(windows_of(entry["pictures"], a.windows), true))
        rows.append(row)
    return rows


def by_enlarging(a, renders, scale=4):
    """Small drawings enlarged, against the large drawings of the same scenes."""
    side, found = scale * NATIVE, {}
    for i, (prompt, wanted) in enumerate(PROMPTS[:a.prompts]):
        scene = Scene.random(np.random.default_rng((UNSEEN, 50 + i)), **wanted)
        small, large = levels(scene.draw(NATIVE)), levels(scene.draw(side))
        path = f"{renders.folder}/drawing-{i}.png"
        Image.fromarray(small).save(path)
        enlarged = {method: renders(prompt, scale, METHODS[method] + ["--init-image", path])[0] for method in ("refinement", "DemoFusion")}
        plain = {"bicubic": enlarge(small, side, Image.BICUBIC), "Lanczos": enlarge(small, side, Image.LANCZOS)}
        for method, picture in (plain | enlarged).items():
            found.setdefault(method, []).append((picture, large))
    true = windows_of([large for _, large in found["bicubic"]], a.windows, seed=1)
    return [dict(method=method, psnr=float(np.mean([psnr(p, q) for p, q in pairs])), ssim=float(np.mean([ssim(p, q) for p, q in pairs])),
                 distance=frechet(windows_of([p for p, _ in pairs], a.windows), true)) for method, pairs in found.items()]


def seams(a, renders):
    """Lines at refinement's own borders at 4 times, over many pictures, and in the same columns of the same pictures enlarged by a
    bicubic filter, which have no windows: what outlines and the decoder's grid contribute. Printed."""
    found = []
    for i in range(a.seams):
        a.seed = 100 + i
        refined, native = renders(PROMPTS[i % len(PROMPTS)][0], 4, METHODS["refinement"])[:2]
        columns = borders(len(refined) // 8, REFINE_STRIDE)
        pairs = [lines_at(traces(luma(p)), columns) for p in (refined, enlarge(native, len(refined), Image.BICUBIC))]
        found.append([[np.mean(border), np.mean(midway)] for border, midway in pairs])
    found = np.array(found)
    error = lambda x: x.std(ddof=1) / np.sqrt(len(x))
    for name, (border, midway) in zip(("refined", "bicubic"), found.transpose(1, 2, 0)):
        print(f"{a.seams} pictures, {name}: at borders {np.exp(border.mean()):.3f} ± {error(border):.3f}, midway {np.exp(midway.mean()):.3f} ± "
              f"{error(midway):.3f}, their ratio {np.exp((border - midway).mean()):.3f} ± {error(border - midway):.3f}")
    ratios = found[:, :, 0] - found[:, :, 1]
    windows = ratios[:, 0] - ratios[:, 1]
    print(f"refined over bicubic: {np.exp(windows.mean()):.3f} ± {error(windows):.3f}")


def text(a, methods, variants, enlarged, right):
    at_8 = f"{a.prompts_at_8} of them at 8×, " if 8 in a.scales else ""
    number = lambda x: "–" if x is None else f"{x}"
    lines = [
        "# Quality of large pictures, measured", "",
        "`make quality` remakes this page and its contact sheet from renders of the default model "
        f"({a.prompts} prompts, {at_8}{a.steps} steps, guidance {a.guidance:g}, `--ladder auto`; "
        "`make quality QUALITY=\"--scales 2,4,8 --prompts 8 --prompts-at-8 4 --variant-prompts 4 --steps 25 --windows 2000\"` measures more). With so few pictures the figures "
        "show large differences, not small ones; each column is explained below.", "",
        "![Six ways to the same picture, and a drawing](quality.jpg)", "",
        "Columns: for each prompt, at the largest size it was rendered at, the whole picture and a 1:1 crop. "
        "Rows: bicubic, Lanczos, one direct pass, plain windows, DemoFusion, refinement, a drawing of another scene of the same kind.", "",
        "## Ways to a large picture", "",
        "| scale | method | UNet calls | seconds | at borders | midway | strongest line | exactly one sun or moon | detail over bicubic | slope | Fréchet |",
        "| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    order = ["bicubic", "Lanczos", "one direct pass", "plain windows", "DemoFusion", "refinement", "drawings"]
    for row in sorted(methods, key=lambda r: (r["scale"], order.index(r["method"]))):
        lines.append(f"| {row['scale']}× | {row['method']} | {number(row['calls'])} | {number(row['seconds'])} | {row['border']:.3f} | {row['midway']:.3f} | {row['line']:.2f} | "
                     f"{row['one']} of {row['n']} | {row['gain']:+.1f} dB | {row['slope']:.2f} | {row['distance']:.2f} |")
    spread = np.exp(np.mean([r["spread"] for r in methods])) - 1
    lines += [
        "",
        f"- **Seconds**: of the fastest picture of the row, {a.workers} workers on the machine that made this page; other work may have slowed it.",
        f"- **At borders**: how much vertical lines on the borders of the method's unshifted windows (of {NATIVE} pixels, {8 * REFINE_STRIDE} apart in "
        f"refinement, {8 * STRIDE} in the others; the rows without windows are measured at the same lines as the others) stand out from "
        "neighbouring lines: jumps beyond the local slope, as the geometric mean over all rows. 1 means no trace. **Midway** is the same figure "
        f"between borders, as a baseline; each is uncertain by about ±{spread:.2f}. Enlarged pictures also enlarge the decoder's own grid "
        "of 8 pixels, at borders and midway alike.",
        "- **Strongest line**: the largest such figure of any line in the picture (median over pictures). The drawings show what "
        "outlines alone contribute.",
        f"- **Exactly one sun or moon**: as counted by `Training/evaluate.py`; the detector is right on {100 * right:.0f} % of drawings. Every prompt asks for one.",
        "- **Detail over bicubic**: power at frequencies that the native picture cannot contain. Power is not fidelity: noise and repeated "
        "patterns have it too. The drawings show that of true detail, in other scenes of the same kind.",
        f"- **Slope**: the exponent of the power spectrum; closer to the drawings' is better. It is fitted from {NATIVE // 8} cycles per "
        "picture upwards, so it includes frequencies that a native picture contains.",
        f"- **Fréchet**: the Fréchet distance (`Training/frechet.py`) between {a.windows} windows of 256 pixels of these pictures and as many of "
        "drawings of the same kinds of scene at the same size. Few pictures hold fewer different windows than as many drawings: compare methods with one "
        "another, not with the drawings' own distance.", "",
    ]
    for title, rows in variants.items():
        if not rows:
            continue
        whole = rows[0]["calls"]
        lines += [f"## {title}", "", "| setting | UNet calls | share | PSNR to the first | at borders | midway | strongest line | slope | Fréchet |",
                  "| --- | --- | --- | --- | --- | --- | --- | --- | --- |"]
        for row in rows:
            same = "–" if row is rows[0] else f"{row['psnr']:.1f} dB"
            lines.append(f"| {row['variant']} | {row['calls']} | {100 * row['calls'] / whole:.0f} % | {same} | {row['border']:.3f} | {row['midway']:.3f} | "
                         f"{row['line']:.2f} | {row['slope']:.2f} | {row['distance']:.2f} |")
        lines.append("")
    lines += [
        "PSNR measures the distance from the picture with default settings, not quality: another ladder or stride gives another "
        "picture of the same prompt.", "",
        "## Enlarging a drawing 4×", "",
        f"Drawings of {NATIVE} pixels, enlarged, against the large drawings of the same scenes.", "",
        "| method | PSNR | SSIM | Fréchet |",
        "| --- | --- | --- | --- |",
    ]
    for row in enlarged:
        lines.append(f"| {row['method']} | {row['psnr']:.1f} dB | {row['ssim']:.3f} | {row['distance']:.2f} |")
    fold = lambda line: line if line.startswith(("|", "!")) else "\n".join(textwrap.wrap(line, 128, subsequent_indent="  " * line.startswith("- ")))
    return "\n".join(map(fold, lines)) + "\n\n" + open(TRIED).read()


def contact_sheet(path, sheets, tile=224):
    """Rows of methods; for each prompt at its largest scale the whole picture and a part at 1:1."""
    largest, pictures = {}, sheets
    for scale in sorted(pictures):
        for i, shown in enumerate(pictures[scale]):
            largest[i] = shown
    order = ["bicubic", "Lanczos", "one direct pass", "plain windows", "DemoFusion", "refinement", "a drawing"]
    rows = []
    for method in order:
        cells = []
        for i in sorted(largest):
            p = largest[i][method]
            top, left = int(p.shape[0] * 0.45), int(p.shape[1] * 0.3)
            cells += [np.asarray(Image.fromarray(p).resize((tile, tile), Image.LANCZOS)), p[top:top + tile, left:left + tile]]
        rows.append(np.concatenate(cells, 1))
    Image.fromarray(np.concatenate(rows, 0)).save(path, quality=88)


def main():
    a = argparse.ArgumentParser()
    a.add_argument("--model", default="../Models/vista")
    a.add_argument("--tessera", default="../.build/release/tessera")
    a.add_argument("--state", default="../.build/quality", help="where renders and the trained detector are kept")
    a.add_argument("--out", default="../docs")
    a.add_argument("--scales", type=lambda s: [int(x) for x in s.split(",")], default=[2, 4])
    a.add_argument("--prompts", type=int, default=2)
    a.add_argument("--prompts-at-8", type=int, default=1)
    a.add_argument("--variant-prompts", type=int, default=1, help="how many the settings of DemoFusion are compared on")
    a.add_argument("--windows", type=int, default=600, help="windows that a Fréchet distance compares")
    a.add_argument("--steps", type=int, default=12)
    a.add_argument("--guidance", type=float, default=3.0)
    a.add_argument("--seed", type=int, default=100)
    a.add_argument("--workers", type=int, default=2)
    a.add_argument("--seams", type=int, default=0, help="only measures lines at refinement's borders in so many pictures (24: half an hour)")
    a = a.parse_args()
    os.makedirs(a.state, exist_ok=True)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    torch.set_num_threads(int(os.environ.get("OMP_NUM_THREADS", 2)))
    renders, sheets = Renders(a), {}
    if a.seams:
        return seams(a, renders)
    net = detector(a)
    rng = np.random.default_rng(UNSEEN)
    scenes = [Scene.random(rng) for _ in range(150)]
    right = float(np.mean([count_discs(net, s.draw(256)) == (1 if s.disc else 0) for s in scenes]))
    methods = by_method(a, renders, net, sheets)
    enlarged = by_enlarging(a, renders)
    variants = {"Settings of refinement at 4×": by_variant(a, renders, net, METHODS["refinement"], REFINEMENTS, a.prompts),
                "Settings of DemoFusion at 4×": by_variant(a, renders, net, METHODS["DemoFusion"], VARIANTS, a.variant_prompts)}
    json.dump(dict(methods=methods, variants=variants, enlarged=enlarged), open(f"{a.state}/quality.json", "w"), indent=1)
    open(f"{a.out}/quality.md", "w").write(text(a, methods, variants, enlarged, right))
    contact_sheet(f"{a.out}/quality.jpg", sheets)
    print(open(f"{a.out}/quality.md").read())


if __name__ == "__main__":
    main()

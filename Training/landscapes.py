"""Draws landscapes: a scene is a handful of numbers, and any rectangle of it can be drawn at any size.

`Scene.random(rng)` invents one, `Scene.draw(height, width, window)` draws the whole picture or a
window of it. Everything is built from fractal noise whose octaves end at the size of a pixel, so a
larger drawing of the same scene has more true detail, and drawing a 256-pixel window of a
2,048-pixel picture costs no more than a 256-pixel picture.

Coordinates: y runs from 0 (top) to 1 (bottom), x from 0 to the aspect ratio.
"""

import colorsys
from dataclasses import dataclass, field

import numpy as np
from numba import njit

SCENES = ("mountains", "lake", "sea", "desert", "forest", "city", "plain")
TIMES = ("dawn", "day", "sunset", "night")
SEASONS = ("spring", "summer", "autumn", "winter")

# Profiles of a layer's upper edge, and textures of what lies below it.
PEAKS, HILLS, CONIFERS, CROWNS, TOWERS = range(5)
ROCK, SAND, FOLIAGE, FACADE, MEADOW = range(5)
NO_GROUND, WATER, GRASS, DUNES = range(4)


@njit(inline="always")
def hashed(ix, iy, seed):
    h = (ix * 374761393 + iy * 668265263 + seed * 974634777) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 13)) & 0xFFFFFF) / 16777216.0


@njit(inline="always")
def value_noise(x, y, seed):
    fx, fy = np.floor(x), np.floor(y)
    ix, iy = np.int64(fx), np.int64(fy)
    tx, ty = x - fx, y - fy
    tx, ty = tx * tx * (3 - 2 * tx), ty * ty * (3 - 2 * ty)
    a, b = hashed(ix, iy, seed), hashed(ix + 1, iy, seed)
    c, d = hashed(ix, iy + 1, seed), hashed(ix + 1, iy + 1, seed)
    return (a + (b - a) * tx) * (1 - ty) + (c + (d - c) * tx) * ty


@njit(fastmath=True)
def fbm(x, y, seed, footprint, octaves):
    """Fractal noise about 0, within −1…1; octaves finer than `footprint` fade out."""
    total, gain, f = 0.0, 0.5, 1.0
    for o in range(octaves):
        visible = 1.6 - 2.0 * f * footprint
        if visible <= 0:
            break
        if visible > 1:
            visible = 1.0
        total += visible * gain * (2 * value_noise(x * f, y * f, seed + o) - 1)
        f *= 2.03
        gain *= 0.5
    return total


@njit(fastmath=True)
def ridged(x, seed, footprint, octaves):
    total, gain, f = 0.0, 0.5, 1.0
    for o in range(octaves):
        visible = 1.6 - 2.0 * f * footprint
        if visible <= 0:
            break
        if visible > 1:
            visible = 1.0
        n = 1 - abs(2 * value_noise(x * f, 7.3 * o, seed + o) - 1)
        total += gain * (visible * (n * n - 0.4) + 0.4)
        f *= 2.07
        gain *= 0.47
    return total


@njit(inline="always")
def smooth(a, b, x):
    t = (x - a) / (b - a)
    t = 0.0 if t < 0 else 1.0 if t > 1 else t
    return t * t * (3 - 2 * t)


@njit(fastmath=True)
def edge_height(profile, x, freq, seed, px):
    """Height of a layer's edge above its base, 0…1."""
    if profile == PEAKS:
        return ridged(x * freq, seed, px * freq, 11)
    if profile == HILLS:
        return 0.5 + fbm(x * freq, 0.5, seed, px * freq, 3) + 0.04 * fbm(x * freq * 9, 1.5, seed + 9, px * freq * 9, 5)
    best = 0.0
    cell = np.int64(np.floor(x * freq))
    for i in range(cell - 2, cell + 3):
        r1, r2, r3 = hashed(i, 1, seed), hashed(i, 2, seed), hashed(i, 3, seed)
        if profile == CONIFERS:
            centre, tall, half = (i + 0.2 + 0.6 * r1) / freq, 0.55 + 0.45 * r2, (0.55 + 0.5 * r3) / freq
            t = abs(x - centre) / half
            if t < 1:
                branch = 0.07 * (value_noise(t * 14, i * 3.1, seed + 5) - 0.5)
                best = max(best, tall * (1 - t ** 0.85) + branch)
        elif profile == CROWNS:
            centre, tall, half = (i + 0.2 + 0.6 * r1) / freq, 0.55 + 0.45 * r2, (0.5 + 0.4 * r3) / freq
            t = abs(x - centre) / half
            if t < 1:
                leaf = 0.12 * fbm(x * freq * 8, i * 1.7, seed + 5, px * freq * 8, 5)
                best = max(best, tall * np.sqrt(1 - t * t) + leaf)
        else:
            left, wide = (i + 0.25 * r1) / freq, (0.55 + 0.75 * r2) / freq
            tall = 0.3 + 0.7 * r3 * r3
            if left <= x < left + wide:
                best = max(best, tall)
                if r1 > 0.75 and abs(x - left - wide / 2) < 0.0016:
                    best = max(best, tall + 0.16)
    return best


@njit(fastmath=True)
def sky(x, y, px, s, out):
    """The sky's colour: gradient, glow, stars, sun or moon, clouds."""
    t = y / s[0]
    t = 0.0 if t < 0 else 1.2 if t > 1.2 else t
    for c in range(3):
        if t < 0.55:
            k = smooth(0.0, 0.55, t)
            out[c] = s[1 + c] * (1 - k) + s[4 + c] * k
        else:
            k = smooth(0.55, 1.05, t)
            out[c] = s[4 + c] * (1 - k) + s[7 + c] * k
    sx, sy, radius = s[10], s[11], s[12]
    dx, dy = x - sx, y - sy
    d = np.sqrt(dx * dx + dy * dy)
    if s[22] > 0:  # stars
        grid = 46.0
        cx, cy = np.int64(np.floor(x * grid)), np.int64(np.floor(y * grid))
        for iy in range(cy - 1, cy + 2):
            for ix in range(cx - 1, cx + 2):
                if hashed(ix, iy, 77) < 0.35:
                    px_, py_ = (ix + hashed(ix, iy, 78)) / grid, (iy + hashed(ix, iy, 79)) / grid
                    r = 0.0011 + 0.0016 * hashed(ix, iy, 80) ** 3
                    r = max(r, 0.45 * px)
                    e = ((x - px_) ** 2 + (y - py_) ** 2) / (r * r)
                    if e < 9:
                        b = s[22] * np.exp(-e) * (0.45 + 0.55 * hashed(ix, iy, 81))
                        for c in range(3):
                            out[c] += b * (1 - out[c])
    if radius > 0:
        glow = s[16] * np.exp(-d / (radius * 3.2)) + 0.25 * s[16] * np.exp(-d / (radius * 9))
        for c in range(3):
            out[c] += glow * s[13 + c] * (1 - 0.6 * out[c])
        disc = 1 - smooth(radius - px, radius + px, d)
        if disc > 0:
            shade = 1.0
            if s[23] > 0:
                shade = 0.86 + 0.32 * fbm(dx / radius * 1.6 + 5, dy / radius * 1.6, 91, px / radius * 1.6, 5)
            for c in range(3):
                out[c] = out[c] * (1 - disc) + disc * min(1.0, s[17 + c] * shade)
    cover = s[20]
    if cover > 0:
        depth = 0.25 + 1.1 * max(0.0, s[0] - y)
        n = fbm(x * 2.4 / depth + s[21], y * 7.0 / depth, 300 + np.int64(s[21]), px * 7.0 / depth, 8)
        density = smooth(0.28 - 0.62 * cover, 0.62 - 0.5 * cover, n + 0.12)
        if density > 0:
            veil = np.exp(-((d / (1.7 * radius)) ** 2)) if radius > 0 else 0.0  # clouds part before sun and moon
            lit = smooth(-0.25, 0.5, n - fbm((x + 0.02) * 2.4 / depth + s[21], (y - 0.03) * 7.0 / depth, 300 + np.int64(s[21]), px * 7.0 / depth, 4) + 0.12)
            for c in range(3):
                cloud = s[24 + c] * (1 - lit) + s[27 + c] * lit
                a = density * s[30] * (1 - 0.8 * veil)
                out[c] = out[c] * (1 - a) + cloud * a


@njit(fastmath=True)
def layer_colour(x, y, depth, slope, px, s, L, out):
    """Colour of a layer at `depth` below its edge."""
    texture, seed = np.int64(L[6]), np.int64(L[4])
    towards = np.tanh((s[10] - x) * 6)
    shade = 0.0
    if texture == ROCK:
        f = 16.0
        warp = 0.35 * fbm(x * 9, y * 9, seed + 50, px * 9, 3)
        a = fbm(x * f + warp, y * f * 0.6 - warp, seed + 60, px * f, 9)
        b = fbm((x + 0.006 * towards) * f + warp, (y - 0.005) * f * 0.6 - warp, seed + 60, px * f, 7)
        shade = 2.1 * (a - b) + 0.55 * a - 0.14 * slope * towards
        mix = smooth(-0.5, 0.5, a)
        snow = L[14]
        k = 0.0
        if snow > 0:
            k = 1 - smooth(snow * 0.75, snow, depth + 0.09 * a + 0.25 * (L[1] - depth - y))
    elif texture == SAND:
        a = fbm(x * 5, y * 9, seed + 60, px * 9, 7)
        phase = (y * 95 + 7 * fbm(x * 4, y * 6, seed + 61, px * 6, 4) + x * 12)
        ripple = np.sin(phase * 3.0) * max(0.0, 1 - px * 95 * 3 / 2.0)
        shade = 0.22 * a + 0.05 * ripple - 1.0 * slope * towards * smooth(0.25, 0.0, depth)
        mix = smooth(-0.4, 0.5, a + 0.8 * depth)
        k = 0.0
    elif texture == FOLIAGE:
        f = 34.0
        a = fbm(x * f * 1.4, y * f * 0.8, seed + 60, px * f, 8)
        shade = 0.75 * a + 0.35 * smooth(0.12, 0.0, depth) - 0.2
        mix = smooth(-0.35, 0.45, fbm(x * 11, y * 11, seed + 63, px * 11, 5))
        snow = L[14]
        k = 0.0
        if snow > 0:
            k = smooth(0.02, 0.3, a + 0.15 + 0.35 * smooth(0.05, 0.0, depth)) * 0.85
    elif texture == FACADE:
        cell = 0
        freq = L[3]
        best, bl, bw = -1.0, 0.0, 1.0
        i0 = np.int64(np.floor(x * freq))
        for i in range(i0 - 2, i0 + 3):
            r1, r2, r3 = hashed(i, 1, seed), hashed(i, 2, seed), hashed(i, 3, seed)
            left, wide = (i + 0.25 * r1) / freq, (0.55 + 0.75 * r2) / freq
            tall = 0.3 + 0.7 * r3 * r3
            if left <= x < left + wide and tall > best:
                best, bl, bw, cell = tall, left, wide, i
        tone = hashed(cell, 9, seed)
        a = tone - 0.5
        side = (x - bl) / bw
        shade = 0.35 * a + (0.12 if (side > 0.7) == (towards > 0) else -0.06)
        mix = tone
        n = max(3.0, np.floor(bw * freq * 6))
        wx, wy = side * n, (L[1] - y) * freq * 7
        fx, fy = wx - np.floor(wx), wy - np.floor(wy)
        pane = smooth(0.12, 0.26, fx) * (1 - smooth(0.72, 0.86, fx)) * smooth(0.2, 0.34, fy) * (1 - smooth(0.74, 0.88, fy))
        visible = 1 - smooth(0.25, 0.7, px * freq * 7)
        lit = 1.0 if hashed(np.int64(wx) + 50 * cell, np.int64(np.floor(wy)), seed + 8) < s[31] else 0.0
        k = 0.0
        pane = pane * visible + 0.3 * (1 - visible)
        if visible < 1:
            lit = lit * visible + s[31] * (1 - visible)
        for c in range(3):
            wall = (L[7 + c] * (1 - mix) + L[10 + c] * mix) * (1 + shade) * s[32 + c]
            glass = wall * 0.62 + 0.10 * s[7 + c]
            warm = 1.0 if c == 0 else 0.82 if c == 1 else 0.45
            w = glass * (1 - lit) + lit * warm * (0.95 if s[31] > 0.3 else 0.7)
            v = wall * (1 - pane) + w * pane
            out[c] = v * (1 - L[13]) + s[7 + c] * L[13]
        return
    else:
        f = 26.0
        a = fbm(x * f, y * f * 2.4, seed + 60, px * f * 2.4, 8)
        shade = 0.5 * a - 0.25 * slope * towards
        mix = smooth(-0.4, 0.4, fbm(x * 6, y * 14, seed + 61, px * 14, 5))
        k = 0.0
        if L[14] > 0:
            k = smooth(-0.55, 0.1, a + 0.2)
    for c in range(3):
        v = (L[7 + c] * (1 - mix) + L[10 + c] * mix) * (1 - k) + k * (0.93 if c < 2 else 0.99)
        v = v * max(0.15, 1 + shade) * s[32 + c]
        out[c] = v * (1 - L[13]) + s[7 + c] * L[13]


@njit(fastmath=True)
def composite(x, y, j, px, s, layers, edges, slopes, first, last, below, out, tmp):
    """Layers first..last-1 (far to near) over the colour already in `out`, or the sky."""
    if not below:
        sky(x, y, px, s, out)
    for i in range(first, last):
        depth = y - edges[i, j]
        a = depth / px + 0.5
        if a <= 0:
            continue
        if a > 1:
            a = 1.0
        layer_colour(x, y, max(depth, 0.0), slopes[i, j], px, s, layers[i], tmp)
        for c in range(3):
            out[c] = out[c] * (1 - a) + tmp[c] * a


@njit(fastmath=True)
def ground_colour(x, y, px, kind, s, g, out):
    d = y - s[0] + 0.012
    seed = np.int64(g[0])
    gx, gz = (x - 0.7) * 0.35 / d, 0.35 / d
    fp = px * 0.35 / (d * d) * 0.5 + px * 0.35 / d
    a = fbm(gx * 9, gz * 5, seed, fp * 6, 8)
    if kind == GRASS:
        mix = smooth(-0.35, 0.35, fbm(gx * 2, gz * 1.5, seed + 20, fp * 2, 4))
        shade = 0.55 * a
        flower = 0.0
        if g[7] > 0:
            flower = g[7] * smooth(0.3, 0.42, fbm(gx * 30, gz * 16, seed + 30, fp * 16, 4))
        snow = g[8] * smooth(-0.6, 0.0, a + 0.25)
        for c in range(3):
            v = (g[1 + c] * (1 - mix) + g[4 + c] * mix) * (1 + shade)
            v = v * (1 - flower) + flower * g[9 + c]
            v = v * (1 - snow) + snow * (0.9 if c < 2 else 0.97) * (1 + 0.2 * a)
            out[c] = v * s[32 + c]
    else:
        ripple = np.sin(gz * 26.0 + 5 * fbm(gx * 2, gz * 2, seed + 21, fp * 2, 4)) * max(0.0, 1 - fp * 9)
        for c in range(3):
            out[c] = g[1 + c] * (1 + 0.28 * a + 0.07 * ripple) * s[32 + c]
    haze = g[12] * np.exp(-d * 9)
    for c in range(3):
        out[c] = out[c] * (1 - haze) + s[7 + c] * haze


@njit(fastmath=True)
def draw_window(height, top, left, h, w, s, layers, back, ground, g):
    px = 1.0 / height
    n = layers.shape[0]
    edges, slopes = np.empty((n, w)), np.empty((n, w))
    for i in range(n):
        L = layers[i]
        for j in range(w):
            x = (left + j + 0.5) * px
            profile, seed = np.int64(L[0]), np.int64(L[4])
            e = edge_height(profile, x, L[3], seed, px)
            step = 0.03
            slope = 0.0
            if profile <= HILLS:
                slope = (edge_height(profile, x + step, L[3], seed, max(px, step)) - edge_height(profile, x - step, L[3], seed, max(px, step))) * L[2] / (2 * step)
                slope = -min(2.0, max(-2.0, slope))
            ground_line = L[1] + L[5] * fbm(x * 3, 0.3, seed + 40, px * 3, 5)
            edges[i, j] = ground_line - L[2] * e
            slopes[i, j] = slope
    out = np.empty((h, w, 3), np.float32)
    col, tmp = np.empty(3), np.empty(3)
    for i in range(h):
        y = (top + i + 0.5) * px
        for j in range(w):
            x = (left + j + 0.5) * px
            cover = 0.0 if ground == NO_GROUND else min(1.0, max(0.0, (y - s[0]) / px + 0.5))
            if ground == WATER and cover > 0:
                d = y - s[0]
                fp = px * (0.5 + 0.04 / (d + 0.01))
                wave = fbm(x * 6 / (d + 0.06), 1.6 / (d + 0.05), np.int64(g[0]), px * 6 / (d + 0.06) + px * 1.6 / (d + 0.05) ** 2, 7)
                fine = fbm(x * 22 / (d + 0.09), 9.0 / (d + 0.09), np.int64(g[0]) + 20, px * 22 / (d + 0.09) + px * 9 / (d + 0.09) ** 2, 5)
                rough = g[7]
                yr = s[0] - d * (1.0 + 0.1 * rough) - rough * (0.05 * wave + 0.03 * fine) * (0.2 + 2.2 * d)
                xr = x + rough * 0.06 * wave * (0.1 + d)
                yr = min(yr, s[0] - 0.002)
                jr = min(w - 1, max(0, j + np.int64(np.round((xr - x) / px))))
                composite(xr, yr, jr, max(px, fp), s, layers, edges, slopes, 0, back, False, col, tmp)
                k = g[8] * (1 - 0.45 * smooth(0.0, 0.5, d))
                light = 1 + 0.5 * rough * (wave + 0.7 * fine)
                for c in range(3):
                    col[c] = col[c] * k + g[1 + c] * (1 - k) * light * s[32 + c]
                if s[12] > 0 and s[11] < s[0]:
                    spread = 0.025 + 0.30 * d
                    glit = np.exp(-((x - s[10]) / spread) ** 2) * smooth(0.0, 0.35, 0.5 * wave + fine + 0.12) * g[9]
                    for c in range(3):
                        col[c] += glit * s[17 + c] * (1 - 0.5 * col[c])
            elif ground != NO_GROUND and cover >= 1:
                ground_colour(x, y, px, ground, s, g, col)
            else:
                composite(x, y, j, px, s, layers, edges, slopes, 0, back, False, col, tmp)
            composite(x, y, j, px, s, layers, edges, slopes, back, n, True, col, tmp)
            for c in range(3):
                out[i, j, c] = min(1.0, max(0.0, col[c]))
    return out


def rgb(text):
    return np.array([int(text[i:i + 2], 16) / 255 for i in (0, 2, 4)])


# Zenith, middle and horizon of the sky; light on the land; cloud shadow and cloud light.
SKIES = {
    "dawn": [("6f86b8", "c9b3cf", "f6cdb6"), ("7a90c4", "d9b4c8", "fbd9c0"), ("8b9fcb", "e3c4d4", "fde3cd")],
    "day": [("2f74c9", "7db4e8", "d3e8f5"), ("2467bd", "64a5e3", "c5e2f5"), ("3c86d0", "8fc4ec", "e2f0f6")],
    "sunset": [("3b3470", "c9526a", "ff9d45"), ("4a2f66", "e0574f", "ffb04a"), ("2e3a78", "b2507e", "ff8a3c")],
    "night": [("050a1e", "0c1a3e", "1d315e"), ("04071a", "0a1533", "182a52"), ("070d28", "10224c", "243b6b")],
}
LIGHT = {"dawn": (0.86, 0.76, 0.80), "day": (1.0, 1.0, 0.98), "sunset": (0.82, 0.56, 0.46), "night": (0.17, 0.21, 0.36)}
CLOUDS = {
    "dawn": ("b79ab0", "ffe1d8"), "day": ("b9c6d6", "ffffff"), "sunset": ("7a3f5e", "ff9f66"), "night": ("0d1530", "33456f"),
}
FOLIAGE_COLOURS = {
    "spring": ("4c8a3a", "8fbf4f"), "summer": ("2b5e2c", "4e8b3c"), "autumn": ("a8481c", "e0a52e"), "winter": ("2e4a3a", "4a6456"),
}
MEADOW_COLOURS = {
    "spring": ("5c9c3c", "9ccb55"), "summer": ("7d9a3a", "c9b955"), "autumn": ("a5793a", "c99b4a"), "winter": ("8e8f80", "b5b8b0"),
}


@dataclass
class Scene:
    """A landscape; `attributes` say in words what it shows, the rest is for the brush."""

    attributes: dict
    aspect: float
    sky: np.ndarray
    layers: np.ndarray
    back: int
    ground: int
    g: np.ndarray = field(repr=False)

    @staticmethod
    def random(rng, aspect=1.0, **fixed):
        pick = lambda name, options, p=None: fixed.get(name) or str(rng.choice(options, p=p))
        scene = pick("scene", SCENES)
        time = pick("time", TIMES)
        season = pick("season", SEASONS)
        if scene in ("sea", "desert"):
            season = "summer"
        body = fixed.get("body")
        if body is None:
            u = rng.random()
            body = ("moon" if u < 0.6 else "none") if time == "night" else ("sun" if u < 0.6 else "none")
        clouds = fixed.get("clouds") or str(rng.choice(["clear", "some", "cloudy"], p=[0.4, 0.35, 0.25]))
        snow = season == "winter" and scene not in ("sea", "desert")
        stars = time == "night" and clouds != "cloudy"
        attributes = dict(scene=scene, time=time, season=season, body=body, clouds=clouds, snow=bool(snow), stars=bool(stars))
        attributes["backdrop"] = "none"
        u = lambda a, b: rng.uniform(a, b)

        horizon = {"mountains": u(0.66, 0.78), "lake": u(0.55, 0.66), "sea": u(0.45, 0.62), "desert": u(0.48, 0.6),
                   "forest": u(0.62, 0.75), "city": u(0.68, 0.82), "plain": u(0.5, 0.66)}[scene]
        s = np.zeros(35)
        s[0] = horizon
        palette = SKIES[time][rng.integers(len(SKIES[time]))]
        shift = rng.normal(0, 0.018, 3)
        for k in range(3):
            s[1 + 3 * k:4 + 3 * k] = np.clip(rgb(palette[k]) * u(0.93, 1.07) + shift * (0.4 if time == "night" else 1), 0, 1)
        low = time in ("dawn", "sunset")
        s[10] = u(0.15, 0.85) * aspect
        s[11] = horizon * (u(0.55, 0.86) if low else u(0.16, 0.5))
        if scene in ("mountains", "forest", "city", "lake") and low:
            s[11] = horizon * u(0.22, 0.42)
        s[12] = {"sun": u(0.04, 0.065), "moon": u(0.038, 0.06), "none": 0.0}[body]
        s[13:16] = {"dawn": (1, .85, .75), "day": (1, .97, .85), "sunset": (1, .6, .3), "night": (.55, .65, .9)}[time]
        s[16] = {"dawn": 0.45, "day": 0.5, "sunset": 0.6, "night": 0.3}[time]
        s[17:20] = {"dawn": (1, .93, .82), "day": (1, .98, .86), "sunset": (1, .86, .5), "night": (.95, .95, .9)}[time]
        s[20] = {"clear": 0.0, "some": u(0.42, 0.55), "cloudy": u(0.85, 1.0)}[clouds]
        s[21] = rng.integers(1000)
        s[22] = 1.0 if stars else 0.0
        s[23] = 1.0 if body == "moon" else 0.0
        s[24:27], s[27:30] = rgb(CLOUDS[time][0]), rgb(CLOUDS[time][1])
        s[30] = 0.92 if body == "none" else 0.75
        s[31] = {"dawn": 0.12, "day": 0.0, "sunset": 0.3, "night": 0.5}[time]
        s[32:35] = np.array(LIGHT[time]) * u(0.93, 1.06) * (0.86 if clouds == "cloudy" else 1)

        layers = []

        def layer(profile, base, amp, freq, texture, a, b, haze, snow_line=0.0, wander=0.0):
            a = rgb(a) if isinstance(a, str) else a
            b = rgb(b) if isinstance(b, str) else b
            tint = rng.normal(0, 0.012, 3)
            layers.append([profile, base, amp, freq, rng.integers(1, 100000), wander, texture, *np.clip(a + tint, 0, 1),
                           *np.clip(b + tint, 0, 1), haze, snow_line])

        rock = [("5b5f6b", "8a8378"), ("6a5f57", "988b7c"), ("4f5866", "7d8694")][rng.integers(3)]
        leaf, meadow = FOLIAGE_COLOURS[season], MEADOW_COLOURS[season]
        white = 1.0 if snow else 0.0

        def mountains(base, n, tall):
            for k in range(n):
                f = k / max(1, n - 1) if n > 1 else 1.0
                caps = u(0.16, 0.26) if (snow or tall > 0.33) else 0.0
                layer(PEAKS, base, tall * (1 - 0.35 * f) * u(0.9, 1.1), u(1.3, 2.0) + 0.8 * f, ROCK, *rock, 0.62 * (1 - f) + 0.1,
                      caps * (1.6 if snow else 1.0))

        def wood(base, tall, freq, haze):
            crowns = season in ("spring", "autumn") and rng.random() < 0.8
            colours = leaf if crowns else (leaf if season != "autumn" else ("2f4a2a", "6d6a2e"))
            layer(CROWNS if crowns else CONIFERS, base, tall, freq, FOLIAGE, *colours, haze, white, wander=0.03)

        ground, g = NO_GROUND, np.zeros(13)
        g[0] = rng.integers(1, 100000)
        if scene == "mountains":
            attributes["backdrop"] = "none"
            mountains(horizon + 0.05, int(rng.integers(2, 4)), u(0.62, 0.85))
            back = len(layers)
            layer(HILLS, horizon + 0.16, 0.1, u(1.0, 1.8), MEADOW, *meadow, 0.08, white)
            if rng.random() < 0.6:
                wood(u(0.98, 1.05), u(0.12, 0.2), u(9, 14), 0.0)
        elif scene in ("lake", "sea"):
            ground = WATER
            if scene == "lake":
                attributes["backdrop"] = str(rng.choice(["mountains", "forest"], p=[0.65, 0.35]))
                if attributes["backdrop"] == "mountains":
                    mountains(horizon + 0.02, 2, u(0.4, 0.6))
                else:
                    layer(HILLS, horizon, 0.16, u(1, 2), FOLIAGE, *leaf, 0.45, white)
                wood(horizon + 0.008, u(0.06, 0.16), u(10, 18), 0.12)
            elif rng.random() < 0.3:
                attributes["backdrop"] = "island"
                layer(HILLS, horizon + 0.03, u(0.07, 0.12), u(1.1, 1.8), ROCK, *rock, 0.5)
            back = len(layers)
            g[1:4] = rgb(["1c4a6e", "1d5a6b", "234f5c"][rng.integers(3)]) * (1.2 if time == "day" else 1)
            g[7] = u(0.15, 0.35) if scene == "lake" else u(0.4, 0.7)
            g[8] = u(0.78, 0.9) if scene == "lake" else u(0.5, 0.62)
            g[9] = 0.3 if scene == "lake" else 0.9
            if scene == "lake" and rng.random() < 0.35:
                layer(HILLS, 1.0, u(0.05, 0.1), u(1, 2), MEADOW, *meadow, 0.0, white)
        elif scene == "desert":
            sand = [("d9a766", "c28a4a"), ("e2b878", "cf9c5a"), ("d18f52", "b5723c")][rng.integers(3)]
            if rng.random() < 0.35:
                attributes["backdrop"] = "mountains"
                layer(PEAKS, horizon + 0.03, u(0.14, 0.24), u(1.6, 2.4), ROCK, "8a5a44", "a8755a", 0.5)
            back = len(layers)
            for k in range(4):
                f = k / 3
                layer(HILLS, horizon + 0.05 + 0.42 * f, 0.10 + 0.12 * f, u(0.9, 1.5), SAND, *sand, 0.4 * (1 - f))
        elif scene == "forest":
            if rng.random() < 0.4:
                attributes["backdrop"] = "mountains"
                mountains(horizon - 0.05, 1, u(0.3, 0.4))
            back = len(layers)
            for k in range(4):
                f = k / 3
                wood(horizon - 0.02 + 0.42 * f, u(0.16, 0.24) + 0.3 * f, u(14, 18) - 9 * f, 0.55 * (1 - f) ** 1.3)
        elif scene == "city":
            if rng.random() < 0.4:
                attributes["backdrop"] = "river"
                ground = WATER
                horizon = s[0] = u(0.66, 0.74)
                g[1:4], g[7], g[8], g[9] = rgb("24465e"), 0.45, 0.72, 0.3
            base = horizon if ground == WATER else 1.0
            layer(TOWERS, base, u(0.5, 0.62) * base, u(7, 9), FACADE, "7d8794", "9aa3ad", 0.5)
            layer(TOWERS, base, u(0.42, 0.55) * base, u(6, 8), FACADE, "6b7480", "a39a8e", 0.2)
            if ground != WATER:
                layer(TOWERS, base, u(0.25, 0.32), u(5, 6.5), FACADE, "565e6b", "b09a86", 0.0)
            back = len(layers)
        else:
            ground = GRASS
            u1 = rng.random()
            if u1 < 0.35:
                attributes["backdrop"] = "mountains"
                layer(PEAKS, horizon + 0.01, u(0.12, 0.2), u(1.6, 2.4), ROCK, *rock, 0.55, 0.0 if not snow else 0.2)
            elif u1 < 0.7:
                attributes["backdrop"] = "hills"
                layer(HILLS, horizon + 0.02, u(0.05, 0.09), u(1.0, 2.0), MEADOW, *meadow, 0.4, white)
            back = len(layers)
            g[1:4], g[4:7] = rgb(meadow[0]), rgb(meadow[1])
            if season == "spring" and rng.random() < 0.7:
                attributes["flowers"] = True
                g[7] = 0.85
                g[9:12] = rgb(["e8d24a", "d95d6b", "f2f0ea", "9a6fd0"][rng.integers(4)])
            g[8] = white
            g[12] = 0.75
        return Scene(attributes, aspect, s, np.array(layers).reshape(-1, 15), back, ground, g)

    def draw(self, height, window=None):
        """Draws the picture `height` pixels tall, or the window (top, left, height, width) of it.

        Returns float32 [height, width, 3], 0…1.
        """
        top, left, h, w = window or (0, 0, height, int(round(height * self.aspect)))
        return draw_window(height, top, left, h, w, self.sky, self.layers, self.back, self.ground, self.g)

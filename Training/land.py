"""Land: hills with what grows on them, dunes, peaks, fields."""

import numpy as np
from numba import njit

from columns import A, B, C, GRASS, H, P, Q, R, SAND, SEED, SNOW, W, X, Y, mix, scaled, towards
from shapes import FLOWER, LENS, STONE, TUFT, clamp, cover, facets, hashed, jagged, motif, motifs, seen, smooth, zigzag


@njit(fastmath=True)
def hill(x, y, px, L, out):
    p, q = L[P], L[Q]
    e = 0.5 + 0.33 * np.sin(p * x + q) + 0.17 * np.sin(2.37 * p * x + 2.1 * q + 1)
    slope = L[H] * p * (0.33 * np.cos(p * x + q) + 0.4 * np.cos(2.37 * p * x + 2.1 * q + 1))
    d = (y - L[Y] + L[H] * e) / np.sqrt(1 + slope * slope)
    seed, kind = np.int64(L[SEED]), np.int64(L[R])
    if kind == GRASS and d < 0.02:
        d += 0.010 * seen(0.012, px) * abs(zigzag(x * 110, seed)) + 0.004 * seen(0.005, px) * abs(zigzag(x * 260, seed + 1))
    a = cover(d, px)
    if a <= 0:
        return 0.0
    # A nearer fold of the same hill, in the shade.
    fold = L[Y] + 0.16 - 0.06 * np.sin(0.8 * p * x + 1.7 * q + 2) - 0.05 * np.sin(0.5 * p * x - q)
    t = cover((y - fold) * 0.95, px)
    k = clamp(d / 0.35)
    mix(L, A, B, 0.45 * k + 0.35 * t, out)
    if kind == GRASS:
        m = motifs(TUFT, x, y, 0.07, 0.8, 0.4, seed, px)
        towards(out, L, B, 0.55 * m)
        if L[C] >= 0:
            towards(out, L, C, motifs(FLOWER, x + 0.03, y + 0.02, 0.06, 1.0, 0.34, seed + 5, px))
    elif kind == SAND:
        towards(out, L, B, 0.3 * motifs(LENS, x, y, 0.16, 0.22, 0.45, seed, px))
    elif kind == SNOW:
        towards(out, L, B, 0.35 * motifs(LENS, x, y, 0.2, 0.25, 0.35, seed, px))
    return a


@njit(fastmath=True)
def dune(x, y, px, L, out):
    """A dune whose winding crest parts light from shade."""
    u, tall = (x - L[X]) / L[W], (L[Y] - y) / L[H]
    if abs(u) >= 1:
        return 0.0
    e = (1 + u) ** 1.6 if u < 0 else (1 - u) ** 1.3
    slope = L[H] / L[W] * (1.6 * (1 + u) ** 0.6 if u < 0 else 1.3 * (1 - u) ** 0.3)
    d = (e - tall) * L[H] / np.sqrt(1 + slope * slope)
    a = cover(d, px)
    if a <= 0:
        return 0.0
    low = max(0.0, 1 - tall)
    crest = 0.17 * np.sin(low * 6.0) * low - 0.12 * low
    bend = L[W] / L[H] * (0.17 * np.sin(low * 6.0) + low * 1.02 * np.cos(low * 6.0) - 0.12)
    lit = cover((u - crest) * L[W] / np.sqrt(1 + bend * bend), px)
    mix(L, B, A, lit, out)
    scaled(out, 1 - 0.1 * low * lit + 0.1 * low * (1 - lit))
    # Ripples of the wind: curved stripes that follow the crest.
    stripe, wide = 0.0, 0.05
    for k in range(4):
        visible = seen(wide * 0.5, px)
        if visible <= 0:
            break
        w = (y + 0.05 * np.sin(9 * (x - L[X]) + k)) / wide
        f = w - np.floor(w)
        n = hashed(np.int64(np.floor(w)), k, np.int64(L[SEED]))
        reach = cover((0.12 + 0.3 * n - abs(u - crest - 0.35 * (1 if k % 2 == 0 else 0.5))) * L[W], px)
        stripe = max(stripe, visible * reach * cover((0.13 - abs(f - 0.5)) * wide, px))
        wide *= 0.4
    scaled(out, 1 - 0.07 * stripe)
    return a


@njit(fastmath=True)
def peak(x, y, px, L, out):
    """A mountain of facets, with a side in the light, a side in the shade, and a cap of snow."""
    u, tall = (x - L[X]) / L[W], (L[Y] - y) / L[H]
    if abs(u) >= 1.1 or tall < -0.3:
        return 0.0
    seed, pu = np.int64(L[SEED]), px / L[W]
    edge = 1 - abs(u) + 0.22 * min(1.0, 4 * abs(u)) * jagged(u, 0.26, seed, pu, 5)
    d = (edge - tall) * L[H] / np.sqrt(1 + (1.25 * L[H] / L[W]) ** 2)
    a = cover(d, px)
    if a <= 0:
        return 0.0
    low = max(0.02, 1 - tall)
    q = u / low  # position across the mountain, as seen from its top
    pq = 1.4 * pu / low
    wind = 0.55 * jagged(tall, 0.2, seed + 20, px / L[H], 5) - 0.1
    g = q - wind * min(1.0, 2.5 * low)
    lit = cover(g / pq, 1.0)
    # Ridges that run down from the main one, and smaller ones between them.
    tone = 0.0
    n, gain = 3.0, 0.11
    for k in range(4):
        visible = seen(L[W] * low / n, px)
        if visible <= 0 and k > 0:
            break
        v = q * n + 0.5 * zigzag(tall * (1.5 + 0.4 * n), seed + 31 + k)
        tone += (1.0 if k == 0 else visible) * gain * facets(v, min(1.0, n * pq * 1.3), seed + 40 + k)
        n *= 3.1
        gain *= 0.62
    mix(L, B, A, lit, out)
    scaled(out, 1 + tone)
    teeth = 0.2 * jagged(q, 0.4, seed + 50, pq, 4)
    line = (tall - L[P] - teeth) * L[H] * 0.7
    snow = cover(line, px)
    if snow > 0:
        for c in range(3):
            shade = (0.62, 0.72, 0.88)[c]
            out[c] = out[c] * (1 - snow) + snow * L[C + c] * (lit + (1 - lit) * shade) * (1 + 0.45 * tone)
    # The foot fades into the air.
    foot = 0.35 * smooth(0.55, 0.0, tall) * L[Q]
    for c in range(3):
        out[c] = out[c] * (1 - foot) + L[A + c] * foot
    return a


@njit(fastmath=True)
def fields(x, y, px, L, out):
    """Rows of crops that run to a point on the horizon, and a road or none."""
    d = y - L[Y]
    a = cover(d, px)
    if a <= 0:
        return 0.0
    z, seed = max(d, 0.0) + 0.035, np.int64(L[SEED])
    q, pq = (x - L[X]) / z, px / z
    tone, n, gain = 0.0, 0.55, 0.5
    for k in range(5):
        visible = 1.0 if k == 0 else seen(z / n, px) * seen(0.02, px / (0.3 + d))
        if visible <= 0:
            break
        tone += visible * gain * facets(q * n + 0.5, min(1.0, n * pq), seed + k)
        n *= 3.0
        gain *= 0.42
    mix(L, A, B, clamp(0.5 + 0.7 * tone), out)
    t = motifs(TUFT, q, 2.6 * np.log(z), 0.24, 1.0, 0.35, seed + 7, pq)
    scaled(out, 1 - 0.14 * t)
    if L[C] >= 0:
        towards(out, L, C, motif(FLOWER, q, 2.6 * np.log(z), 0.34, 1.0, 0.8, seed + 9, pq) * smooth(0.0, 0.08, d))
        towards(out, L, C, motifs(FLOWER, q + 0.1, 2.6 * np.log(z), 0.17, 1.0, 0.4, seed + 10, pq))
    if L[P] > 0:  # the road
        road = cover((L[P] - abs(q)) * z * 0.9, px)
        if road > 0:
            for c in range(3):
                out[c] = out[c] * (1 - road) + road * (0.93, 0.83, 0.66)[c] * L[W] * (1 - (0.1 if q < 0 else 0.0))
            stone = motifs(STONE, q, 2.6 * np.log(z), 0.14, 0.8, 0.35, seed + 12, pq)
            scaled(out, 1 - 0.1 * road * stone)
    haze = L[Q] * smooth(0.12, 0.0, d)
    for c in range(3):
        out[c] = out[c] * (1 - haze) + L[A + c] * 1.12 * haze
    return a

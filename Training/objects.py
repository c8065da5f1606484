"""What people built, and clouds: towers, boats."""

import numpy as np
from numba import njit

from columns import A, B, C, H, P, Q, R, SEED, W, X, Y, mix, scaled, towards
from shapes import LENS, capsule, clamp, cover, hashed, motifs, seen, triangle


@njit(fastmath=True)
def tower(x, y, px, L, out):
    """A tower with a lit front, a side in the shade and windows that show more, the larger they are drawn."""
    u, v = x - L[X], y - (L[Y] - L[H])  # distances from its middle and from its roof
    half, cell, seed, roof = 0.5 * L[W], L[P], np.int64(L[SEED]), np.int64(L[R])
    d = min(half - abs(u), v)
    if roof == 1:  # a smaller storey and a mast
        d = max(d, min(0.6 * half - abs(u), v + 0.7 * cell))
        d = max(d, min(0.05 * half + 0.0012 - abs(u), v + 2.4 * cell))
    elif roof == 2:  # a slanted roof
        d = max(d, min(half - abs(u), (v + cell * (1 - u / half)) * 0.8))
    elif roof == 3:  # a spire
        d = max(d, triangle(u, -v, 0.8 * half, 2.6 * cell))
    a = cover(d, px)
    if a <= 0:
        return 0.0
    side = cover(u - 0.46 * half, px)
    mix(L, A, B, side, out)
    wide = max(1.0, np.floor(1.42 * half / cell + 0.5))
    wx, wy = (u + 0.96 * half) / (1.42 * half) * wide, v / cell - 0.3
    fx, fy = wx - np.floor(wx), wy - np.floor(wy)
    ix, iy = np.int64(np.floor(wx)), np.int64(np.floor(wy))
    cw = 1.42 * half / wide
    ledge = seen(0.06 * cell, px) * cover((0.035 - abs(fy - 0.97)) * cell, px)
    scaled(out, 1 + 0.12 * ledge)
    if wy > 0 and ix >= 0 and ix < wide:
        pane = cover(min((0.31 - abs(fx - 0.5)) * cw, (0.33 - abs(fy - 0.48)) * cell), px)
        frame = seen(0.07 * cell, px) * cover(min((0.37 - abs(fx - 0.5)) * cw, (0.39 - abs(fy - 0.48)) * cell), px)
        scaled(out, 1 + 0.22 * frame)
        lit = hashed(ix, iy, seed + 8) < L[Q]
        if pane > 0:
            lx, ly = fx - 0.5, fy - 0.48
            bars = seen(0.06 * cell, px) * cover((max(0.022 - abs(lx), 0.02 - abs(ly + 0.12))) * cell, px)
            r1, r2 = hashed(ix, iy, seed + 9), hashed(ix, iy, seed + 10)
            blind = seen(0.2 * cell, px) * cover((-0.33 + 0.5 * r1 * r1 - ly) * cell, px)
            # A plant on the sill, a curtain, a lamp.
            thing = -1.0
            if r2 < 0.35:
                thing = max(0.07 - np.sqrt((lx - 0.14) ** 2 + (ly - 0.2) ** 2), min(0.05 - abs(lx - 0.14), 0.06 - abs(ly - 0.29)))
            elif r2 < 0.6:
                thing = abs(lx) - 0.2 - 0.06 * np.sin(3 * (ly + 0.33))
            elif r2 < 0.8:
                thing = max(min(0.012 - abs(lx + 0.1), -ly - 0.05), triangle(lx + 0.1, 0.02 - ly, 0.1, 0.1))
            inside = seen(0.12 * cell, px) * cover(thing * cell, px)
            shine = seen(0.15 * cell, px) * cover((0.05 - abs(lx + ly)) * cell, px)
            for c in range(3):
                g = (1.0, 0.83, 0.46)[c] if lit else L[C + c]
                g *= 1 - 0.22 * blind - (0.3 if lit else 0.16) * inside
                if not lit:
                    g += 0.1 * shine
                g = g * (1 - bars) + bars * out[c]
                out[c] = out[c] * (1 - pane) + g * pane
    else:
        scaled(out, 1 - 0.05 * motifs(LENS, x, y, 0.5 * cell, 0.4, 0.3, seed, px))
    return a


@njit(fastmath=True)
def boat(x, y, px, L, out):
    u, v = (x - L[X]) / L[W], (L[Y] - y) / L[W]  # in units of its length, v upwards
    p = px / L[W]
    hull = min(0.16 - v, min((v + 0.06) * 0.97, (0.36 + 0.75 * v - abs(u)) * 0.8))
    mast = min(0.014 - abs(u + 0.02), min(1.02 - v, v - 0.1))
    main = min(u - 0.015, min(v - 0.22, (0.44 - u - 0.5 * (v - 0.22)) * 0.9 - 0.1 * (v - 0.22) * (v - 0.5) ))
    jib = min(-0.055 - u, min(v - 0.22, (0.3 + u - 0.42 * (v - 0.22)) * 0.9))
    a = cover(max(max(hull, mast), max(main, jib)), p)
    if a <= 0:
        return 0.0
    if hull > max(main, jib) and hull > mast:
        mix(L, B, B, 0.0, out)
        stripe = cover(0.03 - abs(v - 0.105), p)
        towards(out, L, C, stripe)
        if seen(0.04, p) > 0:
            w = (u + 2) / 0.13
            f = (w - np.floor(w) - 0.5) * 0.13
            towards(out, L, C, seen(0.04, p) * cover(0.022 - np.sqrt(f * f + (v - 0.03) ** 2), p) * (1 if abs(u) < 0.28 else 0))
    elif mast > max(main, jib):
        mix(L, B, B, 0.0, out)
    else:
        mix(L, A, A, 0.0, out)
        if jib > main:
            scaled(out, 0.9)
        w = v / 0.14 + 0.25 * u
        f = (w - np.floor(w) - 0.5) * 0.14
        scaled(out, 1 - 0.12 * seen(0.02, p) * cover(0.006 - abs(f), p))
        if jib <= main:
            towards(out, L, C, cover(0.055 - np.sqrt((u - 0.14) ** 2 + (v - 0.46) ** 2), p))
    return a


@njit(fastmath=True)
def cloud(x, y, px, L, out):
    """Five balls on a flat foot, the light on their upper right."""
    u, v, seed = x - L[X], L[Y] - y, np.int64(L[SEED])
    best, under = -1.0, -1.0
    for k in range(5):
        r = L[H] * ((0.42, 0.74, 1.0, 0.66, 0.38)[k] * (0.85 + 0.3 * hashed(k, 1, seed))) * 0.5
        cx, cy = L[W] * (-0.38, -0.2, 0.02, 0.23, 0.4)[k], r * (0.7 + 0.25 * hashed(k, 2, seed))
        dx, dy = u - cx, v - cy
        rho = np.sqrt(dx * dx + dy * dy)
        edge = r
        if abs(rho - edge) < 0.25 * r and seen(0.15 * r, px) > 0:
            angle = np.arctan2(dy, dx)
            edge += 0.06 * r * seen(0.4 * r, px) * (abs(np.sin(3.5 * angle + k)) - 0.5) + 0.025 * r * seen(0.13 * r, px) * (abs(np.sin(10.5 * angle)) - 0.5)
        best = max(best, edge - rho)
        under = max(under, 0.9 * r - np.sqrt((dx + 0.16 * r) ** 2 + (dy + 0.42 * r) ** 2))
    foot = 0.16 * L[H]
    best = max(best, capsule(u, v, -0.42 * L[W], foot, 0.42 * L[W], foot, foot))
    best = min(best, v)
    a = cover(best, px)
    if a <= 0:
        return 0.0
    mix(L, A, B, cover(under, px), out)
    k = 0.35 * clamp(1 - v / L[H])
    towards(out, L, B, k)
    return a * L[Q]

"""Paints any rectangle of a scene from its numbers: layers of shapes, composited from near to far over the sky."""

import numpy as np
from numba import njit

from shapes import (FLOWER, LEAF, LENS, STAR, STONE, TUFT, box, capsule, clamp, cover, facets, hashed, jagged, motif, motifs, seen, smooth, triangle,
                    zigzag)

HILL, DUNE, PEAK, TREES, TREE, TOWER, CACTUS, BOAT, CLOUD, WAVES, FIELDS, WATER = range(12)
BARE, GRASS, SAND, SNOW = range(4)  # what grows on a hill
CONIFER, CROWN = range(2)
# Columns of a layer. TOP…RIGHT bound what it can cover; A, B and C begin its three colours.
KIND, SEED, X, Y, W, H, P, Q, A, B, C, TOP, LEFT, RIGHT, R = 0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14, 17, 18, 19, 20
COLUMNS = 21
# Of a sky: three colours from the top to the horizon, the disc, its glow, stars.
HORIZON, TOP_COLOUR, MIDDLE_COLOUR, LOW_COLOUR, DISC_X, DISC_Y, DISC_R, DISC, GLOW, GLOWING, STARS, MOON = 0, 1, 4, 7, 10, 11, 12, 13, 16, 19, 20, 21


@njit(inline="always")
def mix(L, a, b, t, out):
    for c in range(3):
        out[c] = L[a + c] * (1 - t) + L[b + c] * t


@njit(inline="always")
def towards(out, L, a, t):
    for c in range(3):
        out[c] = out[c] * (1 - t) + L[a + c] * t


@njit(inline="always")
def scaled(out, t):
    for c in range(3):
        out[c] *= t


@njit(fastmath=True)
def sky(x, y, px, s, disc, out):
    t = y / s[HORIZON]
    if t < 0.55:
        k = smooth(-0.1, 0.55, t)
        for c in range(3):
            out[c] = s[TOP_COLOUR + c] * (1 - k) + s[MIDDLE_COLOUR + c] * k
    else:
        k = smooth(0.55, 1.05, t)
        for c in range(3):
            out[c] = s[MIDDLE_COLOUR + c] * (1 - k) + s[LOW_COLOUR + c] * k
    if s[STARS] > 0:
        a = max(motif(STAR, x, y, 0.15, 1.0, 0.34, 5, px), 0.8 * motifs(STAR, x, y, 0.07, 1.0, 0.16, 7, px))
        a *= s[STARS] * smooth(1.0, 0.5, t)
        for c in range(3):
            out[c] += a * ((0.95, 0.95, 0.86)[c] - out[c])
    if s[DISC_R] > 0:
        dx, dy = x - s[DISC_X], y - s[DISC_Y]
        d = np.sqrt(dx * dx + dy * dy)
        g = s[GLOWING] * np.exp(-max(0.0, d - s[DISC_R]) / (1.6 * s[DISC_R]))
        for c in range(3):
            out[c] += g * (s[GLOW + c] - out[c])
        a = cover(s[DISC_R] - d, px) if disc else 0.0
        if a > 0:
            shade = 0.0
            if s[MOON] > 0:  # seas, then ever smaller craters
                u, v = dx / s[DISC_R], dy / s[DISC_R]
                p = px / s[DISC_R]
                shade = max(cover(0.3 - np.sqrt((u + 0.3) ** 2 + (v + 0.25) ** 2), p), cover(0.2 - np.sqrt((u - 0.35) ** 2 + (v - 0.3) ** 2), p))
                shade = max(shade, cover(0.13 - np.sqrt((u + 0.2) ** 2 + (v - 0.5) ** 2), p))
                shade = 0.1 * shade + 0.05 * motifs(STONE, u, v, 0.34, 1.0, 0.45, 3, p)
            else:
                shade = 0.06 * clamp((d / s[DISC_R]) ** 2)
            for c in range(3):
                v_ = s[DISC + c] * (1 - shade * (0.8, 1.0, 1.3)[c])
                out[c] = out[c] * (1 - a) + v_ * a


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
    q = u / low  # where across the mountain, as seen from its top
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
def conifer(x, y, half, tall, seed, px, L, out):
    """Four tiers of branches on a trunk; x from its middle, y upwards from its foot."""
    if abs(x) > half + px or y > tall + px or y < -px:
        return 0.0
    trunk = cover(box(x, y - 0.1 * tall, 0.1 * half + 0.0005, 0.1 * tall), px)
    best, snow, tier = -1.0, 0.0, 0
    for k in range(4):
        foot, top, w = (0.12 + 0.2 * k) * tall, (0.5 + 0.5 * (k + 1) / 4) * tall, half * (1 - 0.19 * k)
        sag = 0.12 * abs(x) - 0.02 * tall * seen(0.12 * half, px) * abs(zigzag(x / half * 5, seed + k))
        d = triangle(x, y - foot + sag, w, top - foot)
        d -= seen(0.1 * half, px) * 0.035 * half * (zigzag(y / half * 7, seed + 7) + 1)
        if d > best:
            best, tier = d, k
    a = cover(best, px)
    if a <= 0 and trunk <= 0:
        return 0.0
    lean = 0.12 * half * zigzag(y / tall * 5, seed + 9)
    lit = cover((x - lean) * 0.9, px)
    mix(L, B, A, lit, out)
    # Under each tier lies the shade of the one above.
    foot = (0.12 + 0.2 * (tier + 1)) * tall
    above = triangle(x, y - foot + 0.12 * abs(x) + 0.06 * tall, half * (1 - 0.19 * (tier + 1)), 0.5 * tall) if tier < 3 else -1.0
    shade = cover(above, px) * seen(0.06 * tall, px)
    scaled(out, 1 - 0.16 * shade)
    leaf = motifs(LENS, x, y, 0.5 * half, 0.34, 0.4, seed + 3, px)
    scaled(out, 1 + 0.13 * leaf)
    if L[R] > 0:  # snow on the upper side of every tier
        at = (y - (0.12 + 0.2 * tier) * tall) / (0.5 * tall)
        white = cover((at - 0.24 - 0.1 * zigzag(x / half * 3, seed + 13)) * 0.5 * tall, px)
        towards(out, L, C, white * (0.7 + 0.3 * lit))
    if a < 1 and trunk > 0:
        for c in range(3):
            out[c] = out[c] * a + (1 - a) * L[B + c] * 0.6
    return max(a, trunk)


@njit(fastmath=True)
def crown(x, y, half, tall, seed, px, L, out):
    """A round tree: a trunk, four balls of leaves, a lighter one within each."""
    if abs(x) > half + px or y > tall + px or y < -px:
        return 0.0
    r = min(0.62 * half, 0.36 * tall)
    best, light, shade = -1.0, -1.0, -1.0
    for k in range(4):
        cx, cy, f = ((-0.36, 0.36, 0.02, 0.0)[k]) * half, tall - r * (1.62, 1.54, 1.0, 1.95)[k], (0.9, 0.94, 1.0, 0.85)[k]
        dx, dy = x - cx, y - cy
        rho = np.sqrt(dx * dx + dy * dy)
        edge = r * f
        if abs(rho - edge) < 0.2 * r and seen(0.1 * r, px) > 0:
            angle = np.arctan2(dy, dx)
            edge += 0.07 * r * seen(0.35 * r, px) * (abs(np.sin(4.5 * angle + k)) - 0.5) + 0.03 * r * seen(0.12 * r, px) * (abs(np.sin(13.5 * angle)) - 0.5)
        best = max(best, edge - rho)
        light = max(light, 0.6 * edge - np.sqrt((dx - 0.22 * r) ** 2 + (dy - 0.26 * r) ** 2))
    wide = (0.09 + 0.06 * max(0.0, 0.25 - y / tall)) * half + 0.0006
    trunk = cover(min(wide - abs(x), 0.6 * tall - y), px)
    for k in range(2):
        sign = 1 - 2 * k
        trunk = max(trunk, cover(capsule(x, y, 0.0, 0.3 * tall, sign * 0.3 * half, 0.52 * tall, 0.04 * half), px) * seen(0.08 * half, px))
    a = cover(best, px)
    if a <= 0 and trunk <= 0:
        return 0.0
    mix(L, B, A, cover(light, px), out)
    leaf = motifs(LEAF, x, y, 0.3 * half, 1.0, 0.45, seed + 3, px)
    scaled(out, 1 + (0.14 if light > 0 else 0.2) * leaf)
    if L[R] > 0:
        towards(out, L, C, cover(light, px))
    if a < 1:
        for c in range(3):
            bark = (0.42, 0.27, 0.2)[c] * (L[A] + L[A + 1] + L[A + 2]) * (1.15 if x > 0.25 * wide else 0.85)
            out[c] = out[c] * a + (1 - a) * bark
    return max(a, trunk)


@njit(fastmath=True)
def trees(x, y, px, L, out, tmp):
    """A row of trees along a gentle line; its envelope leaves a gap for the disc."""
    seed, step = np.int64(L[SEED]), L[W]
    floor = L[Y] + 0.012 * np.sin(5 * x + seed)
    alpha = cover(y - floor, px)
    if alpha > 0:
        mix(L, B, B, 0.0, out)
        scaled(out, 0.92)
        if L[R] > 0:
            towards(out, L, C, 0.55)
    if y > floor + 2 * px or y < floor - 1.25 * L[H]:
        return alpha
    cell = np.int64(np.floor(x / step))
    for i in range(cell - 2, cell + 3):
        r1, r2, r3 = hashed(i, 1, seed), hashed(i, 2, seed), hashed(i, 3, seed)
        at = (i + 0.25 + 0.5 * r1) * step
        share = at / L[X]  # 0…1 across the picture
        if L[P] == 1:
            envelope = 1.15 - 0.6 * smooth(0.1, 0.9, share)
        elif L[P] == 2:
            envelope = 0.5 + 0.68 * smooth(0.08, 0.46, abs(share - 0.5))
        else:
            envelope = 1.0
        tall = L[H] * envelope * (0.78 + 0.32 * r2)
        if L[Q] == CONIFER:
            half = tall * (0.2 + 0.07 * r3)
            a = conifer(x - at, floor + 0.004 - y, half, tall, seed + i, px, L, tmp)
        else:
            half = tall * (0.36 + 0.08 * r3)
            a = crown(x - at, floor + 0.004 - y, half, tall, seed + i, px, L, tmp)
        if a > 0:
            tone = 1 + 0.2 * (hashed(i, 4, seed) - 0.5)
            total = a + alpha * (1 - a)
            for c in range(3):
                out[c] = (tmp[c] * tone * a + out[c] * alpha * (1 - a)) / total
            alpha = total
    return alpha


@njit(fastmath=True)
def tower(x, y, px, L, out):
    """A tower with a lit front, a side in the shade and windows that show more, the larger they are drawn."""
    u, v = x - L[X], y - (L[Y] - L[H])  # from its middle, from its roof
    half, cell, seed, roof = 0.5 * L[W], L[P], np.int64(L[SEED]), np.int64(L[R])
    d = min(half - abs(u), v)
    if roof == 1:  # a smaller storey and a mast
        d = max(d, min(0.6 * half - abs(u), v + 0.7 * cell))
        d = max(d, min(0.05 * half + 0.0012 - abs(u), v + 2.4 * cell))
    elif roof == 2:  # a slant
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
def cactus(x, y, px, L, out):
    u, v, w, tall = x - L[X], L[Y] - y, L[W], L[H]
    trunk, arm, reach = 0.17 * w, 0.12 * w, 0.37 * w
    d, middle, r = capsule(u, v, 0.0, -0.1 * tall, 0.0, tall - trunk, trunk), u, trunk
    for k in range(2):  # an arm: along, then up
        side, foot, top = (-reach, reach)[k], (0.36, 0.46)[k] * tall, (0.66, 0.8)[k] * tall
        along, up = capsule(u, v, 0.0, foot, side, foot, arm), capsule(u, v, side, foot, side, top, arm)
        if along > d:
            d, middle, r = along, v - foot, arm
        if up > d:
            d, middle, r = up, u - side if v > foot else min(u - side, v - foot), arm
    d = min(d, v)
    a = cover(d, px)
    if a <= 0:
        return 0.0
    lit = cover(middle - 0.15 * r, px)
    mix(L, B, A, lit, out)
    # Ribs, then spines in rows between them.
    f = (middle / r + 1) * 2.5
    t = f - np.floor(f)
    rib = seen(0.07 * r, px) * cover((0.09 - abs(t - 0.5)) * r / 2.5, px)
    scaled(out, 1 - 0.16 * rib)
    spine = motifs(STAR, middle, v, 0.3 * r, 1.0, 0.7, 9, px)
    for c in range(3):
        out[c] += 0.35 * spine * ((0.95, 0.9, 0.75)[c] - out[c])
    return a


@njit(fastmath=True)
def boat(x, y, px, L, out):
    u, v = (x - L[X]) / L[W], (L[Y] - y) / L[W]  # in its lengths, upwards
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


@njit(fastmath=True)
def waves(x, y, px, L, out):
    """Rows of pointed waves, wider apart towards the viewer."""
    d, deep = y - L[Y], 1.02 - L[Y]
    a = cover(d, px)
    if a <= 0:
        return 0.0
    n, seed = L[P], np.int64(L[SEED])
    row = np.int64(np.floor(n * np.sqrt(max(d, 0.0) / deep)))
    mix(L, A, B, clamp(d / deep) ** 0.7, out)
    for k in range(max(0, row - 1), row + 3):
        if k < 1:
            continue
        base = deep * (k / n) ** 2
        gap = deep * ((k + 1) / n) ** 2 - base
        wide = 2.1 * gap * (1 + 0.2 * hashed(k, 2, seed))
        t = x / wide + 7 * hashed(k, 1, seed)
        s = 1 - abs(np.sin(np.pi * t))
        lift = L[Q] * gap * s
        depth = (d - base + lift) * 0.8
        inside = cover(depth, px)
        if inside <= 0:
            break
        tone = clamp((k + (0.35 if k & 1 else -0.35)) / n)
        for c in range(3):
            body = L[A + c] * (1 - tone) + L[B + c] * tone
            out[c] = out[c] * (1 - inside) + body * inside
        foam = cover(0.24 * gap * (s - 0.2) - depth, px) * inside * seen(0.16 * gap, px)
        towards(out, L, C, 0.75 * foam)
    near = clamp(d / deep)
    z = 0.06 + near
    m = motifs(LENS, x / z, 2.2 * np.log(d / deep + 0.06), 0.3, 0.3, 0.3, seed + 4, px / z)
    towards(out, L, C, 0.22 * m)
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


@njit(fastmath=True)
def cover_of(x, y, px, L, out, tmp):
    """Coverage of one layer at a point; its colour goes to `out`."""
    kind = np.int64(L[KIND])
    if kind == HILL:
        return hill(x, y, px, L, out)
    if kind == DUNE:
        return dune(x, y, px, L, out)
    if kind == PEAK:
        return peak(x, y, px, L, out)
    if kind == TREES:
        return trees(x, y, px, L, out, tmp)
    if kind == TREE:
        return crown(x - L[X], L[Y] - y, 0.5 * L[W], L[H], np.int64(L[SEED]), px, L, out)
    if kind == TOWER:
        return tower(x, y, px, L, out)
    if kind == CACTUS:
        return cactus(x, y, px, L, out)
    if kind == BOAT:
        return boat(x, y, px, L, out)
    if kind == CLOUD:
        return cloud(x, y, px, L, out)
    if kind == WAVES:
        return waves(x, y, px, L, out)
    return fields(x, y, px, L, out)


@njit(fastmath=True)
def reflected(x, y, px, s, layers, stop, L, out, tmp, tmp2):
    """Calm water: the picture upside down from the horizon, broken by ripples."""
    d, deep = y - L[Y], 1.02 - L[Y]
    seed, z = np.int64(L[SEED]), 0.07 + d / deep
    lens = motif(LENS, x / z, 2.0 * np.log(z), 0.34, 0.42, 0.4, seed, px / z)
    lens = max(lens, 0.8 * motifs(LENS, x / z, 2.0 * np.log(z) + 0.1, 0.2, 0.3, 0.28, seed + 3, px / z))
    composite(x, L[Y] - d * 1.04, px, s, layers, stop, False, out, tmp, tmp2)
    k = L[Q] * (1 - 0.5 * smooth(0.0, 1.0, d / deep))
    for c in range(3):
        out[c] = out[c] * k + L[A + c] * (1 - k)
        out[c] = out[c] * (1 - 0.5 * lens) + 0.5 * lens * L[C + c]


@njit(fastmath=True)
def path_of_light(x, y, px, s, out):
    """Lenses of light on the water below the disc."""
    d = y - s[HORIZON]
    if s[DISC_R] <= 0 or d <= 0:
        return
    n = 17.0
    w = n * np.sqrt(d + 0.002)
    k = np.floor(w)
    i = np.int64(k)
    tall = (2 * k + 1) / (n * n)
    middle = ((k + 0.5) / n) ** 2
    wide = (0.55 + 0.5 * hashed(i, 1, 3)) * (0.055 + 0.2 * d)
    u = (x - s[DISC_X] - 0.2 * (hashed(i, 2, 3) - 0.5) * wide) / wide
    if abs(u) < 1:
        a = cover((0.34 * tall * (1 - u * u) - abs(d - middle)) * 0.95, px)
        for c in range(3):
            out[c] += a * 0.9 * (s[DISC + c] - out[c])


@njit(fastmath=True)
def composite(x, y, px, s, layers, stop, disc, out, tmp, tmp2):
    """Layers from the nearest to the farthest (the rows before `stop`), then the sky."""
    r, g, b, left = 0.0, 0.0, 0.0, 1.0
    for i in range(stop - 1, -1, -1):
        L = layers[i]
        if y < L[TOP] or x < L[LEFT] or x > L[RIGHT]:
            continue
        if y > L[Y] + 2 * px and (L[KIND] == TOWER or L[KIND] == CACTUS or L[KIND] == CLOUD or L[KIND] == TREE or L[KIND] == BOAT) and y > L[Y] + 0.08 * L[W]:
            continue
        a = cover_of(x, y, px, L, tmp, tmp2)
        if a > 0:
            r += left * a * tmp[0]
            g += left * a * tmp[1]
            b += left * a * tmp[2]
            left *= 1 - a
            if left < 0.002:
                break
    if left >= 0.002:
        sky(x, min(y, s[HORIZON]), px, s, disc, tmp)
        r += left * tmp[0]
        g += left * tmp[1]
        b += left * tmp[2]
    out[0], out[1], out[2] = r, g, b


@njit(fastmath=True, cache=True)
def draw_window(height, top, left, h, w, mirror, aspect, s, layers, water):
    """`layers` from far to near; `water` is the row of the water layer, −1 for none: rows before it are mirrored in it."""
    px = 1.0 / height
    out = np.empty((h, w, 3), np.float32)
    col, tmp, tmp2, near = np.empty(3), np.empty(3), np.empty(3), np.empty(3)
    n = layers.shape[0]
    for i in range(h):
        y = (top + i + 0.5) * px
        for j in range(w):
            x = (left + j + 0.5) * px
            if mirror:
                x = aspect - x
            if water >= 0:
                # What stands in front of the water.
                r, g, b, rest = 0.0, 0.0, 0.0, 1.0
                for k in range(n - 1, water, -1):
                    L = layers[k]
                    if y < L[TOP] or x < L[LEFT] or x > L[RIGHT]:
                        continue
                    a = cover_of(x, y, px, L, tmp, tmp2)
                    if a > 0:
                        r += rest * a * tmp[0]
                        g += rest * a * tmp[1]
                        b += rest * a * tmp[2]
                        rest *= 1 - a
                        if rest < 0.002:
                            break
                if rest >= 0.002:
                    L = layers[water]
                    cov = cover(y - L[Y], px)
                    col[0], col[1], col[2] = 0.0, 0.0, 0.0
                    if cov > 0:
                        if L[KIND] == WATER:
                            reflected(x, max(y, L[Y]), px, s, layers, water, L, near, tmp, tmp2)
                        else:
                            waves(x, y, px, L, near)
                        path_of_light(x, y, px, s, near)
                        for c in range(3):
                            col[c] += cov * near[c]
                    if cov < 1:
                        composite(x, y, px, s, layers, water, True, near, tmp, tmp2)
                        for c in range(3):
                            col[c] += (1 - cov) * near[c]
                    r += rest * col[0]
                    g += rest * col[1]
                    b += rest * col[2]
                col[0], col[1], col[2] = r, g, b
            else:
                composite(x, y, px, s, layers, n, True, col, tmp, tmp2)
            for c in range(3):
                out[i, j, c] = clamp(col[c])
    return out

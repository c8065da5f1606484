"""Trees and cacti."""

import numpy as np
from numba import njit

from columns import A, B, C, CONIFER, H, P, Q, R, SEED, W, X, Y, mix, scaled, towards
from shapes import LEAF, LENS, STAR, box, capsule, cover, hashed, motifs, seen, smooth, triangle, zigzag


@njit(fastmath=True)
def conifer(x, y, half, tall, seed, px, L, out):
    """Four tiers of branches on a trunk; x from its middle, y upwards from its foot."""
    if abs(x) > half + px or y > tall + px or y < -px:
        return 0.0
    trunk = cover(box(x, y - 0.1 * tall, 0.1 * half + 0.0005, 0.1 * tall), px)
    best, tier = -1.0, 0
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
    # Each tier is shaded by the one above.
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
    best, light = -1.0, -1.0
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

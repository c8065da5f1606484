"""Anti-aliased shapes: hashes, coverages of one pixel, and motifs scattered over a plane.

A distance is positive inside a shape and in units of the picture's height, like `px`, the side of a pixel.
Detail smaller than a few pixels fades out, so every drawing holds just what its size can show.
"""

import numpy as np
from numba import njit

LENS, TUFT, STAR, FLOWER, STONE, LEAF = range(6)


@njit(inline="always")
def hashed(ix, iy, seed):
    h = (ix * 374761393 + iy * 668265263 + seed * 974634777) & 0xFFFFFFFF
    h = ((h ^ (h >> 13)) * 1274126177) & 0xFFFFFFFF
    h = ((h ^ (h >> 16)) * 2246822519) & 0xFFFFFFFF
    return ((h ^ (h >> 13)) & 0xFFFFFF) / 16777216.0


@njit(inline="always")
def clamp(v):
    return 0.0 if v < 0 else 1.0 if v > 1 else v


@njit(inline="always")
def smooth(a, b, x):
    t = clamp((x - a) / (b - a))
    return t * t * (3 - 2 * t)


@njit(inline="always")
def cover(d, px):
    """How much of a pixel lies inside an edge at distance `d`."""
    return clamp(d / px + 0.5)


@njit(inline="always")
def seen(size, px):
    """0 for detail too small to draw, 1 for detail that shows in full."""
    return smooth(3.5, 8.0, size / px)


@njit(inline="always")
def zigzag(x, seed):
    """A line of random straight pieces, −1…1, one piece to a unit."""
    f = np.floor(x)
    i = np.int64(f)
    a, b = hashed(i, 3, seed), hashed(i + 1, 3, seed)
    return 2 * (a + (b - a) * (x - f)) - 1


@njit(fastmath=True)
def jagged(x, piece, seed, px, levels):
    """Zigzags of ever shorter pieces, the first `piece` long; those too short to see fade out."""
    total, gain = 0.0, 0.62
    for k in range(levels):
        k_seen = seen(piece, px)
        if k > 0 and k_seen <= 0:
            break
        total += gain * (1.0 if k == 0 else k_seen) * zigzag(x / piece, seed + k)
        gain *= 0.4
        piece *= 0.4
    return total


@njit(fastmath=True)
def facets(v, width, seed):
    """A random tone, −1…1, for each unit of `v`, with edges `width` wide."""
    f = np.floor(v)
    i, t = np.int64(f), v - f
    tone = hashed(i, 5, seed)
    if t > 0.5:
        k = clamp((t - 1) / width + 0.5)
        tone = tone * (1 - k) + hashed(i + 1, 5, seed) * k
    else:
        k = clamp(0.5 - t / width)
        tone = tone * (1 - k) + hashed(i - 1, 5, seed) * k
    return 2 * tone - 1


@njit(fastmath=True)
def triangle(x, y, half, tall):
    """A triangle on its base at 0, y upwards."""
    slant = np.sqrt(half * half + tall * tall)
    return min(y, (half * (1 - y / tall) - abs(x)) * tall / slant)


@njit(fastmath=True)
def capsule(x, y, x0, y0, x1, y1, r):
    dx, dy = x1 - x0, y1 - y0
    t = clamp(((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy))
    return r - np.sqrt((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2)


@njit(fastmath=True)
def box(x, y, half, tall):
    return min(half - abs(x), tall - abs(y))


@njit(fastmath=True)
def one_motif(kind, u, v, r1, r2):
    """Distance inside a motif about the middle of its cell, whose side is 1; v downwards."""
    if kind == LENS:
        a = 0.2 + 0.26 * r1
        return 0.16 * (1 - (u / a) ** 2) - abs(v)
    if kind == TUFT:
        d = -1.0
        for k in range(3):
            lean = 0.34 * (k - 1)
            tall = 0.5 + 0.2 * r1 if k == 1 else 0.4
            t = 0.3 - v
            d = max(d, min(t, 0.09 * (1 - t / tall) - abs(u - 0.07 * (k - 1) - lean * t * t / tall)))
        return d
    if kind == STAR:
        return 0.5 * (0.2 + 0.2 * r1 - (np.sqrt(abs(u)) + np.sqrt(abs(v))) ** 2)
    if kind == FLOWER:
        rho = np.sqrt(u * u + v * v)
        return (0.2 + 0.08 * r1) * (0.78 + 0.22 * np.cos(5 * np.arctan2(v, u) + 6 * r2)) - rho
    if kind == STONE:
        a, b = 0.22 + 0.14 * r1, 0.16 + 0.1 * r2
        return min(0.2 - v, b * (1 - ((u / a) ** 2 + ((0.2 - v) / (1.6 * b)) ** 2)))
    c, s = np.cos(6.3 * r1), np.sin(6.3 * r1)
    p, q = c * u + s * v, c * v - s * u
    return 0.16 * (1 - (p / 0.36) ** 2) - abs(q)


@njit(fastmath=True)
def motif(kind, x, y, cell, flat, share, seed, px):
    """Coverage of motifs, at most one to each cell `cell` wide and `flat` times as tall."""
    visible = seen(0.5 * cell * (flat if kind == LENS else 1.0), 1.5 * px)
    if visible <= 0:
        return 0.0
    gy = y / (cell * flat)
    iy = np.int64(np.floor(gy))
    gx = x / cell + 0.5 * (iy & 1)
    ix = np.int64(np.floor(gx))
    if hashed(ix, iy, seed) > share:
        return 0.0
    r1, r2 = hashed(ix, iy, seed + 1), hashed(ix, iy, seed + 2)
    u, v = gx - ix - 0.5 - 0.1 * (r2 - 0.5), gy - iy - 0.5 - 0.2 * (r1 - 0.5)
    return visible * cover(one_motif(kind, u, v, r1, r2) * cell * flat, px)


@njit(fastmath=True)
def motifs(kind, x, y, cell, flat, share, seed, px):
    """Motifs of ever smaller cells: the larger the drawing, the more of them it shows."""
    total, k = 0.0, 0
    while k < 6:
        if seen(0.5 * cell, 1.5 * px) <= 0:
            break
        total = max(total, motif(kind, x + 0.37 * k, y + 0.19 * k, cell, flat, share, seed + 11 * k, px))
        cell *= 0.38
        k += 1
    return total

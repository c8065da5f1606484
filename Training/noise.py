"""Fractal noise whose octaves end at the size of a pixel."""

import numpy as np
from numba import njit


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


@njit(inline="always")
def smooth(a, b, x):
    t = (x - a) / (b - a)
    t = 0.0 if t < 0 else 1.0 if t > 1 else t
    return t * t * (3 - 2 * t)

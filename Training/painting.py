"""Paints any rectangle of a scene from its numbers: layers of shapes, composited from near to far over the sky."""

import numpy as np
from numba import njit

from columns import (A, B, BOAT, C, CACTUS, CLOUD, DISC, DISC_R, DISC_X, DISC_Y, DUNE, GLOW, GLOWING, H, HILL, HORIZON, KIND, LEFT, LOW_COLOUR, MIDDLE_COLOUR, MOON,
                     P, PEAK, Q, RIGHT, SEED, STARS, TOP, TOP_COLOUR, TOWER, TREE, TREES, W, WATER, WAVES, X, Y, mix, towards)
from land import dune, fields, hill, peak
from objects import boat, cloud, tower
from plants import cactus, crown, trees
from shapes import LENS, STAR, STONE, clamp, cover, hashed, motif, motifs, seen, smooth


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

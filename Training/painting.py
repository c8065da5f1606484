"""Paints any rectangle of a scene from its numbers: sky, layers from far to near, water and ground."""

import numpy as np
from numba import njit

from noise import fbm, hashed, smooth, value_noise

# Profiles of a layer's upper edge, and textures of what lies below it.
# From SAIL on, a layer is one thing that stands at L[3], L[5] wide, and ends at its base.
HILLS, CONIFERS, CROWNS, SAIL, TREE, PEAK, DUNE, TOWER, CACTUS = range(9)
ROCK, SAND, FOLIAGE, MEADOW, CLOTH, STONE, SLOPE, FACADE, PLANT = range(9)
NO_GROUND, WATER, GRASS = range(3)


@njit(fastmath=True)
def edge_height(profile, x, freq, seed, px):
    """Height of a layer's edge above its base, 0…1."""
    if profile == HILLS:
        return 0.5 + fbm(x * freq, 0.5, seed, px * freq, 3) + 0.04 * fbm(x * freq * 9, 1.5, seed + 9, px * freq * 9, 5)
    if profile >= SAIL:
        u = (x - freq) / 0.5
        if profile == SAIL:
            e = -10.0
            if abs(u) < 1:
                e = 0.16 * (1 - max(0.0, abs(u) - 0.85) / 0.15)
            if -0.08 < u < 0.8:
                e = max(e, 1 - (u + 0.08) / 0.88)
            if -0.85 < u < -0.12:
                e = max(e, 0.85 * (u + 0.85) / 0.73)
            return e
        if abs(u) >= 1:
            return -10.0
        if profile == PEAK:
            return 1 - abs(u) + 0.16 * min(1.0, 5 * abs(u)) * fbm(u * 2.4, 0.5, seed, px * 8, 10)
        if profile == DUNE:
            return (1 + u) ** 1.6 if u < 0 else (1 - u) ** 1.3
        if profile == TOWER or profile == CACTUS:
            return 1.0
        return 0.62 + 0.38 * np.sqrt(1 - u * u) + 0.07 * fbm(u * 4, 0.5, seed, px * 8, 8)
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
        else:
            centre, tall, half = (i + 0.2 + 0.6 * r1) / freq, 0.55 + 0.45 * r2, (0.5 + 0.4 * r3) / freq
            t = abs(x - centre) / half
            if t < 1:
                leaf = 0.12 * fbm(x * freq * 8, i * 1.7, seed + 5, px * freq * 8, 5)
                best = max(best, tall * np.sqrt(1 - t * t) + leaf)
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
        grid = 26.0
        cx, cy = np.int64(np.floor(x * grid)), np.int64(np.floor(y * grid))
        for iy in range(cy - 1, cy + 2):
            for ix in range(cx - 1, cx + 2):
                if hashed(ix, iy, 77) < 0.16:
                    px_, py_ = (ix + hashed(ix, iy, 78)) / grid, (iy + hashed(ix, iy, 79)) / grid
                    r = 0.0022 + 0.0030 * hashed(ix, iy, 80) ** 2
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
        n = fbm(x * 2.4 / depth + s[21], y * 5.0 / depth, 300 + np.int64(s[21]), px * 5.0 / depth, 8)
        density = smooth(0.28 - 0.62 * cover, 0.62 - 0.5 * cover, n + 0.12)
        if density > 0:
            veil = np.exp(-((d / (1.7 * radius)) ** 2)) if radius > 0 else 0.0  # clouds part before sun and moon
            lit = smooth(-0.25, 0.5, n - fbm((x + 0.02) * 2.4 / depth + s[21], (y - 0.03) * 5.0 / depth, 300 + np.int64(s[21]), px * 5.0 / depth, 4) + 0.12)
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
        f = 24.0
        warp = 0.35 * fbm(x * 9, y * 9, seed + 50, px * 9, 3)
        a = fbm(x * f + warp, y * f * 0.6 - warp, seed + 60, px * f, 9)
        b = fbm((x + 0.006 * towards) * f + warp, (y - 0.005) * f * 0.6 - warp, seed + 60, px * f, 7)
        shade = 0.9 * (a - b) + 0.25 * a - 0.24 * slope * towards
        mix = smooth(-0.5, 0.5, a)
        snow = L[14]
        k = 0.0
        if snow > 0:
            altitude = (L[1] - y) / L[2]
            k = smooth(0.97 - snow, 1.03 - snow, altitude + 0.22 * a)
    elif texture == SAND:
        a = fbm(x * 5, y * 9, seed + 60, px * 9, 7)
        phase = (y * 95 + 7 * fbm(x * 4, y * 6, seed + 61, px * 6, 4) + x * 12)
        ripple = np.sin(phase * 3.0) * max(0.0, 1 - px * 95 * 3 / 2.0)
        shade = 0.22 * a + 0.05 * ripple - 1.5 * slope * towards * smooth(0.25, 0.0, depth)
        mix = smooth(-0.4, 0.5, a + 0.8 * depth)
        k = 0.0
    elif texture == FOLIAGE:
        f = 34.0
        a = fbm(x * f * 1.4, y * f * 0.8, seed + 60, px * f, 8)
        shade = 0.6 * a + 0.4 * smooth(0.12, 0.0, depth) - 0.2
        mix = smooth(-0.35, 0.45, fbm(x * 11, y * 11, seed + 63, px * 11, 5))
        snow = L[14]
        k = 0.0
        if snow > 0:
            k = smooth(0.35, 0.75, 0.4 * a + smooth(0.12, 0.0, depth)) * 0.9
    elif texture == STONE:  # a side in the light, a side in shadow, and a white cap that takes the light's colour
        u, altitude = 2 * (x - L[3]) / L[5], (L[1] - y) / L[2]
        low = max(0.0, 1 - altitude)
        spine = 0.1 * low + 0.22 * low * fbm(altitude * 2.2, 0.3, seed + 50, px * 2.2 / L[2], 6)
        f = 24.0
        warp = 0.35 * fbm(x * 9, y * 9, seed + 51, px * 9, 3)
        a = fbm(x * f + warp, y * f * 0.6 - warp, seed + 60, px * f, 9)
        light = smooth(-0.04, 0.04, u - spine + 0.04 * a)
        teeth = 0.24 * fbm(u * 3.2, 0.7, seed + 52, px * 3.2, 6) + 0.04 * a
        white = smooth(-0.025 - 2 * px, 0.025 + 2 * px, altitude - L[14] - teeth)
        for c in range(3):
            rock = (L[7 + c] * (1 - light) + L[10 + c] * light) * (1 + 0.4 * a) * s[32 + c]
            snow = s[35 + c] * (0.97 * light + (1 - light) * (0.46 + 0.1 * c)) * (1 + 0.12 * a)
            v = rock * (1 - white) + snow * white
            out[c] = v * (1 - L[13]) + s[7 + c] * L[13]
        return
    elif texture == SLOPE:  # of a dune: a winding crest parts light and shadow
        u, altitude = 2 * (x - L[3]) / L[5], (L[1] - y) / L[2]
        low = max(0.0, 1 - altitude)
        crest = 0.16 * np.sin(low * 7.0) * low - 0.1 * low + 0.06 * low * fbm(altitude * 4, 0.3, seed + 50, px * 4 / L[2], 6)
        mix = smooth(-0.02 - 2 * px, 0.02 + 2 * px, u - crest)
        a = fbm(x * 5, y * 9, seed + 60, px * 9, 7)
        phase = (y * 95 + 7 * fbm(x * 4, y * 6, seed + 61, px * 6, 4) + x * 12)
        ripple = np.sin(phase * 3.0) * max(0.0, 1 - px * 95 * 3 / 2.0)
        shade = 0.12 * a + 0.05 * ripple - 0.12 * low * mix
        k = 0.0
    elif texture == FACADE:
        cell = L[14]  # the side of a window with its wall
        wide = max(1.0, np.round(L[5] / cell))
        wx, wy = (x - L[3] + 0.5 * L[5]) / L[5] * wide, (y - L[1] + L[2]) / cell - 0.15
        fx, fy = wx - np.floor(wx), wy - np.floor(wy)
        e = 0.5 * px / cell
        pane = smooth(0.2 - e, 0.2 + e, fx) * (1 - smooth(0.8 - e, 0.8 + e, fx)) * smooth(0.2 - e, 0.2 + e, fy) * (1 - smooth(0.84 - e, 0.84 + e, fy))
        if wy < 0 or y > L[1] - 0.2 * cell:
            pane = 0.0
        # Bars of a window, then finer and finer ones: a larger picture shows more of them.
        bars = 2.0
        for _ in range(4):
            thin = 1 - smooth(0.1, 0.4, px / cell * bars)
            bx, by = fx * bars * 2 - np.floor(fx * bars * 2), fy * bars - np.floor(fy * bars)
            if thin > 0:
                pane *= 1 - 0.4 * thin * (1 - smooth(0.0, 0.16, min(min(bx, 1 - bx), min(by, 1 - by))))
            bars *= 3
        lit = hashed(np.int64(np.floor(wx)), np.int64(np.floor(wy)), seed + 8) < s[31]
        shade = 0.16 * fbm(x * 40, y * 40, seed + 62, px * 40, 8) + (0.12 if x > L[3] + 0.25 * L[5] else 0.0)
        for c in range(3):
            wall = L[7 + c] * (1 + shade) * s[32 + c]
            glass = s[7 + c] * (0.95 - 1.15 * s[31])  # shows the sky, where nobody is at home
            if lit:
                glass = 1.0 if c == 0 else 0.84 if c == 1 else 0.42
            v = wall * (1 - pane) + glass * pane
            out[c] = v * (1 - L[13]) + s[7 + c] * L[13]
        return
    elif texture == PLANT:
        a = fbm(x * 60, y * 12, seed + 60, px * 60, 7)
        mix = smooth(-0.03, 0.03, x - L[3])
        shade = 0.3 * a
        k = 0.0
    elif texture == CLOTH:
        altitude = (L[1] - y) / L[2]
        mix = 1.0 if altitude < 0.17 else 0.0
        shade = 0.2 + 0.2 * fbm(x * 60, y * 25, seed + 60, px * 60, 7)
        k = 0.0
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
def within(x, y, x0, y0, x1, y1, r):
    """How deep a point lies in the capsule of radius r about a segment; below 0 outside."""
    dx, dy = x1 - x0, y1 - y0
    t = min(1.0, max(0.0, ((x - x0) * dx + (y - y0) * dy) / (dx * dx + dy * dy)))
    return r - np.sqrt((x - x0 - t * dx) ** 2 + (y - y0 - t * dy) ** 2)


@njit(fastmath=True)
def cactus(x, y, wide, tall):
    """How deep a point lies in a cactus with two arms that stands at 0, y upwards."""
    trunk, arm, reach = 0.16 * wide, 0.12 * wide, 0.38 * wide
    d = within(x, y, 0.0, 0.0, 0.0, tall - trunk, trunk)
    d = max(d, within(x, y, 0.0, 0.38 * tall, -reach, 0.38 * tall, arm))
    d = max(d, within(x, y, -reach, 0.38 * tall, -reach, 0.7 * tall, arm))
    d = max(d, within(x, y, 0.0, 0.5 * tall, reach, 0.5 * tall, arm))
    return max(d, within(x, y, reach, 0.5 * tall, reach, 0.84 * tall, arm))


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
        trunk = False
        if layers[i, 0] >= SAIL:  # things that end where they stand; a tree has a trunk
            if y > layers[i, 1]:
                continue
            if layers[i, 0] == TREE:
                trunk = y > layers[i, 1] - 0.32 * layers[i, 2]
                if trunk and abs(x - layers[i, 3]) > 0.1 * layers[i, 5]:
                    continue
            if layers[i, 0] == CACTUS:
                a = min(a, cactus(x - layers[i, 3], layers[i, 1] - y, layers[i, 5], layers[i, 2]) / px + 0.5)
                if a <= 0:
                    continue
        if a > 1:
            a = 1.0
        layer_colour(x, y, max(depth, 0.0), slopes[i, j], px, s, layers[i], tmp)
        if trunk:
            for c in range(3):
                tmp[c] = (0.34 if c == 0 else 0.21 if c == 1 else 0.12) * (0.75 + 0.5 * tmp[1]) * s[32 + c]
        for c in range(3):
            out[c] = out[c] * (1 - a) + tmp[c] * a


@njit(fastmath=True)
def ground_colour(x, y, px, s, g, out):
    d = y - s[0] + 0.012
    seed = np.int64(g[0])
    gx, gz = (x - 0.7) * 0.35 / d, 0.35 / d
    fp = px * 0.35 / (d * d) * 0.5 + px * 0.35 / d
    a = fbm(gx * 9, gz * 5, seed, fp * 6, 8)
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
            if profile >= SAIL:  # things: as wide as L[5], at L[3]
                edges[i, j] = L[1] - L[2] * edge_height(profile, 0.5 * (x - L[3]) / (0.5 * L[5]), 0.0, seed, px)
                slopes[i, j] = 0.0
                continue
            e = edge_height(profile, x, L[3], seed, px)
            step = 0.03
            slope = 0.0
            if profile == HILLS:
                slope = (edge_height(profile, x + step, L[3], seed, max(px, step)) - edge_height(profile, x - step, L[3], seed, max(px, step))) * L[2] / (2 * step)
                slope = -min(2.0, max(-2.0, slope))
            ground_line = L[1] + L[5] * fbm(x * 3, 0.3, seed + 40, px * 3, 5)
            edges[i, j] = ground_line - L[2] * e
            slopes[i, j] = slope
    mirrored = s.copy()  # water shows the light's path, not a second disc
    mirrored[12] = 0.0
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
                composite(xr, yr, jr, max(px, fp), mirrored, layers, edges, slopes, 0, back, False, col, tmp)
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
                ground_colour(x, y, px, s, g, col)
            else:
                composite(x, y, j, px, s, layers, edges, slopes, 0, back, False, col, tmp)
            composite(x, y, j, px, s, layers, edges, slopes, back, n, True, col, tmp)
            for c in range(3):
                out[i, j, c] = min(1.0, max(0.0, col[c]))
    return out

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

from painting import (CONIFERS, CROWNS, DUNES, FACADE, FOLIAGE, GRASS, HILLS, MEADOW, NO_GROUND, PEAKS, ROCK, SAND, TOWERS, WATER,
                      draw_window)

SCENES = ("mountains", "lake", "sea", "desert", "forest", "city", "plain")
TIMES = ("dawn", "day", "sunset", "night")
# Compositions of each scene: what lies where. Colours, light, clouds and season vary freely. A small model
# that sees each composition often learns its outlines; of thousands it learns their mean.
COMPOSITIONS = 16
SEASONS = ("spring", "summer", "autumn", "winter")


def rgb(text):
    return np.array([int(text[i:i + 2], 16) / 255 for i in (0, 2, 4)])


# Zenith, middle and horizon of the sky; light on the land; cloud shadow and cloud light.
SKIES = {
    "dawn": [("6f86b8", "c9b3cf", "f6cdb6"), ("7a90c4", "d9b4c8", "fbd9c0"), ("8b9fcb", "e3c4d4", "fde3cd")],
    "day": [("2f74c9", "7db4e8", "d3e8f5"), ("2467bd", "64a5e3", "c5e2f5"), ("3c86d0", "8fc4ec", "e2f0f6")],
    "sunset": [("3b3470", "c9526a", "ff9d45"), ("4a2f66", "e0574f", "ffb04a"), ("2e3a78", "b2507e", "ff8a3c")],
    "night": [("050a1e", "0c1a3e", "1d315e"), ("04071a", "0a1533", "182a52"), ("070d28", "10224c", "243b6b")],
}
LIGHT = {"dawn": (0.86, 0.76, 0.80), "day": (1.0, 1.0, 0.98), "sunset": (0.82, 0.56, 0.46), "night": (0.32, 0.38, 0.58)}
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
        clouds = fixed.get("clouds") or str(rng.choice(["clear", "some", "cloudy"], p=[0.45, 0.35, 0.2]))
        snow = season == "winter" and scene not in ("sea", "desert")
        stars = time == "night" and clouds != "cloudy"
        attributes = dict(scene=scene, time=time, season=season, body=body, clouds=clouds, snow=bool(snow), stars=bool(stars))
        attributes["backdrop"] = "none"
        plan = np.random.default_rng((SCENES.index(scene), rng.integers(COMPOSITIONS)))
        u = lambda a, b: plan.uniform(a, b)

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
        s[12] = {"sun": u(0.058, 0.085), "moon": u(0.056, 0.08), "none": 0.0}[body]
        s[13:16] = {"dawn": (1, .85, .75), "day": (1, .97, .85), "sunset": (1, .6, .3), "night": (.55, .65, .9)}[time]
        s[16] = {"dawn": 0.3, "day": 0.3, "sunset": 0.4, "night": 0.2}[time]
        s[17:20] = {"dawn": (1, .78, .45), "day": (1, .95, .6), "sunset": (1, .88, .45), "night": (.96, .96, .9)}[time]
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
            layers.append([profile, base, amp, freq, plan.integers(1, 100000), wander, texture, *np.clip(a + tint, 0, 1),
                           *np.clip(b + tint, 0, 1), haze, snow_line])

        rock = [("5b5f6b", "8a8378"), ("6a5f57", "988b7c"), ("4f5866", "7d8694")][rng.integers(3)]
        leaf, meadow = FOLIAGE_COLOURS[season], MEADOW_COLOURS[season]
        white = 1.0 if snow else 0.0

        def mountains(base, n, tall):
            for k in range(n):
                f = k / max(1, n - 1) if n > 1 else 1.0
                caps = 0.75 if snow else u(0.35, 0.5) if tall > 0.33 else 0.0
                layer(PEAKS, base, tall * (1 - 0.35 * f) * u(0.9, 1.1), u(1.3, 2.0) + 0.8 * f, ROCK, *rock, 0.5 * (1 - f) + 0.05, caps)

        def wood(base, tall, freq, haze):
            crowns = season in ("spring", "autumn") and plan.random() < 0.8
            colours = leaf if crowns else (leaf if season != "autumn" else ("2f4a2a", "6d6a2e"))
            layer(CROWNS if crowns else CONIFERS, base, tall, freq, FOLIAGE, *colours, haze, white, wander=0.03)

        ground, g = NO_GROUND, np.zeros(13)
        g[0] = plan.integers(1, 100000)
        if scene == "mountains":
            attributes["backdrop"] = "none"
            mountains(horizon + 0.05, int(plan.integers(2, 4)), u(0.62, 0.85))
            back = len(layers)
            layer(HILLS, horizon + 0.16, 0.1, u(1.0, 1.8), MEADOW, *meadow, 0.08, white)
            if plan.random() < 0.6:
                wood(u(0.98, 1.05), u(0.12, 0.2), u(9, 14), 0.0)
        elif scene in ("lake", "sea"):
            ground = WATER
            if scene == "lake":
                attributes["backdrop"] = str(plan.choice(["mountains", "forest"], p=[0.65, 0.35]))
                if attributes["backdrop"] == "mountains":
                    mountains(horizon + 0.02, 2, u(0.4, 0.6))
                else:
                    layer(HILLS, horizon, 0.16, u(1, 2), FOLIAGE, *leaf, 0.45, white)
                wood(horizon + 0.008, u(0.06, 0.16), u(10, 18), 0.12)
            elif plan.random() < 0.3:
                attributes["backdrop"] = "island"
                layer(HILLS, horizon + 0.03, u(0.07, 0.12), u(1.1, 1.8), ROCK, *rock, 0.5)
            back = len(layers)
            g[1:4] = rgb(["1c4a6e", "1d5a6b", "234f5c"][rng.integers(3)]) * (1.2 if time == "day" else 1)
            g[7] = u(0.15, 0.35) if scene == "lake" else u(0.4, 0.7)
            g[8] = u(0.78, 0.9) if scene == "lake" else u(0.5, 0.62)
            g[9] = 0.3 if scene == "lake" else 0.9
            if scene == "lake" and plan.random() < 0.35:
                layer(HILLS, 1.0, u(0.05, 0.1), u(1, 2), MEADOW, *meadow, 0.0, white)
        elif scene == "desert":
            sand = [("d9a766", "c28a4a"), ("e2b878", "cf9c5a"), ("d18f52", "b5723c")][rng.integers(3)]
            if plan.random() < 0.35:
                attributes["backdrop"] = "mountains"
                layer(PEAKS, horizon + 0.03, u(0.14, 0.24), u(1.6, 2.4), ROCK, "8a5a44", "a8755a", 0.5)
            back = len(layers)
            for k in range(4):
                f = k / 3
                layer(HILLS, horizon + 0.05 + 0.42 * f, 0.10 + 0.12 * f, u(0.9, 1.5), SAND, *sand, 0.4 * (1 - f))
        elif scene == "forest":
            if plan.random() < 0.4:
                attributes["backdrop"] = "mountains"
                mountains(horizon - 0.05, 1, u(0.3, 0.4))
            back = len(layers)
            for k in range(4):
                f = k / 3
                wood(horizon - 0.02 + 0.42 * f, u(0.16, 0.24) + 0.3 * f, u(11, 14) - 7 * f, 0.55 * (1 - f) ** 1.3)
        elif scene == "city":
            if plan.random() < 0.4:
                attributes["backdrop"] = "river"
                ground = WATER
                horizon = s[0] = u(0.66, 0.74)
                g[1:4], g[7], g[8], g[9] = rgb("24465e"), 0.45, 0.72, 0.3
            base = horizon if ground == WATER else 1.0
            layer(TOWERS, base, u(0.5, 0.62) * base, u(5.5, 7), FACADE, "6f7a8a", "929ca8", 0.4)
            layer(TOWERS, base, u(0.42, 0.55) * base, u(4.5, 6), FACADE, "5d6675", "a0917f", 0.12)
            if ground != WATER:
                layer(TOWERS, base, u(0.25, 0.32), u(4, 5), FACADE, "4a5160", "a88e76", 0.0)
            back = len(layers)
        else:
            ground = GRASS
            u1 = plan.random()
            if u1 < 0.35:
                attributes["backdrop"] = "mountains"
                layer(PEAKS, horizon + 0.01, u(0.12, 0.2), u(1.6, 2.4), ROCK, *rock, 0.55, 0.0 if not snow else 0.6)
            elif u1 < 0.7:
                attributes["backdrop"] = "hills"
                layer(HILLS, horizon + 0.02, u(0.05, 0.09), u(1.0, 2.0), MEADOW, *meadow, 0.4, white)
            back = len(layers)
            g[1:4], g[4:7] = rgb(meadow[0]), rgb(meadow[1])
            if season == "spring" and plan.random() < 0.7:
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

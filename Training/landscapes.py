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

from painting import (CACTUS, CLOTH, CONIFERS, CROWNS, DUNE, FACADE, FOLIAGE, GRASS, HILLS, MEADOW, NO_GROUND, PEAK, PLANT, ROCK, SAIL, SAND,
                      SLOPE, STONE, TOWER, TREE, WATER, draw_window)

SCENES = ("mountains", "lake", "sea", "desert", "forest", "city", "plain")
TIMES = ("dawn", "day", "sunset", "night")
# What a scene may have behind or below it. All else that composes a picture is the same in each drawing of a scene;
# colours, light, clouds and season vary freely. A small model that sees a composition often learns its outlines;
# of thousands it learns their mean.
BACKDROPS = {"mountains": ("none",), "lake": ("mountains", "forest"), "sea": ("island", "none", "none"), "desert": ("mountains", "none", "none"),
             "forest": ("mountains", "none", "none"), "city": ("river", "none"), "plain": ("mountains", "hills", "none")}
PLANS = {"mountains": 0, "lake": 5, "sea": 5, "desert": 2, "forest": 5, "city": 2, "plain": 6}  # seeds of the compositions
# Where sun or moon stands: high, and low in the morning or evening. One place for each, or the model draws two.
DISCS = {"mountains": ((0.8, 0.15), (0.8, 0.2)), "lake": ((0.76, 0.15), (0.76, 0.2)), "sea": ((0.74, 0.2), (0.72, 0.3)),
         "desert": ((0.76, 0.16), (0.76, 0.22)), "forest": ((0.76, 0.15), (0.76, 0.2)), "city": ((0.82, 0.15), (0.82, 0.2)),
         "plain": ((0.72, 0.17), (0.7, 0.3))}
CLOUD_FIELDS = 12
SNOWLIGHT = {"dawn": (1.0, 0.93, 0.9), "day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.74, 0.64), "night": (0.66, 0.74, 0.95)}
SEASONS = ("spring", "summer", "autumn", "winter")


def rgb(text):
    return np.array([int(text[i:i + 2], 16) / 255 for i in (0, 2, 4)])


# Zenith, middle and horizon of the sky; light on the land; cloud shadow and cloud light.
SKIES = {
    "dawn": [("6f86b8", "c9b3cf", "f6cdb6"), ("7a90c4", "d9b4c8", "fbd9c0"), ("8b9fcb", "e3c4d4", "fde3cd")],
    "day": [("2f74c9", "7db4e8", "d3e8f5"), ("2467bd", "64a5e3", "c5e2f5"), ("3c86d0", "8fc4ec", "e2f0f6")],
    "sunset": [("3b3470", "c9526a", "ff9d45"), ("4a2f66", "e0574f", "ffb04a"), ("2e3a78", "b2507e", "ff8a3c")],
    "night": [("060b22", "12244f", "3f5f9c"), ("050a20", "101f47", "35548f"), ("080f2c", "162a5a", "4a6aa6")],
}
LIGHT = {"dawn": (0.92, 0.83, 0.86), "day": (1.0, 1.0, 0.98), "sunset": (0.88, 0.66, 0.54), "night": (0.42, 0.48, 0.70)}
CLOUDS = {
    "dawn": ("b79ab0", "ffe1d8"), "day": ("b9c6d6", "ffffff"), "sunset": ("7a3f5e", "ff9f66"), "night": ("0d1530", "33456f"),
}
FOLIAGE_COLOURS = {
    "spring": ("4c8a3a", "8fbf4f"), "summer": ("2b5e2c", "4e8b3c"), "autumn": ("a8481c", "e0a52e"), "winter": ("2e4a3a", "4a6456"),
}
MEADOW_COLOURS = {
    "spring": ("5c9c3c", "9ccb55"), "summer": ("4f9a3a", "8cc04e"), "autumn": ("8f8a35", "c2a648"), "winter": ("8e8f80", "b5b8b0"),
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
            body = "none" if rng.random() < 0.4 else "moon" if time == "night" else "sun"
        clouds = fixed.get("clouds") or str(rng.choice(["clear", "some", "cloudy"], p=[0.55, 0.3, 0.15]))
        snow = season == "winter" and scene not in ("sea", "desert")
        stars = time == "night" and clouds != "cloudy"
        attributes = dict(scene=scene, time=time, season=season, body=body, clouds=clouds, snow=bool(snow), stars=bool(stars))
        backdrop = attributes["backdrop"] = fixed.get("backdrop") or str(rng.choice(BACKDROPS[scene]))
        plan = np.random.default_rng((SCENES.index(scene), PLANS[scene]))
        u, v = plan.uniform, rng.uniform  # what composes the picture; what varies freely

        horizon = {"mountains": u(0.7, 0.78), "lake": u(0.55, 0.66), "sea": u(0.48, 0.6), "desert": u(0.5, 0.6),
                   "forest": u(0.6, 0.7), "city": u(0.68, 0.82), "plain": u(0.52, 0.64)}[scene]
        s = np.zeros(38)
        s[0] = horizon
        palette = SKIES[time][rng.integers(len(SKIES[time]))]
        shift = rng.normal(0, 0.015, 3)
        for k in range(3):
            s[1 + 3 * k:4 + 3 * k] = np.clip(rgb(palette[k]) * v(0.95, 1.05) + shift * (0.4 if time == "night" else 1), 0, 1)
        low = time in ("dawn", "sunset")
        s[10:12] = DISCS[scene][int(low)]
        s[10] *= aspect
        s[12] = u(0.075, 0.095)
        s[12] = 0.0 if body == "none" else s[12]
        s[13:16] = {"dawn": (1, .85, .75), "day": (1, .97, .85), "sunset": (1, .6, .3), "night": (.55, .65, .9)}[time]
        s[16] = {"dawn": 0.25, "day": 0.25, "sunset": 0.3, "night": 0.15}[time]
        s[17:20] = {"dawn": (1, .74, .36), "day": (1, .95, .55), "sunset": (1, .93, .55), "night": (.97, .97, .92)}[time]
        s[20] = {"clear": 0.0, "some": v(0.42, 0.55), "cloudy": v(0.85, 1.0)}[clouds]
        s[21] = rng.integers(CLOUD_FIELDS)
        s[22] = 1.0 if stars else 0.0
        s[23] = 1.0 if body == "moon" else 0.0
        s[24:27], s[27:30] = rgb(CLOUDS[time][0]), rgb(CLOUDS[time][1])
        s[30] = 0.92 if body == "none" else 0.75
        s[31] = {"dawn": 0.2, "day": 0.0, "sunset": 0.35, "night": 0.6}[time]
        s[32:35] = np.array(LIGHT[time]) * v(0.95, 1.05) * (0.9 if clouds == "cloudy" else 1)

        s[35:38] = SNOWLIGHT[time]

        layers = []

        def layer(profile, base, amp, freq, texture, a, b, haze, snow_line=0.0, wander=0.0, plan=plan):
            a = rgb(a) if isinstance(a, str) else a
            b = rgb(b) if isinstance(b, str) else b
            tint = rng.normal(0, 0.012, 3)
            layers.append([profile, base, amp, freq, plan.integers(1, 100000), wander, texture, *np.clip(a + tint, 0, 1),
                           *np.clip(b + tint, 0, 1), haze, snow_line])

        rock = [("454d6a", "8f96ac"), ("544650", "a38d84"), ("3c5068", "8599a8")][rng.integers(3)]
        leaf, meadow = FOLIAGE_COLOURS[season], MEADOW_COLOURS[season]
        white = 1.0 if snow else 0.0

        behind = np.random.default_rng(7)  # composes the backdrop, so that all before it stays where it is

        def peaks(base, *places, haze=0.0):
            for x, tall, wide, far in places:
                layer(PEAK, base, tall, x * aspect, STONE, *rock, min(0.9, haze + far), 0.55 + 0.4 * far, wide * aspect, behind)

        def wood(base, tall, freq, haze, crowns):
            colours = leaf if crowns or season != "autumn" else ("2f4a2a", "6d6a2e")
            layer(CROWNS if crowns else CONIFERS, base, tall, freq, FOLIAGE, *colours, haze, white, wander=0.02)

        def thing(profile, base, tall, x, wide, texture, a, b, haze=0.0, cell=0.0):
            layer(profile, base, tall, x * aspect, texture, a, b, haze, cell, wide)

        ground, g = NO_GROUND, np.zeros(13)
        g[0] = plan.integers(1, 100000)
        crowns = bool(plan.random() < 0.4)
        if scene == "mountains":
            peaks(0.9, (0.06, 0.5, 0.8, 0.25), (0.9, 0.5, 0.85, 0.15), (0.42, 0.7, 1.1, 0.0))
            back = len(layers)
            layer(HILLS, 0.9, 0.1, 1.3, MEADOW, *meadow, 0.08, white)
        elif scene in ("lake", "sea"):
            ground = WATER
            if scene == "lake":
                if backdrop == "mountains":
                    peaks(horizon + 0.02, (0.9, 0.26, 0.6, 0.25), (0.38, 0.42, 0.85, 0.05))
                    layer(CONIFERS, horizon + 0.008, 0.09, 13.0, FOLIAGE, *leaf, 0.1, white, 0.02, behind)
                else:
                    layer(HILLS, horizon, 0.16, u(1, 2), FOLIAGE, *leaf, 0.5, white)
                    wood(horizon + 0.008, u(0.16, 0.22), u(6, 9), 0.05, crowns)
            else:
                if backdrop == "island":
                    layer(HILLS, horizon + 0.03, 0.1, 1.5, ROCK, *rock, 0.4, plan=behind)
                thing(SAIL, horizon + 0.004, u(0.17, 0.21), u(0.2, 0.8), u(0.16, 0.2), CLOTH, "ffffff", "5a3020")
            back = len(layers)
            g[1:4] = rgb(["1c4a6e", "1d5a6b", "234f5c"][rng.integers(3)]) * (1.2 if time == "day" else 1)
            g[7] = u(0.12, 0.25) if scene == "lake" else u(0.5, 0.7)
            g[8] = u(0.8, 0.9) if scene == "lake" else u(0.45, 0.55)
            g[9] = 0.3 if scene == "lake" else 0.9
        elif scene == "desert":
            dark, sand = [("a0622e", "e6b56c"), ("a86a38", "efc684"), ("94502a", "dc9650")][rng.integers(3)]
            if time == "night":  # the moon takes the colour
                dark, sand = rgb("6c5c56") * v(0.95, 1.05), rgb("ffe9cc")
            if backdrop == "mountains":
                peaks(0.6, (0.9, 0.2, 0.5, 0.1), (0.1, 0.17, 0.6, 0.2), haze=0.3)
            back = len(layers)
            layer(HILLS, 0.61, 0.08, 1.1, SAND, sand, sand, 0.2)
            thing(DUNE, 0.95, 0.48, 0.62, 1.5, SLOPE, dark, sand, 0.12)
            thing(DUNE, 0.99, 0.34, 0.1, 1.2, SLOPE, dark, sand)
            layer(HILLS, 0.98, 0.16, 1.2, SAND, sand, sand, 0.0)
            thing(CACTUS, 0.93, 0.46, 0.24, 0.27, PLANT, "1c4a2a", "4c8f3e")
        elif scene == "forest":
            if backdrop == "mountains":
                peaks(horizon, (0.85, 0.3, 0.7, 0.25), (0.4, 0.46, 0.9, 0.1))
            back = len(layers)
            for k in range(3):
                f = k / 2
                wood(horizon + 0.02 + 0.42 * f, u(0.2, 0.26) + 0.26 * f, u(8, 10) - 4.5 * f, 0.5 * (1 - f) ** 1.3, crowns)
        elif scene == "city":
            horizon = s[0] = 0.78
            ground = WATER if backdrop == "river" else NO_GROUND
            g[1:4], g[7], g[8], g[9] = rgb("24465e"), 0.3, 0.75, 0.3
            cell = 0.08
            for x, tall, wide, wall, haze in (
                    (0.14, 0.44, 2, "5a6478", 0.3), (0.5, 0.4, 3, "6a6478", 0.3), (0.88, 0.38, 2, "5a6478", 0.3),
                    (0.3, 0.66, 2, "2c3a5c", 0.0), (0.66, 0.5, 2, "7e4436", 0.0), (0.06, 0.3, 2, "7e4436", 0.0),
                    (0.47, 0.27, 2, "35586a", 0.0), (0.83, 0.24, 2, "2c3a5c", 0.0), (0.98, 0.34, 2, "4a4258", 0.0)):
                base = horizon + 0.002 if ground == WATER else 1.0
                thing(TOWER, base, tall + base - horizon, x, wide * cell, FACADE, wall, wall, haze, cell)
            back = len(layers)
            if backdrop == "none":
                layer(CROWNS, 0.97, 0.2, 5.5, FOLIAGE, *leaf, 0.0, white, plan=behind)
        else:
            ground = GRASS
            if backdrop == "mountains":
                peaks(horizon + 0.01, (0.85, 0.2, 0.5, 0.1), (0.58, 0.16, 0.45, 0.25), haze=0.2)
            elif backdrop == "hills":
                layer(HILLS, horizon + 0.02, 0.1, 1.6, MEADOW, *meadow, 0.35, white, plan=behind)
            back = len(layers)
            thing(TREE, u(0.72, 0.8), u(0.32, 0.4), u(0.2, 0.8), u(0.28, 0.36), FOLIAGE, *leaf)
            g[1:4], g[4:7] = rgb(meadow[0]), rgb(meadow[1])
            if season == "spring" and rng.random() < 0.7:
                attributes["flowers"] = True
                g[7] = 0.85
                g[9:12] = rgb(["e8d24a", "d95d6b", "f2f0ea"][rng.integers(3)])
            g[8] = white
            g[12] = 0.6
        layers = np.array(layers).reshape(-1, 15)
        return Scene(attributes, aspect, s, layers, back, ground, g)

    def draw(self, height, window=None):
        """Draws the picture `height` pixels tall, or the window (top, left, height, width) of it.

        Returns float32 [height, width, 3], 0…1.
        """
        top, left, h, w = window or (0, 0, height, int(round(height * self.aspect)))
        return draw_window(height, top, left, h, w, self.sky, self.layers, self.back, self.ground, self.g)

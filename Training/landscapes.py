"""Draws landscapes: a scene is a handful of numbers, and any rectangle of it can be drawn at any size.

`Scene.random(rng)` invents one, `Scene.draw(height, window)` draws the whole picture or a window of it. Everything is
a shape with a crisp outline. Detail is made of shapes too, which appear when they are large enough to see, so a larger
drawing of the same scene shows more, and a 256-pixel window of a 4,096-pixel picture costs no more than a small picture.

Each scene has three layouts: the disc on the right and the subject on the left, their mirror image, and both in the
middle. `attributes["layout"]` says where the disc is, or would be.

Coordinates: y runs from 0 (top) to 1 (bottom), x from 0 to the aspect ratio.
"""

from dataclasses import dataclass, field

import numpy as np

import painting
from columns import (BOAT, CACTUS, CLOUD, COLUMNS, CONIFER, CROWN, DISC_R, DISC_X, DUNE, FIELDS, GRASS, HILL, HORIZON, PEAK, SAND, SNOW, TOWER, TREE,
                     TREES, WATER, WAVES)

SCENES = ("mountains", "lake", "sea", "desert", "forest", "city", "plain")
TIMES = ("dawn", "day", "sunset", "night")
SEASONS = ("spring", "summer", "autumn", "winter")
LAYOUTS = ("left", "middle", "right")
BACKDROPS = {"mountains": ("none",), "lake": ("mountains", "forest"), "sea": ("island", "none"), "desert": ("mountains", "none"),
             "forest": ("mountains", "none"), "city": ("river", "none"), "plain": ("mountains", "hills", "none")}
# Height of the sun or moon, from the top: high by day and night, low in the morning and evening.
HIGH, LOW = 0.2, 0.27
HORIZONS = {"mountains": 0.82, "lake": 0.6, "sea": 0.54, "desert": 0.62, "forest": 0.66, "city": 0.8, "plain": 0.6}


def rgb(text):
    return np.array([int(text[i:i + 2], 16) / 255 for i in (0, 2, 4)])


# The sky from the top to the horizon.
SKIES = {
    "dawn": [("5b86b8", "f2b8b5", "ffe3c2"), ("7a7fc0", "eaa9c4", "ffd9c0")],
    "day": [("2e86d1", "6fbbee", "d4f0f7"), ("2a7fc4", "7cc8e8", "f0f6dc")],
    "sunset": [("43275f", "d6456a", "ffb45a"), ("2f2a66", "c2416f", "ff8f52")],
    "night": [("07102e", "16305f", "3a6a94"), ("0b0f33", "28285f", "5a5f9e")],
}
# The effect of light and shade on a colour, and the common tint of each time of day.
LIGHT = {"dawn": (1.0, 0.87, 0.86), "day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.7, 0.56), "night": (0.44, 0.54, 0.86)}
SHADE = {"dawn": (0.64, 0.58, 0.72), "day": (0.62, 0.7, 0.84), "sunset": (0.5, 0.32, 0.48), "night": (0.2, 0.28, 0.48)}
TINT = {"dawn": ("c58fa6", 0.2), "day": ("7fa8c0", 0.0), "sunset": ("b0446a", 0.2), "night": ("2a4a90", 0.34)}
# Snow and sails, brighter than everything else on the land.
BRIGHT = {"dawn": (1.0, 0.93, 0.91), "day": (1.0, 1.0, 1.0), "sunset": (1.0, 0.76, 0.66), "night": (0.6, 0.72, 0.95)}
DISCS = {"dawn": "fff3d2", "day": "fff4b8", "sunset": "ffe7a0", "night": "f4f1de"}
GLOWS = {"dawn": ("ffd9ae", 0.6), "day": ("fffbe0", 0.55), "sunset": ("ffb35c", 0.6), "night": ("7f9fce", 0.45)}
CLOUDS = {"dawn": ("fff0e8", "e3a9bb"), "day": ("ffffff", "c3dbea"), "sunset": ("ff9d7a", "a33a63"), "night": ("3b5580", "1c2f58")}
LEAVES = {"spring": ("8ccb4e", "4d9a4c"), "summer": ("4fa657", "1f6b50"), "autumn": ("f0963a", "c4502f"), "winter": ("5b8f86", "2c5c62")}
MEADOWS = {"spring": ("a4d65a", "5fae52"), "summer": ("86c258", "3f8f52"), "autumn": ("e0b550", "b07f3c"), "winter": ("eef4f8", "b4cade")}
ROCKS = [("9a8fa6", "4c4a6b"), ("b09a8e", "5d4a58"), ("8c9dae", "40506e")]
SANDS = [("f6cf8a", "c47f4c"), ("f3bd7c", "b4633f"), ("f8dba4", "cf9460")]
WALLS = ["f0e3cf", "e08e6d", "7fb3b8", "d9b35f", "b8a9c9", "5f86a8"]


@dataclass
class Scene:
    """A landscape; `attributes` describe it in words; the rest are parameters of the drawing."""

    attributes: dict
    aspect: float
    sky: np.ndarray
    layers: np.ndarray
    water: int
    mirror: bool = field(default=False)

    @staticmethod
    def random(rng, aspect=1.0, **fixed):
        pick = lambda name, options, p=None: fixed.get(name) or str(rng.choice(options, p=p))
        kind, time, season = pick("scene", SCENES), pick("time", TIMES), pick("season", SEASONS)
        layout = pick("layout", LAYOUTS)
        clouds = pick("clouds", ["clear", "some", "cloudy"], [0.5, 0.35, 0.15])
        body = fixed.get("body") or ("none" if rng.random() < 0.3 else "moon" if time == "night" else "sun")
        if kind in ("sea", "desert"):
            season = "summer"
        attributes = dict(scene=kind, time=time, season=season, body=body, clouds=clouds, layout=layout,
                          snow=season == "winter" and kind not in ("sea", "desert"), stars=time == "night" and clouds != "cloudy",
                          backdrop=fixed.get("backdrop") or str(rng.choice(BACKDROPS[kind])))
        return Composer(attributes, aspect, rng).scene()

    @property
    def disc(self):
        """Where the disc is and how large, or none."""
        x, y, r = self.sky[DISC_X:DISC_R + 1]
        return (self.aspect - x if self.mirror else x, y, r) if r > 0 else None

    def draw(self, height, window=None):
        """Draws the picture `height` pixels tall, or the window (top, left, height, width) of it.

        Returns float32 [height, width, 3], 0…1.
        """
        top, left, h, w = window or (0, 0, height, int(round(height * self.aspect)))
        return painting.draw_window(height, top, left, h, w, self.mirror, self.aspect, self.sky, self.layers, self.water)


class Composer:
    """Composes one scene, with the disc on the right or in the middle."""

    def __init__(self, attributes, aspect, rng):
        self.a, self.aspect, self.rng = attributes, aspect, rng
        self.time, self.central = attributes["time"], attributes["layout"] == "middle"
        self.horizon = HORIZONS[attributes["scene"]] + self.vary(0.012)
        palettes = SKIES[self.time]
        self.air = [np.clip(rgb(c) + rng.normal(0, 0.012, 3), 0, 1) for c in palettes[rng.integers(len(palettes))]]
        # Outlines depend only on scene and layout: a small model learns outlines that it sees often, but only the mean
        # of thousands.
        self.rows, self.water, self.seed = [], -1, 1000 * SCENES.index(attributes["scene"]) + 500 * self.central

    def vary(self, by):
        return float(self.rng.uniform(-by, by))

    def one(self, options):
        return options[self.rng.integers(len(options))]

    def coloured(self, base, light, far=0.0):
        """A colour in this hour's light, or shade, seen through the air."""
        c = (rgb(base) if isinstance(base, str) else base) * np.array(light[self.time])
        tint, k = TINT[self.time]
        c = c * (1 - k) + rgb(tint) * (0.45 + 0.9 * c.mean()) * k
        return np.clip(c * (1 - far) + (0.35 * self.air[1] + 0.65 * self.air[2]) * far, 0, 1)

    def add(self, kind, light, dark, third=None, far=0.0, x=0.0, y=0.0, w=0.1, h=0.1, p=0.0, q=0.0, r=0.0, top=None, spread=None, seed=0):
        row = np.zeros(COLUMNS)
        row[:8] = kind, self.seed + 97 * len(self.rows) + seed, x, y, w, h, p, q
        row[8:11], row[11:14] = self.coloured(light, LIGHT, far), self.coloured(dark, SHADE, far)
        row[14:17] = -1 if third is None else third if isinstance(third, np.ndarray) else self.coloured(third, BRIGHT, far)
        row[17] = y - h if top is None else top
        row[18:20] = (-9, 99) if spread is None else (x - spread, x + spread)
        row[20] = r
        self.rows.append(row)

    # Parts.

    def peak(self, x, top, base, w, far=0.0, line=0.5):
        x, h = (x + self.vary(0.012)) * self.aspect, (base - top) * (1 + self.vary(0.05))
        w *= self.aspect
        light, dark = self.rock
        self.add(PEAK, light, dark, "ffffff", far, x, base, w, h, p=line, q=1.0, top=base - 1.18 * h, spread=1.12 * w)

    def hill(self, y, h, freq, phase, light, dark, far=0.0, texture=GRASS, flowers=None):
        # In the middle layouts hills are symmetrical about the middle.
        phase = np.pi / 2 - freq * 0.5 + (np.pi if phase < 0 else 0.0) if self.central else phase
        self.add(HILL, light, dark, flowers, far, y=y + self.vary(0.008), h=h, p=freq / self.aspect, q=phase, r=texture, top=y - 1.1 * h - 0.02)

    def meadow(self, y, h, freq, phase, far=0.0, flowers=None):
        light, dark = MEADOWS[self.a["season"]]
        self.hill(y, h, freq, phase, light, dark, far, SNOW if self.a["snow"] else GRASS, flowers)
        if self.a["snow"]:
            self.rows[-1][8:11] = self.coloured(light, BRIGHT, far)

    def wood(self, y, h, step, far=0.0, envelope=1):
        light, dark = LEAVES[self.a["season"]]
        envelope = 2 if self.central and envelope else envelope
        kind = CROWN if self.a["season"] in ("spring", "autumn") else CONIFER
        self.add(TREES, light, dark, "ffffff", far, x=self.aspect, y=y, w=step, h=h, p=envelope, q=kind, r=float(self.a["snow"]), top=y - 1.3 * h)

    def clouds(self):
        amount = self.a["clouds"]
        if amount == "clear":
            return
        light, dark = CLOUDS[self.time]
        places = [(0.24, 0.2, 0.3, 0.11), (0.02, 0.38, 0.24, 0.08), (0.52, 0.36, 0.2, 0.06)]
        if self.central:
            places = [(0.16, 0.2, 0.28, 0.1), (0.86, 0.26, 0.26, 0.09), (0.98, 0.42, 0.2, 0.06)]
        if amount == "cloudy":
            more = [(0.98, 0.4, 0.34, 0.1), (0.5, 0.1, 0.4, 0.13), (0.0, 0.12, 0.34, 0.13), (0.3, 0.46, 0.3, 0.07)]
            if self.central:
                more = [(0.0, 0.38, 0.34, 0.1), (0.8, 0.1, 0.36, 0.12), (0.2, 0.08, 0.34, 0.1), (0.66, 0.46, 0.22, 0.06)]
            places += more
            if self.time != "night":
                light, dark = rgb(light) * 0.93, rgb(dark) * 0.9
        highest = self.horizon - 0.04
        for k, (x, y, w, h) in enumerate(places):
            y = min(y, highest) + self.vary(0.015)
            row = len(self.rows)
            self.add(CLOUD, "ffffff", "ffffff", x=(x + self.vary(0.03)) * self.aspect, y=y, w=w * (1 + self.vary(0.1)), h=h, q=0.96, top=y - 1.7 * h,
                     spread=0.72 * w)
            as_colour = lambda c: rgb(c) if isinstance(c, str) else c
            far = 0.1 + 0.5 * max(0.0, y / self.horizon - 0.3)
            self.rows[row][8:11] = as_colour(light) * (1 - far) + self.air[2] * far
            self.rows[row][11:14] = as_colour(dark) * (1 - far) + self.air[2] * far

    def scene(self):
        a = self.a
        self.rock = self.one(ROCKS)
        s = np.zeros(22)
        s[HORIZON] = self.horizon
        s[1:4], s[4:7], s[7:10] = self.air
        low = self.time in ("dawn", "sunset")
        x, y = (0.5, LOW if low else HIGH) if self.central else (0.74, LOW if low else HIGH)
        s[10:13] = x * self.aspect, y + self.vary(0.015), 0.0 if a["body"] == "none" else 0.088 * (1 + self.vary(0.08))
        s[13:16] = rgb(DISCS[self.time])
        glow, amount = GLOWS[self.time]
        s[16:19], s[19] = rgb(glow), amount
        s[20], s[21] = float(a["stars"]), float(a["body"] == "moon")
        self.clouds()
        getattr(self, a["scene"])()
        return Scene(a, self.aspect, s, np.array(self.rows).reshape(-1, COLUMNS), self.water, a["layout"] == "left")

    # Scenes.

    def mountains(self):
        if self.central:
            self.peak(0.5, 0.5, 0.86, 0.42, far=0.55, line=0.55)
            self.peak(0.96, 0.24, 0.92, 0.5, far=0.14)
            self.peak(0.06, 0.2, 0.92, 0.52)
        else:
            self.peak(0.02, 0.4, 0.9, 0.44, far=0.5)
            self.peak(0.93, 0.44, 0.9, 0.46, far=0.3)
            self.peak(0.4, 0.17, 0.94, 0.6)
        self.meadow(0.83, 0.07, 5.0, 0.4, far=0.16)
        self.wood(0.88, 0.13, 0.05, far=0.05)
        self.meadow(0.93, 0.06, 4.0, 2.2, flowers="ffd84a" if self.a["season"] == "spring" else None)

    def lake(self):
        y = self.horizon
        if self.a["backdrop"] == "mountains":
            if self.central:
                self.peak(0.5, 0.42, y + 0.02, 0.3, far=0.5)
                self.peak(0.95, 0.22, y + 0.02, 0.44, far=0.15)
                self.peak(0.05, 0.18, y + 0.02, 0.46, far=0.05)
            else:
                self.peak(0.92, 0.38, y + 0.02, 0.4, far=0.4)
                self.peak(0.34, 0.15, y + 0.02, 0.52, far=0.05)
            self.wood(y, 0.1, 0.04, far=0.12)
        else:
            self.hill(y + 0.02, 0.16, 4.0, 0.6, *LEAVES[self.a["season"]], far=0.5)
            self.wood(y - 0.01, 0.2, 0.07, far=0.25)
            self.wood(y + 0.003, 0.17, 0.06)
        self.water = len(self.rows)
        self.add(WATER, "2f8fb0", "1d5f80", "eaf7ff", y=y, q=0.74, top=0.0)
        light, dark = MEADOWS[self.a["season"]]
        self.hill(1.0, 0.13, 5.0, 0.2 if not self.central else -1.0, light, dark, texture=SNOW if self.a["snow"] else GRASS)

    def sea(self):
        y = self.horizon
        if self.a["backdrop"] == "island":
            self.peak(0.12, y - 0.15, y + 0.015, 0.26, far=0.35, line=2.0)
            self.peak(0.3, y - 0.09, y + 0.015, 0.22, far=0.2, line=2.0)
        self.water = len(self.rows)
        self.add(WAVES, "4fb3c4", "0f4f74", "f4fbf6", y=y, p=6.0, q=0.34, top=0.0)
        x = (0.27 if not self.central else 0.2) + self.vary(0.02)
        w = 0.3
        self.add(BOAT, "fffaf0", "c8553d", "ffffff", x=x * self.aspect, y=y + 0.105, w=w, h=w * 1.1, top=y + 0.1 - 1.06 * w, spread=0.6 * w)
        self.rows[-1][8:11], self.rows[-1][14:17] = self.coloured("fffaf0", BRIGHT), self.coloured("f6c453", LIGHT)

    def desert(self):
        light, dark = self.one(SANDS)
        if self.a["backdrop"] == "mountains":
            self.rock = ("d08a63", "8a4b4a")
            self.peak(0.95, 0.46, 0.68, 0.34, far=0.35, line=2.0)
            self.peak(0.1, 0.4, 0.68, 0.36, far=0.25, line=2.0)
        self.hill(0.68, 0.08, 4.2, 0.5, light, dark, far=0.28, texture=SAND)
        dune = lambda x, y, h, w, far=0.0: self.add(DUNE, light, dark, None, far, (x + self.vary(0.012)) * self.aspect, y, w * self.aspect, h, top=y - h,
                                                   spread=w * self.aspect)
        if self.central:
            dune(0.06, 0.86, 0.32, 0.62, 0.12)
            dune(0.94, 0.86, 0.26, 0.62, 0.06)
            dune(0.5, 1.02, 0.3, 0.9)
        else:
            dune(0.7, 0.9, 0.38, 0.72, 0.12)
            dune(0.06, 1.0, 0.34, 0.66)
        self.hill(0.97, 0.1, 3.6, 2.4, light, dark, texture=SAND)
        for x, y, h in (((0.17, 0.93, 0.4), (0.86, 0.86, 0.26)) if self.central else ((0.25, 0.93, 0.46), (0.62, 0.78, 0.17))):
            w = 0.62 * h
            self.add(CACTUS, "5fb070", "1f6b58", None, 0.0, (x + self.vary(0.012)) * self.aspect, y, w, h, top=y - h, spread=0.6 * w)

    def forest(self):
        y = self.horizon
        if self.a["backdrop"] == "mountains":
            if self.central:
                self.peak(0.95, 0.3, y + 0.1, 0.44, far=0.4)
                self.peak(0.06, 0.26, y + 0.1, 0.46, far=0.3)
            else:
                self.peak(0.9, 0.44, y + 0.1, 0.42, far=0.5)
                self.peak(0.4, 0.24, y + 0.1, 0.52, far=0.35)
        self.wood(y + 0.02, 0.24, 0.075, far=0.62)
        self.wood(y + 0.11, 0.3, 0.1, far=0.4)
        self.wood(y + 0.21, 0.38, 0.14, far=0.18)
        self.meadow(0.94, 0.08, 4.4, 1.0)
        self.wood(1.02, 0.5, 0.21, envelope=1)
        self.meadow(1.03, 0.08, 5.0, 3.0)

    def city(self):
        y, cell = self.horizon, 0.075
        glass = np.clip(0.75 * self.air[2] + 0.1, 0, 1) if self.time != "night" else rgb("2a4370")
        lit = {"dawn": 0.15, "day": 0.0, "sunset": 0.4, "night": 0.6}[self.time]
        river = self.a["backdrop"] == "river"
        if self.central:
            places = [(0.3, 0.44, 2, 2, 0.42), (0.7, 0.46, 2, 0, 0.42), (0.5, 0.34, 3, 0, 0.5), (0.08, 0.72, 3, 1, 0.0), (0.92, 0.66, 3, 2, 0.0),
                      (0.27, 0.34, 2, 0, 0.0), (0.74, 0.3, 2, 0, 0.0), (0.5, 0.2, 3, 0, 0.05)]
        else:
            places = [(0.06, 0.56, 3, 0, 0.42), (0.5, 0.5, 2, 3, 0.42), (0.78, 0.3, 3, 0, 0.42), (0.3, 0.7, 3, 1, 0.0), (0.1, 0.4, 2, 2, 0.0),
                      (0.52, 0.4, 2, 0, 0.0), (0.96, 0.34, 2, 2, 0.05), (0.72, 0.22, 3, 0, 0.0)]
        for k, (x, tall, wide, roof, far) in enumerate(places):
            base = y + 0.004 if river else 0.95
            w = (wide + 0.35) * cell
            wall = WALLS[(2 * k + (3 if self.central else 0)) % len(WALLS)]
            h = tall * (1 + self.vary(0.04)) + base - y
            self.add(TOWER, wall, wall, glass * (1 - far) + self.air[2] * far, far, (x + self.vary(0.008)) * self.aspect, base, w, h, p=cell, q=lit,
                     r=roof, top=base - h - 2.8 * cell, spread=0.5 * w)
        if river:
            self.water = len(self.rows)
            self.add(WATER, "2f7f9a", "1d5f80", "eaf7ff", y=y, q=0.7, top=0.0)
        else:
            self.wood(0.95, 0.15, 0.11, envelope=0)
            self.meadow(0.98, 0.05, 5.0, 1.0)

    def plain(self):
        y, season = self.horizon, self.a["season"]
        if self.a["backdrop"] == "mountains":
            if self.central:
                self.peak(0.9, y - 0.22, y + 0.03, 0.34, far=0.35)
                self.peak(0.12, y - 0.26, y + 0.03, 0.38, far=0.25)
            else:
                self.peak(0.9, y - 0.15, y + 0.03, 0.34, far=0.45)
                self.peak(0.5, y - 0.24, y + 0.03, 0.42, far=0.3)
        elif self.a["backdrop"] == "hills":
            self.meadow(y + 0.01, 0.16, 5.5, 0.4, far=0.42)
            self.meadow(y + 0.03, 0.13, 4.5, 2.6, far=0.22)
        light, dark = MEADOWS[season]
        flowers = None
        if season == "spring" and self.rng.random() < 0.7:
            self.a["flowers"] = True
            flowers = self.one(["ffd84a", "f27a8c", "ffffff"])
        self.add(FIELDS, light, dark, flowers, 0.0, (0.5 if self.central else 0.66) * self.aspect, y, w=float(np.mean(LIGHT[self.time])),
                 p=0.34 if self.central else 0.0, q=0.35, top=0.0)
        # The two tones of a field differ less than full light and shade would make them.
        self.rows[-1][11:14] = 0.5 * self.rows[-1][11:14] + 0.5 * self.coloured(dark, LIGHT)
        light, dark = LEAVES[season]
        for x, base, h in (((0.13, 0.86, 0.5), (0.88, 0.8, 0.4)) if self.central else ((0.27, 0.86, 0.56),)):
            w = 0.86 * h
            self.add(TREE, light, dark, "ffffff", 0.0, (x + self.vary(0.012)) * self.aspect, base, w, h, r=float(self.a["snow"]), top=base - h - 0.01,
                     spread=0.52 * w)

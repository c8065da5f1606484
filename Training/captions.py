"""Captions of scenes: a small grammar with many wordings of the same attributes."""

NOUNS = {
    "mountains": ["mountains", "a mountain range", "mountain peaks", "rugged mountains", "high mountains", "jagged peaks", "a mountain landscape",
                  "towering mountains", "steep rocky peaks", "an alpine landscape", "the alps"],
    "lake": ["a lake", "a calm lake", "a still lake", "a mirror lake", "a quiet lake", "a lake with reflections", "a lakeside view", "a clear lake",
             "a tranquil lake"],
    "sea": ["the sea", "the ocean", "a seascape", "the open sea", "an ocean view", "waves on the sea", "a calm sea", "the open ocean", "sea waves"],
    "desert": ["a desert", "sand dunes", "desert dunes", "a sandy desert", "dunes in the desert", "a desert landscape", "golden dunes", "the sahara",
               "rolling sand dunes"],
    "forest": ["a forest", "the woods", "a dense forest", "a pine forest", "a woodland", "tall trees", "a forest of tall trees", "deep woods", "many trees"],
    "city": ["a city", "a city skyline", "skyscrapers", "a downtown skyline", "city buildings", "a cityscape", "tall buildings", "a metropolis",
             "an urban skyline", "towers of a city"],
    "plain": ["an open plain", "a meadow", "a wide field", "grassland", "a green field", "a prairie", "a broad plain", "an open meadow", "fields",
              "a flat plain", "the steppe"],
}
TIMES = {
    "dawn": ["at dawn", "at sunrise", "in the early morning", "at daybreak", "at first light", "in soft morning light", "in pale dawn light"],
    "day": ["at noon", "in daylight", "on a bright day", "by day", "at midday", "in the daytime", "under a blue sky", "during the day",
            "on a sunny day"],
    "sunset": ["at sunset", "at dusk", "in the evening", "at sundown", "in the golden evening light", "in a red sunset", "under a burning sunset sky"],
    "night": ["at night", "by night", "at midnight", "under the night sky", "in the dark of night", "on a dark night", "late at night"],
}
BODIES = {
    ("sun", "dawn"): ["with the rising sun", "with the sun low in the sky", "and a pale sun", "with one sun", "with the sun", "with a sun"],
    ("sun", "day"): ["with the sun in the sky", "with a bright sun", "and the sun", "with the sun overhead", "with one sun", "with a sun"],
    ("sun", "sunset"): ["with the setting sun", "and a low sun", "with a glowing sun", "with the sun going down", "with one sun", "with a sun"],
    ("moon", "night"): ["with the moon", "with a full moon", "under the moon", "and a bright moon", "in moonlight", "with one moon", "with a moon"],
}
CLOUDS = {
    "clear": ["with a clear sky", "without clouds", "under a cloudless sky", "with clear skies"],
    "some": ["with some clouds", "with scattered clouds", "with a few clouds", "and drifting clouds", "with clouds"],
    "cloudy": ["under a cloudy sky", "with many clouds", "under an overcast sky", "with heavy clouds", "beneath thick clouds", "with clouds"],
}
SEASONS = {
    "spring": ["in spring", "in springtime", "on a spring day"], "summer": ["in summer", "in summertime", "in the warm season"],
    "autumn": ["in autumn", "in the fall", "with autumn colours", "with autumn leaves"],
    "winter": ["in winter", "in the snow", "covered in snow", "with snow on the ground", "on a winter day", "in deep snow", "snowy"],
}
# Where the sun or moon is; if there is none, where the subject is: on the other side.
LAYOUTS = {"left": ["on the left"], "right": ["on the right"], "middle": ["in the middle", "in the centre", "in the center"]}
SUBJECTS = {"mountains": "a tall peak", "lake": "a tall peak", "sea": "a boat", "desert": "a cactus", "forest": "tall trees", "city": "tall towers",
            "plain": "a tree"}
BALANCED = {"mountains": ["between two peaks", "with a peak on each side"], "lake": ["a symmetrical view", "with a valley in the middle"],
            "sea": ["a symmetrical view", "with a path of light in the middle"], "desert": ["with a cactus on each side", "a symmetrical view"],
            "forest": ["with a clearing in the middle", "with trees on each side"], "city": ["with towers on each side", "a symmetrical view"],
            "plain": ["with a road in the middle", "with a tree on each side", "and a road"]}
STARS = ["with stars", "under the stars", "and a starry sky", "with many stars", "beneath a sky full of stars", "starry"]
FLOWERS = ["with flowers", "full of flowers", "with wildflowers", "in bloom", "with blossoms"]
BACKDROPS = {
    ("lake", "mountains"): ["with mountains reflected in the water", "below mountains", "with snowy peaks reflected in the water", "surrounded by mountains",
                            "in the mountains", "with mountains behind it", "with mountains"],
    ("lake", "forest"): ["in a forest", "surrounded by trees", "with trees on the shore", "at the edge of a forest"],
    ("sea", "island"): ["with an island", "with an island on the horizon", "and distant land", "with a distant coast"],
    ("desert", "mountains"): ["with mountains in the distance", "below distant mountains", "and far mountains"],
    ("forest", "mountains"): ["with mountains in the background", "below a mountain", "and a mountain behind"],
    ("city", "river"): ["by a river", "reflected in the water", "at the waterfront", "on the water", "across a river"],
    ("plain", "mountains"): ["with mountains in the distance", "below distant mountains", "and far mountains"],
    ("plain", "hills"): ["with hills in the distance", "and rolling hills", "with hills"],
}
OPENINGS = ["", "", "", "", "", "a picture of ", "a painting of ", "a photo of ", "a view of ", "a landscape with ", "a wide view of ", "scenery of ",
            "a beautiful view of ", "an illustration of ", "a render of "]
ENDINGS = ["", "", "", "", "", "", ", highly detailed", ", beautiful", ", 4k", ", wide angle", ", landscape", ", scenic", ", dramatic light", ", peaceful"]


def caption(attributes, rng):
    """One wording of a scene's attributes; says the scene and the time, and some of the rest."""
    a = attributes
    one = lambda options: options[rng.integers(len(options))]
    noun = one(NOUNS[a["scene"]])
    parts = []
    said = lambda p: rng.random() < p
    if (key := (a["scene"], a["backdrop"])) in BACKDROPS and said(0.75):
        parts.append(one(BACKDROPS[key]))
    seasonal = a["scene"] not in ("sea", "desert") and (a["scene"] != "city" or a["snow"])
    if seasonal and said(0.85 if a["snow"] else 0.6):
        parts.append(one(SEASONS[a["season"]]))
    if a.get("flowers") and said(0.8):
        parts.append(one(FLOWERS))
    # Most captions state the layout, so that the model does not mix layouts when a prompt states one.
    layout, told = a["layout"], said(0.75)
    subject = layout == "middle" and said(0.4)
    if (key := (a["body"], a["time"])) in BODIES and said(0.92):
        disc = one(BODIES[key])
        parts.append(f"{disc} {one(LAYOUTS[layout])}" if told and not subject else disc)
        told = told and subject
    if told:
        other = {"left": "right", "right": "left"}
        has_peak = a["scene"] != "lake" or a["backdrop"] == "mountains"
        if layout == "middle":
            parts.append(one(BALANCED[a["scene"]]))
        elif has_peak:
            parts.append(f"with {SUBJECTS[a['scene']]} {one(LAYOUTS[other[layout]])}")
    if said(0.6):
        parts.append(one(CLOUDS[a["clouds"]]))
    if a["stars"] and said(0.6):
        parts.append(one(STARS))
    time = one(TIMES[a["time"]])
    if rng.random() < 0.5:
        rng.shuffle(parts)
    comma = rng.random() < 0.35
    joint = ", " if comma else " "
    strip = lambda p: p.removeprefix("with ").removeprefix("and ") if comma and rng.random() < 0.5 else p
    if rng.random() < 0.7:
        words = [f"{noun} {time}"] + [strip(p) for p in parts]
    else:
        words = [noun] + [strip(p) for p in parts] + [time]
    text = one(OPENINGS) + joint.join(words) + one(ENDINGS)
    return text[0].upper() + text[1:] if rng.random() < 0.2 else text

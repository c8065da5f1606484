"""Difference of two renders of the same picture, in levels of 255: `python levels.py F32.png BF16.png`."""

import json
import sys

import numpy as np
from PIL import Image

first, second = (np.asarray(Image.open(name).convert("RGB")).astype(float) for name in sys.argv[1:3])
apart = np.abs(first - second)
print(json.dumps(dict(picture_bf16_difference_levels=round(apart.mean(), 3), picture_bf16_max_difference_levels=apart.max())))

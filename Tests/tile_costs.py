"""The cost of decoding in tiles, in decodes of the whole: the expected values of TilePlanTests.

    python tile_costs.py
"""

import math


def decoder(channels, layers, latent):
    """Kind of each layer and its multiplications per pixel of its input."""
    wide, ups = channels[-1], channels[::-1]
    block = lambda i, o: [("conv", 9 * i * o + (i * o if i != o else 0)), ("conv", 9 * o * o)]
    all = [("point", latent * latent), ("conv", 9 * latent * wide), *block(wide, wide)]
    all += [("point", 4 * wide * wide), *block(wide, wide)]
    for level, width in enumerate(ups):
        for place in range(layers + 1):
            all += block(ups[max(0, level - 1)] if place == 0 else width, width)
        if level < len(ups) - 1:
            all.append(("double", 16 * width * width))
    return all + [("conv", 9 * ups[-1] * 3)]


def cost(channels, layers, height, width, side):
    reach, scale, tiled, whole = 0, 2 ** (len(channels) - 1), 0, 0

    def extent(length):
        each = math.ceil(length / math.ceil(length / side))
        ends = [(i, min(length, i + each)) for i in range(0, length, each)]
        return sum(b - a + min(reach / scale, a) + min(reach / scale, length - b) for a, b in ends)

    for kind, work in reversed(decoder(channels, layers, 4)):
        if kind == "conv":
            reach += 1
        elif kind == "double":
            reach, scale = (reach + 2) // 2, scale / 2
        tiled += work * scale**2 * extent(height) * extent(width)
        whole += work * scale**2 * height * width
    return tiled / whole


if __name__ == "__main__":
    print("vista", cost((32, 64, 96, 128), 1, 48, 48, 16), cost((32, 64, 96, 128), 1, 160, 130, 96))
    print("sdxl", cost((128, 256, 512, 512), 2, 96, 96, 32), cost((128, 256, 512, 512), 2, 512, 512, 96))

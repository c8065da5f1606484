"""What a layer of a scene and its sky consist of: columns of numbers, and how their colours are mixed."""

from numba import njit

HILL, DUNE, PEAK, TREES, TREE, TOWER, CACTUS, BOAT, CLOUD, WAVES, FIELDS, WATER = range(12)
BARE, GRASS, SAND, SNOW = range(4)  # what grows on a hill
CONIFER, CROWN = range(2)
# Columns of a layer. TOP…RIGHT bound what it can cover; A, B and C are the first columns of its three colours.
KIND, SEED, X, Y, W, H, P, Q, A, B, C, TOP, LEFT, RIGHT, R = 0, 1, 2, 3, 4, 5, 6, 7, 8, 11, 14, 17, 18, 19, 20
COLUMNS = 21
# Columns of a sky: three colours from the top to the horizon, the disc, its glow, stars.
HORIZON, TOP_COLOUR, MIDDLE_COLOUR, LOW_COLOUR, DISC_X, DISC_Y, DISC_R, DISC, GLOW, GLOWING, STARS, MOON = 0, 1, 4, 7, 10, 11, 12, 13, 16, 19, 20, 21


@njit(inline="always")
def mix(L, a, b, t, out):
    for c in range(3):
        out[c] = L[a + c] * (1 - t) + L[b + c] * t


@njit(inline="always")
def towards(out, L, a, t):
    for c in range(3):
        out[c] = out[c] * (1 - t) + L[a + c] * t


@njit(inline="always")
def scaled(out, t):
    for c in range(3):
        out[c] *= t

"""Writes Tests/Fixtures/pictures: small PNGs of every kind, what they show in sRGB, and scaled rows.

    python3 Tests/pictures.py        # numpy, and Pillow for the scaled ones

PNGs and profiles are put together here from their specifications, and colours computed from textbook
formulas, so that nothing but the format is shared with what is tested.
"""

import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image

OUT = pathlib.Path(__file__).parent / "Fixtures" / "pictures"
WIDTH, HEIGHT = 9, 7

# --- PNG


def chunk(kind, data):
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def packed(row, bits):
    """The numbers of a row, most significant bit first."""
    if bits == 16:
        return row.astype(">u2").tobytes()
    if bits == 8:
        return row.astype(np.uint8).tobytes()
    text = "".join(format(v, f"0{bits}b") for v in row)
    text += "0" * (-len(text) % 8)
    return bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8))


ADAM7 = [(0, 0, 8, 8), (0, 4, 8, 8), (4, 0, 8, 4), (0, 2, 4, 4), (2, 0, 4, 2), (0, 1, 2, 2), (1, 0, 2, 1)]


def png(pixels, kind, bits, *, chunks=(), interlaced=False):
    """`pixels`: [height, width, channels] of integers; `kind`: PNG's colour type."""
    h, w, _ = pixels.shape
    rows = b""
    for y, x, dy, dx in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            rows += b"".join(b"\0" + packed(row.reshape(-1), bits) for row in part)
    header = struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*c) for c in chunks)
            + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


# --- colours

SRGB = np.array([[0.64, 0.33], [0.30, 0.60], [0.15, 0.06]])
ADOBE = np.array([[0.64, 0.33], [0.21, 0.71], [0.15, 0.06]])
P3 = np.array([[0.680, 0.320], [0.265, 0.690], [0.150, 0.060]])
D65 = np.array([0.3127, 0.3290])
D50 = np.array([0.9642, 1.0, 0.8249])
BRADFORD = np.array([[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]])


def xyz(place):
    return np.array([place[0] / place[1], 1, (1 - place[0] - place[1]) / place[1]])


def to_d50(primaries, white):
    """Linear RGB to XYZ under D50, as ICC profiles have it."""
    columns = np.stack([xyz(p) for p in primaries], 1)
    matrix = columns * np.linalg.solve(columns, xyz(white))
    scale = (BRADFORD @ D50) / (BRADFORD @ xyz(white))
    return np.linalg.inv(BRADFORD) @ np.diag(scale) @ BRADFORD @ matrix


def encoded(linear):
    """The curve of sRGB (IEC 61966-2-1)."""
    linear = np.clip(linear, 0, 1)
    return np.where(linear <= 0.0031308, 12.92 * linear, 1.055 * linear ** (1 / 2.4) - 0.055)


def decoded(v):
    return np.where(v <= 0.04045, v / 12.92, ((v + 0.055) / 1.055) ** 2.4)


def converted(values, curve, primaries, white=D65):
    linear = curve(values)
    if primaries is None:
        return encoded(linear)
    matrix = np.linalg.inv(to_d50(SRGB, D65)) @ to_d50(primaries, white)
    return encoded(linear @ matrix.T)


def profile(space, gamma, primaries=None):
    """A version 2 ICC profile with one power for all channels."""
    def fixed(x):
        return struct.pack(">i", round(x * 65536))

    def place(v):
        return b"XYZ \0\0\0\0" + b"".join(map(fixed, v))

    curve = b"curv\0\0\0\0" + struct.pack(">IH", 1, round(gamma * 256)) + b"\0\0"
    text = b"a test"
    tags = {b"desc": b"desc\0\0\0\0" + struct.pack(">I", len(text) + 1) + text + b"\0" + bytes(78),
            b"cprt": b"text\0\0\0\0none\0", b"wtpt": place(D50)}
    if space == b"GRAY":
        tags[b"kTRC"] = curve
    else:
        matrix = to_d50(primaries, D65)
        for i, name in enumerate(b"rgb"):
            tags[bytes([name]) + b"XYZ"] = place(matrix[:, i])
            tags[bytes([name]) + b"TRC"] = curve
    table, data = b"", b""
    start = 128 + 4 + 12 * len(tags)
    for name, value in tags.items():
        value += bytes(-len(value) % 4)
        table += name + struct.pack(">II", start + len(data), len(value))
        data += value
    size = start + len(data)
    header = (struct.pack(">I4sI", size, b"lcms", 0x02400000) + b"mntr" + space + b"XYZ "
              + struct.pack(">6H", 2026, 11, 25, 0, 0, 0) + b"acsp" + bytes(24) + bytes(4)
              + b"".join(map(fixed, D50)) + bytes(48))
    return header + struct.pack(">I", len(tags)) + table + data


def gama(gamma):
    return b"gAMA", struct.pack(">I", round(gamma * 100000))


def chrm(primaries, white=D65):
    return b"cHRM", struct.pack(">8I", *(round(v * 100000) for v in np.concatenate([[white], primaries]).reshape(-1)))


def iccp(data):
    return b"iCCP", b"test\0\0" + zlib.compress(data)


# --- the pictures

def ramp(channels, most, seed):
    rng = np.random.default_rng(seed)
    values = rng.integers(0, most + 1, (HEIGHT, WIDTH, channels))
    values[0, 0], values[0, 1] = 0, most
    return values


def over_white(rgb, alpha):
    return 1 + (rgb - 1) * alpha[..., None]


def three(grey):
    return np.repeat(grey, 3, axis=-1) if grey.shape[-1] == 1 else grey


def pictures():
    """Name, file, and what it shows: [height, width, 3] of 0…1."""
    for bits in (1, 2, 4, 8, 16):
        most = 2 ** bits - 1
        grey = ramp(1, most, bits)
        yield f"grey{bits}", png(grey, 0, bits), three(grey / most)
        clear = int(grey[2, 3, 0])
        yield (f"grey{bits}-trns", png(grey, 0, bits, chunks=[(b"tRNS", struct.pack(">H", clear))]),
               over_white(three(grey / most), (grey[..., 0] != clear).astype(float)))
    for bits in (8, 16):
        most = 2 ** bits - 1
        rgb = ramp(3, most, 20 + bits)
        yield f"rgb{bits}", png(rgb, 2, bits), rgb / most
        clear = rgb[1, 1]
        yield (f"rgb{bits}-trns", png(rgb, 2, bits, chunks=[(b"tRNS", struct.pack(">3H", *map(int, clear)))]),
               over_white(rgb / most, (rgb != clear).any(-1).astype(float)))
        rgba = ramp(4, most, 30 + bits)
        yield f"rgba{bits}", png(rgba, 6, bits), over_white(rgba[..., :3] / most, rgba[..., 3] / most)
        yield (f"rgba{bits}-interlaced", png(rgba, 6, bits, interlaced=True),
               over_white(rgba[..., :3] / most, rgba[..., 3] / most))
        la = ramp(2, most, 40 + bits)
        yield f"la{bits}", png(la, 4, bits), over_white(three(la[..., :1] / most), la[..., 1] / most)
    for bits in (1, 2, 4, 8):
        colours = ramp(3, 255, 50 + bits).reshape(-1, 3)[:min(2 ** bits, 60)]
        colours = colours[np.arange(min(2 ** bits, len(colours)))]
        indices = np.random.default_rng(60 + bits).integers(0, len(colours), (HEIGHT, WIDTH, 1))
        plte = (b"PLTE", colours.astype(np.uint8).tobytes())
        shown = colours[indices[..., 0]] / 255
        yield f"palette{bits}", png(indices, 3, bits, chunks=[plte]), shown
        opacity = np.array([0, 128] + [255] * len(colours))[:len(colours)]
        trns = (b"tRNS", bytes(int(v) for v in opacity[:2]))
        yield (f"palette{bits}-trns", png(indices, 3, bits, chunks=[plte, trns], interlaced=bits == 4),
               over_white(shown, opacity[indices[..., 0]] / 255))
    rgb = ramp(3, 65535, 70)
    v = rgb / 65535
    deep = {
        "linear": ([gama(1.0)], converted(v, lambda x: x, None)),
        "gamma1.8": ([gama(1 / 1.8)], converted(v, lambda x: x ** (1 / 0.55556), None)),
        # What most programs write beside sRGB.
        "gamma2.2": ([gama(1 / 2.2)], v),
        "srgb-primaries": ([gama(1 / 2.2), chrm(SRGB)], v),
        # sRGB counts more than a power and primaries.
        "srgb": ([(b"sRGB", b"\0"), gama(1.0), chrm(P3)], v),
        "adobe-primaries": ([gama(1 / 2.2), chrm(ADOBE)], converted(v, decoded, ADOBE)),
        "linear-p3": ([gama(1.0), chrm(P3)], converted(v, lambda x: x, P3)),
        # A profile counts most.
        "icc-adobe": ([iccp(profile(b"RGB ", 563 / 256, ADOBE)), gama(1.0)],
                      converted(v, lambda x: x ** (563 / 256), ADOBE)),
        "icc-p3": ([iccp(profile(b"RGB ", 1.8, P3))], converted(v, lambda x: x ** (461 / 256), P3)),
    }
    for name, (chunks, shown) in deep.items():
        yield name, png(rgb, 2, 16, chunks=chunks), shown
    indices = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1)
    colours = ramp(3, 255, 80).reshape(-1, 3)
    yield ("icc-palette", png(indices, 3, 8, chunks=[
        iccp(profile(b"RGB ", 1.8, P3)), (b"PLTE", colours.astype(np.uint8).tobytes())]),
        converted(colours[indices[..., 0]] / 255, lambda x: x ** (461 / 256), P3))
    grey = ramp(2, 65535, 90)
    shown = three(encoded((grey[..., :1] / 65535) ** (256 / 256)))
    yield ("icc-grey-alpha", png(grey, 4, 16, chunks=[iccp(profile(b"GRAY", 1.0))]),
           over_white(shown, grey[..., 1] / 65535))
    yield ("gamma-grey", png(grey[..., :1], 0, 16, chunks=[gama(1.0), chrm(P3)]),
           three(encoded(grey[..., :1] / 65535)))


def scaled():
    """Pictures at other sizes, by Pillow's Lanczos filter in floats."""
    rng = np.random.default_rng(5)
    for source, target, box in [
        ((13, 17), (5, 4), None), ((13, 17), (40, 31), None), ((6, 5), (6, 5), None),
        ((30, 23), (7, 9), (1.25, 2.5, 20.75, 29.0)), ((4, 3), (9, 20), (0.5, 1.0, 2.25, 3.5)),
        ((1, 9), (3, 3), None),
    ]:
        values = rng.random(source, np.float32)
        image = Image.fromarray(values, "F").resize(target[::-1], Image.Resampling.LANCZOS, box)
        left, top, right, bottom = box or (0, 0, source[1], source[0])
        yield {"source": list(source), "target": list(target), "rows": [top, bottom],
               "columns": [left, right], "values": values.reshape(-1).tolist(),
               "scaled": np.asarray(image).reshape(-1).tolist()}


def main():
    OUT.mkdir(exist_ok=True)
    shown = {}
    for name, data, pixels in pictures():
        (OUT / f"{name}.png").write_bytes(data)
        assert pixels.shape == (HEIGHT, WIDTH, 3), name
        shown[name] = [round(float(v), 6) for v in pixels.reshape(-1)]
    text = json.dumps({"width": WIDTH, "height": HEIGHT, "pictures": shown, "scaled": list(scaled())})
    (OUT / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

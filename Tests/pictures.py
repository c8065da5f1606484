"""Writes Tests/Fixtures/pictures: small PNGs of every kind, what they show in sRGB, and scaled rows.

    python3 Tests/pictures.py        # numpy, and Pillow for the scaled ones

PNGs and profiles are put together here from their specifications, and colours computed from textbook
formulas, so that nothing but the format is shared with what is tested.
"""

import itertools
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


def png(pixels, kind, bits, *, chunks=(), interlaced=False, after=()):
    """`pixels`: [height, width, channels] of integers; `kind`: PNG's colour type; `after` follows the pixels."""
    h, w, _ = pixels.shape
    rows = b""
    for y, x, dy, dx in ADAM7 if interlaced else [(0, 0, 1, 1)]:
        part = pixels[y::dy, x::dx]
        if part.size:
            rows += b"".join(b"\0" + packed(row.reshape(-1), bits) for row in part)
    header = struct.pack(">IIBBBBB", w, h, bits, kind, 0, 0, int(interlaced))
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + b"".join(chunk(*c) for c in chunks)
            + chunk(b"IDAT", zlib.compress(rows)) + b"".join(chunk(*c) for c in after) + chunk(b"IEND", b""))


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
        # What most programs write in addition to sRGB.
        "gamma2.2": ([gama(1 / 2.2)], v),
        "srgb-primaries": ([gama(1 / 2.2), chrm(SRGB)], v),
        # sRGB takes precedence over gamma and primaries.
        "srgb": ([(b"sRGB", b"\0"), gama(1.0), chrm(P3)], v),
        "adobe-primaries": ([gama(1 / 2.2), chrm(ADOBE)], converted(v, decoded, ADOBE)),
        "linear-p3": ([gama(1.0), chrm(P3)], converted(v, lambda x: x, P3)),
        # A profile takes precedence over both.
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


# --- orientation (Exif 2.3, tag 0x0112): how the upright picture is stored

STORED = {1: lambda a: a, 2: lambda a: a[:, ::-1], 3: lambda a: a[::-1, ::-1], 4: lambda a: a[::-1],
          5: lambda a: a.swapaxes(0, 1), 6: lambda a: np.rot90(a, 1), 7: lambda a: np.rot90(a, 2).swapaxes(0, 1),
          8: lambda a: np.rot90(a, -1)}


def exif(value, order=">", *, kind=3, count=1, tag=0x0112, entries=None, offset=8, magic=42):
    """TIFF's header, one directory of two entries (the maker's name first), nothing else."""
    mark = b"MM" if order == ">" else b"II"
    cell = struct.pack(order + ("H2x" if kind == 3 else "I"), value)
    return (mark + struct.pack(order + "HI", magic, offset) + struct.pack(order + "H", entries or 2)
            + struct.pack(order + "HHI4s", 0x010F, 2, 4, b"abc") + struct.pack(order + "HHI", tag, kind, count) + cell
            + bytes(4))


def turned():
    upright = ramp(3, 255, 200)
    shown = upright / 255
    for value, store in STORED.items():
        stored = store(upright)
        # Pillow's own view of the same orientation.
        names = {2: "FLIP_LEFT_RIGHT", 3: "ROTATE_180", 4: "FLIP_TOP_BOTTOM", 5: "TRANSPOSE", 6: "ROTATE_270",
                 7: "TRANSVERSE", 8: "ROTATE_90"}
        image = Image.fromarray(np.ascontiguousarray(stored.astype(np.uint8)))
        if value > 1:
            image = image.transpose(Image.Transpose[names[value]])
        assert (np.asarray(image) == upright).all(), value
        for order in "<>":
            data = exif(value, order)
            yield (f"exif{value}-{'little' if order == '<' else 'big'}",
                   png(stored, 2, 8, chunks=[(b"eXIf", data)]), shown)
    rgba = ramp(4, 65535, 201)
    yield ("exif6-interlaced", png(STORED[6](rgba), 6, 16, chunks=[(b"eXIf", exif(6))], interlaced=True),
           over_white(rgba[..., :3] / 65535, rgba[..., 3] / 65535))
    grey = ramp(1, 15, 202)
    yield "exif8-grey4", png(STORED[8](grey), 0, 4, chunks=[(b"eXIf", exif(8))]), three(grey / 15)
    yield "exif7-after", png(STORED[7](upright), 2, 8, after=[(b"eXIf", exif(7, "<"))]), shown
    yield "exif5-long", png(STORED[5](upright), 2, 8, chunks=[(b"eXIf", exif(5, kind=4))]), shown
    yield "exif6-prefix", png(STORED[6](upright), 2, 8, chunks=[(b"eXIf", b"Exif\0\0" + exif(6))]), shown
    # Damaged or useless: the picture is shown as it is stored.
    for name, data in {
        "empty": b"", "short": exif(6)[:7], "cut": exif(6)[:30], "magic": exif(6, magic=43), "zero": exif(0),
        "nine": exif(9), "bytes": exif(6, kind=1), "two": exif(6, count=2), "offset": exif(6, offset=0xFFFFFFF0),
        "entries": exif(6, tag=0x0111, entries=65535), "mark": b"XX" + exif(6)[2:], "none": exif(6, tag=0x0111),
    }.items():
        yield f"exif-damaged-{name}", png(upright, 2, 8, chunks=[(b"eXIf", data)]), shown


# --- code points (ITU-T H.273), curves of BT.709 and BT.2100, white of BT.2408

BT2020 = np.array([[0.708, 0.292], [0.170, 0.797], [0.131, 0.046]])
NTSC = np.array([[0.670, 0.330], [0.210, 0.710], [0.140, 0.080]])
C = np.array([0.310, 0.316])
DCI = np.array([0.314, 0.351])
REFERENCE_WHITE = 203


def pq(v):
    """SMPTE ST 2084: of 10,000 cd/m²; 1 is the reference white."""
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    root = v ** (1 / m2)
    return 10000 * (np.maximum(root - c1, 0) / (c2 - c3 * root)) ** (1 / m1) / REFERENCE_WHITE


def to_pq(light):
    m1, m2, c1, c2, c3 = 0.1593017578125, 78.84375, 0.8359375, 18.8515625, 18.6875
    power = (light * REFERENCE_WHITE / 10000) ** m1
    return ((c1 + c2 * power) / (1 + c3 * power)) ** m2


def hlg(v):
    """BT.2100: scene light, then a display of 1,000 cd/m² with a system gamma of 1.2."""
    a = 0.17883277
    b, c = 1 - 4 * a, 0.5 - a * np.log(4 * a)
    scene = np.where(v <= 0.5, v ** 2 / 3, (np.exp((v - c) / a) + b) / 12)
    luminance = scene @ np.array([0.2627, 0.6780, 0.0593])
    return 1000 / REFERENCE_WHITE * scene * luminance[..., None] ** 0.2


def television(v):
    """The inverse of BT.709's curve, with BT.2020's digits for 12 bits and more."""
    return np.where(v < 4.5 * 0.01805397, v / 4.5, ((v + 0.09929683) / 1.09929683) ** (1 / 0.45))


def cicp(*codes):
    return b"cICP", bytes(codes)


def coded():
    rgb = ramp(3, 65535, 300)
    v = rgb / 65535
    rgb8 = ramp(3, 255, 301)
    kinds = {
        "pq": ((9, 16, 0, 1), pq, BT2020, D65), "hlg": ((9, 18, 0, 1), hlg, BT2020, D65),
        "p3": ((12, 13, 0, 1), decoded, P3, D65), "p3-pq": ((12, 16, 0, 1), pq, P3, D65),
        "bt709": ((1, 1, 0, 1), television, None, D65), "bt2020": ((9, 14, 0, 1), television, BT2020, D65),
        "ntsc": ((4, 4, 0, 1), lambda x: x ** 2.2, NTSC, C), "dci": ((11, 8, 0, 1), lambda x: x, P3, DCI),
        "linear": ((1, 8, 0, 1), lambda x: x, None, D65), "pal": ((1, 5, 0, 1), lambda x: x ** 2.8, None, D65),
    }
    for name, (codes, curve, primaries, white) in kinds.items():
        yield f"cicp-{name}", png(rgb, 2, 16, chunks=[cicp(*codes)]), converted(v, curve, primaries, white)
    yield "cicp-srgb", png(rgb, 2, 16, chunks=[cicp(1, 13, 0, 1)]), v
    # Whatever is no brighter than reference white is the sRGB picture that it was made from.
    matrix = np.linalg.inv(to_d50(BT2020, D65)) @ to_d50(SRGB, D65)
    stored = np.rint(to_pq(np.maximum(decoded(v) @ matrix.T, 0)) * 65535).astype(int)
    yield "cicp-pq-of-srgb", png(stored, 2, 16, chunks=[cicp(9, 16, 0, 1)]), v
    # Narrow (video) range of 8 and 16 bits.
    for bits, values in ((8, rgb8), (16, rgb)):
        step = 2 ** (bits - 8)
        signal = np.clip((values - 16 * step) / (219 * step), 0, 1)
        yield (f"cicp-pq-narrow{bits}", png(values, 2, bits, chunks=[cicp(9, 16, 0, 0)]),
               converted(signal, pq, BT2020))
    grey = ramp(2, 65535, 302)
    yield ("cicp-pq-grey-alpha", png(grey, 4, 16, chunks=[cicp(9, 16, 0, 1)]),
           over_white(three(encoded(pq(grey[..., :1] / 65535))), grey[..., 1] / 65535))
    yield ("cicp-hlg-grey8", png(ramp(1, 255, 303), 0, 8, chunks=[cicp(9, 18, 0, 1)]),
           encoded(hlg(np.repeat(ramp(1, 255, 303) / 255, 3, -1))))
    colours = ramp(3, 255, 304).reshape(-1, 3)
    indices = np.arange(HEIGHT * WIDTH).reshape(HEIGHT, WIDTH, 1)
    yield ("cicp-p3-palette", png(indices, 3, 8, chunks=[
        cicp(12, 13, 0, 1), (b"PLTE", colours.astype(np.uint8).tobytes())]),
        converted(colours[indices[..., 0]] / 255, decoded, P3))
    # cICP takes precedence over all other chunks (PNG, third edition, 4.3).
    shown = converted(v, decoded, P3)
    others = {"srgb": [(b"sRGB", b"\0")], "gama": [gama(1.0), chrm(ADOBE)],
              "iccp": [iccp(profile(b"RGB ", 563 / 256, ADOBE)), gama(1.0)]}
    for name, chunks in others.items():
        yield f"cicp-before-{name}", png(rgb, 2, 16, chunks=chunks + [cicp(12, 13, 0, 1)]), shown
    # A cICP chunk that is unusable, unspecified, damaged or too late yields to the others.
    linear = converted(v, lambda x: x, None)
    for name, chunk in {"primaries": cicp(99, 13, 0, 1), "curve": cicp(1, 17, 0, 1), "matrix": cicp(9, 16, 9, 1),
                        "unspecified": cicp(2, 2, 0, 1), "short": cicp(9, 16, 0), "range": cicp(9, 16, 0, 2)}.items():
        yield f"cicp-unused-{name}", png(rgb, 2, 16, chunks=[chunk, gama(1.0)]), linear
    yield "cicp-after", png(rgb, 2, 16, chunks=[gama(1.0)], after=[cicp(9, 16, 0, 1)]), linear
    yield "exif6-cicp-pq", png(STORED[6](rgb), 2, 16, chunks=[cicp(9, 16, 0, 1), (b"eXIf", exif(6))]), \
        converted(v, pq, BT2020)


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
    for name, data, pixels in itertools.chain(pictures(), turned(), coded()):
        (OUT / f"{name}.png").write_bytes(data)
        assert pixels.shape == (HEIGHT, WIDTH, 3), name
        shown[name] = [round(float(v), 6) for v in pixels.reshape(-1)]
    text = json.dumps({"width": WIDTH, "height": HEIGHT, "pictures": shown, "scaled": list(scaled())})
    (OUT / "expected.json").write_text(text + "\n")


if __name__ == "__main__":
    main()

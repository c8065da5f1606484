"""Writes Tests/Fixtures/photos: small JPEGs, WebPs and TIFFs of every kind, and what they show in sRGB.

    /work/venv/bin/python Tests/photos.py        # numpy and Pillow

JPEGs and WebPs are written by Pillow, and what they show is what Pillow decodes; their profiles are converted by the
textbook formulas of pictures.py. TIFFs that Pillow cannot write are put together here from the specification.
"""

import base64
import io
import json
import pathlib
import struct
import zlib

import numpy as np
from PIL import Image, ImageOps

from pictures import P3, converted, encoded, exif, over_white, profile, three

OUT = pathlib.Path(__file__).parent / "Fixtures" / "photos"
WIDTH, HEIGHT = 21, 18


def smooth(channels, seed, most=255):
    """A picture that lossy formats can keep: waves."""
    rng = np.random.default_rng(seed)
    y, x = np.mgrid[:HEIGHT, :WIDTH]
    planes = [0.5 + 0.5 * np.sin(x / rng.uniform(4, 9) + y / rng.uniform(4, 9) + rng.uniform(0, 6)) for _ in range(channels)]
    return np.rint(np.stack(planes, -1) * most).astype(int)


def saved(image, kind, **options):
    out = io.BytesIO()
    image.save(out, kind, **options)
    return out.getvalue()


def decoded_by_pillow(data):
    return ImageOps.exif_transpose(Image.open(io.BytesIO(data)))


def rgb_of(data):
    return np.asarray(decoded_by_pillow(data).convert("RGB")) / 255


def picture(values):
    values = values.astype(np.uint8)
    return Image.fromarray(values[..., 0] if values.shape[-1] == 1 else values)


def exif_block(value, order=">"):
    return b"Exif\0\0" + exif(value, order)


def jpegs():
    rgb, grey = picture(smooth(3, 1)), picture(smooth(1, 2))
    for name, options in {
        "plain": {}, "444": {"subsampling": 0}, "422": {"subsampling": 1}, "progressive": {"progressive": True},
        "progressive-444": {"progressive": True, "subsampling": 0}, "restarts": {"restart_marker_blocks": 2},
        "rgb": {"keep_rgb": True},
    }.items():
        data = saved(rgb, "JPEG", quality=90, **options)
        yield f"{name}.jpg", data, rgb_of(data)
    data = saved(grey, "JPEG", quality=90)
    yield "grey.jpg", data, rgb_of(data)
    # A grey picture with an RGB profile, as cameras write them.
    data = saved(grey, "JPEG", quality=95, icc_profile=profile(b"RGB ", 1.8, P3))
    yield "icc-grey-rgb.jpg", data, converted(three(np.asarray(decoded_by_pillow(data))[..., None] / 255),
                                              lambda x: x ** (461 / 256), P3)
    data = saved(grey, "JPEG", quality=95, icc_profile=profile(b"GRAY", 1.0))
    yield "icc-grey.jpg", data, three(encoded(np.asarray(decoded_by_pillow(data))[..., None] / 255))
    data = saved(rgb, "JPEG", quality=95, icc_profile=profile(b"RGB ", 1.8, P3))
    yield "icc-p3.jpg", data, converted(rgb_of(data), lambda x: x ** (461 / 256), P3)
    # A profile in two segments, out of order, which Pillow cannot write.
    whole = profile(b"RGB ", 1.8, P3)
    plain = saved(rgb, "JPEG", quality=95)
    pieces = [whole[:100], whole[100:]]
    segments = b"".join(b"\xff\xe2" + struct.pack(">H", 16 + len(p)) + b"ICC_PROFILE\0" + bytes([i + 1, 2]) + p
                        for i, p in reversed(list(enumerate(pieces))))
    yield "icc-pieces.jpg", plain[:2] + segments + plain[2:], converted(rgb_of(plain), lambda x: x ** (461 / 256), P3)
    for value in (3, 6, 7):
        data = saved(rgb, "JPEG", quality=90, exif=exif_block(value, "<" if value == 7 else ">"))
        yield f"exif{value}.jpg", data, rgb_of(data)
    cmyk = Image.fromarray(smooth(4, 3).astype(np.uint8), "CMYK")
    data = saved(cmyk, "JPEG", quality=95)
    ink = np.asarray(Image.open(io.BytesIO(data))) / 255
    yield "cmyk.jpg", data, (1 - ink[..., :3]) * (1 - ink[..., 3:])


def webps():
    rgb = picture(smooth(3, 11))
    rgba = picture(smooth(4, 12))
    for name, image, options in [
        ("plain", rgb, {"quality": 90}), ("lossless", rgb, {"lossless": True}), ("alpha", rgba, {"quality": 90}),
        ("alpha-lossless", rgba, {"lossless": True, "exact": True}),
    ]:
        data = saved(image, "WEBP", **options)
        found = np.asarray(Image.open(io.BytesIO(data)).convert("RGBA")) / 255
        yield f"{name}.webp", data, over_white(found[..., :3], found[..., 3])
    data = saved(rgb, "WEBP", lossless=True, icc_profile=profile(b"RGB ", 1.8, P3))
    yield "icc-p3.webp", data, converted(np.asarray(rgb) / 255, lambda x: x ** (461 / 256), P3)
    data = saved(rgb, "WEBP", lossless=True, exif=exif(8))
    yield "exif8.webp", data, rgb_of(data)


# --- TIFF (version 6.0)

GREY_WHITE, GREY, RGB, PALETTE, CMYK = 0, 1, 2, 3, 5
UINT, FLOAT = 1, 3


def bits_of(values, bits):
    """Rows of numbers, the most significant bit first, each row filled up to whole bytes."""
    rows = []
    for row in values.reshape(values.shape[0], -1):
        text = "".join(format(int(v), f"0{bits}b") for v in row)
        text += "0" * (-len(text) % 8)
        rows.append(bytes(int(text[i:i + 8], 2) for i in range(0, len(text), 8)))
    return b"".join(rows)


def tiff(values, photometric, bits, *, order="<", form=UINT, planar=False, rows=None, tile=None, deflate=False, extra=(),
         more=(), big=False):
    """`values`: [height, width, samples]. `more`: tags with kind, count and bytes."""
    height, width, samples = values.shape

    def raw(part):
        if form == FLOAT:
            return part.astype(f"{order}f{bits // 8}").tobytes()
        if bits in (8, 16, 32):
            return part.astype(f"{order}u{bits // 8}").tobytes()
        return bits_of(part, bits)

    planes = [values[..., i:i + 1] for i in range(samples)] if planar else [values]
    rows = rows or height
    parts = []
    for plane in planes:
        if tile:
            for y in range(0, height, tile):
                for x in range(0, width, tile):
                    part = np.zeros((tile, tile, plane.shape[-1]), plane.dtype)
                    cut = plane[y:y + tile, x:x + tile]
                    part[:cut.shape[0], :cut.shape[1]] = cut
                    parts.append(raw(part))
        else:
            parts += [raw(plane[y:y + rows]) for y in range(0, height, rows)]
    if deflate:
        parts = [zlib.compress(p) for p in parts]
    size = {1: 1, 2: 1, 3: 2, 4: 4, 16: 8}
    word = "Q" if big else "I"

    def numbers(kind, *values):
        return kind, len(values), b"".join(struct.pack(order + {3: "H", 4: "I", 16: "Q"}[kind], v) for v in values)

    start = 16 if big else 8
    places = []
    body = b""
    for part in parts:
        places.append(start + len(body))
        body += part + bytes(len(part) % 2)
    tags = {256: numbers(4, width), 257: numbers(4, height), 258: numbers(3, *[bits] * samples),
            259: numbers(3, 8 if deflate else 1), 262: numbers(3, photometric), 277: numbers(3, samples),
            284: numbers(3, 2 if planar else 1), 339: numbers(3, *[form] * samples)}
    if tile:
        tags |= {322: numbers(4, tile), 323: numbers(4, tile), 324: numbers(4, *places),
                 325: numbers(4, *map(len, parts))}
    else:
        tags |= {273: numbers(4, *places), 278: numbers(4, rows), 279: numbers(4, *map(len, parts))}
    if extra:
        tags[338] = numbers(3, *extra)
    tags |= dict(more)
    at = start + len(body)
    room = 8 if big else 4
    entries, rest = b"", b""
    end = at + (8 if big else 2) + len(tags) * (20 if big else 12) + room
    for tag, (kind, count, data) in sorted(tags.items()):
        assert kind == 7 or len(data) == count * size[kind]
        entries += struct.pack(order + "HH" + word, tag, kind, count)
        if len(data) <= room:
            entries += data + bytes(room - len(data))
        else:
            entries += struct.pack(order + word, end + len(rest))
            rest += data + bytes(len(data) % 2)
    mark = b"II" if order == "<" else b"MM"
    head = mark + (struct.pack(order + "HHHQ", 43, 8, 0, at) if big else struct.pack(order + "HI", 42, at))
    count = struct.pack(order + ("Q" if big else "H"), len(tags))
    return head + body + count + entries + bytes(room) + rest


def tiffs():
    rng = np.random.default_rng(5)

    def any_of(samples, most):
        return rng.integers(0, most + 1, (HEIGHT, WIDTH, samples))

    for bits in (1, 2, 4, 8, 12, 16, 32):
        most = 2 ** bits - 1
        grey = any_of(1, most)
        yield f"grey{bits}.tif", tiff(grey, GREY, bits, rows=4), three(grey / most)
    yield "grey4-white.tif", tiff(grey := any_of(1, 15), GREY_WHITE, 4, order=">"), three(1 - grey / 15)
    for order, name in (("<", "little"), (">", "big")):
        rgb = any_of(3, 65535)
        yield f"rgb16-{name}.tif", tiff(rgb, RGB, 16, order=order, rows=5), rgb / 65535
        yield f"rgb16-{name}-planes.tif", tiff(rgb, RGB, 16, order=order, planar=True, rows=5), rgb / 65535
        yield f"rgb16-{name}-planes-deflate.tif", tiff(rgb, RGB, 16, order=order, planar=True, rows=6, deflate=True), rgb / 65535
        yield f"rgb16-{name}-tiles.tif", tiff(rgb, RGB, 16, order=order, tile=16, deflate=True), rgb / 65535
    rgb = any_of(3, 255)
    yield "rgb8-tiles-planes.tif", tiff(rgb, RGB, 8, tile=16, planar=True), rgb / 255
    yield "rgb8-bigtiff.tif", tiff(rgb, RGB, 8, big=True, deflate=True), rgb / 255
    yield "rgb8-extra.tif", tiff(np.concatenate([rgb, any_of(1, 255)], -1), RGB, 8, extra=(0,)), rgb / 255
    alpha = any_of(1, 255)
    shown = over_white(rgb / 255, alpha[..., 0] / 255)
    yield "rgba8.tif", tiff(np.concatenate([rgb, alpha], -1), RGB, 8, extra=(2,)), shown
    yield "rgba8-planes.tif", tiff(np.concatenate([rgb, alpha], -1), RGB, 8, extra=(2,), planar=True, deflate=True), shown
    multiplied = np.rint(rgb / 255 * alpha / 255 * 65535).astype(int)
    deep = np.concatenate([multiplied, alpha * 257], -1)
    yield "rgba16-premultiplied.tif", tiff(deep, RGB, 16, extra=(1,)), shown
    grey = any_of(1, 255)
    yield "la8.tif", tiff(np.concatenate([grey, alpha], -1), GREY, 8, extra=(2,)), over_white(three(grey / 255), alpha[..., 0] / 255)
    for bits in (16, 32, 64):
        values = rng.uniform(-0.2, 1.2, (HEIGHT, WIDTH, 3))
        values[0, 0] = [np.nan, np.inf, -np.inf]
        exact = values.astype(f"f{bits // 8}").astype(float)
        shown = np.clip(np.nan_to_num(exact, nan=0, posinf=1, neginf=0), 0, 1)
        yield f"float{bits}.tif", tiff(values, RGB, bits, form=FLOAT, order=">" if bits == 64 else "<"), shown
    ink = any_of(4, 255)
    yield "cmyk8.tif", tiff(ink, CMYK, 8), (1 - ink[..., :3] / 255) * (1 - ink[..., 3:] / 255)
    inks = np.concatenate([ink, alpha], -1)
    yield "cmyka8.tif", tiff(inks, CMYK, 8, extra=(2,)), over_white((1 - ink[..., :3] / 255) * (1 - ink[..., 3:] / 255), alpha[..., 0] / 255)
    for bits, scale in ((2, 257), (4, 257), (8, 257), (8, 1)):
        colours = rng.integers(0, 256, (2 ** bits, 3))
        indices = any_of(1, 2 ** bits - 1)
        table = (3, 3 * 2 ** bits, (colours.T * scale).astype("<u2").tobytes())
        yield (f"palette{bits}{'' if scale > 1 else '-short'}.tif", tiff(indices, PALETTE, bits, more=[(320, table)]),
               colours[indices[..., 0]] / 255)
    icc = profile(b"RGB ", 1.8, P3)
    yield ("icc-p3.tif", tiff(any_rgb := any_of(3, 65535), RGB, 16, more=[(34675, (7, len(icc), icc))]),
           converted(any_rgb / 65535, lambda x: x ** (461 / 256), P3))
    turned = tiff(np.rot90(rgb, 1), RGB, 8, more=[(274, (3, 1, struct.pack("<H", 6)))])
    yield "exif6.tif", turned, rgb / 255
    # Compressions used by other programs, by libtiff.
    waves = smooth(3, 21)
    for name in ("tiff_lzw", "packbits", "tiff_adobe_deflate", "zstd", "lzma"):
        yield f"rgb8-{name}.tif", saved(picture(waves), "TIFF", compression=name), waves / 255
    data = saved(picture(waves), "TIFF", compression="jpeg", quality=95)
    yield "rgb8-jpeg.tif", data, rgb_of(data)
    bilevel = picture(waves[..., :1]).convert("1")
    yield "bilevel-group4.tif", saved(bilevel, "TIFF", compression="group4"), three(np.asarray(bilevel)[..., None] * 1.0)


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*"):
        old.unlink()
    expected = {}
    for name, data, shown in [*jpegs(), *webps(), *tiffs()]:
        (OUT / name).write_bytes(data)
        height, width, _ = shown.shape
        expected[name] = {"width": width, "height": height,
                          "values": base64.b64encode(np.rint(shown * 65535).astype("<u2").tobytes()).decode()}
    (OUT / "expected.json").write_text(json.dumps(expected, separators=(",", ":")))


if __name__ == "__main__":
    main()

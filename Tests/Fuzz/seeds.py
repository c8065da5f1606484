"""Writes the seed corpus for the fuzzer of the C readers: `seeds.py FOLDER`."""

import sys
import zlib
from pathlib import Path

import fixtures
import mutations


def main(folder):
    for name in ["png", "photo", "icc", "kernels"]:
        (folder / name).mkdir(parents=True, exist_ok=True)
    for path in sorted((fixtures.OWN / "pictures").glob("*.png")):
        data = path.read_bytes()
        (folder / "png" / path.name).write_bytes(data)
        for kind, body in mutations.png_split(data):
            if kind == b"iCCP":
                # The target's first byte: whether the picture is grey, by its colour type.
                profile = zlib.decompress(body[body.find(b"\0") + 2:])
                (folder / "icc" / path.stem).write_bytes(bytes([data[25] in (0, 4)]) + profile)
    for path in fixtures.photos():
        (folder / "photo" / path.name).write_bytes(path.read_bytes())
    fixtures.picture(folder / "png/many-chunks.png")
    plain = mutations.png_split((fixtures.OWN / "pictures/rgb8.png").read_bytes())
    for number, (kind, body) in enumerate(mutations.EXTRA):
        if len(body) < 5000:
            (folder / f"png/extra-{number}.png").write_bytes(mutations.png_join(plain[:1] + [[kind, body]] + plain[1:]))
    (folder / "kernels/bytes").write_bytes(bytes(range(256)))


if __name__ == "__main__":
    main(Path(sys.argv[1]))

"""Files that once did harm, or were made to: each is generated, because some are large."""

import struct
import zlib

import fixtures
import mutations
from fixtures import PROMPT, TINY
from kinds import Case, rendering

SD15 = fixtures.model("sd15-tiny")


def plan_with(file):
    return Case(file, ["plan", "--model", str(SD15), *PROMPT, *TINY, "--init-image", str(file)])


def picture(name):
    return mutations.png_split((fixtures.OWN / "pictures" / name).read_bytes())


def texts(folder):
    """190 chunks of text of 8 MB each, in a picture of 1.5 MB: they took 1.5 GB of memory when they were kept."""
    chunks = picture("rgb8.png")
    text = [b"zTXt", b"k\0\0" + zlib.compress(b"t" * 7_900_000)]
    file = folder / "texts.png"
    file.write_bytes(mutations.png_join(chunks[:1] + [text] * 190 + chunks[1:]))
    return plan_with(file)


def long_chunk(kind):
    """A chunk of 1.9 GB in a sparse file: libpng only warns about chunks that are too long."""
    def make(folder):
        file = folder / "long.png"
        with open(file, "wb") as out:
            out.write(mutations.png_join(picture("rgb8.png")[:1]) + struct.pack(">I", 1_900_000_000) + kind + b"k\0")
            out.truncate(2_000_000_000)
        return plan_with(file)
    return make


def with_tag(profile, name, content):
    """An ICC profile with one more tag."""
    (count,) = struct.unpack(">I", profile[128:132])
    tags = [struct.unpack(">4sII", profile[132 + 12 * i:144 + 12 * i]) for i in range(count)]
    body = profile[132 + 12 * count:]
    tags = [(tag, offset + 12, size) for tag, offset, size in tags]
    start = 132 + 12 * (count + 1) + len(body)
    tags.append((name, start + -start % 4, len(content)))
    table = b"".join(struct.pack(">4sII", *tag) for tag in tags)
    made = profile[:128] + struct.pack(">I", count + 1) + table + body + bytes(-start % 4) + content
    # Version 4.3, the first with these tags.
    return struct.pack(">I", len(made)) + made[4:8] + bytes([4, 0x30, 0, 0]) + made[12:]


def float_tables(side, links):
    """A picture whose profile has a chain of tables, all of them the same one, that makes everything black."""
    table = b"clut" + bytes(4) + struct.pack(">HH", 3, 3) + bytes([side] * 3) + bytes(13) + bytes(side ** 3 * 3 * 4)
    head = b"mpet" + bytes(4) + struct.pack(">HHI", 3, 3, links)
    chain = head + struct.pack(">II", len(head) + 8 * links, len(table)) * links + table
    chunks = picture("icc-p3.png")
    for chunk in chunks:
        if chunk[0] == b"iCCP":
            profile = zlib.decompress(chunk[1][chunk[1].find(b"\0") + 2:])
            chunk[1] = b"p\0\0" + zlib.compress(with_tag(profile, b"D2B1", chain))
    return mutations.png_join(chunks)


def many_float_tables(folder):
    """A picture of 3 kB that took 4 GB of memory."""
    file = folder / "tables.png"
    file.write_bytes(float_tables(60, 400))
    return plan_with(file)


def many_values(folder):
    """A configuration of 60 MB, in which every two bytes took 40 bytes of memory."""
    fixtures.tree(SD15, folder / "model")
    file = folder / "model/unet/config.json"
    file.unlink()
    file.write_bytes(b'{"a": [' + b"1," * 30_000_000 + b"1]}")
    return Case(file, ["plan", "--model", str(folder / "model"), *PROMPT, *TINY])


def many_tensors(folder):
    """A checkpoint header that consists only of brackets."""
    fixtures.tree(SD15, folder / "model")
    file = folder / "model/unet/diffusion_pytorch_model.safetensors"
    file.unlink()
    text = b'{"a": [' + b"[]," * 25_000_000 + b"1]}"
    file.write_bytes(struct.pack("<Q", len(text)) + text)
    return Case(file, ["inspect", str(folder / "model")])


def noise(value):
    """Recorded noise with a number that noise cannot have."""
    def make(folder):
        entries = fixtures.tensors(fixtures.OWN / "expected/sd15.safetensors")
        kind, shape, data = entries["run.2x.base_noise"]
        data = data[:40] + struct.pack("<f", value) + data[44:]
        file = folder / "noise.safetensors"
        fixtures.write_tensors(file, {
            "base_noise": (kind, shape, data), "phase_noise.2": entries["run.2x.phase_noise.2"],
            "jitter": entries["run.2x.jitter"],
        })
        command = rendering(SD15) + ["--inputs", str(file)]
        command[command.index("64x64")] = "256x256"
        return Case(file, command)
    return make


def hosts(text):
    def make(folder):
        file = folder / "cluster.yaml"
        file.write_bytes(text)
        return Case(file, ["plan", "--model", str(SD15), *PROMPT, *TINY, "--cluster", str(file)])
    return make


def aliases(levels, end):
    """Lists of aliases to lists of aliases: nine times as many values at each level."""
    lists = b"".join(
        b"a%d: &a%d [%s]\n" % (i, i, b", ".join([b"*a%d" % (i - 1)] * 9)) for i in range(1, levels))
    return b"a0: &a0 [x]\n" + lists + end


def long_path(folder):
    """A path as long as the system allows, which an error must name in full."""
    deep = folder
    while len(str(deep)) < 3700:
        deep = deep / ("d" * 200)
        deep.mkdir()
    file = deep / "cluster.yaml"
    file.write_bytes(b"[")
    case = hosts(b"")(folder)
    case.arguments[-1] = str(file)
    case.file = file
    return case


CRAFTED = {
    "texts of a picture": texts, "long tEXt": long_chunk(b"tEXt"), "long eXIf": long_chunk(b"eXIf"),
    "long sPLT": long_chunk(b"sPLT"), "long iCCP": long_chunk(b"iCCP"), "long tRNS": long_chunk(b"tRNS"),
    "long unknown": long_chunk(b"abCd"), "float tables": many_float_tables,
    "many values": many_values, "many tensors": many_tensors, "NaN as noise": noise(float("nan")),
    "infinite noise": noise(float("inf")), "huge noise": noise(3e38), "aliases as a key": hosts(aliases(12, b"? *a11\n: 1\n")),
    "aliases in a key": hosts(aliases(12, b"{[*a11]: 1}\n")), "aliases": hosts(aliases(25, b"")),
    "an escape sequence in YAML": hosts(b"hosts: [\x1b]0;title\x07]\n"), "a long line of YAML": hosts(b"{a: " * 60_000),
    "a path of 3,700 letters": long_path,
}

if __name__ == "__main__":
    # The fixture of HostilePictureTests.
    (fixtures.OWN / "pictures/float-tables.png").write_bytes(float_tables(2, 2))

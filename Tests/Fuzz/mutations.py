"""Ways to damage a file so that the damage gets past the first check: each format is changed by its own parts."""

import json
import struct
import zlib

NUMBERS = [
    0, 1, -1, 2, 3, 7, 0.5, -0.5, 64, 255, 256, 65535, 65536, 1 << 31, (1 << 31) - 1, -(1 << 31), 1 << 32, 1 << 40,
    1 << 53, 1 << 62, (1 << 63) - 1, 1 << 63, 1 << 64, -(1 << 63), 1e-300, 1e300, float("inf"), float("-inf"),
    float("nan"), 1e-6, 0.1, 99999999,
]
TEXTS = [
    "", " ", "\0", "a", "..", "../../etc/passwd", "/dev/zero", "null", "None", "é", "\u0301", "🦊", "\ufeff", "x" * 5000,
    "%s%n", "a\nb", "\x1b[31m", "-", "--help", "0", "1e9", "<|endoftext|>", "silu", "linear",
]
KINDS = [None, True, False, [], {}, [[]], [None], {"a": 1}, [1, "a"], [1] * 1000]


def deep(depth):
    value = 1
    for _ in range(depth):
        value = [value]
    return value


def pick(rng, near=None):
    """An edge-case value; often a small change of the old value."""
    roll = rng.random()
    if roll < 0.45 and isinstance(near, (int, float)) and not isinstance(near, bool):
        return rng.choice([near * 2, near + 1, near - 1, -near, near // 2, near * 1000, near + 0.5])
    if roll < 0.75:
        return rng.choice(NUMBERS)
    if roll < 0.85:
        return rng.choice(TEXTS)
    return rng.choice(KINDS + [deep(rng.choice([60, 70, 90]))])


def raw(rng, data, rounds=4):
    """A bit flipped, a byte set, a stretch removed, repeated or overwritten, or the end cut off."""
    data = bytearray(data)
    for _ in range(rng.randint(1, rounds)):
        if not data:
            break
        at = rng.randrange(len(data))
        end = min(len(data), at + rng.randint(1, 16))
        what = rng.randrange(7)
        if what == 0:
            data[at] ^= 1 << rng.randrange(8)
        elif what == 1:
            data[at] = rng.choice([0, 0xFF, 0x7F, 0x80, 0x22, 0x7B, 0x0A])
        elif what == 2:
            del data[at:end]
        elif what == 3:
            data[at:at] = data[at:end] * rng.choice([1, 1, 1, 100])
        elif what == 4:
            data[at:end] = rng.randbytes(end - at)
        elif what == 5:
            data[at:at] = rng.choice([b"\xef\xbb\xbf", b"\r\n", b"\0", b"\xff\xfe", b"{", b"["])
        else:
            del data[at:]
    return bytes(data)


def _places(value, path=()):
    yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, inner in items:
        yield from _places(inner, path + (key,))


def json_value(rng, value):
    """One value, at any depth, becomes an edge case; or a member is removed, duplicated or renamed."""
    value = json.loads(json.dumps(value))
    places = [p for p in _places(value) if p]
    if not places:
        return pick(rng)
    # Large files have thousands of similar members: give the outer ones the same chance.
    if rng.random() < 0.5:
        places = [p for p in places if len(p) <= 2][:200] or places
    path = rng.choice(places)
    holder = value
    for key in path[:-1]:
        holder = holder[key]
    key = path[-1]
    what = rng.random()
    if what < 0.75:
        holder[key] = pick(rng, holder[key])
    elif what < 0.85:
        del holder[key]
    elif isinstance(holder, list):
        holder.extend([holder[key]] * rng.choice([1, 5, 1000]))
    else:
        holder[str(rng.choice(TEXTS))] = holder.pop(key)
    return value


def json_text(rng, data):
    roll = rng.random()
    if roll < 0.25:
        return raw(rng, data)
    try:
        value = json.loads(data)
    except ValueError:
        return raw(rng, data)
    for _ in range(rng.choice([1, 1, 1, 2, 3])):
        value = json_value(rng, value)
    text = json.dumps(value, ensure_ascii=rng.random() < 0.5).encode("utf-8", "surrogatepass")
    if roll > 0.95:
        text = rng.choice([b"\xef\xbb\xbf", b"\xff\xfe", b"\n\n", b"[", b"//\n"]) + text
    return text


def lines(rng, data, words=()):
    """Text of lines: whole lines and the words in them are changed."""
    if rng.random() < 0.25:
        return raw(rng, data)
    items = data.split(b"\n")
    for _ in range(rng.randint(1, 3)):
        at = rng.randrange(len(items))
        what = rng.randrange(7)
        if what == 0:
            del items[at]
        elif what == 1:
            items.insert(at, rng.choice(items) if items else b"")
        elif what == 2:
            other = rng.randrange(len(items)) if items else 0
            items[at], items[other] = items[other], items[at]
        elif what == 3:
            items[at] = raw(rng, items[at], 2)
        elif what == 4:
            items[at] += b"\r"
        elif what == 5:
            parts = items[at].split(b" ")
            spare = [str(rng.choice(NUMBERS)).encode(), str(rng.choice(TEXTS)).encode()] + list(words)
            parts[rng.randrange(len(parts))] = rng.choice(spare)
            items[at] = b" ".join(parts)
        else:
            items[at] = b" " * rng.choice([1, 2, 8]) + items[at]
        if not items:
            items = [b""]
    return b"\n".join(items)


YAML_WORDS = [
    b"&a", b"*a", b"*b", b"<<:", b"!!binary", b"!!float", b"!!int", b"!!set", b"!!python/object", b"|", b">", b"- ", b"? ",
    b"{", b"}", b"[", b"]", b"[" * 2000, b"{a: " * 2000, b"~", b".inf", b".nan", b"0x7fffffffffffffff", b"1e400", b"12:30:45",
    b"---", b"...", b"%YAML 3.0", b"\t", b"'", b'"', b"\xc2\x85", b"yes", b"1_000", b"2001-01-01", b"localhost",
    b"{host}", b"{command}", b"{arguments}", b"{{", b"}}", b"{", b"tcp://*:0", b"ipc:///x", b"@", b"`",
]


def yaml(rng, data):
    return lines(rng, data, YAML_WORDS)


def safetensors_split(data):
    (length,) = struct.unpack("<Q", data[:8])
    return json.loads(data[8:8 + length]), data[8 + length:]


def safetensors_join(header, body, length=None):
    text = json.dumps(header).encode("utf-8", "surrogatepass")
    text += b" " * (-len(text) % 8)
    return struct.pack("<Q", len(text) if length is None else length % (1 << 64)) + text + body


TYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "F8_E5M2", "", "f32", "C64"]
SPECIAL_FLOATS = [float("nan"), float("inf"), float("-inf"), 3e38, -3e38, 1e-45]


def safetensors(rng, data):
    """The header's entries, its length, single numbers; rarely bytes anywhere, because any bytes are valid data."""
    roll = rng.random()
    header, body = safetensors_split(data)
    if roll < 0.1:
        head = raw(rng, data[:len(data) - len(body)])
        return head + body
    if roll < 0.15:
        return data[:rng.randrange(len(data))]
    if roll < 0.2:
        lengths = [0, 1, 7, len(data), len(data) - 8, 1 << 31, 1 << 63, (1 << 64) - 1, 100_000_001]
        return safetensors_join(header, body, rng.choice(lengths))
    names = [name for name in header if name != "__metadata__"]
    if roll < 0.35:
        # Special floating-point values, in place.
        body = bytearray(body)
        for _ in range(rng.choice([1, 1, 10])):
            entry = header[rng.choice(names)]
            first, last = entry["data_offsets"]
            if entry["dtype"] == "F32" and last - first >= 4:
                struct.pack_into("<f", body, first + 4 * rng.randrange((last - first) // 4), rng.choice(SPECIAL_FLOATS))
        return safetensors_join(header, bytes(body))
    for _ in range(rng.choice([1, 1, 2, 4])):
        name = rng.choice(names)
        entry = header.get(name)
        if entry is None:
            continue
        what = rng.randrange(9)
        if what == 0:
            entry["dtype"] = rng.choice(TYPES)
        elif what == 1 and entry["shape"]:
            entry["shape"][rng.randrange(len(entry["shape"]))] = pick(rng, 4)
        elif what == 2:
            entry["shape"] = rng.choice([[], [0], list(reversed(entry["shape"])), entry["shape"] + [1], [1] * 20])
        elif what == 3:
            entry["data_offsets"][rng.randrange(2)] = pick(rng, entry["data_offsets"][0])
        elif what == 4:
            entry["data_offsets"] = list(header.get(rng.choice(names), entry)["data_offsets"])
        elif what == 5:
            header[rng.choice(TEXTS) + name[rng.randrange(len(name)):]] = header.pop(name)
        elif what == 6:
            del header[name]
        elif what == 7:
            header["__metadata__"] = rng.choice([1, [], {"a": 1}, {"format": "pt", "a" * 9000: "b" * 9000}, None])
        else:
            # A vector or matrix of another size, with matching offsets.
            first = entry["data_offsets"][0]
            if not isinstance(first, int):
                continue
            shape = [max(1, side // 2) for side in entry["shape"] if isinstance(side, int)]
            size = {"F32": 4, "F16": 2, "BF16": 2}.get(entry["dtype"], 1)
            count = 1
            for side in shape:
                count *= side
            entry.update(shape=shape, data_offsets=[first, first + size * count])
    return safetensors_join(header, body)


SIGNATURE = b"\x89PNG\r\n\x1a\n"
CHUNKS = [
    b"IHDR", b"PLTE", b"IDAT", b"IEND", b"tRNS", b"gAMA", b"cHRM", b"sRGB", b"iCCP", b"sBIT", b"bKGD", b"hIST", b"pHYs",
    b"sPLT", b"tIME", b"iTXt", b"tEXt", b"zTXt", b"eXIf", b"cICP", b"acTL", b"fcTL", b"fdAT",
]
EXTRA = [
    (b"cICP", bytes([9, 16, 0, 1])), (b"cICP", bytes([12, 13, 0, 1])), (b"cICP", bytes([255, 255, 255, 255])),
    (b"gAMA", struct.pack(">I", 0)), (b"gAMA", struct.pack(">I", 0xFFFFFFFF)), (b"gAMA", struct.pack(">I", 1)),
    (b"cHRM", struct.pack(">8I", *[0] * 8)), (b"cHRM", struct.pack(">8I", *[0x7FFFFFFF] * 8)),
    (b"cHRM", struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000)),
    (b"cHRM", struct.pack(">8I", 31270, 0, 64000, 0, 30000, 0, 15000, 0)), (b"sRGB", b"\x09"),
    (b"eXIf", b"MM\0*\0\0\0\x08\0\x01\x01\x12\0\3\0\0\0\1\0\6\0\0\0\0\0\0"),
    (b"eXIf", b"II*\0\xff\xff\xff\xff\1\0\x12\1\3\0\1\0\0\0\6\0\0\0\0\0\0\0"),
    (b"eXIf", b"MM\0*\0\0\0\x08\xff\xff" + b"\x01\x12\0\3\xff\xff\xff\xff\0\xff\0\0" * 3),
    (b"zTXt", b"k\0\0" + zlib.compress(b"t" * 1000000)), (b"iTXt", b"k\0\1\0\0\0" + zlib.compress(b"t" * 1000000)),
    (b"iTXt", b"k\0\0\0en\0k\0\xff\xfe"), (b"tEXt", b"parameters\0" + b"x" * 70000), (b"tEXt", b"novalue"),
    (b"iCCP", b"p\0\0" + zlib.compress(b"\0" * 200)), (b"iCCP", b"p\0\0" + zlib.compress(b"\0" * (7 << 20))),
]


def png_split(data):
    at, chunks = 8, []
    while at + 12 <= len(data):
        (length,) = struct.unpack(">I", data[at:at + 4])
        length = min(length, len(data) - at - 12)
        chunks.append([data[at + 4:at + 8], data[at + 8:at + 8 + length]])
        at += length + 12
    return chunks


def png_join(chunks):
    return SIGNATURE + b"".join(
        struct.pack(">I", len(body)) + kind + body + struct.pack(">I", zlib.crc32(kind + body)) for kind, body in chunks)


def _inflated(rng, body, start):
    """Decompresses the data from `start` on, changes it, and compresses it again."""
    try:
        plain = zlib.decompressobj().decompress(body[start:], 1 << 20)
    except zlib.error:
        return raw(rng, body)
    return body[:start] + zlib.compress(raw(rng, plain, 8))


def png(rng, data):
    roll = rng.random()
    if roll < 0.1:
        return raw(rng, data)
    chunks = png_split(data)
    for _ in range(rng.choice([1, 1, 2, 3])):
        at = rng.randrange(len(chunks))
        kind, body = chunks[at]
        what = rng.randrange(9)
        if what == 0:
            chunks[at][1] = raw(rng, body)
        elif what == 1 and len(body) >= 4:
            place = 4 * rng.randrange(2) if kind == b"IHDR" else rng.randrange(len(body) - 3)
            number = rng.choice([0, 1, 2, 255, 65535, 1 << 20, (1 << 20) + 1, 1 << 30, (1 << 31) - 1, 1 << 31, (1 << 32) - 1])
            chunks[at][1] = body[:place] + struct.pack(">I", number) + body[place + 4:]
        elif what == 2:
            chunks.insert(rng.randrange(len(chunks) + 1), [kind, body])
        elif what == 3 and len(chunks) > 1:
            del chunks[at]
        elif what == 4:
            chunks[at][0] = rng.choice(CHUNKS)
        elif what == 5:
            chunks.insert(rng.randrange(len(chunks) + 1), chunks.pop(at))
        elif what == 6:
            extra = rng.choice(EXTRA)
            chunks.insert(rng.randrange(1, len(chunks) + 1), [extra[0], raw(rng, extra[1]) if rng.random() < 0.3 else extra[1]])
        elif kind in (b"IDAT", b"zTXt", b"iCCP"):
            start = 0 if kind == b"IDAT" else body.find(b"\0") + 2
            chunks[at][1] = _inflated(rng, body, start)
        elif kind == b"IHDR" and len(body) == 13:
            changed = bytearray(body)
            changed[rng.randrange(8, 13)] = rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 16, 32, 255])
            chunks[at][1] = bytes(changed)
    return png_join(chunks)


def photo(rng, data):
    """A JPEG, WebP or TIFF: a number somewhere in its first kilobyte, where all that describes it is, or bytes anywhere."""
    data = bytearray(data)
    if rng.random() < 0.4:
        return raw(rng, data)
    # A TIFF's directory is at its end.
    start = struct.unpack("<I" if data[:2] == b"II" else ">I", data[4:8])[0] if data[:2] in (b"II", b"MM") else 0
    start = min(max(start, 0), max(0, len(data) - 8))
    for _ in range(rng.randint(1, 3)):
        at = min(len(data) - 8, start + rng.randrange(1024))
        if at < 0:
            break
        size = rng.choice([1, 2, 4])
        value = rng.choice([0, 1, 2, 3, 0x7F, 0xFF, 0x100, 0x7FFF, 0xFFFF, 0x7FFFFFFF, 0xFFFFFFFF]) & (1 << 8 * size) - 1
        data[at:at + size] = value.to_bytes(size, rng.choice(["little", "big"]))
    return bytes(data)

"""A worker for docs/protocol.md, to show that the page suffices. Nothing that users run needs it.

    protoc --proto_path=Sources/Protocol --python_out=DIR messages.proto
    PYTHONPATH=DIR python worker.py --connect ENDPOINT --digest DIGEST

Needs pyzmq, protobuf and numpy. Its model is that of Tests/FakeModel: a sum of all that goes in.
"""

import argparse
import hashlib
import os
import struct
import time
import zlib

import messages_pb2 as wire
import numpy as np
import zmq


# It speaks the version before, too.
DEFAULT_VERSION = 8


def predict(latent, picture, timestep, context, pooled, time_ids):
    added = context.mean() + (0 if pooled is None else pooled.mean())
    added += picture.mean() if picture.size else 0
    return latent / 2 + np.float32(added + sum(time_ids) / 1024 + timestep / 1000)


def decode(latent):
    return np.repeat(np.repeat(latent[..., :3], 8, axis=1), 8, axis=2)


def encode(picture):
    latent = picture[:, ::8, ::8]
    return np.concatenate([latent, np.ones_like(latent[..., :1])], axis=-1)


GROUPS, WIDTH = 2, 2


def evaluate_part(latent, part, keys, finish):
    """Returns what `finish` makes of the tile, or tokens, if any, and the statistics."""
    top, left, bottom, right = part.margins or (0, 0, 0, 0)
    _, height, width, _ = latent.shape
    tile = latent[:, top:height - bottom, left:width - right]
    added = sum(k.mean() for k in keys)
    used = np.array(part.statistics).reshape(-1, 2)
    if not part.norm:
        return finish(tile) + np.float32(used.sum()) + np.float32(added), []
    exact = tile.astype(float)
    mean = exact.mean() + part.norm - 1 + used[:, 0].sum() / 4 + float(added)
    statistics = [mean, exact.var() + 1] * GROUPS
    if not part.HasField("tokens"):
        return None, statistics
    lattice = part.tokens
    return tile[:, lattice.first_row::lattice.stride, lattice.first_column::lattice.stride, :WIDTH], \
        statistics


TYPES = {wire.ELEMENT_TYPE_FLOAT32: "<f4", wire.ELEMENT_TYPE_FLOAT16: "<f2"}


def pack(content, size):
    """Raw deflate data of the elements' first bytes, then their second ones, and so on; Huffman's codes alone."""
    coder = zlib.compressobj(1, zlib.DEFLATED, -15, 8, zlib.Z_HUFFMAN_ONLY)
    planes = b"".join(content[i::size] for i in range(size))
    return coder.compress(planes) + coder.flush()


def unpack(frame, size):
    planes = np.frombuffer(zlib.decompress(frame, -15), np.uint8)
    return planes.reshape(size, -1).T.tobytes()


def embedding_digest(arrays):
    digest = hashlib.blake2b(digest_size=32)
    for array in arrays:
        digest.update(struct.pack(f"<{array.ndim + 1}I", array.ndim, *array.shape))
        digest.update(array.astype("<f4").tobytes())
    return digest.digest()


def part_of(task):
    """What is asked for of a tile; an empty one for all other tasks."""
    return task.encode.part if task.WhichOneof("work") == "encode" else task.decode.part


def embeddings_of(task):
    """Digests of the embeddings that a task names."""
    if task.WhichOneof("work") == "predict":
        return [c.embedding for c in task.predict.conditioning]
    return list(part_of(task).attention)


class Worker:
    def __init__(self, endpoint, digest, context, version=DEFAULT_VERSION, flip=0):
        """Of every `flip` answers, the last has one bit that is flipped on the way."""
        self.socket = context.socket(zmq.DEALER)
        # A coordinator that is gone reads nothing more: do not wait for it at the end.
        self.socket.linger = 0
        self.socket.connect(endpoint)
        self.embeddings, self.job, self.tasks = {}, None, []
        self.demanded = set()
        self.version, self.flip, self.answers = version, flip, 0
        self.heartbeat = None
        hello = wire.Hello(
            protocol_version=version, name="python", threads=1, processor="any", backend="numpy",
            precision="f32", process_id=os.getpid(), packs=version >= 8,
            model=wire.ModelIdentity(digest=digest, path="a formula"))
        self.send(wire.Envelope(hello=hello))

    def send(self, envelope, *arrays, kind=wire.ELEMENT_TYPE_FLOAT32):
        envelope.tensors.extend(
            wire.TensorHeader(element_type=kind, shape=a.shape) for a in arrays)
        contents = [a.astype(TYPES[kind]).tobytes() for a in arrays]
        if self.job and self.job.packs and envelope.HasField("answer"):
            size = np.dtype(TYPES[kind]).itemsize
            for i, (header, content) in enumerate(zip(envelope.tensors, contents)):
                packed = pack(content, size)
                if len(packed) < len(content):
                    header.packed, contents[i] = True, packed
        if self.version >= 8:
            for header, content in zip(envelope.tensors, contents):
                header.checksum = zlib.crc32(content)
        head = envelope.SerializeToString()
        if self.version >= 8:
            # The field `checksum`, which is of all before it.
            head += b"\xb5\x01" + struct.pack("<I", zlib.crc32(head))
        if self.flip and contents and envelope.HasField("answer"):
            self.answers += 1
            if self.answers % self.flip == 0:
                damaged = bytearray(contents[0])
                damaged[len(damaged) // 2] ^= 4
                contents[0] = bytes(damaged)
        self.socket.send_multipart([head, *contents])

    def ask(self, units):
        self.send(wire.Envelope(ask=wire.Ask(units=units)))

    def receive(self, frames):
        """Returns whether to go on."""
        envelope = wire.Envelope.FromString(frames[0])
        kind = envelope.WhichOneof("body")
        if envelope.HasField("checksum") and envelope.checksum != zlib.crc32(frames[0][:-6]):
            raise SystemExit("an envelope was damaged in transit")
        for tensor, frame in zip(envelope.tensors, frames[1:], strict=True):
            if not tensor.HasField("checksum") or tensor.checksum == zlib.crc32(frame):
                continue
            if kind != "task":
                raise SystemExit("a tensor was damaged in transit")
            self.send(wire.Envelope(failure=wire.Failure(unit=envelope.task.unit, damaged=True)))
            self.ask(1)
            return True
        arrays = []
        for tensor, frame in zip(envelope.tensors, frames[1:], strict=True):
            kind_of = np.dtype(TYPES[tensor.element_type])
            content = unpack(frame, kind_of.itemsize) if tensor.packed else frame
            arrays.append(np.frombuffer(content, kind_of).astype("<f4").reshape(tensor.shape))
        if kind == "welcome":
            if envelope.welcome.protocol_version != self.version:
                raise SystemExit(f"welcomed as version {envelope.welcome.protocol_version}")
            self.heartbeat = envelope.welcome.heartbeat_milliseconds
            self.ask(2)
        elif kind == "job":
            self.job = envelope.job
        elif kind == "embedding" and embedding_digest(arrays) == envelope.embedding.digest:
            self.embeddings[envelope.embedding.digest] = arrays
        elif kind == "task":
            if not arrays:
                # It keeps no tiles.
                self.send(wire.Envelope(
                    failure=wire.Failure(unit=envelope.task.unit, missing=True)))
                self.ask(1)
                return True
            self.tasks.append((envelope.task, self.job, arrays[0]))
            missing = [d for d in embeddings_of(envelope.task)
                       if d not in self.embeddings and d not in self.demanded]
            if missing:
                self.demanded.update(missing)
                self.send(wire.Envelope(wanted=wire.Wanted(digests=missing)))
        elif kind == "inquiry":
            report = wire.Report(
                number=envelope.inquiry.number, clock_microseconds=time.time_ns() // 1000)
            floats = envelope.inquiry.floats
            self.send(wire.Envelope(report=report), *([np.zeros(floats)] if floats else []))
        elif kind == "abandon":
            kept = [t for t in self.tasks if t[0].unit not in envelope.abandon.units]
            if len(kept) < len(self.tasks):
                self.ask(len(self.tasks) - len(kept))
            self.tasks = kept
        elif kind in ("refusal", "goodbye"):
            print(envelope)
            return False
        return True

    def compute(self):
        """Computes the first task, if its embeddings are here."""
        task, job, latent = self.tasks[0]
        if not all(d in self.embeddings for d in embeddings_of(task)):
            return
        began = time.monotonic()
        statistics = []
        work = task.WhichOneof("work")
        if work in ("decode", "encode") and getattr(task, work).HasField("part"):
            part = part_of(task)
            keys = [self.embeddings[d][0] for d in part.attention]
            tile, finish = (latent, decode) if work == "decode" else (encode(latent), lambda x: x)
            result, statistics = evaluate_part(tile, part, keys, finish)
        elif work in ("decode", "encode"):
            result = (decode if work == "decode" else encode)(latent)
        else:
            view = task.predict
            split = latent.shape[3] - view.picture_channels
            latent, picture = latent[..., :split], latent[..., split:]
            rows = []
            for entry in view.conditioning:
                context, *pooled = self.embeddings[entry.embedding]
                shown = np.zeros_like(picture) if entry.omits_picture else picture
                rows.append(predict(latent, shown, view.timestep, context,
                                    pooled[0] if pooled else None, entry.time_ids))
            result = rows[0]
            for entry, row in zip(view.conditioning[1:], rows[1:]):
                scale = np.float32(view.guidance) * np.float32(entry.weight)
                result = result + scale * (row - rows[0])
        self.tasks.pop(0)
        spent = int((time.monotonic() - began) * 1e6)
        answer = wire.Answer(unit=task.unit, microseconds=spent, statistics=statistics)
        kind = job.element_type or wire.ELEMENT_TYPE_FLOAT32
        arrays = [] if result is None else [result]
        self.send(wire.Envelope(answer=answer), *arrays, kind=kind)
        self.ask(1)

    def run(self):
        while True:
            # One thread suffices where units are short: see "Heartbeats".
            if self.socket.poll(0 if self.tasks else self.heartbeat or 1000):
                if not self.receive(self.socket.recv_multipart()):
                    return
            elif self.heartbeat and not self.tasks:
                self.send(wire.Envelope(heartbeat=wire.Heartbeat()))
            if self.tasks:
                self.compute()


if __name__ == "__main__":
    parser = argparse.ArgumentParser()
    parser.add_argument("--connect", required=True)
    parser.add_argument("--digest", required=True)
    parser.add_argument("--protocol", type=int, default=DEFAULT_VERSION)
    parser.add_argument("--flip", type=int, default=0, help="one bit in every so many answers")
    options = parser.parse_args()
    with zmq.Context() as context:
        Worker(options.connect, options.digest, context, options.protocol, options.flip).run()

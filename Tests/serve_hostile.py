#!/usr/bin/env python3
"""Malicious clients: Tests/serve_hostile.py PROGRAM MODEL [FLOW…]

One service gets them all, must refuse each with a 4xx, and then render a picture as if nothing had been.
"""
import os
import resource
import socket
import struct
import time
import zlib

from serve import SMALL, Service, run  # reads PROGRAM and MODEL

JSON = {"Content-Type": "application/json"}


def png(width, height, data=b"", *chunks):
    """A PNG that may lie about its size."""
    def chunk(kind, body):
        return (struct.pack(">I", len(body)) + kind + body
                + struct.pack(">I", zlib.crc32(kind + body)))
    head = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    return (b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(chunk(*c) for c in chunks)
            + chunk(b"IDAT", data) + chunk(b"IEND", b""))


def raw(service, text, wait=5):
    """Sends bytes as they are; returns the first line of the answer, empty if there is none."""
    with socket.create_connection(("127.0.0.1", service.port), timeout=wait) as connection:
        try:
            connection.sendall(text)
            return connection.recv(4096).split(b"\r\n")[0].decode(errors="replace")
        except OSError:
            return ""


def memory(service):
    """Resident megabytes of the service."""
    with open(f"/proc/{service.process.pid}/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize() >> 20


def bodies(service):
    """Huge ones are refused before they are read, announced or not; slow ones hold nothing up."""
    def post(path, headers):
        lines = [f"POST {path} HTTP/1.1", "Host: localhost"]
        return "\r\n".join(lines + [f"{k}: {v}" for k, v in headers.items()] + ["", ""]).encode()

    for path, size in [("/api/v1/jobs", 1 << 40), ("/v1/images/generations", 2 << 20),
                       ("/sdapi/v1/img2img", 1 << 30)]:
        assert " 413 " in raw(service, post(path, JSON | {"Content-Length": size})), path
    picture = {"Content-Type": "image/png", "Content-Length": 1 << 33}
    assert " 413 " in raw(service, post("/api/v1/pictures", picture))
    # Without a length, in chunks.
    endless = post("/api/v1/jobs", JSON | {"Transfer-Encoding": "chunked"})
    piece = b"10000\r\n" + b" " * 0x10000 + b"\r\n"
    assert " 413 " in raw(service, endless + 40 * piece)
    # Malformed requests.
    assert " 400 " in raw(service, b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: -1\r\n\r\n")
    raw(service, b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + os.urandom(500))
    raw(service, b"GET /" + b"a" * 200_000 + b" HTTP/1.1\r\nHost: localhost\r\n\r\n")
    raw(service, b"GET / HTTP/1.1\r\nHost: localhost\r\n" + b"A: b\r\n" * 10_000 + b"\r\n")
    # Bodies that end early, with a length or without one: the client's fault.
    for path, kind in [("/api/v1/jobs", "application/json"), ("/api/v1/pictures", "image/png"),
                       ("/v1/images/edits", "multipart/form-data; boundary=b"),
                       ("/v1/images/generations", "application/json"),
                       ("/sdapi/v1/img2img", "application/json")]:
        for length in [{"Content-Length": 1000}, {"Transfer-Encoding": "chunked"}]:
            with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
                connection.sendall(post(path, {"Content-Type": kind} | length) + b"3\r\n{\"p\r\n")
                connection.shutdown(socket.SHUT_WR)
                connection.recv(4096)
            # And connections that are reset.
            with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
                connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                connection.sendall(post(path, {"Content-Type": kind} | length) + b"3\r\n{\"p\r\n")
    # A client that does not wait for its picture.
    with socket.create_connection(("127.0.0.1", service.port), timeout=5) as connection:
        body = b'{"prompt": "a", "size": "64x64"}'
        connection.sendall(post("/v1/images/generations", JSON | {"Content-Length": len(body)}) + body)
    slow = []
    for _ in range(100):
        connection = socket.create_connection(("127.0.0.1", service.port))
        connection.sendall(post("/api/v1/pictures", {"Content-Type": "image/png",
                                                     "Content-Length": 1000}) + b"x")
        slow.append(connection)
    assert service.ok("GET", "/healthz")
    # Uploads that are never finished use up the turns for uploads, and no others.
    service.refused(429, "uploads", "POST", "/api/v1/pictures", b"x", {"Content-Type": "image/png"})
    service.ok("GET", "/api/v1/jobs")
    for connection in slow:
        connection.close()


def forms(service):
    """Malformed forms are refused."""
    def send(body, type="multipart/form-data; boundary=b"):
        status = service.call("POST", "/v1/images/edits", body, {"Content-Type": type})[0]
        assert 400 <= status < 500 and status != 429, (status, type, body[:100])

    part = b'--b\r\nContent-Disposition: form-data; name="%s"\r\n\r\n%s\r\n'
    for body in [b"", b"--b", b"--b--", b"--b\r\n", b"--b\r\n\r\n", part % (b"prompt", b"a"),
                 b"--b\r\n" * 10_000, part % (b"image", b"x") + b"--b--",
                 (part % (b"p", b"a")) * 1000 + b"--b--", b"--b\r\nX: " + b"y" * 100_000,
                 part % (b"prompt", b"\xff\xfe") + part % (b"image", png(64, 64)) + b"--b--",
                 part.replace(b"form-data", b"\x00") % (b"prompt", b"a") + b"--b--"]:
        send(body)
    for type in ["multipart/form-data", "multipart/form-data; boundary=",
                 'multipart/form-data; boundary="', "multipart/form-data; boundary=" + "b" * 5000,
                 "application/x-www-form-urlencoded", "text/plain"]:
        send(b"--b\r\n\r\n--b--", type)


def bombs(service):
    """Pictures that are small as files and huge as pictures, or that lie."""
    before = memory(service)
    rows = zlib.compressobj(9)
    # 20,000 x 20,000 black pixels: 1.2 GB from 1.2 MB.
    black = rows.compress(b"\0" * (1 << 20))
    for _ in range(100):
        black += rows.compress(b"\0" * (12 << 20))
    black += rows.flush()
    text = zlib.compress(b"a" * (64 << 20), 9)
    for picture, status in [
            (png(65_535, 65_535, black), 422), (png(2**31 - 1, 2**31 - 1, black), 422),
            (png(0, 0), 422), (png(64, 64, b"garbage"), 201), (b"\x89PNG\r\n\x1a\n", 422),
            (png(64, 64, zlib.compress(b"\0" * 64 * 193)[:-4]), 201),
            (png(20_000, 20_000, black), None), (b"GIF89a" + b"\0" * 100, 422),
            (png(64, 64, zlib.compress(b"\0" * 64 * 193),
                 (b"iCCP", b"x\0\0" + text), (b"zTXt", b"x\0\0" + text)), None)]:
        found, _, answer = service.call("POST", "/api/v1/pictures", picture,
                                        {"Content-Type": "image/png"})
        assert found in (201, 422) and status in (found, None), (found, answer, picture[:40])
        if found == 201:
            # Its pixels are only read when it is used, and then that job alone fails.
            job = {"prompt": "a", "initImage": answer["id"],
                   "settings": {"size": "64x64", "steps": 1}}
            found, _, job = service.call("POST", "/api/v1/jobs", job)
            assert found in (201, 422), (found, job)
            if found == 201:
                deadline = time.time() + 120
                while service.ok("GET", f"/api/v1/jobs/{job['id']}")["state"] in ("queued", "running"):
                    assert time.time() < deadline
                    time.sleep(0.05)
    grown = memory(service) - before
    assert grown < 1024, f"{grown} MB more"
    for name in ["../../../etc/passwd", "/etc/passwd", "a" * 64, "0" * 64, "..", "", "\u0000"]:
        service.refused(422, "initImage", "POST", "/api/v1/jobs", {"prompt": "a", "initImage": name})


def paths(service):
    """Nothing but the service's own routes can be reached."""
    for path in ["/../../../../etc/passwd", "/..%2f..%2f..%2fetc/passwd", "/%2e%2e/%2e%2e/etc/passwd",
                 "//etc/passwd", "/api/v1/jobs/..%2f..%2fjobs.sqlite", "/v1/images/files/..%2f..",
                 "/api/v1/jobs/" + "a" * 60_000, "/api/v1/jobs/%00", "/api/v1/jobs/%ff%fe/picture",
                 "/api/v1/jobs/aaaaaaaaaaaaaaaaaaaa/picture/../../..", "/\\..\\..\\etc\\passwd"]:
        status, _, content = service.call("GET", path)
        assert 400 <= status < 500 and b"root:" not in str(content).encode(), (path, status)
    for model in ["../x", "/etc/passwd", "..", "", "a\nb", "x" * 10_000]:
        service.refused(422, "model", "POST", "/api/v1/jobs", {"prompt": "a", "model": model})
        service.refused(422, "lora", "POST", "/api/v1/jobs",
                        {"prompt": "a", "loras": [{"name": model}]})


def streams(service):
    """A thousand open event streams, of which most are refused, and nobody reads."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(hard, max(soft, 4096)), hard))
    open_streams = []
    for _ in range(1000):
        stream = socket.create_connection(("127.0.0.1", service.port))
        stream.sendall(b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n")
        open_streams.append(stream)
    deadline = time.time() + 20
    while service.call("GET", "/api/v1/events", timeout=5)[0] != 429:
        assert time.time() < deadline
    start = time.time()
    job = service.submit(settings=SMALL)
    service.wait(job["id"], "done")
    assert time.time() - start < 60
    for stream in open_streams:
        stream.close()
    while 'tessera_event_streams 0.0' not in service.ok("GET", "/metrics").decode():
        assert time.time() < deadline + 60
        time.sleep(0.1)


def flow_hostile(folder):
    service = Service(folder)
    for attack in (bodies, forms, bombs, paths, streams):
        attack(service)
        assert service.process.poll() is None, service.errors()
    assert "Fatal error" not in service.errors(), service.errors()
    status = service.ok("GET", "/metrics").decode()
    assert not [line for line in status.splitlines() if 'status="5' in line], status
    job = service.submit(settings=SMALL)
    service.wait(job["id"], "done")
    service.stop()


if __name__ == "__main__":
    run(globals())

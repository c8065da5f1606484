"""A SOCKS5 proxy without authentication, for tests: says where it was asked to connect, and passes bytes on.

    python3 socks.py PORT LOG
"""

import asyncio
import socket
import sys


def say(line):
    with open(sys.argv[2], "a") as log:
        log.write(line + "\n")


async def carry(reader, writer):
    try:
        while data := await reader.read(1 << 16):
            writer.write(data)
            await writer.drain()
    except OSError:
        pass
    finally:
        writer.close()


async def serve(reader, writer):
    try:
        version, count = await reader.readexactly(2)
        await reader.readexactly(count)
        writer.write(b"\x05\x00")
        _, command, _, kind = await reader.readexactly(4)
        if kind == 1:
            host = socket.inet_ntop(socket.AF_INET, await reader.readexactly(4))
        elif kind == 4:
            host = socket.inet_ntop(socket.AF_INET6, await reader.readexactly(16))
        else:
            host = (await reader.readexactly((await reader.readexactly(1))[0])).decode()
        port = int.from_bytes(await reader.readexactly(2), "big")
        if version != 5 or command != 1:
            return writer.close()
        onward = await asyncio.open_connection(host, port)
    except (OSError, asyncio.IncompleteReadError):
        return writer.close()
    say(f"connect {host}:{port}")
    writer.write(b"\x05\x00\x00\x01" + bytes(6))
    await asyncio.gather(carry(reader, onward[1]), carry(onward[0], writer))


async def main():
    async with await asyncio.start_server(serve, "127.0.0.1", int(sys.argv[1])):
        say("listening")
        await asyncio.Event().wait()


asyncio.run(main())

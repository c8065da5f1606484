"""Passes TCP on, late, and breaks every connection now and then.

    python3 relay.py LISTEN-PORT TARGET-PORT SECONDS-OF-DELAY-EACH-WAY SECONDS-BETWEEN-BREAKS
"""

import asyncio
import sys

port, target = int(sys.argv[1]), int(sys.argv[2])
delay, between = float(sys.argv[3]), float(sys.argv[4])
writers = set()


async def carry(reader, writer):
    """Each piece leaves `delay` after it came, however many are on their way."""
    loop, pieces = asyncio.get_running_loop(), asyncio.Queue()

    async def deliver():
        while True:
            due, data = await pieces.get()
            await asyncio.sleep(max(0, due - loop.time()))
            if not data:
                return
            writer.write(data)
            await writer.drain()

    delivery = asyncio.create_task(deliver())
    try:
        while data := await reader.read(1 << 16):
            pieces.put_nowait((loop.time() + delay, data))
        pieces.put_nowait((loop.time() + delay, b""))
        await delivery
    except OSError:
        delivery.cancel()
    finally:
        writer.close()


async def serve(reader, writer):
    try:
        onward = await asyncio.open_connection("127.0.0.1", target)
    except OSError:
        writer.close()
        return
    pair = {writer, onward[1]}
    writers.update(pair)
    await asyncio.gather(carry(reader, onward[1]), carry(onward[0], writer))
    writers.difference_update(pair)


async def main():
    async with await asyncio.start_server(serve, "0.0.0.0", port):
        while True:
            await asyncio.sleep(between)
            for writer in list(writers):
                writer.transport.abort()


asyncio.run(main())

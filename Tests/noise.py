"""Scans a host's ports, then sends random bytes to one of them until all are sent.

    python3 noise.py HOST PORT MEGABYTES

The other side may hang up as often as it likes. Ends with 1 when nobody listened on the port.
"""

import os
import socket
import sys

host, port, megabytes = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])


def connected(number):
    return socket.create_connection((host, number), timeout=2)


heard = False
for number in range(port - 50, port + 51):
    try:
        connected(number).close()
        heard = heard or number == port
    except OSError:
        pass
left = megabytes << 20
while heard and left > 0:
    # How much a connection accepted before it was closed is not known here, so a piece counts as soon as it is tried.
    try:
        with connected(port) as s:
            while left > 0:
                left -= 65536
                s.sendall(os.urandom(65536))
    except OSError:
        pass
sys.exit(0 if heard else 1)

#!/usr/bin/env python3
"""Runs a program with standard streams that a shell cannot make, and exits with its status (128 + signal).

    streams.py terminal COLUMNS PROGRAM …   all three are a terminal; what it was sent goes to standard output
    streams.py resize A:B PROGRAM …         the same; after the first line of progress it has B columns, not A
    streams.py hangup PROGRAM …             SIGHUP is ignored, and the terminal goes once something was printed
    streams.py fullpipe PROGRAM …           standard error is a pipe that is full and does not block
"""
import fcntl
import os
import pty
import signal
import struct
import subprocess
import sys
import termios


def resize(descriptor, columns):
    fcntl.ioctl(descriptor, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))


def terminal(mode, columns, command):
    first, _, second = columns.partition(":")
    master, slave = pty.openpty()
    resize(slave, int(first))

    def begin():
        os.setsid()
        fcntl.ioctl(slave, termios.TIOCSCTTY, 0)
        if mode == "hangup":
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    child = subprocess.Popen(command, stdin=slave, stdout=slave, stderr=slave, preexec_fn=begin)
    os.close(slave)
    while True:
        try:
            data = os.read(master, 65536)
        except OSError:
            break
        if not data:
            break
        sys.stdout.buffer.write(data)
        if mode == "hangup":
            os.close(master)
            break
        if second and b"%" in data:
            resize(master, int(second))
            second = ""
    sys.stdout.flush()
    return child.wait()


def fullpipe(command):
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while True:
            os.write(writing, b"x" * 4096)
    except BlockingIOError:
        pass
    # The reading end stays open, but nobody reads.
    return subprocess.Popen(command, stderr=writing).wait()


mode, rest = sys.argv[1], sys.argv[2:]
if mode == "fullpipe":
    status = fullpipe(rest)
elif mode == "hangup":
    status = terminal(mode, "80", rest)
else:
    status = terminal(mode, rest[0], rest[1:])
sys.exit(status if status >= 0 else 128 - status)

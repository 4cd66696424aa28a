"""The worker's side of host/bench/wire.h in Python: worker.py MODULE, started by the harness.

MODULE is a peer (see peer.py). It is imported when there is something to prepare, so that a package
that is not installed is the reason of one row.
"""

import time

ENTERED_NS = time.monotonic_ns()  # the other imports are part of the start

import importlib
import socket
import struct
import sys

SOCKET = 3  # the descriptor that the harness passes on
PREPARE, RUN, QUIT, REPLY, DEVICE_TIME, CEILINGS, OPERATIONS = range(1, 8)
OK, UNSUPPORTED, DEVICE = 0, 3, 5  # enum mb_status


class Reader:
    """A payload: numbers and texts in the order both sides know."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def u64(self):
        (value,) = struct.unpack_from("<Q", self.data, self.at)
        self.at += 8
        return value

    def text(self):
        size = self.u64()
        value = self.data[self.at:self.at + size].decode()
        self.at += size + 1
        return value


def text(value):
    data = value.encode()
    return struct.pack("<Q", len(data)) + data + b"\0"


def receive_exactly(end, size):
    data = bytearray()
    while len(data) < size:
        part = end.recv(size - len(data))
        if not part:
            sys.exit(0)  # the harness is gone
        data += part
    return bytes(data)


def receive(end):
    message, _, size = struct.unpack("<IIQ", receive_exactly(end, 16))
    return message, Reader(receive_exactly(end, size))


def first_line_of(error):
    return (str(error).strip() or repr(error)).splitlines()[0]


def answer(session, module, message, payload):
    """Status and payload of the reply; whatever a library throws is its row's reason."""
    try:
        if message == DEVICE_TIME:
            return UNSUPPORTED, text("it has no clock apart from the host's")
        if message == OPERATIONS:
            return UNSUPPORTED, text("it has no steps that it can time one by one")
        if message == RUN:
            return OK, session.run(payload)
        asked = time.monotonic()
        return OK, session.prepare(module, payload, ENTERED_NS, asked)
    except ImportError as missing:  # the package, or a library that it needs
        return UNSUPPORTED, text(f"{first_line_of(missing)}; run scripts/setup peers")
    except Exception as error:
        first_line = first_line_of(error)
        if type(error).__name__ == "Unsupported":
            return UNSUPPORTED, text(first_line[:500])
        return DEVICE, text(f"{type(error).__name__}: {first_line}"[:500])


class Lazy:
    """session.py, imported by the first message: it needs NumPy."""

    def __getattr__(self, name):
        return getattr(importlib.import_module("session"), name)


def serve(module):
    end = socket.socket(fileno=SOCKET)
    while True:
        message, payload = receive(end)
        if message == QUIT:
            return
        status, reply = answer(Lazy(), module, message, payload)
        end.sendall(struct.pack("<IIQ", REPLY, status, len(reply)) + reply)


if __name__ == "__main__":
    serve(sys.argv[1])

"""A bare receiver of datagrams in a process of its own: keeps the kernel's time stamp of each, and nothing else.

    python benches/measure/receiver.py > stamps.json     # prints its port first; on SIGTERM what it has received

The stamp (SO_TIMESTAMPNS) is taken when the packet arrives, not when this process wakes up: on loopback that is within
the sender's own system call, so that the gaps between stamps are the sender's.
"""

from __future__ import annotations

import json
import signal
import socket
import struct
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import pairwise

# Linux's number; the socket module has no name for it.
SO_TIMESTAMPNS = 35
TIMESPEC = struct.Struct("@qq")


class Stamps:
    """What a receiver has heard, once its `with` block has been left."""

    def __init__(self, port: int) -> None:
        """Nothing yet, on `port` of loopback."""
        self.port = port
        self.seconds: list[float] = []
        self.bytes = 0

    def gaps_ms(self) -> list[float]:
        """The time from each packet to the next, ms."""
        return [(later - earlier) * 1e3 for earlier, later in pairwise(self.seconds)]


@contextmanager
def receiving() -> Iterator[Stamps]:
    """Runs a receiver until the block is left, and 0.2 s more for what is under way."""
    process = subprocess.Popen([sys.executable, __file__], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout is not None
        stamps = Stamps(int(process.stdout.readline()))
        yield stamps
        time.sleep(0.2)
        process.terminate()
        heard = json.loads(process.stdout.read())
        stamps.seconds, stamps.bytes = heard["seconds"], heard["bytes"]
    finally:
        process.terminate()
        process.wait()


def main() -> None:
    """Receives until SIGTERM."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit())
    seconds: list[float] = []
    total = 0
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as receiver:
        receiver.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPNS, 1)
        receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
        receiver.bind(("127.0.0.1", 0))
        print(receiver.getsockname()[1], flush=True)
        try:
            while True:
                data, ancillary, _, _ = receiver.recvmsg(65_536, 64)
                stamp = next(value for _, kind, value in ancillary if kind == SO_TIMESTAMPNS)
                whole, nano = TIMESPEC.unpack(stamp[: TIMESPEC.size])
                seconds.append(whole + nano / 1e9)
                total += len(data)
        except SystemExit:
            print(json.dumps({"seconds": seconds, "bytes": total}), flush=True)


if __name__ == "__main__":
    main()

"""Ports: free ones, and whether somebody listens."""

from __future__ import annotations

import os
import random
import socket
from pathlib import Path

from .wait import until


def free_port() -> int:
    """A port that is free for UDP and TCP at this moment."""
    while True:
        with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as tcp:
            tcp.bind(("127.0.0.1", 0))
            port = tcp.getsockname()[1]
            with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as udp:
                try:
                    udp.bind(("127.0.0.1", port))
                except OSError:
                    continue
                return port


def free_pair() -> int:
    """An even port that is free together with the next one, as RTP and RTCP want them; each call another.

    Below the ports that the system gives to whoever asks for any, and each worker its own, so that it stays free.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    while True:
        port = 2 * (10_000 + random.randrange(6_000 // WORKERS) * WORKERS + worker % WORKERS)
        if port in _given:
            continue
        _given.add(port)
        if not any(is_open(protocol, one) for protocol in ("udp", "tcp") for one in (port, port + 1)):
            return port


def is_open(protocol: str, port: int) -> bool:
    """Whether a socket of this machine is bound to (UDP) or listens on (TCP) `port`."""
    state = {"udp": "07", "tcp": "0A"}[protocol]
    for family in ("", "6"):
        try:
            lines = Path(f"/proc/net/{protocol}{family}").read_text().splitlines()[1:]
        except FileNotFoundError:
            continue
        for line in lines:
            fields = line.split()
            if int(fields[1].rsplit(":", 1)[1], 16) == port and fields[3] == state:
                return True
    return False


def wait_open(protocol: str, port: int, timeout: float = 20.0) -> None:
    """Waits until somebody is there."""
    until(lambda: is_open(protocol, port), f"a {protocol} socket on port {port}", timeout)


WORKERS = 64
"""More than run side by side."""
_given: set[int] = set()

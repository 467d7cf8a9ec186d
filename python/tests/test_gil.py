"""Python that holds the GIL for seconds costs the stream no packet."""

from __future__ import annotations

import ctypes
import logging
import threading
import time
from collections.abc import Iterator
from logging.handlers import RotatingFileHandler
from pathlib import Path

import pytest

import audiostream
from harness.streams import quiet_server
from harness.wait import until


def hold_the_gil(seconds: float) -> None:
    """One C call that keeps the GIL all the while: a `PyDLL`'s functions are called with it held."""
    ctypes.PyDLL(None).usleep(round(seconds * 1_000_000))


@pytest.fixture
def root_at_debug(tmp_path: Path) -> Iterator[None]:
    """The root logger as the original sets it up: everything, to a file."""
    root, handler = (
        logging.getLogger(),
        RotatingFileHandler(tmp_path / "all.log", maxBytes=5 << 20, backupCount=3),
    )
    before = root.level
    root.setLevel(logging.DEBUG)
    root.addHandler(handler)
    yield
    root.removeHandler(handler)
    # A line of another thread may be waiting for its turn: written after the end, it would open the file again.
    handler.emit = lambda record: None  # noqa: ARG005
    root.setLevel(before)
    handler.close()


@pytest.mark.timeout(90)
@pytest.mark.parametrize("protocol", ["udp", "tcp"])
def test_a_long_c_call_costs_no_packet(protocol: str, root_at_debug: None) -> None:
    longest = 0.0
    with (
        quiet_server(protocol) as server,
        audiostream.AudioClient(protocol, "127.0.0.1", server.port, input="voice") as client,
    ):
        until(lambda: client.stats.packets_sent > 0, "the first packet")
        start, captured = time.monotonic(), client.stats.frames_captured

        def hold() -> None:
            nonlocal longest
            for _ in range(3):
                began = time.perf_counter()
                hold_the_gil(1.0)
                longest = max(longest, time.perf_counter() - began)

        holder = threading.Thread(target=hold)
        holder.start()
        holder.join()
        elapsed, captured = time.monotonic() - start, client.stats.frames_captured - captured
        client.stop()
        sent = client.stats
        until(lambda: server.stats.packets_received >= sent.packets_sent, "the last packet")
        received = server.stats
    assert longest >= 1.0
    # The source kept its pace meanwhile; a fifth of a second is for the scheduler.
    assert captured >= (elapsed - 0.2) * 44_100
    assert sent.frames_dropped == 0
    assert sent.overruns == 0
    assert received.packets_received == sent.packets_sent
    assert received.packets_lost == 0
    assert received.packets_dropped_local == 0

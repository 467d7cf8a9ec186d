#!/usr/bin/env python3
"""What frames cost a Python program: consumers of many sources, the processor time of their thread, and what they lose.

    python benches/consumers.py [SOURCES] [SECONDS]

The sources are sent by a process of its own. A row: how frames are consumed; frames a second; the time that the
consuming thread spends of a second of one core, and on a frame; frames left out. The last rows are what the
server itself costs with nobody reading, and what it counted.
"""

from __future__ import annotations

import asyncio
import multiprocessing
import random
import socket
import struct
import sys
import time
from collections.abc import Callable

from audiostream import AdvancedAudioServer, Frames

SOURCES, SECONDS = 50, 10.0
PACKET = 441


def send(port: int, sources: int, ready: multiprocessing.Event) -> None:
    """Sends packets of 10 ms of all sources, until it is ended."""
    out = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    out.connect(("127.0.0.1", port))
    sound = random.Random(1).randbytes(2 * PACKET)
    begun = time.monotonic()
    ready.set()
    for n in range(1 << 30):
        for source in range(sources):
            due = begun + n * 0.01 + source * 0.01 / sources
            wait = due - time.monotonic()
            if wait > 0.0005:
                time.sleep(wait)
            head = struct.pack(">BBHII", 0x80, 11, n & 0xFFFF, n * PACKET & 0xFFFF_FFFF, 1000 + source)
            try:
                out.send(head + sound)
            except OSError:
                return


async def consume(streams: list[Frames], seconds: float) -> int:
    """Takes all frames of all streams for so long, a task each; how many."""
    taken = 0

    async def one(stream: Frames) -> None:
        nonlocal taken
        async for frame in stream:
            taken += len(frame.samples) > 0

    tasks = [asyncio.create_task(one(stream)) for stream in streams]
    await asyncio.sleep(seconds)
    for stream in streams:
        stream.close()
    await asyncio.gather(*tasks)
    return taken


def loop(streams: list[Frames], seconds: float) -> int:
    """Takes all frames of one stream by a plain loop."""
    (stream,) = streams
    taken = 0
    until = time.monotonic() + seconds
    for frame in stream:
        taken += len(frame.samples) > 0
        if time.monotonic() > until:
            break
    return taken


def measure(name: str, streams: list[Frames], run: Callable[[list[Frames], float], int], seconds: float) -> None:
    """Prints a row."""
    begun, spent = time.monotonic(), time.thread_time()
    taken = run(streams, seconds)
    took, spent = time.monotonic() - begun, time.thread_time() - spent
    dropped = sum(stream.dropped for stream in streams)
    print(
        f"{name:38} {taken / took:9.0f} {100 * spent / took:9.1f} % {1e6 * spent / max(taken, 1):8.1f} {dropped:8}",
        flush=True,
    )
    for stream in streams:
        stream.close()


def main() -> None:
    """Measures each way to consume."""
    sources = int(sys.argv[1]) if len(sys.argv) > 1 else SOURCES
    seconds = float(sys.argv[2]) if len(sys.argv) > 2 else SECONDS
    with AdvancedAudioServer(port=0, bind="127.0.0.1", output="null", max_sources=max(sources, 32)) as server:
        ready = multiprocessing.Event()
        sender = multiprocessing.Process(target=send, args=(server.port, sources, ready), daemon=True)
        sender.start()
        ready.wait()
        while len(server.sources) < sources:
            time.sleep(0.05)
        print(f"{sources} sources of 100 packets a second")
        print(f"{'':38} {'frames/s':>9} {'of a core':>11} {'us each':>8} {'left out':>8}")

        def in_tasks(streams: list[Frames], seconds: float) -> int:
            return asyncio.run(consume(streams, seconds))

        measure("for, all sources", [server.frames(each=True)], loop, seconds)
        measure("async for, all sources", [server.frames(each=True)], in_tasks, seconds)
        each = [source.frames() for source in server.sources]
        measure(f"async for, {sources} tasks, a source each", each, in_tasks, seconds)
        measure("async for, packets", [server.frames(each=True, raw=True)], in_tasks, seconds)
        begun = time.process_time()
        time.sleep(seconds)
        print(f"{'the server, nobody reading':38} {'':9} {100 * (time.process_time() - begun) / seconds:9.1f} %")
        stats = server.stats
        print(f"lost {stats.packets_lost}, dropped by us {stats.packets_dropped_local}, late {stats.packets_late}")
        sender.terminate()


if __name__ == "__main__":
    main()

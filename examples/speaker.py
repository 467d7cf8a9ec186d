#!/usr/bin/env python3
"""Speak what a program makes: text in, sound out over the network, with asyncio and back-pressure.

    python examples/server.py                           # somebody who listens
    python examples/speaker.py "hello world"

A synthesiser stands here as a function that hums each letter; put yours in its place. It may be faster than speech:
`drain()` holds it back, so that never more than a second waits.
"""

import argparse
import asyncio
from collections.abc import AsyncIterator

import numpy as np
import numpy.typing as npt

from audiostream import AudioClient

RATE = 24_000


async def synthesise(text: str) -> AsyncIterator[npt.NDArray[np.float32]]:
    """A tone of 80 ms for each letter, floats from -1.0 to 1.0."""
    time = np.arange(RATE * 80 // 1000) / RATE
    envelope = np.sin(np.pi * time / time[-1]) ** 0.3
    for letter in text:
        await asyncio.sleep(0)  # where a real one computes
        pitch = 0.0 if letter.isspace() else 110 * 2 ** (ord(letter) % 24 / 12)
        yield (0.3 * envelope * np.sin(2 * np.pi * pitch * time)).astype(np.float32)


async def main() -> None:
    """Speaks the text and ends."""
    parser = argparse.ArgumentParser(description="Speak what a program makes.")
    parser.add_argument("text")
    parser.add_argument("--host", default="localhost")
    parser.add_argument("--port", type=int, default=12345)
    args = parser.parse_args()

    with AudioClient(host=args.host, port=args.port, input="push", rate=RATE, name="speaker") as client:
        async for sound in synthesise(args.text):
            client.write(sound)
            await client.drain()
        await client.drain(0)
        print(f"{client.stats.packets_sent} packets sent")


if __name__ == "__main__":
    asyncio.run(main())

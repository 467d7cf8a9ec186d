#!/usr/bin/env python3
"""Feed a speech recogniser: 16 kHz mono float32 blocks of each speaker, and whether they are whole.

    python examples/recogniser.py --port 12345

A recogniser stands here as a class that counts; put yours in its place. Where a block is not whole, packets were lost
and what belongs there was made up: some recognisers do better if they are told.
"""

import argparse
import asyncio
import contextlib
from collections import defaultdict

import numpy as np
import numpy.typing as npt

from audiostream import AdvancedAudioServer

RATE = 16_000


class Recogniser:
    """Takes blocks as most recognisers do."""

    def __init__(self) -> None:
        self.seconds = 0.0
        self.whole = 0
        self.harmed = 0

    def accept(self, block: npt.NDArray[np.float32], *, lossless: bool) -> None:
        """Takes a block of floats from -1.0 to 1.0."""
        self.seconds += len(block) / RATE
        self.whole += lossless
        self.harmed += not lossless


async def main() -> None:
    """Listens until Ctrl-C, or until somebody has spoken for so many seconds."""
    parser = argparse.ArgumentParser(description="Feed a speech recogniser.")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--seconds", type=float, default=float("inf"))
    args = parser.parse_args()

    # The server converts: whatever the senders' rate is, frames come at the output's.
    recognisers: defaultdict[str, Recogniser] = defaultdict(Recogniser)
    with AdvancedAudioServer(port=args.port, rate=RATE, output="null") as server:
        async for frame in server.frames(each=True, block=30):
            samples = frame.samples.mean(axis=1, dtype=np.float32) / 32_768
            name = frame.source.name if frame.source else "mix"
            recogniser = recognisers[name]
            recogniser.accept(samples, lossless=frame.lost is None)
            if recogniser.seconds >= args.seconds:
                break
    for name, recogniser in recognisers.items():
        whole, harmed = recogniser.whole, recogniser.harmed
        print(f"{name}: {recogniser.seconds:.2f} s, {whole} blocks whole, {harmed} harmed")


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(main())

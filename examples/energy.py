#!/usr/bin/env python3
"""Show how loud each speaker is, live: frames of every source, measured as they are played.

    python examples/energy.py --port 12345              # then start clients
    python examples/client.py --input voice             # in another terminal

Ten times a second a line for each sender: its level in dBFS over the last 100 ms, and how much of that was lost.
"""

import argparse
import contextlib
import math

import numpy as np

from audiostream import AdvancedAudioServer, Frame


def level_db(frame: Frame) -> float:
    """The frame's energy, dBFS: 0 is a full-scale square wave."""
    samples = frame.samples / 32_768.0
    return 10 * math.log10(float(np.mean(samples * samples)) + 1e-10)


def main() -> None:
    """Prints until Ctrl-C, or for the seconds given."""
    parser = argparse.ArgumentParser(description="Show how loud each speaker is.")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--seconds", type=float, help="end after so much sound")
    args = parser.parse_args()

    # No speaker needed: the clock paces it. Blocks of 100 ms are one line each.
    with AdvancedAudioServer(port=args.port, output="null") as server:
        heard = 0.0
        for frame in server.frames(each=True, block=100):
            name = frame.source.name if frame.source else "mix"
            lost = 0.0 if frame.lost is None else float(frame.lost.mean())
            level = level_db(frame)
            print(f"{name:24} {level:6.1f} dB {'#' * max(0, 60 + int(level)):60} lost {lost:4.0%}", flush=True)
            heard += frame.duration
            if args.seconds is not None and heard >= args.seconds:
                break


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()

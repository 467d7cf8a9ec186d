#!/usr/bin/env python3
"""Follow one speaker among many: its frames, its volume, and a recording of what it said.

    python examples/one_speaker.py Ada                  # waits for somebody called Ada
    python examples/client.py --input voice --name Ada  # in another terminal

Everybody else is turned down while the one speaks.
"""

import argparse

import numpy as np

from audiostream import AdvancedAudioServer, Frame, Frames, Source


def wait_for(server: AdvancedAudioServer, name: str) -> Source:
    """The first sender of that name, once it has said so."""
    while True:
        for source in server.sources:
            if source.name == name:
                return source
        server.wait(0.05)


def is_speech(frame: Frame) -> bool:
    """Whether it is loud enough, and enough of it was received."""
    whole = frame.lost is None or frame.lost.mean() < 0.5
    return whole and int(np.abs(frame.samples.astype(int)).max()) > 1000


def main() -> None:
    """Listens to one speaker until it leaves, or for the seconds given."""
    parser = argparse.ArgumentParser(description="Follow one speaker among many.")
    parser.add_argument("name")
    parser.add_argument("--port", type=int, default=12345)
    parser.add_argument("--seconds", type=float, default=float("inf"), help="end after so much of its sound")
    args = parser.parse_args()

    with AdvancedAudioServer(port=args.port, output="null") as server:
        speaker = wait_for(server, args.name)
        path = speaker.record()
        heard = spoken = 0.0
        frames: Frames
        with speaker.frames(block=20) as frames:
            for frame in frames:
                heard += frame.duration
                speaks = is_speech(frame)
                spoken += frame.duration if speaks else 0
                for other in server.sources:
                    if other != speaker:
                        other.gain = 0.25 if speaks else 1.0
                if heard >= args.seconds:
                    break
        speaker.stop_recording()
        print(f"{speaker.name} spoke for {spoken:.1f} of {heard:.1f} s; {frames.dropped} frames dropped; see {path}")


if __name__ == "__main__":
    main()

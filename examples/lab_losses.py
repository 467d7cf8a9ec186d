#!/usr/bin/env python3
"""What losses do to a voice, and what helps: an experiment in virtual time, seconds of sound in moments.

    python examples/lab_losses.py                       # a table, and what was heard as WAV files
    python examples/lab_losses.py --preset cellular --seconds 10

No network, no sound card and no waiting: the same seed gives the same figures on every machine.
"""

import argparse
from pathlib import Path

from audiostream.lab import LOSSES, METHODS, PRESETS, Method, Network, Outcome, Results, Sound, compare, run


def main() -> None:
    """Compares ways of sending, then listens to the best of them on one network."""
    parser = argparse.ArgumentParser(description="What losses do to a voice, and what helps.")
    parser.add_argument("--preset", choices=PRESETS, default="wifi")
    parser.add_argument("--seconds", type=float, default=5.0)
    parser.add_argument("--folder", type=Path, default=Path())
    args = parser.parse_args()

    voice = Sound.voice(args.seconds)
    # The methods that need no Opus, at the least and the most of the usual losses.
    methods = [name for name in METHODS if "opus" not in name]
    results: Results = compare(methods, [LOSSES[0], LOSSES[-1]], sound=voice, seed=1, judge=False)
    results.to_csv(args.folder / "losses.csv")
    for outcome in results:
        print(f"{outcome.method.name:16} {outcome.loss:4.0f} %  {outcome.mouth_to_ear_p95_ms:7.1f} ms mouth to ear")

    network = Network(preset=args.preset, seed=7)
    plain: Outcome = run("udp", network, sound=voice)
    helped = run(Method.parse("udp+redundancy"), network, sound=voice)
    for name, outcome in (("plain", plain), ("helped", helped)):
        path = outcome.heard.save(args.folder / f"{name}.wav")
        print(f"{path}: {outcome.packets_lost} packets lost, {outcome.packets_repaired} repaired")


if __name__ == "__main__":
    main()

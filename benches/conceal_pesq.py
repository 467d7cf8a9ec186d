#!/usr/bin/env python3
"""How well losses are concealed: PESQ-WB (ITU-T P.862.2) of our concealment beside silence, repetition, one side alone.

Packets are taken out of real speech at 44.1 kHz, concealed by the engine (benches/conceal_wav.rs) and judged at 16 kHz.
Independent losses, and bursts from a Gilbert model with the stated mean, drawn until the share lost is within a tenth
of what is stated (short speech would be spared otherwise); the first ten packets are never lost. Except
without look-ahead, where a gap ends in a cross-fade, every received sample is played as it came.

    apt-get install alsa-utils pocketsphinx-testdata    # the two speakers
    pip install -r benches/requirements.txt             # pesq builds with a C compiler
    python benches/conceal_pesq.py

Where any of it is missing nothing is measured, and said what to install. Other folders with the packages' files can be
named.
"""

import argparse
import csv
import json
import subprocess
import sys
import tempfile
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from pathlib import Path

try:
    import numpy as np
    import soundfile
    import soxr
    from pesq import pesq
except ImportError as error:
    if __name__ == "__main__":
        print(f"\nPESQ of concealment: left out, {error.name} is missing: pip install -r benches/requirements.txt")
        sys.exit(0)
    raise

RATE = 44_100
FOLDERS = (Path("/usr/share/sounds/alsa"), Path("/usr/share/pocketsphinx"))
CONDITIONS = {"5 %": (0.05, 1), "10 %": (0.10, 1), "20 %": (0.20, 1), "10 % in 3s": (0.10, 3)}
METHODS = {
    "silence": ("silence", 1),
    "repetition of the last packet": ("repeat", 1),
    "AR-440 one-sided": ("one:440", 1),
    "AR-440 one-sided, cross-fade": ("one:440", 0),
    "pitch, one packet ahead": ("two:pitch", 1),
    "AR-64, one packet ahead": ("two:64", 1),
    "AR-128, one packet ahead": ("two:128", 1),
    "AR-256, one packet ahead": ("two:256", 1),
    "AR-440, one packet ahead": ("two:440", 1),
    "AR-440, two packets ahead": ("two:440", 2),
}
# What the two-sided concealment may not fall below, for each condition, with the default speech, seeds and packets.
BARS = {
    "AR-440, one packet ahead": (3.7, 3.2, 2.6, 2.5),
    "AR-440, two packets ahead": (3.75, 3.25, 2.65, 2.6),
}


def speakers(folders: "list[Path]") -> "dict[str, np.ndarray]":
    """The speech of each speaker found below `folders`, 16-bit at 44.1 kHz, about ten seconds each."""
    patterns = {
        "alsa": ("Front_*.wav", "Rear_*.wav", "Side_*.wav"),
        "austen": ("*austen*-0870.wav", "*austen*-0930.wav"),
        "numbers": ("numbers.raw", "goforward.raw", "something.raw"),
        "cards": ("00?.wav",),
    }
    found = {}
    for name, wanted in patterns.items():
        pieces = [read(path) for pattern in wanted for folder in folders for path in sorted(folder.rglob(pattern))]
        if pieces:
            found[name] = np.round(np.clip(np.concatenate(pieces), -1, 1 - 2**-15) * 32768).astype(np.int16)
    return found


def read(path: Path) -> np.ndarray:
    """One file, at 44.1 kHz; raw files are 16-bit at 16 kHz."""
    if path.suffix == ".raw":
        sound, rate = np.fromfile(path, "<i2") / 32768, 16_000
    else:
        sound, rate = soundfile.read(path)
    return soxr.resample(sound, rate, RATE, "VHQ")


def losses(packets: int, seed: int, rate: float, burst: float) -> str:
    """Which packets are lost, a 1 for each; drawn again until their share is within a tenth of `rate`."""
    rng = np.random.default_rng([seed, int(rate * 1000), int(burst * 10)])
    while True:
        lost = bursts(rng, packets, rate, burst) if burst > 1 else rng.random(packets) < rate
        lost[:10] = False
        if abs(lost.mean() - rate) <= rate / 10:
            return "".join("01"[int(x)] for x in lost)


def bursts(rng: np.random.Generator, packets: int, rate: float, mean: float) -> np.ndarray:
    """Gilbert's model: losses in runs of `mean` packets on average."""
    leave = 1 / mean
    enter = leave * rate / (1 - rate)
    lost, state = np.zeros(packets, bool), rng.random() < rate
    for k in range(packets):
        state = rng.random() >= leave if state else rng.random() < enter
        lost[k] = state
    return lost


def build(bench: str, *options: str) -> str:
    """The path of the program that `bench` is."""
    command = "cargo build --release --no-default-features --message-format=json-render-diagnostics --bench"
    command = [*command.split(), bench, *options]
    lines = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True).stdout.splitlines()
    executables = (json.loads(line).get("executable") for line in lines)
    return next(path for path in executables if path and bench in path)


def to_16k(sound: np.ndarray) -> np.ndarray:
    """The sound at the rate that PESQ-WB wants."""
    return np.round(np.clip(soxr.resample(sound / 32768, RATE, 16_000), -1, 1) * 32767).astype(np.int16)


@dataclass(frozen=True)
class Job:
    """One speaker over one path, concealed in one way."""

    program: str
    scratch: str
    speaker: str
    packets: int
    packet: int
    seed: int
    rate: float
    burst: float
    method: str
    ahead: int

    def judge(self) -> float:
        """Its PESQ."""
        pattern = losses(self.packets, self.seed, self.rate, self.burst)
        with tempfile.NamedTemporaryFile(suffix=".wav", dir=self.scratch) as out:
            files = [f"{self.scratch}/{self.speaker}.wav", out.name]
            command = [self.program, *files, self.method, str(self.ahead), str(self.packet)]
            subprocess.run(command, input=pattern, text=True, check=True)
            heard = to_16k(soundfile.read(out.name, dtype="int16")[0].astype(float))
        return pesq(16_000, np.load(f"{self.scratch}/{self.speaker}.npy"), heard, "wb")


def main() -> None:
    """Prints the table; ends with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", default=FOLDERS, help="where the speech is, if elsewhere")
    parser.add_argument(
        "--speakers", default="alsa,austen", help="which, separated by commas (alsa, austen, numbers, cards)"
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--packet", type=int, default=441, help="frames in a packet")
    parser.add_argument("--methods", help="only those whose names contain this")
    parser.add_argument("--csv", type=Path, help="write the table there, too")
    args = parser.parse_args()
    wanted = args.speakers.split(",")
    voices = {k: v for k, v in speakers(args.folders).items() if k in wanted}
    if len(voices) < len(wanted):
        missing = ", ".join(sorted(set(wanted) - set(voices)))
        print(
            f"\nPESQ of concealment: left out, no speech of {missing}: apt-get install alsa-utils pocketsphinx-testdata"
        )
        return
    program = build("conceal_wav")
    with tempfile.TemporaryDirectory() as scratch, ProcessPoolExecutor() as pool:
        for name, sound in voices.items():
            soundfile.write(f"{scratch}/{name}.wav", sound, RATE, subtype="PCM_16")
            np.save(f"{scratch}/{name}.npy", to_16k(sound))

        table = [["method", *CONDITIONS]]
        print(f"\nPESQ-WB, {args.packet} frames a packet, {args.seeds} seeds, speakers: {', '.join(voices)}")
        print(f"{'':32}" + "".join(f"{c:>12}" for c in CONDITIONS) + "   delay, ms")
        missed = []
        for label, (method, ahead) in METHODS.items():
            if args.methods and args.methods not in label:
                continue
            means = []
            for rate, burst in CONDITIONS.values():
                jobs = [
                    Job(
                        program, scratch, name, len(sound) // args.packet, args.packet, seed, rate, burst, method, ahead
                    )
                    for name, sound in voices.items()
                    for seed in range(1, args.seeds + 1)
                ]
                means.append(np.mean(list(pool.map(Job.judge, jobs))))
            delay = 1000 * ahead * args.packet / RATE
            print(f"{label:32}" + "".join(f"{m:12.2f}" for m in means) + f"{delay:12.0f}", flush=True)
            if args.packet == 441:
                bars = zip(CONDITIONS, means, BARS.get(label, ()), strict=False)
                missed += [f"{label}, {name}: {mean:.2f}, not {bar}" for name, mean, bar in bars if mean < bar]
            table.append([label, *(f"{m:.3f}" for m in means)])
        if args.csv:
            args.csv.parent.mkdir(parents=True, exist_ok=True)
            with args.csv.open("w", newline="") as file:
                csv.writer(file).writerows(table)
        if missed:
            sys.exit("below the bar: " + "; ".join(missed))


if __name__ == "__main__":
    main()

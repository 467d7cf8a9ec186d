#!/usr/bin/env python3
"""How redundancy sounds over a path that loses packets: PESQ-WB (ITU-T P.862.2), and what it costs in delay and bits.

The speech and the losses are conceal_pesq.py's. Sender, receiver and player are the engine's, in virtual time
(benches/redundancy_wav.rs): the speech is sent twice in a row, so that playout has learnt the path, and the second
time is judged.
Independent losses strike every packet by itself; a burst strikes whatever is sent while it lasts.

    apt-get install alsa-utils pocketsphinx-testdata
    pip install -r benches/requirements.txt
    python benches/redundancy_pesq.py

GStreamer's Opus with FEC loses the same packets of the same speech the second time, in real time over a socket; its
delay is 300 ms, so that it lacks nothing (opus_pesq.py says how).

Where the speech or a Python package is missing nothing is measured, and said what to install; without GStreamer, ours
alone.
"""

import argparse
import shutil
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

try:
    import numpy as np
    import soundfile
    import soxr
    from conceal_pesq import FOLDERS, RATE, build, losses, speakers, to_16k
    from opus_pesq import gstreamer
    from pesq import pesq
except ImportError as error:
    print(f"\nPESQ of redundancy: left out, {error.name} is missing: pip install -r benches/requirements.txt")
    sys.exit(0)

OPUS_RATE = 48_000
CONDITIONS = {"no loss": (0.0, 1), "5 %": (0.05, 1), "10 %": (0.10, 1), "20 %": (0.20, 1), "10 % in 3s": (0.10, 3)}


@dataclass(frozen=True)
class Way:
    """What is sent."""

    codec: str
    bitrate: int
    packet: int  # ms
    redundancy: str
    spacing: int


GSTREAMER = "GStreamer Opus 64, 20 ms, FEC"
WAYS = {
    "L16, 10 ms": Way("l16", 0, 10, "0", 1),
    "L16, N=1, spacing 1": Way("l16", 0, 10, "1", 1),
    "L16, N=2, spacing 1": Way("l16", 0, 10, "2", 1),
    "L16, N=1, 80 ms later": Way("l16", 0, 10, "1", 8),
    "L16, Opus beside, spacing 2": Way("l16", 0, 10, "opus", 2),
    "L16, Opus beside, spacing 8": Way("l16", 0, 10, "opus", 8),
    GSTREAMER: Way("opus", 64_000, 20, "0", 1),
    "Opus 64, 20 ms, FEC": Way("opus", 64_000, 20, "0", 1),
    "Opus 32, 20 ms, N=1": Way("opus", 32_000, 20, "1", 1),
    "Opus 32, 20 ms, N=1, 40 ms": Way("opus", 32_000, 20, "1", 2),
    "Opus 32, 20 ms, N=1, 60 ms": Way("opus", 32_000, 20, "1", 3),
    "Opus 21, 20 ms, N=2": Way("opus", 21_000, 20, "2", 1),
    "Opus 64, 20 ms, auto": Way("opus", 64_000, 20, "auto", 1),
}

# The least PESQ and the most delay in the buffer, ms: a packet's time and what waiting for the copies adds.
BARS = {
    ("L16, N=2, spacing 1", "20 %"): (4.2, 34.0),
    ("L16, N=1, 80 ms later", "10 % in 3s"): (4.0, 94.0),
}


@dataclass(frozen=True)
class Job:
    """One speaker over one path."""

    program: str
    scratch: str
    speaker: str
    seed: int
    condition: str
    way: Way
    gstreamer: bool

    def judge(self) -> "list[float]":
        """Its PESQ, and what the program says."""
        rate, burst = CONDITIONS[self.condition]
        way = self.way
        source = f"{self.scratch}/{self.speaker}-{OPUS_RATE if way.codec == 'opus' else RATE}.wav"
        info = soundfile.info(source)
        packets = 2 * int(info.frames / info.samplerate * 1000 / way.packet)
        # A burst is a stretch of time, for the copies' packets too; else each is struck by itself.
        seeds = [self.seed if burst > 1 else self.seed + 1000 * stream for stream in range(5)]
        patterns = [losses(packets, seed, rate, burst) if rate else "0" * packets for seed in seeds]
        with tempfile.NamedTemporaryFile(suffix=".wav", dir=self.scratch) as out:
            percent = round(100 * rate)
            if self.gstreamer:
                sent = gstreamer(source, out.name, patterns[0][packets // 2 :], way.bitrate, percent or 10)
                figures = [sent, 300.0, np.nan, np.nan, np.nan]
            else:
                arguments = (way.codec, way.bitrate or 64_000, way.packet, way.redundancy, way.spacing, percent)
                command = [self.program, source, out.name, *map(str, arguments)]
                told = subprocess.run(command, input="\n".join(patterns), text=True, check=True, stdout=subprocess.PIPE)
                figures = [float(figure) for figure in told.stdout.split()]
            heard, heard_rate = soundfile.read(out.name)
        heard = np.round(np.clip(soxr.resample(heard, heard_rate, 16_000), -1, 1) * 32767).astype(np.int16)
        score = pesq(16_000, np.load(f"{self.scratch}/{self.speaker}.npy"), heard, "wb")
        return [score, *figures]


def main() -> None:
    """Prints the table; ends with 1 where a bar is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", default=FOLDERS, help="where the speech is, if elsewhere")
    parser.add_argument("--speakers", default="alsa,austen", help="which, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--ways", default="", help="only those whose names contain this")
    parser.add_argument("--program", help="redundancy_wav, if built already")
    args = parser.parse_args()
    wanted = args.speakers.split(",")
    voices = {k: v for k, v in speakers(args.folders).items() if k in wanted}
    if len(voices) < len(wanted):
        missing = ", ".join(sorted(set(wanted) - set(voices)))
        print(
            f"\nPESQ of redundancy: left out, no speech of {missing}: apt-get install alsa-utils pocketsphinx-testdata"
        )
        return
    program = args.program or build("redundancy_wav", "--features", "opus")
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(8) as real_time, ThreadPoolExecutor(2) as pool:
        for name, sound in voices.items():
            for rate in (RATE, OPUS_RATE):
                at_rate = soxr.resample(sound / 32768, RATE, rate, "VHQ") if rate != RATE else sound / 32768
                path = f"{scratch}/{name}-{rate}.wav"
                soundfile.write(path, np.clip(at_rate, -1, 1 - 2**-15), rate, subtype="PCM_16")
            np.save(f"{scratch}/{name}.npy", to_16k(sound))
        print(f"\nPESQ-WB with redundancy, {args.seeds} seeds, speakers: {', '.join(voices)}")
        print("in brackets: the delay in the buffer in ms, what was made up in percent")
        print(f"{'':30}" + "".join(f"{c:>18}" for c in CONDITIONS) + "   kbit/s sent")
        missed = []
        for label, way in WAYS.items():
            if args.ways not in label or (label == GSTREAMER and not shutil.which("gst-launch-1.0")):
                continue
            theirs = label == GSTREAMER
            cells, sent = [], 0.0
            for condition, (rate, _) in CONDITIONS.items():
                seeds = range(1, args.seeds + 1 if rate else 2)
                jobs = [Job(program, scratch, name, seed, condition, way, theirs) for name in voices for seed in seeds]
                runs = list((real_time if theirs else pool).map(Job.judge, jobs))
                score, bitrate, delay, _, _, concealed = np.mean(runs, axis=0)
                cells.append(f"{score:.2f} ({delay:.0f}, {'-' if theirs else f'{concealed:.1f}'})")
                sent = bitrate / 1000
                least, most = BARS.get((label, condition), (0.0, float("inf")))
                if score < least or delay > most:
                    missed.append(f"{label}, {condition}: {score:.2f} at {delay:.1f} ms, not {least} at {most}")
            print(f"{label:30}" + "".join(f"{cell:>18}" for cell in cells) + f"   {sent:.0f}", flush=True)
        if missed:
            sys.exit("beyond the bar: " + "; ".join(missed))


if __name__ == "__main__":
    main()

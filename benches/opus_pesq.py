#!/usr/bin/env python3
"""How Opus sounds over a path that loses packets: PESQ-WB (ITU-T P.862.2) of ours beside GStreamer's, both with FEC.

The speech and the losses are conceal_pesq.py's, in packets of 20 ms at 64 kbit/s. Ours: the engine's encoder and
decoder (benches/opus_wav.rs); a lost packet may be made up with the packets that come within the look-ahead. Deep
redundancy (DRED) is there for a look-ahead of several packets. GStreamer's: packets of opusenc and rtpopuspay, sent
over UDP in real time with the losses left out, through rtpjitterbuffer, rtpopusdepay and opusdec with PLC and FEC,
which looks one packet ahead.

    apt-get install alsa-utils pocketsphinx-testdata
    apt-get install gstreamer1.0-tools gstreamer1.0-plugins-base gstreamer1.0-plugins-good
    pip install -r benches/requirements.txt
    python benches/opus_pesq.py

Where the speech or a Python package is missing nothing is measured, and said what to install; without GStreamer, ours
alone.
"""

import argparse
import itertools
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

try:
    import numpy as np
    import soundfile
    import soxr
    from conceal_pesq import FOLDERS, RATE, build, losses, speakers, to_16k
    from pesq import pesq
except ImportError as error:
    print(f"\nPESQ of Opus: left out, {error.name} is missing: pip install -r benches/requirements.txt")
    sys.exit(0)

OPUS_RATE = 48_000
PACKET = 960
CONDITIONS = {
    "no loss": (0.0, 1, 10),
    "5 %": (0.05, 1, 5),
    "10 %": (0.10, 1, 10),
    "20 %": (0.20, 1, 20),
    "10 % in 3s": (0.10, 3, 10),
}
PORTS = itertools.count(21_000 + os.getpid() % 10_000)
RTP = "application/x-rtp,media=audio,encoding-name=OPUS,clock-rate=48000,payload=96"


@dataclass(frozen=True)
class Job:
    """One speaker over one path."""

    program: str
    scratch: str
    speaker: str
    seed: int
    condition: str
    bitrate: int
    ahead: "int | None"  # None: GStreamer
    dred: int

    def judge(self) -> "tuple[float, float]":
        """Its PESQ and bitrate."""
        rate, burst, told = CONDITIONS[self.condition]
        source = f"{self.scratch}/{self.speaker}.wav"
        packets = soundfile.info(source).frames // PACKET
        pattern = losses(packets, self.seed, rate, burst) if rate else "0" * packets
        with tempfile.NamedTemporaryFile(suffix=".wav", dir=self.scratch) as out:
            if self.ahead is None:
                bitrate = gstreamer(source, out.name, pattern, self.bitrate, told)
            else:
                numbers = (PACKET, self.ahead, self.bitrate, told, self.dred)
                command = [self.program, source, out.name, *map(str, numbers)]
                run = subprocess.run(command, input=pattern, text=True, check=True, stdout=subprocess.PIPE)
                bitrate = float(run.stdout)
            heard, heard_rate = soundfile.read(out.name)
        assert heard_rate == OPUS_RATE
        # GStreamer's may be some packets longer or shorter: PESQ aligns what it compares.
        assert abs(len(heard) - packets * PACKET) < 30 * PACKET, f"{len(heard)} frames of {packets * PACKET}"
        heard = np.round(np.clip(soxr.resample(heard, OPUS_RATE, 16_000), -1, 1) * 32767).astype(np.int16)
        return pesq(16_000, np.load(f"{self.scratch}/{self.speaker}.npy"), heard, "wb"), bitrate


def gstreamer(source: str, heard: str, pattern: str, bitrate: int, told: int) -> float:
    """Sends `source` through GStreamer over a real socket, less what `pattern` says; the bitrate of the payloads."""
    with tempfile.TemporaryDirectory() as sent:
        encode = (
            f"filesrc location={source} ! wavparse ! audioconvert ! opusenc bitrate={bitrate} inband-fec=true "
            f"packet-loss-percentage={told} frame-size=20 ! rtpopuspay pt=96 ! multifilesink location={sent}/%05d"
        )
        subprocess.run(["gst-launch-1.0", "-q", *encode.split()], check=True)
        packets = [path.read_bytes() for path in sorted(Path(sent).iterdir())]
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as out:
        out.bind(("127.0.0.1", 0))
        port = free_port()
        decode = (
            f"udpsrc address=127.0.0.1 port={port} caps={RTP} ! rtpjitterbuffer latency=300 do-lost=true ! "
            f"rtpopusdepay ! opusdec use-inband-fec=true plc=true ! audio/x-raw,rate={OPUS_RATE},channels=1 ! wavenc ! "
            f"filesink location={heard}"
        )
        receiver = subprocess.Popen(["gst-launch-1.0", "-q", "-e", *decode.split()])
        wait_for_port(port)
        start = time.monotonic()
        for k, packet in enumerate(packets):
            time.sleep(max(0, start + k * PACKET / OPUS_RATE - time.monotonic()))
            # The encoder's last packet, beyond the pattern, is padding.
            if pattern[k : k + 1] != "1":
                out.sendto(packet, ("127.0.0.1", port))
        time.sleep(1)
        receiver.send_signal(signal.SIGINT)
        receiver.wait(10)
    bits = sum(len(packet) - 12 for packet in packets) * 8
    return bits * OPUS_RATE / (len(packets) * PACKET)


def free_port() -> int:
    """A UDP port of loopback that nobody listens at, another one each time."""
    while True:
        port = next(PORTS)
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        return port


def wait_for_port(port: int) -> None:
    """Returns once somebody listens there."""
    wanted = f":{port:04X} "
    for _ in range(500):
        if wanted in Path("/proc/net/udp").read_text():
            return
        time.sleep(0.02)
    raise TimeoutError(f"nobody listens at port {port}")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folders", type=Path, nargs="*", default=FOLDERS, help="where the speech is, if elsewhere")
    parser.add_argument("--speakers", default="alsa,austen", help="which, separated by commas")
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--bitrate", type=int, default=64_000)
    parser.add_argument(
        "--ahead", default="1,1+200,3+200", help="packets of look-ahead, +ms of DRED, separated by commas"
    )
    parser.add_argument("--no-gstreamer", action="store_true", help="ours alone")
    parser.add_argument("--program", help="opus_wav, if built already")
    args = parser.parse_args()
    wanted = args.speakers.split(",")
    voices = {k: v for k, v in speakers(args.folders).items() if k in wanted}
    if len(voices) < len(wanted):
        missing = ", ".join(sorted(set(wanted) - set(voices)))
        print(f"\nPESQ of Opus: left out, no speech of {missing}: apt-get install alsa-utils pocketsphinx-testdata")
        return
    methods = {}
    for method in args.ahead.split(","):
        ahead, _, dred = method.partition("+")
        methods[f"ours, {ahead} ahead" + (f", DRED {dred} ms" if dred else "")] = (int(ahead), int(dred or 0))
    if not args.no_gstreamer and shutil.which("gst-launch-1.0"):
        methods = {"GStreamer": (None, 0), **methods}
    program = args.program or build("opus_wav", "--features", "opus")
    with tempfile.TemporaryDirectory() as scratch, ThreadPoolExecutor(8) as real_time, ThreadPoolExecutor(2) as pool:
        for name, sound in voices.items():
            at_48 = soxr.resample(sound / 32768, RATE, OPUS_RATE, "VHQ")
            soundfile.write(f"{scratch}/{name}.wav", np.clip(at_48, -1, 1 - 2**-15), OPUS_RATE, subtype="PCM_16")
            np.save(f"{scratch}/{name}.npy", to_16k(sound))
        names = ", ".join(voices)
        print(f"\nPESQ-WB of Opus at {args.bitrate // 1000} kbit/s, 20 ms, {args.seeds} seeds, speakers: {names}")
        print(f"{'':28}" + "".join(f"{c:>12}" for c in CONDITIONS) + "   kbit/s sent")
        for label, (ahead, dred) in methods.items():
            runs = []
            for condition, (rate, *_) in CONDITIONS.items():
                seeds = range(1, args.seeds + 1 if rate else 2)
                jobs = [
                    Job(program, scratch, name, seed, condition, args.bitrate, ahead, dred)
                    for name in voices
                    for seed in seeds
                ]
                runs.append(list((real_time if ahead is None else pool).map(Job.judge, jobs)))
            scores = "".join(f"{np.mean([score for score, _ in run]):12.2f}" for run in runs)
            rates = " ".join(f"{np.mean([rate for _, rate in run]) / 1000:.0f}" for run in runs)
            print(f"{label:28}{scores}   {rates}", flush=True)


if __name__ == "__main__":
    main()

"""What Wireshark sees: a capture on loopback by dumpcap, read by tshark."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType

from .programs import Program
from .wait import steady


@dataclass(frozen=True)
class RtpStream:
    """A line of `tshark -z rtp,streams`."""

    ssrc: int
    packets: int
    lost: int
    max_jitter_ms: float
    mean_jitter_ms: float


class Capture:
    """Captures UDP packets to and from this machine's `port` while its `with` block lasts."""

    def __init__(self, port: int, folder: Path) -> None:
        self.path = folder / "capture.pcapng"
        self._port = port
        self._folder = folder

    def __enter__(self) -> Capture:
        command = ["dumpcap", "-i", "lo", "-f", f"udp port {self._port}", "-w", str(self.path)]
        self._dumpcap = Program(command, folder=self._folder)
        # It says so when it has opened the interface.
        self._dumpcap.says("File: ")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # It writes what it has seen twice a second.
        steady(lambda: self.path.stat().st_size, "the capture", quiet=0.7)
        self._dumpcap.interrupt()
        with self._dumpcap:
            assert re.search(r"dropped on interface .*: \d+/0 ", self._dumpcap.errors), self._dumpcap.errors


def tshark(*arguments: str | Path) -> str:
    """What tshark prints."""
    command = ["tshark", *map(str, arguments)]
    answer = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert answer.returncode == 0, answer.stderr
    return answer.stdout


def rtp_streams(printed: str) -> list[RtpStream]:
    """The streams in what `tshark -q -z rtp,streams` printed."""
    # Which columns there are, and in which order, depends on the version.
    names = re.findall(r"(?:Min|Mean|Max) (?:Delta|Jitter|Skew)", printed)
    found = []
    for line in printed.splitlines():
        match = STREAM.search(line)
        if match is not None:
            ssrc, packets, lost, figures = match.groups()
            named = dict(zip(names, map(float, figures.split()), strict=False))
            found.append(RtpStream(int(ssrc, 16), int(packets), int(lost), named["Max Jitter"], named["Mean Jitter"]))
    return found


def can_capture() -> bool:
    """Whether this user may capture on loopback."""
    try:
        answer = subprocess.run(
            ["dumpcap", "-i", "lo", "-a", "duration:0", "-w", "/dev/null"], capture_output=True, timeout=20, check=False
        )
    except FileNotFoundError:
        return False
    return answer.returncode == 0


# SSRC, payload type, packets, lost and its percentage, then the columns that are named; last, perhaps, a mark.
STREAM = re.compile(r"(0x[0-9A-Fa-f]{8})\s+.*?\s(\d+)\s+(-?\d+) \(-?[\d.]+%\)\s+([\d.\s-]+)")

#!/usr/bin/env python3
"""What streaming costs: CPU and memory of a client and a server, each in a process of its own.

    python benches/load.py [--seconds 60]

The built-in voice goes by UDP over loopback, in packets of 10 ms, to a server that plays to nowhere. Against: the least
that Python can do for the same packets, a loop of `sendto` and `sleep` and a loop of `recv`, which neither capture,
count nor play. All processes run at the same time, so that they share what else this machine is doing.

CPU is user and system time of all threads, per cent of one core, after two seconds to settle. Memory is what is
resident (VmRSS) at the end, and what it grew by since then.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from measure.table import show

if TYPE_CHECKING:
    from typing_extensions import Self

SETTLE_SECONDS = 2.0
TICKS = os.sysconf("SC_CLK_TCK")

SERVER = """
import sys, audiostream
with audiostream.AdvancedAudioServer(port=0, bind="127.0.0.1", output="null") as server:
    print(server.port, flush=True)
    server.wait()
"""

LOGGING_SERVER = """
import sys, audiostream
audiostream.setup_logging("all.log", console=False)
with audiostream.AdvancedAudioServer(port=0, bind="127.0.0.1", output="null") as server:
    print(server.port, flush=True)
    server.wait()
"""

CLIENT = """
import sys, audiostream
with audiostream.AudioClient(host="127.0.0.1", port=int(sys.argv[1]), input="voice") as client:
    client.wait()
"""

BARE_RECEIVER = """
import socket
receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
receiver.bind(("127.0.0.1", 0))
print(receiver.getsockname()[1], flush=True)
while True:
    receiver.recv(2048)
"""

BARE_SENDER = """
import socket, sys, time
sender = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
address, packet, due = ("127.0.0.1", int(sys.argv[1])), bytes(894), time.monotonic()
while True:
    due += 0.01
    time.sleep(max(0.0, due - time.monotonic()))
    sender.sendto(packet, address)
"""


@dataclass
class Usage:
    """What a process has used by a moment."""

    cpu_seconds: float
    resident_mib: float


class Program:
    """A Python program that runs until it is left."""

    def __init__(self, name: str, code: str, folder: str, port: int | None = None, *, tells_port: bool = False) -> None:
        """Starts `code`, with `port` as its argument; waits for the port it tells, if it tells one."""
        self.name = name
        arguments = [] if port is None else [str(port)]
        self._process = subprocess.Popen(
            [sys.executable, "-c", code, *arguments], stdout=subprocess.PIPE, text=True, cwd=folder
        )
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline()) if tells_port else 0

    def __enter__(self) -> Self:
        """Nothing more."""
        return self

    def __exit__(self, *_: object) -> None:
        """Ends it."""
        self._process.terminate()
        self._process.wait(10)

    def usage(self) -> Usage:
        """What it has used by now."""
        proc = Path("/proc") / str(self._process.pid)
        # The name in brackets may hold spaces; user and system time are fields 14 and 15.
        fields = (proc / "stat").read_text().rpartition(")")[2].split()
        status = (proc / "status").read_text()
        resident = next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS"))
        return Usage((int(fields[11]) + int(fields[12])) / TICKS, int(resident) / 1024)


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description="CPU and memory of client and server.")
    parser.add_argument("--seconds", type=float, default=60, help="how long to measure (60)")
    seconds = parser.parse_args().seconds
    with TemporaryDirectory() as folder, ExitStack() as running:

        def pair(receiver: str, receiver_code: str, sender: str, sender_code: str) -> list[Program]:
            ear = running.enter_context(Program(receiver, receiver_code, folder, tells_port=True))
            return [running.enter_context(Program(sender, sender_code, folder, ear.port)), ear]

        programs = [
            *pair("server", SERVER, "client", CLIENT),
            pair("server, a log line for each packet", LOGGING_SERVER, "", CLIENT)[1],
            *pair("bare recv loop in Python", BARE_RECEIVER, "bare sendto loop in Python", BARE_SENDER),
        ]
        time.sleep(SETTLE_SECONDS)
        began, before = time.monotonic(), [program.usage() for program in programs]
        time.sleep(seconds)
        took, after = time.monotonic() - began, [program.usage() for program in programs]
    rows = [
        [
            program.name,
            f"{(end.cpu_seconds - start.cpu_seconds) / took * 100:.2f}",
            f"{end.resident_mib:.1f}",
            f"{end.resident_mib - start.resident_mib:+.2f}",
        ]
        for program, start, end in zip(programs, before, after, strict=True)
    ]
    show(
        f"CPU and memory, packets of 10 ms over {seconds:g} s",
        "voice to null by UDP on loopback; all at the same time",
        ["", "CPU % of a core", "resident MiB", "grown MiB"],
        rows,
    )


if __name__ == "__main__":
    main()

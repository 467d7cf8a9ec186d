"""A virtual sound card with one clock, which hears itself: what is measured is exact to the sample.

On the PulseAudio daemon that the tests start for themselves: one null sink of two channels. Its left is the room, which
comes out of the default source; its right is what the default sink plays. Its monitor holds both, side by side, so that
a single recording shows when a sound was in the room and when the speaker played it, in the same clock. Neither the
recorder's start nor its latency matters; it asks for none, so that the card's blocks are what the measured programs
ask for.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from audiostream.lab.chirps import delays_ms, train

sys.path.insert(0, str(Path(__file__).resolve().parents[2] / "python" / "tests"))

from harness.signals import RATE
from harness.sound_server import SoundServer
from harness.wait import until

ONE_OF_TWO = "remix=no channels=1 channel_map=mono master_channel_map"
MODULES = (
    f"module-null-sink sink_name=card rate={RATE} channels=2 format=s16le channel_map=left,right",
    f"module-remap-source source_name=ears master=card.monitor {ONE_OF_TWO}=left",
    f"module-remap-sink sink_name=mouth master=card {ONE_OF_TWO}=right",
)
RAW = ["--raw", "--format=s16le", f"--rate={RATE}", "--channels=2", "--channel-map=left,right"]
# From one chirp to the next.
EVERY_SECONDS = 0.5


class Card:
    """The card, while its daemon runs."""

    def __init__(self, server: SoundServer) -> None:
        """Adds the card to a sound server and makes it the default."""
        self.environment = {**os.environ, **server.env}
        self._server = server
        for module in MODULES:
            self._pactl("load-module", *module.split())
        self._pactl("set-default-sink", "mouth")
        self._pactl("set-default-source", "ears")
        # Remapped devices are streams themselves.
        self._own = {kind: server.streams(kind) for kind in ("sink-inputs", "source-outputs")}

    def wait_for_streams(self, ready: bool = True) -> None:
        """Waits until a program both hears and plays, or until none does."""
        for kind, own in self._own.items():
            until(lambda kind=kind, own=own: (self._server.streams(kind) > own) == ready, f"{kind} of the program")

    def delays_ms(self, chirps: int, *, both: bool = False) -> list[float]:
        """Plays chirps in the room; how much later each is heard from the speaker, ms, where it is heard.

        With `both` the chirps are played to the speaker, too: what the method itself measures where there is no delay.
        """
        sound = np.zeros((round((chirps + 1) * EVERY_SECONDS * RATE), 2), dtype="<i2")
        played = train(chirps, EVERY_SECONDS, RATE)
        sound[: len(played), : 2 if both else 1] = played[:, None]
        with self._recording() as path:
            subprocess.run(
                ["pacat", "--playback", "--device=card", "--no-remix", *RAW],
                env=self.environment,
                input=sound.tobytes(),
                check=True,
                timeout=60,
            )
            recorded = path.stat().st_size
            until(lambda: path.stat().st_size > recorded + RATE * 4 * EVERY_SECONDS, "the end of the sound")
            pcm = path.read_bytes()
        heard = np.frombuffer(pcm[: len(pcm) // 4 * 4], dtype="<i2").reshape(-1, 2)
        return delays_ms(heard[:, 0], heard[:, 1], EVERY_SECONDS, RATE)

    @contextmanager
    def _recording(self) -> Iterator[Path]:
        with tempfile.NamedTemporaryFile(suffix=".raw") as file:
            command = ["parec", "--device=card.monitor", "--no-remix", *RAW]
            process = subprocess.Popen(command, env=self.environment, stdin=subprocess.DEVNULL, stdout=file)
            try:
                until(lambda: Path(file.name).stat().st_size > 0, "the card's monitor")
                yield Path(file.name)
            finally:
                process.terminate()
                process.wait(5)

    def _pactl(self, *arguments: str) -> None:
        subprocess.run(["pactl", *arguments], env=self.environment, check=True, stdout=subprocess.DEVNULL, timeout=20)


@contextmanager
def virtual_card() -> Iterator[Card]:
    """Runs a daemon with the card."""
    with tempfile.TemporaryDirectory(prefix="card-") as folder:
        server = SoundServer(Path(folder))
        try:
            server.wait_ready()
            yield Card(server)
        finally:
            server.close()

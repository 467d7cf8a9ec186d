"""A sound card for tests: a PulseAudio daemon of our own, whose speaker can be heard and whose microphone spoken into.

What is played into the sink `room` comes out of the source `microphone`; what is played to the sink `speaker`, the
default one, can be recorded. Nothing of the user's own sound server is touched.
"""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import numpy as np

from .signals import RATE, Samples
from .wait import until

SCRIPT = """\
.fail
load-module module-native-protocol-unix auth-anonymous=1 auth-cookie-enabled=0 socket={socket}
load-module module-null-sink sink_name=speaker {form} sink_properties=device.description=Speaker
load-module module-null-sink sink_name=room {form} sink_properties=device.description=Room
load-module module-remap-source source_name=microphone master=room.monitor {named}=Microphone
set-default-sink speaker
set-default-source microphone
"""


class SoundServer:
    """A running daemon."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.socket = folder / "native"
        self.env = {"PULSE_SERVER": f"unix:{self.socket}"}
        """What a program's environment needs to find this sound server."""
        self._log = folder / "log"
        script = folder / "script.pa"
        script.write_text(SCRIPT.format(socket=self.socket, form=FORM, named="source_properties=device.description"))
        runtime = folder / "runtime"
        runtime.mkdir(mode=0o700)
        self._script = script
        self._own = {
            **os.environ,
            "HOME": str(folder),
            "XDG_RUNTIME_DIR": str(runtime),
            "XDG_CONFIG_HOME": str(folder / "config"),
            "PULSE_RUNTIME_PATH": str(runtime / "pulse"),
            "PULSE_STATE_PATH": str(folder / "state"),
            "DBUS_SESSION_BUS_ADDRESS": "disabled:",
        }
        self._own.pop("PULSE_SERVER", None)
        self.start()

    def start(self) -> None:
        """Starts the daemon, once more where it was ended; its clients find it where it was."""
        self.socket.unlink(missing_ok=True)
        command = ["pulseaudio", "-n", "--daemonize=no", "--use-pid-file=no", "--exit-idle-time=-1"]
        # As systems start it; where it may not, it goes on without.
        command += ["--realtime=yes", "--high-priority=yes", "--log-target=stderr", "-F", str(self._script)]
        with self._log.open("wb") as log:
            self._daemon = subprocess.Popen(command, env=self._own, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def wait_ready(self) -> None:
        """Waits until clients are answered and the devices are there."""

        def ready() -> bool:
            if self._daemon.poll() is not None:
                raise AssertionError(f"pulseaudio ended at once:\n{self._log.read_text()}")
            answer = self._run("pactl", "info", check=False)
            return answer.returncode == 0 and "Default Source: microphone" in answer.stdout.decode()

        until(ready, "pulseaudio to answer")

    def kill(self) -> None:
        """Ends the daemon without a word, as a crash would."""
        self._daemon.kill()
        self._daemon.wait(5)

    def close(self) -> None:
        """Ends the daemon."""
        self._daemon.terminate()
        try:
            self._daemon.wait(5)
        except subprocess.TimeoutExpired:
            self._daemon.kill()
            self._daemon.wait(5)

    def say(self, samples: Samples) -> None:
        """Plays mono sound into the microphone; returns when it is over."""
        pcm = samples.astype("<i2").tobytes()
        self._run("pacat", "--playback", "--device=room", *RAW, input=pcm)

    @contextmanager
    def listening(self) -> Iterator[Ear]:
        """Records what the speaker plays, mono, meanwhile."""
        path = Path(tempfile.mkstemp(dir=self.folder, suffix=".raw")[1])
        with path.open("wb") as file:
            command = ["parec", "--device=speaker.monitor", "--latency-msec=20", *RAW]
            process = subprocess.Popen(command, env=self._environment(), stdin=subprocess.DEVNULL, stdout=file)
        try:
            until(lambda: path.stat().st_size > 0, "the speaker's monitor")
            yield Ear(path)
        finally:
            process.terminate()
            process.wait(5)

    def streams(self, kind: str) -> int:
        """How many clients play (`sink-inputs`) or record (`source-outputs`) now."""
        return len(self._run("pactl", "list", "short", kind).stdout.splitlines())

    def remove(self, module: str) -> None:
        """Takes a device away, as pulling its plug would."""
        self._run("pactl", "unload-module", module)

    def _environment(self) -> dict[str, str]:
        return {**os.environ, **self.env, "HOME": str(self.folder)}

    def _run(self, *command: str, check: bool = True, input: bytes | None = None) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            command, env=self._environment(), input=input, capture_output=True, check=check, timeout=60
        )


class Ear:
    """What has been heard so far."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def samples(self) -> Samples:
        """The sound, mono."""
        pcm = self._path.read_bytes()
        return np.frombuffer(pcm[: len(pcm) // 2 * 2], dtype="<i2")


FORM = "rate=44100 channels=2 format=s16le"
RAW = ["--raw", "--format=s16le", f"--rate={RATE}", "--channels=1"]

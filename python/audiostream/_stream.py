"""What client and server have in common: an engine, its recorder, and how both end."""

from __future__ import annotations

import threading
import time
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from . import logs
from .errors import AudioStreamError
from .history import Historian
from .recording import RecordedFrames, Recording, from_engine

if TYPE_CHECKING:
    import logging
    import os
    from collections.abc import Mapping
    from pathlib import Path
    from types import TracebackType

    from typing_extensions import Self

    from ._types import RecordedDict, RecordingStateDict

# The longest that anybody waits before looking whether it should still wait, seconds.
STEP = 0.05


class Engine(Protocol):
    """What both native classes can do."""

    def start(self) -> None: ...
    def wait(self, timeout: float) -> bool: ...
    def recording_state(self) -> RecordingStateDict: ...
    def set_gain(self, gain: float) -> None: ...
    def set_mute(self, mute: bool) -> None: ...
    def local_address(self) -> str | None: ...
    def stats(self) -> Mapping[str, Any]: ...
    def close(self, drain: bool) -> None: ...


class Stream(ABC):
    """A running end of a stream. Thread-safe: any thread may stop what another one runs."""

    FORMAT: ClassVar[int] = 8
    """The sample format in PortAudio's numbers: paInt16."""

    _log: ClassVar[logging.Logger]
    _name: ClassVar[str]

    def __init__(
        self,
        engine: Engine,
        *,
        size: float,
        rate: int,
        channels: int,
        recordings: str | os.PathLike[str],
        duration: float | None,
    ) -> None:
        self._core = engine
        self.size = size
        self.RATE = rate
        self.CHANNELS = channels
        self.CHUNK = rate // 100
        self.NUMCHUNKS = max(1, int(size) // 10)
        self.recording_folder = recordings
        self.duration = duration
        self.stop_event = threading.Event()
        self._gain = 1.0
        self._mute = False
        self._lock = threading.Lock()
        self._deadline: float | None = None
        self._finished = False
        self._historian = Historian(self._figures)
        # Paths of recordings: the last one that the log has told of, and that `stop_recording` has handed out.
        self._told: Path | None = None
        self._handed_out: Path | None = None
        self._renamed: Recording | None = None

    # Its life.

    def start(self) -> None:
        """Starts streaming in the background and returns at once. A second call does nothing.

        Raises:
            StateError: It has been stopped.
        """
        logs.sync_level()
        if self._deadline is None and self.duration is not None:
            self._deadline = time.monotonic() + self.duration
        self._before_start()
        self._core.start()
        self._historian.start()

    def wait(self, timeout: float | None = None) -> bool:
        """Waits until the stream has ended: by itself, by `stop`, or after its `duration`.

        Args:
            timeout: How long to wait at most, seconds; None waits for ever. Ctrl-C interrupts it.

        Returns:
            Whether it has ended.

        Raises:
            AudioStreamError: It has ended by an error, a `DeviceError` or `TransportError` for instance.
        """
        until = None if timeout is None else time.monotonic() + timeout
        while not self._is_over():
            now = time.monotonic()
            step = STEP if until is None else min(STEP, until - now)
            if self._deadline is not None:
                step = min(step, self._deadline - now)
            if self._wait_engine(max(step, 0.0)):
                return True
            self._tell_recording()
            logs.sync_level()
            if until is not None and time.monotonic() >= until:
                return self._is_over()
        return True

    def run(self) -> None:
        """Streams until it ends by itself or is stopped (`stop`, `stop_event`, Ctrl-C), then frees everything.

        Made for a thread of its own or for the main thread; Ctrl-C ends it as cleanly as `stop` does.

        Raises:
            AudioStreamError: The stream has died; all is freed before.
        """
        try:
            self._run()
        except KeyboardInterrupt:
            self._log.info("%s interrupted", self._name)
        except AudioStreamError as error:
            self._log.exception("%s failed: %s", self._name, error)
            raise
        finally:
            self.cleanup()

    def stop(self) -> None:
        """Ends the stream once what is queued is sent or played; finishes the recording. May be called twice."""
        self._finish(drain=True)

    def close(self) -> None:
        """Ends the stream at once, dropping what is queued; frees everything. May be called twice, and after `stop`."""
        self._finish(drain=False)

    def cleanup(self) -> None:
        """Frees everything, whatever fails on the way: that is logged, not raised. May be called twice."""
        try:
            self.stop()
        except Exception:  # noqa: BLE001 - whatever fails
            self._log.exception("%s could not be ended in order", self._name)

    def __enter__(self) -> Self:
        """Starts streaming."""
        try:
            self.start()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """Stops and frees everything."""
        try:
            self.stop()
        finally:
            self.close()

    # Its sound.

    @property
    def gain(self) -> float:
        """The factor that samples are multiplied by, 1.0 at first; clipped at full scale. Takes effect at once."""
        return self._gain

    @gain.setter
    def gain(self, gain: float) -> None:
        self._core.set_gain(gain)
        self._gain = gain

    @property
    def mute(self) -> bool:
        """Whether silence takes the place of sound, False at first. Packets, counting and timing go on."""
        return self._mute

    @mute.setter
    def mute(self, mute: bool) -> None:
        self._core.set_mute(mute)
        self._mute = mute

    @property
    def local_address(self) -> str | None:
        """`host:port` of the socket on this machine; None before it is open."""
        return self._core.local_address()

    # Its recorder.

    @property
    def is_recording(self) -> bool:
        """Whether a recording is running."""
        return self._core.recording_state()["recording"]

    @property
    def recorded_frames(self) -> RecordedFrames:
        """The running recording, or else the last one, in chunks of 10 ms: `b"".join(recorded_frames)` is its PCM.

        A view of the file on disk, which grows while the recording runs; empty before the first one.
        """
        return RecordedFrames(self._recorded_file, self.CHUNK)

    @property
    def recording_seconds(self) -> float:
        """How long the running recording is by now, seconds; 0.0 while none runs."""
        state = self._core.recording_state()
        return state["frames"] / self.RATE if state["recording"] else 0.0

    @property
    def last_recording(self) -> Recording | None:
        """The recording that was finished last, however it ended; None before the first."""
        last = self._core.recording_state()["last"]
        return self._renamed or (from_engine(last) if last else None)

    def _recorded_file(self) -> tuple[Path | None, bool]:
        state = self._core.recording_state()
        if state["recording"]:
            return state["path"], True
        if self._renamed is not None:
            return self._renamed.path, False
        return (state["last"]["path"] if state["last"] else None), False

    def _hand_out(self, stopped: RecordedDict | None) -> Recording | None:
        """The recording just stopped; else, once, the one that has ended by itself since."""
        recorded = stopped or self._core.recording_state()["last"]
        self._tell_recording()
        if recorded is None or recorded["path"] == self._handed_out:
            self._log.warning("No recording in progress")
            return None
        self._handed_out = recorded["path"]
        return from_engine(recorded)

    def _tell_recording(self) -> None:
        """Logs a recording that has ended, however it did."""
        state = self._core.recording_state()
        last = state["last"]
        with self._lock:
            if last is None or last["path"] == self._told:
                return
            self._told = last["path"]
        seconds = last["frames"] / last["rate"]
        # What ended it before its time was told when it did.
        if not last["error"]:
            self._log.info("Recording saved: %s (%.2f s, %d bytes)", last["path"], seconds, last["bytes"])

    # What the two do differently.

    @abstractmethod
    def _run(self) -> None:
        """Streams until it is over; may raise anything."""

    def _before_start(self) -> None:  # noqa: B027 - the server has nothing to do
        """Called by every `start`, before the engine streams."""

    def _wait_engine(self, step: float) -> bool:
        """Waits for at most `step` seconds; whether the stream has ended by itself."""
        return self._core.wait(step)

    # Its end.

    def _figures(self) -> Mapping[str, Any]:
        return self._core.stats()

    def _is_over(self) -> bool:
        return self.stop_event.is_set() or (self._deadline is not None and time.monotonic() >= self._deadline)

    def _finish(self, *, drain: bool) -> None:
        self.stop_event.set()
        self._core.close(drain)
        self._historian.stop()
        self._tell_recording()
        with self._lock:
            first, self._finished = not self._finished, True
        if first:
            self._log.info("%s stopped", self._name)

"""Recordings: finished ones as objects, running ones as a view of their file.

Sound is 16-bit little-endian PCM in a WAV file; beyond 4 GiB the file is RF64 (EBU Tech 3306), which Python's `wave`
does not read and this module does. Nothing here keeps sound in memory.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO, NamedTuple, overload

from .errors import ConfigError, RecordingError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._types import RecordedDict

__all__ = ["RecordedFrames", "Recording"]

SAMPLE_BYTES = 2
# Base64 makes a third more of it, and the notebook file holds it all.
INLINE_BYTES_MAX = 16 * 1024 * 1024


@dataclass(frozen=True)
class Recording:
    """A finished recording. In Jupyter it shows itself as a player.

    Attributes:
        path: The WAV file.
        frames: Its length in frames; a frame is one sample of each channel.
        rate: Frames a second.
        channels: 1 or 2.
        error: Why it ended before it should, a full disk for instance; the file is valid all the same. Else None.
    """

    path: Path
    frames: int
    rate: int
    channels: int
    error: str | None = None

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Recording:
        """Opens a 16-bit PCM file, WAV or RF64; what a killed process left behind too.

        Args:
            path: The file.

        Raises:
            RecordingError: It cannot be read, or is something else.
        """
        try:
            with Path(path).open("rb") as file:
                wav = _wav_layout(file)
        except OSError as error:
            if isinstance(error, RecordingError):
                raise
            raise RecordingError(error.errno, f"cannot read {os.fspath(path)!r}: {error.strerror}") from error
        return cls(Path(path), wav.frames, wav.rate, wav.channels)

    @property
    def duration(self) -> float:
        """Its length in seconds: `frames / rate`."""
        return self.frames / self.rate

    @property
    def size_bytes(self) -> int:
        """The file's present size."""
        return self.path.stat().st_size

    def pcm(self) -> bytes:
        """All of its sound as 16-bit little-endian PCM, channels interleaved."""
        with self.path.open("rb") as file:
            wav = _wav_layout(file)
            file.seek(wav.start)
            return file.read(wav.frames * wav.frame_bytes)

    def to_numpy(self) -> npt.NDArray[np.int16]:
        """All of its sound as an array of shape `(frames, channels)`, -32768 to 32767.

        Raises:
            ImportError: numpy is not installed (`pip install numpy`).
        """
        import numpy as np  # only who asks pays

        with self.path.open("rb") as file:
            wav = _wav_layout(file)
        samples = np.fromfile(self.path, dtype="<i2", count=wav.frames * wav.channels, offset=wav.start)
        return np.reshape(samples.astype(np.int16, copy=False), (-1, wav.channels))

    def audio(self) -> Any:  # noqa: ANN401 - IPython's type, and IPython need not be there
        """A player for Jupyter: `IPython.display.Audio`.

        Raises:
            ImportError: IPython is not installed.
        """
        from importlib import import_module

        return import_module("IPython.display").Audio(filename=str(self.path))

    def __fspath__(self) -> str:
        return str(self.path)

    def __str__(self) -> str:
        kind = "mono" if self.channels == 1 else "stereo"
        return f"{self.path} ({self.duration:.2f} s, {self.rate} Hz, {kind})"

    def _repr_html_(self) -> str:
        import html
        from base64 import b64encode

        caption = html.escape(str(self))
        if not self.path.is_file():
            return f"<p>{caption}: the file is gone</p>"
        if self.size_bytes > INLINE_BYTES_MAX:
            link = html.escape(self.path.as_posix(), quote=True)
            return f'<p><a href="{link}" download>{caption}</a>: too large to play inline</p>'
        sound = b64encode(self.path.read_bytes()).decode("ascii")
        return f'<audio controls src="data:audio/wav;base64,{sound}"></audio><p>{caption}</p>'


class RecordedFrames(Sequence[bytes]):
    """The chunks of the running recording, or of the last one: a view of its file, which grows as the file does.

    `b"".join(frames)` is the PCM. Each item is one chunk of 10 ms (`CHUNK` frames), read from disk when asked for; the
    last one of a finished recording may be shorter. A running recording shows what its header covers: it lags by
    100 ms at most.
    """

    def __init__(self, file: Callable[[], tuple[Path | None, bool]], chunk: int) -> None:
        """Makes a view.

        Args:
            file: Tells the path (None: nothing recorded yet) and whether it is still being written.
            chunk: Frames an item.
        """
        self._file = file
        self._chunk = chunk

    def __len__(self) -> int:
        with self._opened() as (_, _, count):
            return count

    @overload
    def __getitem__(self, index: int) -> bytes: ...
    @overload
    def __getitem__(self, index: slice) -> list[bytes]: ...
    def __getitem__(self, index: int | slice) -> bytes | list[bytes]:
        with self._opened() as (file, wav, count):
            if isinstance(index, slice):
                return [self._read(file, wav, at) for at in range(*index.indices(count))]
            at = index + count if index < 0 else index
            if not 0 <= at < count:
                raise IndexError(f"there are {count} chunks, not {index}")
            return self._read(file, wav, at)

    def __iter__(self) -> Iterator[bytes]:
        with self._opened() as (file, wav, count):
            for at in range(count):
                yield self._read(file, wav, at)

    def __eq__(self, other: object) -> bool:
        """Equal to any sequence of the same chunks; compares with a list as the original's list did."""
        if not isinstance(other, Sequence) or isinstance(other, (str, bytes)):
            return NotImplemented
        return list(self) == list(other)  # pyright: ignore[reportUnknownArgumentType, reportUnknownVariableType]

    __hash__ = None  # pyright: ignore[reportAssignmentType]

    def __repr__(self) -> str:
        path, live = self._file()
        return f"<RecordedFrames of {path}, {'growing' if live else 'finished'}>" if path else "<RecordedFrames, empty>"

    @contextmanager
    def _opened(self) -> Generator[tuple[BinaryIO, _Wav, int]]:
        """The file, where its sound is, and how many chunks of it there are."""
        path, live = self._file()
        with (path or Path(os.devnull)).open("rb") as file:
            try:
                wav = _wav_layout(file)
            except RecordingError:
                # Nothing recorded yet, or a file so new that it has no header.
                if path is not None and not live:
                    raise
                wav = _Wav(0, 0, 1, 1)
            # The chunk that is still growing is not shown: an item never changes.
            yield file, wav, wav.frames // self._chunk if live else -(-wav.frames // self._chunk)

    def _read(self, file: BinaryIO, wav: _Wav, at: int) -> bytes:
        first = at * self._chunk
        file.seek(wav.start + first * wav.frame_bytes)
        return file.read(min(self._chunk, wav.frames - first) * wav.frame_bytes)


def from_engine(recorded: RecordedDict) -> Recording:
    """The recording that the engine says it has finished."""
    return Recording(recorded["path"], recorded["frames"], recorded["rate"], recorded["channels"], recorded["error"])


def make_folder(folder: str | os.PathLike[str]) -> None:
    """Makes the folder for recordings, if it is not there.

    Raises:
        RecordingError: It cannot be made, or something else has its name.
    """
    try:
        Path(folder).mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordingError(
            error.errno,
            f"cannot make the folder {os.fspath(folder)!r} for recordings: {error.strerror}; "
            "choose another (recordings=)",
        ) from error


def rename(recording: Recording, folder: str | os.PathLike[str], filename: str) -> Recording:
    """Gives a finished recording another name in its folder; never that of a file which is there.

    Raises:
        ConfigError: The name leads out of the folder.
        RecordingError: The file cannot be renamed.
    """
    home = Path(folder).resolve()
    wanted = home / (filename if filename.lower().endswith(".wav") else f"{filename}.wav")
    if wanted.resolve().parent != home or not filename:
        raise ConfigError(f"the recording's name must be a plain file name in {str(folder)!r}, not {filename!r}")
    target, counter = Path(folder) / wanted.name, 0
    while True:
        try:
            # A link fails where the name is taken; a rename would overwrite.
            os.link(recording.path, target)
            recording.path.unlink()
        except FileExistsError:
            counter += 1
            target = target.with_name(f"{wanted.stem}_{counter}{wanted.suffix}")
        except OSError as error:
            raise RecordingError(error.errno, f"cannot name the recording {str(target)!r}: {error.strerror}") from error
        else:
            return Recording(target, recording.frames, recording.rate, recording.channels, recording.error)


class _Wav(NamedTuple):
    """Where the sound is in a file."""

    start: int
    frames: int
    rate: int
    channels: int

    @property
    def frame_bytes(self) -> int:
        return self.channels * SAMPLE_BYTES


def _wav_layout(file: BinaryIO) -> _Wav:
    """Walks the chunks of a RIFF or RF64 file; believes neither sizes nor order further than the file goes."""
    size = file.seek(0, os.SEEK_END)
    file.seek(0)
    head = file.read(12)
    if len(head) < 12 or head[:4] not in {b"RIFF", b"RF64", b"BW64"} or head[8:] != b"WAVE":
        raise RecordingError(f"{file.name!r} is not a WAV file")
    long_data: int | None = None
    form: tuple[int, int] | None = None
    while len(chunk := file.read(8)) == 8:
        name, length = struct.unpack("<4sI", chunk)
        body = file.tell()
        if name == b"ds64":
            fields = file.read(min(length, 16))
            if len(fields) == 16:
                # EBU 3306: the sizes of RIFF and of data, 64 bits each.
                _, long_data = struct.unpack("<QQ", fields)
        elif name == b"fmt ":
            form = _pcm16(file.name, file.read(min(length, 40)))
        elif name == b"data":
            if form is None:
                break
            rate, channels = form
            claimed = long_data if length == 0xFFFFFFFF and long_data is not None else length
            # A file cut short holds less than it claims.
            frames = min(claimed, size - body) // (channels * SAMPLE_BYTES)
            return _Wav(body, frames, rate, channels)
        file.seek(body + length + length % 2)
    raise RecordingError(f"{file.name!r} has no sound in it")


def _pcm16(name: str, form: bytes) -> tuple[int, int]:
    """Rate and channels from a `fmt ` chunk."""
    if len(form) >= 16:
        tag, channels, rate, _, _, bits = struct.unpack("<HHIIHH", form[:16])
        # 0xFFFE: WAVE_FORMAT_EXTENSIBLE, whose real tag begins its sub-format.
        if tag == 0xFFFE and len(form) >= 26:
            (tag,) = struct.unpack("<H", form[24:26])
        if tag == 1 and bits == 16 and channels > 0 and rate > 0:
            return rate, channels
    raise RecordingError(f"{name!r} is not 16-bit PCM")

"""Logging: the library's quiet default, and the handlers of the original scripts.

All records go to the logger `audiostream` and its children `audiostream.client` and `audiostream.server`, those of
the engine included. The library itself never touches the root logger; `setup_logging` does, for programs that want it.
"""

from __future__ import annotations

import logging
import sys
from typing import TYPE_CHECKING

from . import _engine

if TYPE_CHECKING:
    import os
    from typing import TextIO

__all__ = ["setup_logging"]

LOG_FILE = "audio_stream.log"
FORMAT = "%(asctime)s - %(levelname)s - %(message)s"
FILE_BYTES_MAX = 5 * 1024 * 1024
FILES_KEPT = 3

_ROOM = logging.getLogger("audiostream")
_CHILDREN = (_ROOM, logging.getLogger("audiostream.client"), logging.getLogger("audiostream.server"))
_installed: list[logging.Handler] = []


def setup_logging(
    log_file: str | os.PathLike[str] | None = LOG_FILE,
    level: int | str = logging.DEBUG,
    *,
    console: bool | TextIO = True,
    console_level: int | str = logging.DEBUG,
    max_bytes: int = FILE_BYTES_MAX,
    backups: int = FILES_KEPT,
) -> None:
    """Sets up the root logger as the original server did: console and rotating file, everything at DEBUG.

    A second call replaces the handlers of the first.

    Args:
        log_file: The file, appended to, made anew when it is full; None for no file.
        level: The least level that is recorded. DEBUG has a line for each packet; the file takes all of them.
        console: Whether to log to standard error as well, or the stream to log to.
        console_level: The least level shown on the console.
        max_bytes: The file's largest size; the full one is kept as `audio_stream.log.1`, the one before as `.2`, …
        backups: How many full files are kept.

    Raises:
        OSError: The file cannot be written.
        ValueError: There is no such level.
    """
    handlers: list[logging.Handler] = []
    # A program without standard error (a service, pythonw) has no console.
    stream = sys.stderr if console is True else console or None
    if stream is not None:
        shown = logging.StreamHandler(stream)
        shown.setLevel(console_level)
        handlers.append(shown)
    if log_file is not None:
        handlers.append(file_handler(log_file, max_bytes, backups))
    install(handlers, level)


def file_handler(
    log_file: str | os.PathLike[str], max_bytes: int = FILE_BYTES_MAX, backups: int = FILES_KEPT
) -> logging.Handler:
    """A handler that writes a rotating file."""
    from .log_file import LogFile  # brings socket and pickle along

    return LogFile(log_file, max_bytes, backups)


def install(handlers: list[logging.Handler], level: int | str) -> None:
    """Gives the root logger our format and these handlers, in place of those given before."""
    root = logging.getLogger()
    root.setLevel(level)
    for old in _installed:
        root.removeHandler(old)
        old.close()
    _installed[:] = handlers
    for handler in handlers:
        handler.setFormatter(logging.Formatter(FORMAT))
        root.addHandler(handler)
    sync_level()


def sync_level() -> None:
    """Tells the engine which records somebody wants: it does not even make the others."""
    _engine.set_log_level(min(room.getEffectiveLevel() for room in _CHILDREN))

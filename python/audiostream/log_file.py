"""The log's file: rotated by size, and quiet about a disk that takes no more."""

from __future__ import annotations

import sys
from contextlib import suppress
from logging.handlers import RotatingFileHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import logging
    import os

__all__ = ["LogFile"]


class LogFile(RotatingFileHandler):
    """A rotating log file whose disk may be full: one line on standard error says so, and records are counted then."""

    def __init__(self, path: str | os.PathLike[str], max_bytes: int, backups: int) -> None:
        """Appends to `path`.

        Args:
            path: The file.
            max_bytes: Its largest size.
            backups: How many full files are kept.

        Raises:
            OSError: It cannot be written.
        """
        super().__init__(path, maxBytes=max_bytes, backupCount=backups, encoding="utf-8")
        self.records_lost = 0
        """Records since the last one that could be written."""

    def emit(self, record: logging.LogRecord) -> None:
        """Writes a record."""
        before = self.records_lost
        super().emit(record)
        if before and self.records_lost == before:
            self.records_lost = 0
            self._say(f"is written again; {before} records are missing")

    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Tells the first of the records in a row that cannot be written, and counts them."""
        error = sys.exc_info()[1]
        if not isinstance(error, OSError):
            super().handleError(record)
            return
        self.records_lost += 1
        if self.records_lost == 1:
            self._say(f"cannot be written: {error.strerror or error}. Records are dropped until it can")

    def _say(self, what: str) -> None:
        with suppress(Exception):
            sys.stderr.write(f"audiostream: the log {self.baseFilename} {what}.\n")

"""Standard input, output and error, whatever a program is started with: services and cron often close them."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

__all__ = ["open_missing", "settle"]


def open_missing() -> None:
    """Opens the null device in place of each closed standard stream, and lets no text fail over its encoding.

    A descriptor below 3 that is left closed would be given to the next socket or file, which then receives what others
    write to standard output or error.
    """
    for descriptor in range(3):
        try:
            os.fstat(descriptor)
        except OSError:
            # The lowest free descriptor is the one that is missing: those below it are open by now.
            os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
    # Python sets a stream to None whose descriptor was closed when it started.
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            # As long as the process is.
            setattr(sys, name, Path(os.devnull).open(mode, encoding="utf-8"))  # noqa: SIM115
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            # A file's name may hold bytes that are no text in this encoding.
            stream.reconfigure(errors="backslashreplace")


def settle() -> None:
    """Writes what standard output still holds; without a word where its reader has gone (`| head`)."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        # Python writes the rest at exit, and would complain.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, sys.stdout.fileno())
        os.close(nowhere)

"""Waiting for a condition, never for a time."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def until(condition: Callable[[], T], what: str, timeout: float = 20.0) -> T:
    """Returns the first truthy value of `condition`, or fails naming `what` was waited for."""
    deadline = time.monotonic() + timeout
    while True:
        value = condition()
        if value:
            return value
        if time.monotonic() > deadline:
            raise AssertionError(f"waited {timeout:g} s for {what}")
        time.sleep(0.01)


def steady(value: Callable[[], T], what: str, quiet: float = 0.3, timeout: float = 20.0) -> T:
    """Returns `value()` once it has not changed for `quiet` seconds."""
    deadline = time.monotonic() + timeout
    last, since = value(), time.monotonic()
    while time.monotonic() - since < quiet:
        if time.monotonic() > deadline:
            raise AssertionError(f"{what} still changes after {timeout:g} s")
        time.sleep(0.01)
        now = value()
        if now != last:
            last, since = now, time.monotonic()
    return last

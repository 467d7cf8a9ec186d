"""A running stream in Jupyter: `server.watch()`, `client.watch()`. Charts need anywidget, text needs nothing."""

from __future__ import annotations

from .watch import Watch

__all__ = ["Watch"]

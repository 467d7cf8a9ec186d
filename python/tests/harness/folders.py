"""Disks that are full and folders that cannot be written to, for root and for others."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


@contextmanager
def small_disk(folder: Path, kilobytes: int) -> Iterator[Path]:
    """A file system of its own of so many kilobytes; needs root."""
    subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={kilobytes}k", "audiostream-test", str(folder)],
        check=True,
        timeout=20,
    )
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=20)


@contextmanager
def read_only_folder(folder: Path) -> Iterator[Path]:
    """A folder in which nobody can make a file: by its mode, or by a mount where that stops nobody (root)."""
    if os.geteuid() != 0:
        folder.chmod(0o555)
        try:
            yield folder
        finally:
            folder.chmod(0o755)
        return
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "audiostream-test", str(folder)], check=True, timeout=20)
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True, timeout=20)


def can_mount() -> bool:
    """Whether this process may mount file systems; tried, for root in a container may not."""
    if os.geteuid() != 0:
        return False
    answer = subprocess.run(
        ["unshare", "--mount", "mount", "-t", "tmpfs", "none", "/mnt"],
        capture_output=True,
        timeout=20,
        check=False,
    )
    return answer.returncode == 0

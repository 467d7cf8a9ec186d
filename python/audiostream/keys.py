"""Keys: made, written to files that nobody else can read, and found again.

A key is a line of text. It belongs into a file or the environment, not into a program or on a command line, which all
users of a machine can see and the shell remembers.
"""

from __future__ import annotations

import errno
import os
from pathlib import Path

from . import _engine
from .errors import ConfigError

__all__ = ["ENVIRONMENT", "generate_key", "write_key"]

ENVIRONMENT = "AUDIOSTREAM_KEY"
"""The variable that holds the key where neither `key=` nor `key_file=` is given."""

FOREIGN_SUITES = {"AES_CM_128_HMAC_SHA1_80": 30, "AEAD_AES_128_GCM": 28}
"""What other programs know, and its bytes of key and salt."""

# A key has 57 characters at most.
_MOST_BYTES = 1024


def generate_key(suite: str | None = None) -> str:
    """Makes a key that nobody can guess, of the operating system's randomness.

    Args:
        suite: `'AES_CM_128_HMAC_SHA1_80'` (RFC 3711) or `'AEAD_AES_128_GCM'` (RFC 7714) where the other end is another
            program; None where both are audiostream: it is the safer one, for any number of senders.

    Returns:
        The key as `key=` takes it.

    Raises:
        ConfigError: The suite is not known.
    """
    if suite is None:
        return _engine.make_key(os.urandom(32))
    size = FOREIGN_SUITES.get(suite)
    if size is None:
        raise ConfigError(f"suite must be one of {', '.join(FOREIGN_SUITES)}, not {suite!r}")
    import base64

    return base64.b64encode(os.urandom(size)).decode()


def write_key(path: str | os.PathLike[str], key: str) -> None:
    """Writes a key to a new file that only its owner can read.

    Raises:
        FileExistsError: There is something of this name: a key is never overwritten.
        OSError: The file cannot be made.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_CLOEXEC", 0)
    try:
        made = os.open(path, flags, 0o600)
    except FileExistsError:
        raise FileExistsError(errno.EEXIST, "it exists, and a key is never overwritten", os.fspath(path)) from None
    with os.fdopen(made, "w", encoding="ascii") as file:
        file.write(key + "\n")


def find_key(key: str | None, key_file: str | os.PathLike[str] | None) -> tuple[str | None, str | None]:
    """The key that the arguments have, and that of the environment, which is asked only where they have none.

    Raises:
        ConfigError: There are two; the file cannot be read, or others can; what is there is no key. No message has it.
    """
    if key is not None:
        if key_file is not None:
            raise ConfigError("key and key_file: give one of them")
        return key, None
    if key_file is not None:
        return _read(os.fspath(key_file)), None
    found = os.environ.get(ENVIRONMENT)
    if found is None:
        return None, None
    if not found.strip():
        # What should have filled it has failed: to stream in clear now would be the worst answer.
        raise ConfigError(f"{ENVIRONMENT} is set, and empty: unset it to stream without a key")
    return None, _checked(found, ENVIRONMENT)


def _read(path: str) -> str:
    if path.startswith(("audiostream1:", "inline:")):
        raise ConfigError("key_file is the name of a file that holds a key, not the key")
    try:
        with Path(path).open("rb") as file:
            if os.fstat(file.fileno()).st_mode & 0o077:
                import shlex

                raise ConfigError(f"key_file {path!r} is open to others than its owner: chmod 600 {shlex.quote(path)}")
            text = file.read(_MOST_BYTES + 1)
    except OSError as error:
        raise ConfigError(f"cannot read key_file {path!r}: {error.strerror or error}") from error
    if len(text) > _MOST_BYTES:
        raise ConfigError(f"key_file {path!r} holds more than a key")
    return _checked(text.decode("utf-8", "replace"), f"key_file {path!r}")


def _checked(key: str, origin: str) -> str:
    """The key, if it is one; the error says where it has been found."""
    try:
        _engine.key_suite(key)
    except ConfigError as error:
        raise ConfigError(f"{origin}: {error}") from None
    return key

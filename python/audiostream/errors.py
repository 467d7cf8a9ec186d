"""What can go wrong, by what you can do about it.

Every error derives from `AudioStreamError` *and* from the builtin that it is, so that code which knows nothing of
this package (`except OSError`) is right as well. Errors that the operating system reported carry its `errno`.
"""

from __future__ import annotations

__all__ = [
    "AudioStreamError",
    "ConfigError",
    "DeviceError",
    "RecordingError",
    "StateError",
    "TransportError",
]


class AudioStreamError(Exception):
    """Base of all errors of this package."""


class ConfigError(AudioStreamError, ValueError):
    """An argument is wrong: correct it. The message names the argument and the values it may have."""


class DeviceError(AudioStreamError, OSError):
    """A sound device is missing, busy or gone: choose another (`list_devices`) or a built-in end such as `'voice'`."""


class TransportError(AudioStreamError, OSError):
    """The network refused: check host, port and whether the other end runs."""


class RecordingError(AudioStreamError, OSError):
    """A sound file could not be made or read: check the folder, the disk's space and the file itself."""


class StateError(AudioStreamError, RuntimeError):
    """The object is closed, busy with the same already, or was taken into a forked process: make a new one."""


def check_range(most: int, **arguments: int) -> None:
    """Refuses what the engine's unsigned integers do not hold; what they hold it checks by itself.

    Raises:
        ConfigError: An argument is below 0 or above `most`.
    """
    for name, value in arguments.items():
        if not 0 <= value <= most:
            raise ConfigError(f"{name} must be 0 to {most}, not {value}")


def explain_import_error(error: ImportError) -> ImportError:
    """Turns the loader's message about a missing sound library into one that names the package to install.

    Args:
        error: What importing the native module raised.

    Returns:
        An `ImportError` to raise in its place; `error` itself where it is about something else.
    """
    # The one library that the engine needs besides the C library; some loaders do not name what they miss.
    if "libasound" not in str(error) and not str(error).startswith("cannot open shared object file"):
        return error
    return ImportError(
        "audiostream needs ALSA's library libasound.so.2, which is not installed. Install it with one of:\n"
        "  Debian, Ubuntu:  apt-get install libasound2t64   (libasound2 on releases before 2024)\n"
        "  Fedora, RHEL:    dnf install alsa-lib\n"
        "  Arch:            pacman -S alsa-lib\n"
        f"({error})",
        name=error.name,
        path=error.path,
    )

"""Errors are what they say, and what the builtins call them."""

import errno

import pytest

from audiostream import (
    AudioStreamError,
    ConfigError,
    DeviceError,
    RecordingError,
    StateError,
    TransportError,
)
from audiostream.errors import explain_import_error


@pytest.mark.parametrize(
    ("kind", "builtin"),
    [
        (DeviceError, OSError),
        (TransportError, OSError),
        (RecordingError, OSError),
        (ConfigError, ValueError),
        (StateError, RuntimeError),
    ],
)
def test_every_error_is_ours_and_the_builtin_it_is(kind, builtin):
    assert issubclass(kind, AudioStreamError)
    assert issubclass(kind, builtin)


def test_an_error_of_the_system_keeps_its_number():
    error = TransportError(errno.EADDRINUSE, "port 12345 is in use")
    assert error.errno == errno.EADDRINUSE
    assert "port 12345 is in use" in str(error)


def test_a_missing_sound_library_names_the_package_to_install():
    told = explain_import_error(
        ImportError("libasound.so.2: cannot open shared object file: No such file or directory")
    )
    assert "libasound2" in str(told)
    assert "dnf install alsa-lib" in str(told)
    assert "pacman -S alsa-lib" in str(told)


def test_other_import_errors_stay_as_they_are():
    error = ImportError("undefined symbol: PyFoo")
    assert explain_import_error(error) is error

"""The stub of the native module tells the truth."""

import sys

import pytest

from conftest import run_python


def test_the_stub_agrees_with_the_module():
    pytest.importorskip("mypy")
    result = run_python("-m", "mypy.stubtest", "audiostream._engine", timeout=110)
    assert result.returncode == 0, result.stdout + result.stderr


def test_the_package_is_marked_as_typed():
    from importlib.resources import files

    assert sys.version_info >= (3, 10)
    assert (files("audiostream") / "py.typed").is_file()
    assert (files("audiostream") / "_engine.pyi").is_file()

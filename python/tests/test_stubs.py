"""The stub of the native module tells the truth, and reaches those who install the package."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path

import pytest

from harness.scripts import Script


@pytest.mark.timeout(180)
def test_the_stub_agrees_with_the_module(tmp_path: Path) -> None:
    pytest.importorskip("mypy")
    with Script("-m", "mypy.stubtest", "audiostream._engine", folder=tmp_path) as stubtest:
        stubtest.succeeds(170)


def test_the_package_is_marked_as_typed() -> None:
    assert (files("audiostream") / "py.typed").is_file()
    assert (files("audiostream") / "_engine.pyi").is_file()

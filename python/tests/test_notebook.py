"""The notebooks run from top to bottom and show what they promise."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import nbclient
import nbformat
import pytest

from harness.scripts import EXAMPLES


@pytest.mark.timeout(180)
@pytest.mark.parametrize("name", ["recording", "lab_udp_vs_tcp", "lab_playout"])
def test_a_notebook_plays_and_plots(name: str, tmp_path: Path) -> None:
    notebook = nbformat.read(EXAMPLES / f"{name}.ipynb", as_version=4)
    assert all(not cell.get("outputs") for cell in notebook.cells), "committed without output"
    client = nbclient.NotebookClient(
        notebook, timeout=120, kernel_name="python3", resources={"metadata": {"path": str(tmp_path)}}
    )
    client.execute()
    outputs: list[Any] = [
        output for cell in notebook.cells if cell.cell_type == "code" for output in cell.get("outputs", [])
    ]
    shown = {kind for output in outputs for kind in output.get("data", {})}
    assert "image/png" in shown, "the plots"
    if name != "lab_playout":
        assert any("<audio" in str(output.get("data", {}).get("text/html", "")) for output in outputs), "the player"
    assert not [output for output in outputs if output.output_type == "error"]

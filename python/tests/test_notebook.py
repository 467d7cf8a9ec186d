"""The notebook runs from its first cell to its last, and shows a player and two plots."""

import shutil

import pytest

from conftest import REPOSITORY


def test_the_notebook_runs(folder):
    nbformat = pytest.importorskip("nbformat")
    nbclient = pytest.importorskip("nbclient")
    pytest.importorskip("matplotlib")
    shutil.copy(REPOSITORY / "examples" / "recording.ipynb", folder)
    notebook = nbformat.read(folder / "recording.ipynb", as_version=4)
    nbclient.NotebookClient(notebook, timeout=60, resources={"metadata": {"path": str(folder)}}).execute()
    outputs = [one for cell in notebook.cells for one in cell.get("outputs", ())]
    shown = [one["data"] for one in outputs if "data" in one]
    assert any("<audio controls" in one.get("text/html", "") for one in shown)
    assert sum("image/png" in one for one in shown) == 2
    assert not [one for one in outputs if one.get("name") == "stderr"]

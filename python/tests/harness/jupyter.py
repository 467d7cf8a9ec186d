"""A JupyterLab of one's own."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.request import urlopen

from .wait import until


@contextmanager
def jupyter_lab(folder: Path) -> Iterator[str]:
    """The address of a JupyterLab whose files are in `folder`. Nobody's settings are used, no token is asked for."""
    own = folder / ".jupyter"
    names = {"JUPYTER_CONFIG_DIR": "config", "JUPYTER_DATA_DIR": "data", "JUPYTER_RUNTIME_DIR": "runtime"}
    environment = {**os.environ, **{name: str(own / where) for name, where in names.items()}}
    settings = {
        "allow_root": True,
        "ip": "127.0.0.1",
        "open_browser": False,
        "port": 0,
        "root_dir": folder,
    }
    command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--LabApp.expose_app_in_browser=True"]
    command += ["--IdentityProvider.token="]
    command += [f"--ServerApp.{name}={value}" for name, value in settings.items()]
    (own / "config" / "labconfig").mkdir(parents=True)
    off = {"disabledExtensions": {"@jupyterlab/apputils-extension:announcements": True}}
    (own / "config" / "labconfig" / "page_config.json").write_text(json.dumps(off))
    with (own / "log").open("w") as log:
        server = subprocess.Popen(command, env=environment, cwd=folder, stdout=log, stderr=log)
    try:
        told = own / "runtime" / f"jpserver-{server.pid}.json"

        def address() -> str:
            assert server.poll() is None, (own / "log").read_text()
            try:
                url: str = json.loads(told.read_text())["url"]
                with urlopen(f"{url}api", timeout=20):
                    return url
            except (OSError, ValueError):
                return ""

        yield until(address, "JupyterLab", timeout=60)
    finally:
        server.terminate()
        server.wait(20)

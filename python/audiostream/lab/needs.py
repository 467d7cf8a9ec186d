"""What the lab needs besides the package itself."""

from __future__ import annotations

from importlib import import_module
from typing import Any

__all__ = ["need"]


def need(module: str) -> Any:  # noqa: ANN401 - a module is its own type
    """Imports a module that the `lab` extra brings.

    Raises:
        ImportError: It is not installed; the message says how to install it.
    """
    try:
        return import_module(module)
    except ImportError as error:
        package = module.partition(".")[0]
        if error.name != package:
            raise
        raise ImportError(
            f"this needs {package}, which is not installed: pip install 'audiostream[lab]'", name=package
        ) from None

"""Packages that only the image experiments need."""

import importlib
from types import ModuleType

from .._core.errors import bad

PACKAGES = {"sklearn": "scikit-learn", "PIL": "Pillow"}


def optional(module: str) -> ModuleType:
    """Import a module of an optional package.

    **Raises:** `ValueError` that names the command that installs it.
    """
    try:
        return importlib.import_module(module)
    except ImportError as error:
        package = PACKAGES.get(module.partition(".")[0], module)
        raise bad(package, "no such package", 'pip install "projhead_theory[images]"') from error

"""Inspection of a network of your own: what each layer weights, and which layer to keep.

The package itself is a function: `pt.inspect(...)` is `pt.inspect.inspect(...)`.
"""

import sys
from types import ModuleType
from typing import Any

from ._hypotheses import Hypothesis
from ._indicator import FixedHead
from ._inspect import inspect, inspect_file
from ._report import Inspection

__all__ = [
    "FixedHead",
    "Hypothesis",
    "Inspection",
    "inspect",
    "inspect_file",
]


class _Callable(ModuleType):
    """A package that is called as its function `inspect`."""

    def __call__(self, *arguments: Any, **options: Any) -> Inspection:
        return inspect(*arguments, **options)


sys.modules[__name__].__class__ = _Callable

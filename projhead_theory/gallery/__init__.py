"""The figures of the documentation and of the paper, each made by one call.

A figure is a function from parameters to labelled data, theory and trained networks, and a function
from this data to a picture.
"""

from ._drawing import Drawing, require_writable
from ._entry import Entry
from ._registry import find, make, make_all, names, redraw

__all__ = ["Drawing", "Entry", "find", "make", "make_all", "names", "redraw", "require_writable"]

"""The figures of the gallery, by name."""

from __future__ import annotations

import functools
import importlib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from .._core.errors import unknown
from . import _drawing
from ._drawing import Drawing
from ._entry import Entry

FAMILIES = (
    "layers",
    "balance",
    "steps",
    "dynamics",
    "decay",
    "starts",
    "downstream",
    "heads",
    "thresholds",
    "supervised",
    "accuracy",
    "responses",
    "rivals",
    "paper",
)
"""Files of figures, in the order in which they are listed; each has a tuple `ENTRIES`."""


@functools.cache
def entries() -> dict[str, Entry]:
    """All figures by name."""
    modules = (importlib.import_module(f"{__package__}.{family}") for family in FAMILIES)
    found = [entry for module in modules for entry in module.ENTRIES]
    named = {entry.name: entry for entry in found}
    if len(named) != len(found):
        raise ValueError(f"two figures of one name among {sorted(e.name for e in found)}")
    return named


def names() -> tuple[str, ...]:
    """Names of all figures.

    !!! example

        ```pycon
        >>> "layerwise-law" in pt.gallery.names()
        True

        ```
    """
    return tuple(entries())


def find(name: str) -> Entry:
    """Definition of a figure: caption, theorem, parameters and their defaults.

    **Raises:** `ValueError` with the nearest name for an unknown name.

    !!! example

        ```pycon
        >>> pt.gallery.find("layerwise-law").parameters["depth"]
        3

        ```
    """
    known = entries()
    if name not in known:
        raise unknown("figure", name, known)
    return known[name]


def make(name: str, *, quick: bool = False, **parameters: Any) -> Drawing:
    """Make a figure: its closed forms, trained networks, and picture.

    **Arguments:**

    - `name`: one of `names()`.
    - `quick`: few points and short runs, to see what the figure looks like.
    - `parameters`: parameters of the figure, such as `strength`, `noise`, `depth` or `seed`; their
      defaults are in `find(name).parameters`.

    **Returns:** a `Drawing` with `data`, `plot()` and `save(folder)`.

    **Raises:** `ValueError`, with the nearest name, for an unknown figure or parameter, and for a
    value that the figure does not allow.

    !!! example

        ```pycon
        >>> drawing = pt.gallery.make("layerwise-law", strength=(2.0, 1.0), noise=(1.0, 0.2))
        >>> float(abs(drawing.data.trained - drawing.data.theory).max()) < 1e-6
        True

        ```
    """
    return _drawing.make(find(name), parameters, quick)


def redraw(path: str | Path) -> Drawing:
    """Read a figure from its data file, without computing anything.

    **Arguments:**

    - `path`: the NetCDF file that `save` or `projhead figures` wrote.

    **Raises:** `ValueError` for another file.
    """
    return _drawing.load(path, entries())


def make_all(
    chosen: Sequence[str] = (), *, quick: bool = False, parameters: Mapping[str, Any] | None = None
) -> Iterator[Drawing]:
    """Make several figures one after the other, all of them if none is named.

    Names and parameters are checked before the first is computed.

    **Raises:** as `make`.
    """
    given = {} if parameters is None else parameters
    wanted = [find(name) for name in (dict.fromkeys(chosen) if chosen else names())]
    for entry in wanted:
        entry.settings(given, quick)
    return (_drawing.make(entry, given, quick) for entry in wanted)

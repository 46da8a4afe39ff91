"""Definition of a figure: parameters -> labelled data -> picture."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.errors import bad, unknown

if TYPE_CHECKING:
    import xarray


@dataclass(frozen=True)
class Entry:
    """A figure of the gallery: how its data is made, and how it is drawn.

    - `name`: name in the registry.
    - `caption`: one sentence.
    - `data`: function of the parameters that returns an `xarray.Dataset`; its keyword arguments and
      their defaults are the parameters of the figure.
    - `draw`: function of a Matplotlib figure and the dataset, of which alone it draws.
    - `theorem`: name of the theorem that the figure shows, and of its page.
    - `quick`: parameters that make a coarse version fast.
    """

    name: str
    caption: str
    data: Callable[..., xarray.Dataset]
    draw: Callable[[Any, xarray.Dataset], None]
    theorem: str
    quick: Mapping[str, Any] = field(default_factory=dict)

    @property
    def parameters(self) -> dict[str, Any]:
        """Parameters and their defaults."""
        return {n: p.default for n, p in inspect.signature(self.data).parameters.items()}

    def settings(self, given: Mapping[str, Any], quick: bool = False) -> dict[str, Any]:
        """All parameters: those given, checked and converted to the types of their defaults.

        **Raises:** `ValueError` with the nearest name for an unknown parameter, and for a value of
        another type.
        """
        known = self.parameters
        for name in given:
            if name not in known:
                raise unknown("parameter", name, known)
        converted = {name: _as(name, value, known[name]) for name, value in given.items()}
        return known | (dict(self.quick) if quick else {}) | converted


def _as(name: str, value: Any, default: Any) -> Any:
    """Convert a value, or its text, to the type of the default."""
    several = isinstance(default, tuple)
    kind = type(default[0] if several else default)
    if isinstance(value, str) and several:
        value = [item.strip() for item in value.split(",")]
    shown = ",".join(map(str, default)) if several else default
    noun = {int: "a whole number", float: "a number", str: "a word"}[kind]
    wanted = f"{'numbers' if several else noun}, such as {shown}"
    items = list(np.atleast_1d(value)) if several else [value]
    try:
        found = tuple(_one(item, kind) for item in items)
    except (TypeError, ValueError):
        raise bad(name, repr(value), wanted) from None
    if not found:
        raise bad(name, "nothing", wanted)
    return found if several else found[0]


def _one(item: Any, kind: type) -> Any:
    if kind is str:
        return str(item)
    number = float(item)
    if not np.isfinite(number) or (kind is int and number != int(number)):
        raise ValueError
    return kind(number)

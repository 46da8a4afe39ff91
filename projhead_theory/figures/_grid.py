"""A sweep as a figure: a quantity against one axis, one colour a value of another."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core.errors import bad
from ._style import COLOURS, axes

if TYPE_CHECKING:
    import xarray


def plot_sweep(
    dataset: xarray.Dataset,
    x: str,
    y: str | None = None,
    hue: str | None = None,
    *,
    ax: Any = None,
    **at: Any,
) -> Any:
    """Plot a quantity of a sweep: closed form as lines, means over seeds as markers.

    Error bars are standard errors over seeds.

    **Arguments:**

    - `dataset`: the dataset of a sweep.
    - `x`, `hue`: dimensions along the horizontal axis, and of the colours.
    - `y`: the quantity, the first one with these dimensions if not given.
    - `ax`: Matplotlib axes.
    - `at`: one value of each further dimension; its last value if not given.

    **Returns:** the Matplotlib axes.

    **Raises:** `ValueError` for an unknown quantity or dimension.
    """
    suffix = "_measured"
    known = [str(name).removesuffix(suffix) for name in dataset if str(name).endswith(suffix)]
    wanted = {dim for dim in (x, hue, *at) if dim is not None}
    having = [name for name in known if wanted <= set(dataset[name + suffix].dims)]
    y = next(iter(having or known)) if y is None else y
    if y not in known:
        raise bad("y", repr(y), f"one of {', '.join(known)}")
    measured = dataset[y + suffix]
    for name, dim in (("x", x), ("hue", hue), *(("at", dim) for dim in at)):
        if dim is not None and (dim not in measured.dims or dim == "seed"):
            free = [str(d) for d in measured.dims if d != "seed"]
            raise bad(name, repr(dim), f"one of {', '.join(free)}")
    predicted = dataset.get(f"{y}_predicted")
    rest = [d for d in measured.dims if d not in (x, hue, "seed")]
    chosen_at: dict[Any, Any] = {d: at.get(str(d), measured[d].values[-1]) for d in rest}
    ax = axes(ax)
    for i, value in enumerate([None] if hue is None else measured[hue].values):
        chosen = chosen_at if hue is None else chosen_at | {hue: value}
        colour = COLOURS[i % len(COLOURS)]
        label = "trained" if hue is None else _named(hue, value)
        runs = measured.sel(chosen).transpose(x, "seed").values
        with np.errstate(invalid="ignore"):
            mean, count = np.nanmean(runs, axis=1), np.isfinite(runs).sum(axis=1)
            spread = np.nanstd(runs, axis=1) / np.sqrt(np.maximum(count - 1, 1))
        bars = {"fmt": "o", "color": colour, "mfc": "none", "ms": 4, "capsize": 2}
        ax.errorbar(measured[x].values, mean, spread, label=label, **bars)
        if predicted is not None:
            curve = predicted.sel(chosen).values
            ax.plot(measured[x].values, curve, color=colour, lw=1.2)
    ax.set_xlabel(x)
    fixed = ", ".join(_named(dim, value) for dim, value in chosen_at.items())
    ax.set_ylabel(f"{y} ({fixed})" if fixed else y)
    ax.legend(frameon=False, fontsize="x-small")
    return ax


def _named(dim: Any, value: Any) -> str:
    """A value with its dimension; directions have indices in the data and numbers on paper."""
    if dim == "direction":
        value = value + 1
    return f"{dim} {value}" if isinstance(value, str) else f"{dim} {value:g}"

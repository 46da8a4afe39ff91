"""Accuracies per layer over training time, as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import checks
from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..experiments import ShiftAccuracy, SubclassAccuracy


def plot_subclass_accuracy(
    result: SubclassAccuracy, ax: Any = None, width: int | None = None
) -> Any:
    """Plot the accuracy of reading the subclass over training time, one colour a layer.

    The closed form is drawn as lines, trained networks as markers with their standard errors.
    Returns the axes.

    **Raises:** `ValueError` for a width that was not trained.
    """
    ax = axes(ax)
    widths = np.asarray(result.widths).tolist()
    if width is not None and width not in widths:
        raise checks.bad("width", width, f"one of {widths}")
    row = 0 if width is None else widths.index(width)
    _layers(ax, result.times, result.predicted[row], result.mean[row], result.error[row])
    ax.set_ylabel("accuracy of reading the subclass")
    ax.set_title(f"width {widths[row]}", fontsize="medium")
    return ax


def plot_shift_accuracy(result: ShiftAccuracy, ax: Any = None, setting: int = 0) -> Any:
    """Plot worst-group accuracy of the refitted readout over training time, one colour a layer.

    The closed form of a linear network is drawn as lines, trained networks as markers with their
    standard errors, one marker a threshold. Returns the axes.

    **Raises:** `ValueError` for a correlation that was not trained.
    """
    ax = axes(ax)
    if not 0 <= setting < len(result.correlation):
        raise checks.bad(
            "setting",
            setting,
            f"a number from 0 to {len(result.correlation) - 1}, one a correlation",
        )
    mean, error = (x[1, setting] for x in result.over_starts("worst"))
    for i, threshold in enumerate(np.asarray(result.thresholds)):
        closed = np.asarray(result.predicted_worst)[1, setting] if i == 0 else None
        _layers(
            ax,
            result.times,
            closed,
            mean[i],
            error[i],
            "osD^v"[i % 5],
            f", threshold {threshold:g}",
        )
    ax.set_ylabel("worst-group accuracy, refitted")
    shown = ", ".join(f"{r:g}" for r in np.asarray(result.correlation)[setting])
    ax.set_title(f"correlation {shown}", fontsize="medium")
    return ax


def _layers(
    ax: Any, times: Any, closed: Any, mean: Any, error: Any, marker: str = "o", what: str = ""
) -> None:
    times, mean, error = np.asarray(times), np.asarray(mean), np.asarray(error)
    for i in range(mean.shape[-1]):
        colour = COLOURS[i % len(COLOURS)]
        if closed is not None:
            ax.plot(times, np.asarray(closed)[:, i], color=colour, lw=1.2)
        style = {"color": colour, "ls": "none", "mfc": "none", "ms": 4, "lw": 1, "capsize": 2}
        ax.errorbar(
            times, mean[:, i], error[:, i], marker=marker, label=f"layer {i + 1}{what}", **style
        )
    ax.set_xscale("log")
    ax.set_xlabel("training time")
    ax.legend(frameon=False, fontsize="x-small")

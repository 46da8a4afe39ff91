"""The order of convergence of trained networks to their closed form, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from matplotlib.ticker import NullLocator

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..experiments import Convergence


def plot_convergence(result: Convergence, ax: Any = None) -> Any:
    """Plot the mean error over seeds against the knob, both in logarithms.

    Bars span the seeds' standard deviation about the geometric mean. The fitted line is solid, the
    predicted slope dashed, through the middle of that line. Returns the axes.
    """
    ax = axes(ax)
    values, logs = np.asarray(result.values), np.log(np.asarray(result.errors))
    mean, spread = np.exp(logs.mean(axis=0)), logs.std(axis=0, ddof=1)
    low, high = result.interval
    bars = np.stack([mean - mean * np.exp(-spread), mean * np.exp(spread) - mean])
    style = {"color": COLOURS[0], "mfc": "none", "ms": 5, "capsize": 2}
    ax.errorbar(values, mean, bars, fmt="o", label=f"{len(logs)} trained networks each", **style)
    fitted = f"fitted order {result.slope:.4f} ({low:.4f} to {high:.4f})"
    ax.plot(values, result.line, color=COLOURS[0], lw=1.2, label=fitted)
    centre = np.exp(np.log(values).mean()), np.exp(np.log(result.line).mean())
    predicted = centre[1] * (values / centre[0]) ** result.order
    ax.plot(values, predicted, "--", color=COLOURS[1], lw=1.2, label=f"order {result.order:g}")
    ax.set_xscale("log")
    ax.set_yscale("log")
    ax.xaxis.set_minor_locator(NullLocator())
    ax.set_xticks(values, [f"{value:.3g}" for value in values], fontsize="x-small")
    ax.set_xlabel(result.label)
    ax.set_ylabel("relative error of the Grams")
    ax.set_title(f"predicted order {result.order:g}: {result.verdict}", fontsize="medium")
    ax.legend(frameon=False, fontsize="x-small")
    return ax

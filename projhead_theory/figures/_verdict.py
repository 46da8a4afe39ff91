"""A verdict as a figure."""

from typing import Any

import numpy as np

from ..claims import Verdict
from ._style import COLOURS, axes


def plot_verdict(verdict: Verdict, ax: Any = None) -> Any:
    """Theory as lines, simulation as markers, one colour a direction, over the rows (layers) of the verdict. Returns the axes."""
    ax = axes(ax)
    predicted, measured = np.asarray(verdict.predicted), np.asarray(verdict.measured)
    rows = np.arange(1, len(predicted) + 1)
    shown = predicted.shape[1]
    for i in range(shown):
        colour = COLOURS[i % len(COLOURS)]
        ax.plot(rows, predicted[:, i], color=colour, lw=1.2, label="theory" if i == 0 else None)
        ax.plot(rows, measured[:, i], "o", color=colour, mfc="none", ms=5, label="simulation" if i == 0 else None)
    positive = np.concatenate([predicted, measured])
    if (positive > 0).all() and positive.max() / positive.min() > 20:
        ax.set_yscale("log")
    ax.set_xticks(rows, verdict.labels)
    ax.margins(x=0.15)
    ax.set_ylabel("weight of each direction" if verdict.labels[0].startswith("layer ") else verdict.what)
    ax.set_title(f"{verdict.name.replace('_', ' ')}: worst {float(verdict.discrepancy[verdict.worst]):.1e}", fontsize="medium")
    ax.legend(frameon=False)
    return ax

"""A verdict as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..claims import Verdict

SERIES = 12
"""Number of columns from which on each row is drawn as a series along its columns."""


def plot_verdict(verdict: Verdict, ax: Any = None) -> Any:
    """Plot a verdict: theory as lines, simulation as markers.

    With few columns, one colour a direction, over the rows (layers) of the verdict; with many, one
    colour a row, along its columns. Returns the axes.
    """
    ax = axes(ax)
    predicted, measured = np.asarray(verdict.predicted), np.asarray(verdict.measured)
    series = predicted.shape[1] >= SERIES
    if series:
        predicted, measured = predicted.T, measured.T
    places = np.arange(1, len(predicted) + 1)
    every = max(1, len(places) // 24) if series else 1
    for i in range(predicted.shape[1]):
        colour = COLOURS[i % len(COLOURS)]
        theory = verdict.labels[i] + ", theory" if series else "theory" if i == 0 else None
        ax.plot(
            places,
            predicted[:, i],
            color=colour,
            lw=1.2,
            label=theory,
            marker="_" if len(places) == 1 else None,
        )
        ax.plot(
            places[::every],
            measured[::every, i],
            "o",
            color=colour,
            mfc="none",
            ms=5,
            label="simulation" if i == 0 else None,
        )
    positive = np.concatenate([predicted, measured])
    if (positive > 0).all() and positive.max() / positive.min() > 20:
        ax.set_yscale("log")
    if series:
        ax.set_xlabel("record")
    else:
        crowded = max(map(len, verdict.labels)) * len(places) > 40
        ax.set_xticks(
            places,
            verdict.labels,
            rotation=60 if crowded else 0,
            ha="right" if crowded else "center",
            fontsize="small",
        )
    ax.margins(x=0.15)
    ax.set_ylabel(
        "weight of each direction"
        if verdict.labels[0].startswith("layer ") and not series
        else verdict.what
    )
    ax.set_title(
        f"{verdict.name.replace('_', ' ')}: worst {float(verdict.discrepancy[verdict.worst]):.1e}",
        fontsize="medium",
    )
    ax.legend(frameon=False, fontsize="small")
    return ax


def plot_budget(verdict: Verdict, ax: Any = None) -> Any:
    """Plot the error budget of every row of a verdict.

    It has the parts of the tolerance, the tolerance, the discrepancy, and the effect to be seen.
    Returns the axes.
    """
    ax, verdict = axes(ax), verdict.on_host
    rows = np.arange(len(verdict.labels))
    tiny = 1e-18
    clip = lambda x: np.maximum(np.nan_to_num(np.asarray(x, float), posinf=1e18), tiny)
    for i, (name, value) in enumerate(verdict.parts.items()):
        seen = np.asarray(value) > 0
        if seen.any():
            ax.plot(
                clip(value)[seen],
                rows[seen],
                "|",
                ms=11,
                mew=2,
                color=COLOURS[i % len(COLOURS)],
                label=name,
            )
    ax.plot(clip(verdict.tolerance), rows, "k>", ms=5, label="tolerance")
    ax.plot(clip(verdict.discrepancy), rows, "ko", mfc="none", ms=6, label="discrepancy")
    ax.plot(clip(verdict.effect), rows, "k*", ms=6, label="effect to be seen")
    ax.set_xscale("log")
    ax.set_yticks(rows, verdict.labels, fontsize="small")
    ax.invert_yaxis()
    ax.set_ylim(len(rows) - 0.5, -0.5)
    ax.set_xlabel(verdict.what)
    ax.legend(frameon=False, fontsize="x-small", loc="upper left", bbox_to_anchor=(1, 1))
    return ax


def plot_report(verdict: Verdict) -> Any:
    """Plot a verdict and its error budget side by side, for a report.

    Returns the figure.
    """
    height = max(3.0, 0.22 * len(verdict.labels) + 1.4)
    figure, (left, right) = plt.subplots(1, 2, figsize=(9.6, height), layout="constrained")
    plot_verdict(verdict, left)
    plot_budget(verdict, right)
    return figure

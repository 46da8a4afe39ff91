"""The inspection of a network as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import matplotlib.pyplot as plt
import numpy as np
from matplotlib.ticker import MaxNLocator

from ._marks import log_axis
from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..inspect import Inspection


def plot_inspection(report: Inspection) -> Any:
    """Plot what was found of every layer, with standard errors.

    Panels: weights of the features, with crosses for the start law of two layers; fitted exponents
    beside the layer-wise law; signal and effective rank; accuracy of the probes, or the indicator
    without labels, with the recommended layer marked. Returns the figure.
    """
    figure, grid = plt.subplots(2, 2, figsize=(8.4, 6.2), layout="constrained")
    layers = np.arange(1, report.depth + 1)
    for ax in grid.flat:
        axes(ax)
        ax.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        ax.set_xlim(0.7, report.depth + 0.3)
        ax.set_xlabel("layer")
    _weights(grid[0, 0], report, layers)
    _exponents(grid[0, 1], report, layers)
    _signal(grid[1, 0], report, layers)
    _choice(grid[1, 1], report, layers)
    return figure


def _line(ax: Any, layers: Any, value: Any, error: Any, i: int, label: str | None = None) -> None:
    ax.errorbar(
        layers,
        value,
        error,
        marker="o",
        mfc="none",
        ms=4,
        lw=1.1,
        capsize=2,
        color=COLOURS[i % len(COLOURS)],
        label=label,
    )


def _weights(ax: Any, report: Inspection, layers: Any) -> None:
    shown = np.flatnonzero(report.kept)
    shown = shown[np.argsort(-report.weights[-1, shown], kind="stable")]
    few = len(shown) <= len(COLOURS)
    # The heaviest, the lightest and some in between stand for many features.
    picked = shown if few else shown[np.linspace(0, len(shown) - 1, len(COLOURS)).astype(int)]
    for i, feature in enumerate(picked):
        error = report.weights_error[:, feature]
        _line(ax, layers, report.weights[:, feature], error, i, report.features[feature])
        if report.start_weights is not None:
            colour, label = COLOURS[i % len(COLOURS)], "start law" if i == 0 else None
            ax.plot(layers, report.start_weights[:, feature], "x", color=colour, label=label)
    if len(picked):
        log_axis(ax.yaxis)
    ax.set_ylabel("weight of a feature")
    if len(picked):
        ax.legend(frameon=False, fontsize="x-small")


def _exponents(ax: Any, report: Inspection, layers: Any) -> None:
    ax.plot(layers, report.shares, "--", color="0.5", lw=1.1, label="layer-wise law")
    if report.exponents is not None:
        _line(ax, layers, report.exponents, report.exponents_error, 0, "fitted")
    ax.set_ylabel("exponent of the weights")
    ax.legend(frameon=False, fontsize="x-small")


def _signal(ax: Any, report: Inspection, layers: Any) -> None:
    _line(ax, layers, report.signal, report.signal_error, 0, "signal")
    ax.set_ylabel("shared share of the variance")
    ax.set_ylim(bottom=min(0, float(report.signal.min()) * 1.1), top=1.02)
    other = ax.twinx()
    other.spines[["top"]].set_visible(False)
    _line(other, layers, report.effective_rank, report.effective_rank_error, 1, "effective rank")
    other.set_ylabel("effective rank", color=COLOURS[1])
    other.set_ylim(bottom=0)


def _choice(ax: Any, report: Inspection, layers: Any) -> None:
    if report.accuracy:
        for i, (name, value) in enumerate(report.accuracy.items()):
            _line(ax, layers, value, report.accuracy_error[name], i, name)
        ax.set_ylabel("accuracy")
        ax.legend(frameon=False, fontsize="x-small")
    else:
        _line(ax, layers, report.indicator, report.indicator_error, 0)
        ax.set_ylabel(f"indicator for {report.samples} labels")
    ax.axvline(report.recommended, color="0.5", ls=":", lw=1.1)
    ax.set_title(f"layer {report.recommended} recommended", fontsize="medium")

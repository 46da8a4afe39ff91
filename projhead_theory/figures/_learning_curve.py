"""A learning curve as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..probes import LearningCurve


def plot_learning_curve(curve: LearningCurve, ax: Any = None, confidence: float = 0.95) -> Any:
    """Plot mean error against the number of samples, one colour a layer, with its band.

    The band is over the seeds. Returns the axes.
    """
    ax = axes(ax)
    low, high = curve.band(confidence)
    for i, name in enumerate(curve.layers):
        colour = COLOURS[i % len(COLOURS)]
        ax.plot(
            curve.sizes, curve.mean[i], "o-", color=colour, mfc="none", ms=4, lw=1.2, label=name
        )
        ax.fill_between(curve.sizes, low[i], high[i], color=colour, alpha=0.15, lw=0)
    ax.set_xscale("log")
    ax.set_xlabel("training samples")
    ax.set_ylabel("error")
    ax.set_ylim(bottom=0)
    ax.legend(frameon=False, fontsize="small")
    return ax

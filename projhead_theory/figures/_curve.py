"""The indicator over the depth as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._marks import log_axis
from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..theory.downstream import ComplexityCurve


def plot_curve(curve: ComplexityCurve, depth: int | None = None, ax: Any = None) -> Any:
    """Plot the indicator over the share of the depth, with its minimum and a network's layers.

    The layers of a network of this depth are markers. Returns the axes.
    """
    ax = axes(ax)
    share = np.linspace(0, 1, 200)
    ax.plot(share, np.asarray(curve(share)), color=COLOURS[0], lw=1.2, label="indicator")
    if depth is not None:
        layers = np.arange(1, depth + 1) / depth
        value = np.asarray(curve(layers))
        ax.plot(layers, value, "o", color=COLOURS[0], mfc="white", ms=5, label=f"depth {depth}")
    if np.isfinite(float(curve.least)):
        best = (float(curve.best), float(curve.least))
        ax.plot(*best, "|", color=COLOURS[1], ms=12, mew=1.5, label="best")
        log_axis(ax.yaxis)
    ax.set_xlabel("layer as a share of the depth")
    ax.set_ylabel("sample-complexity indicator")
    ax.legend(frameon=False, fontsize="x-small")
    return ax

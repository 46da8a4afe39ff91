"""The indicator of every layer as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..theory.downstream import BestLayer


def plot_best_layer(best: BestLayer, ax: Any = None) -> Any:
    """Plot the sample-complexity indicator against the layer, the best layer filled.

    A layer that loses the target is not drawn. Returns the axes.
    """
    ax = axes(ax)
    complexity = np.asarray(best.complexity, float)
    layers = np.arange(1, len(complexity) + 1)
    complexity = np.where(np.isfinite(complexity), complexity, np.nan)
    ax.plot(layers, complexity, "o-", color=COLOURS[0], mfc="white", ms=6, lw=1.2)
    if best.layer > 0:
        at = int(best.layer)
        ax.plot([at], complexity[at - 1], "o", color=COLOURS[0], ms=6)
        ax.annotate(
            "best", (at, complexity[at - 1]), (0, 8), textcoords="offset points", ha="center"
        )
    else:
        ax.text(0.5, 0.5, "no layer keeps the target", transform=ax.transAxes, ha="center")
        ax.set(xlim=(0.5, len(layers) + 0.5), yticks=[])
    ax.set_xticks(layers)
    ax.margins(y=0.15)
    ax.set_xlabel(f"layer ({layers[-1]}: post-projection)")
    ax.set_ylabel("sample-complexity indicator")
    return ax

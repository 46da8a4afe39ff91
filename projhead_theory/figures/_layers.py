"""Weights of every layer as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._marks import log_axis
from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..simulation import Trajectory
    from ..theory.layers import LayerPrediction


def plot_layers(
    prediction: LayerPrediction, trajectory: Trajectory | None = None, ax: Any = None
) -> Any:
    """Plot the weight of each direction layer by layer, on a logarithmic axis.

    The closed form is drawn as lines, which the layer-wise law makes straight, and the end of a
    trajectory as markers. A layer that loses a direction is left out. Returns the axes.
    """
    ax = axes(ax)
    weights = np.asarray(prediction.weights, float)
    layers = np.arange(1, len(weights) + 1)
    seen = None
    if trajectory is not None:
        seen = np.asarray(trajectory.weights(prediction.directions))[-1]
    noun = "feature" if prediction.directions is None else "direction"
    visible = lambda w: np.where(w > 0, w, np.nan)
    for i in range(weights.shape[1]):
        colour = COLOURS[i % len(COLOURS)]
        label = f"{noun} {i + 1}" if i < len(COLOURS) else None
        lone = "_" if len(layers) == 1 else None
        ax.plot(layers, visible(weights[:, i]), color=colour, lw=1.2, label=label, marker=lone)
        if seen is not None:
            ax.plot(layers, visible(seen[:, i]), "o", color=colour, mfc="none", ms=4.5)
    if (weights > 0).any():
        log_axis(ax.yaxis)
    ax.set_xticks(layers)
    ax.margins(x=0.1)
    ax.set_xlabel("layer")
    ax.set_ylabel(f"weight of the {noun}")
    ax.legend(frameon=False, fontsize="x-small")
    return ax

"""A run as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..simulation import Trajectory
    from ..theory.layers import LayerPrediction


def plot_trajectory(
    trajectory: Trajectory, prediction: LayerPrediction | None = None, ax: Any = None
) -> Any:
    """Plot weights over training time, one colour a feature, with predictions as dotted lines.

    The last layer is solid; layers fade towards the first. Returns the axes.
    """
    ax = axes(ax)
    times = np.asarray(trajectory.times)
    directions = None if prediction is None else prediction.directions
    weights = np.asarray(trajectory.weights(directions))
    depth = weights.shape[1]
    for layer in range(depth):
        for i in range(weights.shape[2]):
            colour = COLOURS[i % len(COLOURS)]
            label = f"layer {layer + 1}" if i == 0 else None
            ax.plot(
                times,
                weights[:, layer, i],
                color=colour,
                alpha=(layer + 1) / depth,
                lw=1.2,
                label=label,
            )
            if prediction is not None:
                ax.axhline(
                    float(prediction.weights[layer, i]),
                    color=colour,
                    alpha=(layer + 1) / depth,
                    lw=0.8,
                    ls=":",
                )
    if times[-1] > 0:
        ax.set_xscale("symlog", linthresh=max(times[times > 0].min(), 1e-12))
    ax.set_xlabel("training time")
    ax.set_ylabel("weight of each direction")
    ax.legend(frameon=False)
    return ax

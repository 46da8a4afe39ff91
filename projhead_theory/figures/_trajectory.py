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

    The last layer is solid; layers fade towards the first. A non-linear network has no weights,
    and its loss is drawn. Returns the axes.
    """
    ax = axes(ax)
    times = np.asarray(trajectory.times)
    if times[-1] > 0:
        ax.set_xscale("symlog", linthresh=max(times[times > 0].min(), 1e-12))
    ax.set_xlabel("training time")
    if not hasattr(trajectory.networks, "products"):
        ax.plot(times, np.asarray(trajectory.loss), color=COLOURS[0], lw=1.2)
        ax.set_ylabel("loss")
        return ax
    directions = None if prediction is None else prediction.directions
    noun = "feature" if directions is None else "direction"
    weights = np.asarray(trajectory.weights(directions))
    depth = weights.shape[1]
    for layer in range(depth):
        style = {"alpha": (layer + 1) / depth}
        for i in range(weights.shape[2]):
            style["color"] = COLOURS[i % len(COLOURS)]
            named = layer == depth - 1 and i < len(COLOURS)
            label = f"{noun} {i + 1}" if named else None
            ax.plot(times, weights[:, layer, i], lw=1.2, label=label, **style)
            if prediction is not None:
                ax.axhline(float(prediction.weights[layer, i]), lw=0.8, ls=":", **style)
    ax.set_ylabel(f"weight of the {noun}")
    ax.legend(frameon=False, fontsize="x-small", title=f"layer {depth} solid, lower ones paler")
    ax.get_legend().get_title().set_fontsize("x-small")
    return ax

"""Accuracies before and after a head, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..images import ImageExperiment

STYLES = (("before the head", "s", 0.12), ("after the head", "o", -0.12))


def plot_image_experiment(result: ImageExperiment, ax: Any = None) -> Any:
    """Plot accuracies before and after the head, a row for each condition and measure.

    Bars are 95 per cent intervals over seeds; the side that the theory prefers is filled. Without
    a head there is one marker. Returns the axes.
    """
    import matplotlib.pyplot as plt

    labels = [
        (i, j, condition if len(result.measures) == 1 else f"{condition}: {measure}")
        for i, condition in enumerate(result.conditions)
        for j, measure in enumerate(result.measures)
    ]
    if ax is None:
        _, ax = plt.subplots(figsize=(6.2, 1.2 + 0.24 * len(labels)), layout="constrained")
    ax = axes(ax)
    mean, half, preferred = result.summary()
    for layer, (name, marker, offset) in enumerate(STYLES):
        for row, (i, j, _) in enumerate(labels):
            if layer == 1 and not result.heads[i]:
                continue
            chosen = result.heads[i] and preferred[i] == (1, -1)[layer]
            colour = COLOURS[layer] if result.heads[i] else "0.4"
            style = {"color": colour, "marker": marker, "ms": 4.5, "lw": 1, "capsize": 2}
            bar = half[i, j, layer] if np.isfinite(half[i, j, layer]) else None
            ax.errorbar(
                mean[i, j, layer],
                -row + (offset if result.heads[i] else 0),
                xerr=bar,
                mfc=colour if chosen else "w",
                **style,
            )
        ax.plot([], [], marker, color=COLOURS[layer], mfc="w", ms=4.5, label=name)
    ax.plot([], [], "D", color="0.2", ms=4, label="filled: the theory prefers it")
    if not all(result.heads):
        ax.plot([], [], "s", color="0.4", mfc="w", ms=4.5, label="no head")
    ax.axvline(result.chance, color="0.7", lw=0.8)
    ax.set_yticks(-np.arange(len(labels)), [text for _, _, text in labels], fontsize="small")
    ax.set_xlabel("accuracy (grey: chance)")
    ax.legend(frameon=False, fontsize="x-small", loc="lower left", bbox_to_anchor=(0, 1), ncols=2)
    return ax

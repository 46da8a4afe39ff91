"""Distance of networks trained on NT-Xent from closed forms, as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..experiments import CosineGap


def plot_cosine_gap(result: CosineGap, ax: Any = None) -> Any:
    """Plot distances from both closed forms over temperature, one colour a number of features.

    Filled markers and solid lines are distances from the shares under cosines, open markers and
    dashed lines from the shares under inner products. Bars are confidence intervals over seeds.
    Returns the axes.
    """
    ax = axes(ax)
    tau = np.asarray(result.temperature)
    kinds = zip(
        (result.cosines, result.products),
        result.half_widths,
        ("cosines", "inner products"),
        ("o-", "o--"),
        strict=True,
    )
    for distances, half, name, marks in kinds:
        mean = np.asarray(distances).mean(axis=-1)
        for i, count in enumerate(np.asarray(result.features)):
            style = {"color": COLOURS[i % len(COLOURS)], "capsize": 2, "ms": 4, "lw": 1.2}
            if marks.endswith("--"):
                style["mfc"] = "none"
            label = f"{name}, {count} features"
            ax.errorbar(tau, mean[:, i], half[:, i], fmt=marks, label=label, **style)
    ax.set_xscale("log")
    ax.set_xticks(tau, [f"{value:g}" for value in tau])
    ax.minorticks_off()
    ax.set_ylim(0, 1.35 * ax.get_ylim()[1])
    ax.set_xlabel(r"temperature $\tau$")
    ax.set_ylabel("distance of the shares")
    ax.legend(frameon=False, fontsize="x-small", ncols=2, loc="upper left")
    return ax

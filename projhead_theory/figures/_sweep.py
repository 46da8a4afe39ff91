"""Feature weights over strength and flip probability, as figures."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..experiments import ConnectedSweep, FeatureSweep

SIDES = (("before the head", -2, "--", "s"), ("after the head", -1, "-", "o"))


def plot_feature_sweep(sweep: FeatureSweep, ax: Any = None) -> Any:
    """Plot weights before and after the head against the strength, one colour a flip probability.

    Before the head: dashed lines and squares; after it: solid lines and circles. The closed form
    is drawn as lines, trained networks as markers, the edges of both layers in grey. Returns the
    axes.
    """
    ax = axes(ax)
    order = np.argsort(np.asarray(sweep.strength))
    strength, last = np.asarray(sweep.strength)[order], float(sweep.reach[-1])
    predicted, measured = (
        np.asarray(weights)[:, order] for weights in (sweep.predicted, sweep.measured)
    )
    # At the last edge both layers jump: lines end there and begin anew.
    jump = np.searchsorted(strength, last, side="right")
    for i, flips in enumerate(np.asarray(sweep.flips)):
        colour = COLOURS[i % len(COLOURS)]
        for side, level, line, marker in SIDES:
            label = f"{side}, flips {flips:g}"
            closed = np.insert(predicted[level, :, i], jump, np.nan)
            ax.plot(
                np.insert(strength, jump, last), closed, line, color=colour, lw=1.2, label=label
            )
            ax.plot(strength, measured[level, :, i], marker, color=colour, mfc="none", ms=4)
    _edges(ax, sweep.reach)
    ax.set_xlabel("strength (grey: the edges)")
    ax.set_ylabel("weight after training")
    ax.legend(frameon=False, fontsize="x-small")
    return ax


def plot_connected_sweep(sweep: ConnectedSweep, ax: Any = None) -> Any:
    """Plot the weak feature's squared weight beyond an unseen direction's, with its limits.

    It is shown as a share of a strong feature's, one colour a flip probability, before the head
    (dashed, squares) and after it (solid, circles). The diagonal network's edges are grey. Returns
    the axes.
    """
    ax = axes(ax)
    strength, share, (low, high) = np.asarray(sweep.strength), sweep.share, sweep.limits
    for i, flips in enumerate(np.asarray(sweep.flips)):
        for side, level, line, marker in SIDES:
            value = share[level, :, i]
            bars = np.stack([value - low[level, :, i], high[level, :, i] - value])
            style = {
                "color": COLOURS[i % len(COLOURS)],
                "ls": line,
                "marker": marker,
                "mfc": "none",
                "ms": 4,
                "lw": 1,
                "capsize": 2,
            }
            ax.errorbar(strength, value, bars, label=f"{side}, flips {flips:g}", **style)
    ax.axhline(0, color="0.7", lw=0.8)
    _edges(ax, sweep.reach)
    # Shares run from hundredths, where absence is decided, to tens.
    ax.set_yscale("symlog", linthresh=0.1)
    ax.set_xlabel("strength (grey: the diagonal edges)")
    ax.set_ylabel("squared weight / a strong one's")
    ax.legend(frameon=False, fontsize="x-small", ncols=2, loc="lower left", bbox_to_anchor=(0, 1))
    return ax


def _edges(ax: Any, reach: Any) -> None:
    for edge in np.asarray(reach)[-2:]:
        if np.isfinite(edge) and edge > 0:
            ax.axvline(edge, color="0.7", lw=0.8)

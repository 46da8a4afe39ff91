"""A phase diagram as a figure."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np

from ._style import COLOURS, axes

if TYPE_CHECKING:
    from ..theorems import PhaseCheck
    from ..theory.downstream import PhaseDiagram


def shade_phase(ax: Any, x: Any, y: Any, margin: Any) -> Any:
    """Draw a margin as colour, blue where it is positive, and its boundary as a line.

    Returns the image, for a colour bar.
    """
    x, y, margin = (np.asarray(a, float) for a in (x, y, margin))
    known = np.isfinite(margin)
    # The colour scale spans nine tenths of the plane: single corners would leave the rest pale.
    size = float(np.quantile(np.abs(margin[known]), 0.9)) if known.any() else 1.0
    size = size if size > 0 else 1.0
    ax.set_facecolor("0.85")
    image = ax.pcolormesh(
        x, y, margin, cmap="RdBu", vmin=-size, vmax=size, shading="nearest", rasterized=True
    )
    both = known.any() and (margin[known] > 0).any() and (margin[known] < 0).any()
    if min(margin.shape) > 1 and both:
        ax.contour(x, y, margin, levels=[0.0], colors="black", linewidths=1.4)
    return image


def plot_phase(diagram: PhaseDiagram, check: PhaseCheck | None = None, ax: Any = None) -> Any:
    """Plot the phase diagram of the better side of the projection head.

    The margin is drawn as colour, the boundary as a line, trained networks as markers, and as
    crosses if they are on the other side. Blue is where pre-projection is better. Returns the
    axes.
    """
    ax = axes(ax)
    image = shade_phase(ax, diagram.x, diagram.y, diagram.margin)
    bar = ax.figure.colorbar(image, ax=ax, extend="both")
    bar.set_label("ln SC (post) - ln SC (pre)")
    if check is not None:
        cx, cy, pre = np.asarray(check.x), np.asarray(check.y), np.asarray(check.measured) > 0
        fine, wrong = (
            np.asarray(check.kept & check.converged & ~check.misclassified),
            np.asarray(check.misclassified),
        )
        for side, colour, label in (
            (pre, COLOURS[0], "trained: pre-projection is better"),
            (~pre, COLOURS[1], "trained: post-projection is better"),
        ):
            ax.plot(
                cx[fine & side],
                cy[fine & side],
                "o",
                ms=4,
                mfc=colour,
                mec="white",
                mew=0.6,
                ls="none",
                label=label,
            )
        if wrong.any():
            ax.plot(
                cx[wrong],
                cy[wrong],
                "x",
                ms=6,
                mew=1.6,
                color="black",
                ls="none",
                label="on the other side",
            )
        ax.legend(frameon=False, fontsize="x-small", loc="lower left", bbox_to_anchor=(0, 1))
    ax.set_xlabel(diagram.names[0])
    ax.set_ylabel(diagram.names[1])
    if check is None:
        ax.set_title("blue: pre-projection needs fewer labels", fontsize="medium")
    return ax

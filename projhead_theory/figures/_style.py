"""Common style of all figures, applied to a figure and not to the user's session."""

from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt

from .._core.files import figure_format, write_atomically

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""


def axes(ax: Any) -> Any:
    """The given axes, or the axes of a new figure of a column's width."""
    if ax is None:
        _, ax = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def save(ax: Any, path: str | Path) -> None:
    """Save the figure of some axes, atomically; the format follows the ending (png, svg, pdf).

    A PDF embeds its fonts as Type 42: many journals refuse Type 3, Matplotlib's default.

    **Raises:** `ValueError` for another ending, or a file that cannot be written.
    """
    figure, kind = ax.figure, figure_format(path)
    with mpl.rc_context({"pdf.fonttype": 42}):
        write_atomically(path, lambda file: figure.savefig(file, format=kind, dpi=200), "plot")
    plt.close(figure)

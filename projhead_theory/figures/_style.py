"""Common style of all figures, applied to a figure and not to the user's session."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import matplotlib as mpl
import matplotlib.pyplot as plt
from cycler import cycler

from .._core import checks
from .._core.files import figure_format, write_atomically

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Okabe and Ito's palette, which colour-blind readers can tell apart."""

DARK_COLOURS = ("#56b4e9", "#e8743b", "#009e73", "#cc79a7", "#f0e442", "#3a7fd0", "#ffffff")
"""Colours of the same hues for a dark background: lighter, with white in place of black."""

WIDTHS = {"single": 3.25, "double": 6.75}
"""Widths of a column and of two columns of a journal, in inches."""

_PAPER = {
    "figure.dpi": 150,
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "legend.fontsize": 7,
    "legend.frameon": False,
    "legend.handlelength": 1.6,
    "legend.handletextpad": 0.5,
    "legend.columnspacing": 1.2,
    "legend.labelspacing": 0.3,
    "legend.borderpad": 0.1,
    "legend.borderaxespad": 0.2,
    "lines.linewidth": 1.2,
    "lines.markersize": 4.5,
    "axes.linewidth": 0.6,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.prop_cycle": cycler(color=COLOURS),
    "figure.constrained_layout.w_pad": 0.03,
    "figure.constrained_layout.h_pad": 0.03,
    "mathtext.fontset": "dejavusans",
    # Type 42: many journals refuse Type 3, Matplotlib's default.
    "pdf.fonttype": 42,
    "ps.fonttype": 42,
    "svg.fonttype": "none",
    # A fixed salt: the same figure is written as the same bytes.
    "svg.hashsalt": "projhead",
}

_SLIDES = _PAPER | {
    "font.size": 15,
    "axes.titlesize": 15,
    "axes.labelsize": 15,
    "xtick.labelsize": 13,
    "ytick.labelsize": 13,
    "legend.fontsize": 13,
    "lines.linewidth": 2.4,
    "lines.markersize": 8,
    "axes.linewidth": 1.2,
}

_INK, _PAGE = "#e8e8e8", "#14161a"

_DARK = _PAPER | {
    "figure.facecolor": _PAGE,
    "axes.facecolor": _PAGE,
    "savefig.facecolor": _PAGE,
    "text.color": _INK,
    "axes.edgecolor": _INK,
    "axes.labelcolor": _INK,
    "xtick.color": _INK,
    "ytick.color": _INK,
    "axes.prop_cycle": cycler(color=DARK_COLOURS),
}

STYLES: dict[str, dict[Any, Any]] = {"paper": _PAPER, "slides": _SLIDES, "dark": _DARK}
"""Matplotlib parameters of each style."""

_SCALE = {"paper": 1.0, "slides": 2.0, "dark": 1.0}


def inches(width: str | float, style: str = "paper") -> float:
    """Width of a figure in inches.

    **Arguments:**

    - `width`: `single` or `double`, for one column of a journal or two, or inches.
    - `style`: a name in `STYLES`; for `slides` the named widths are twice as large.

    **Raises:** `ValueError` for another name, or a width outside 1 to 40 inches.
    """
    if style not in STYLES:
        raise checks.bad("style", repr(style), f"one of {', '.join(STYLES)}")
    wanted = "single, double, or inches from 1 to 40"
    if isinstance(width, str) and width in WIDTHS:
        return WIDTHS[width] * _SCALE[style]
    try:
        value = float(width)
    except ValueError:
        raise checks.bad("width", repr(width), wanted) from None
    if not 1 <= value <= 40:
        raise checks.bad("width", f"{value:g}", wanted)
    return value


@contextmanager
def styled(style: str = "paper") -> Iterator[None]:
    """Context in which new figures have a style of the library; the user's settings come back.

    **Raises:** `ValueError` for an unknown style.
    """
    if style not in STYLES:
        raise checks.bad("style", repr(style), f"one of {', '.join(STYLES)}")
    with mpl.rc_context(STYLES[style]):
        yield


def axes(ax: Any) -> Any:
    """The given axes, or the axes of a new figure of a column's width."""
    if ax is None:
        _, ax = plt.subplots(figsize=(4.2, 3.2), layout="constrained")
    ax.spines[["top", "right"]].set_visible(False)
    return ax


def write(figure: Any, path: str | Path, description: str | None = None) -> None:
    """Write a figure, atomically; the format follows the ending (png, svg, pdf).

    A PDF embeds its fonts as Type 42: many journals refuse Type 3, Matplotlib's default. There is
    no date in the file, so the same figure is written as the same bytes.

    **Arguments:**

    - `figure`: Matplotlib figure.
    - `path`: file to write.
    - `description`: text to keep in the file's metadata.

    **Raises:** `ValueError` for another ending, or a file that cannot be written.
    """
    kind = figure_format(path)
    dated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}, "png": {}}[kind]
    place = "Subject" if kind == "pdf" else "Description"
    metadata = dated if description is None else dated | {place: description}
    # The parameters that are read when a file is written, not when its figure is made.
    fixed: dict[Any, Any] = {
        k: v for k, v in _PAPER.items() if k.startswith(("pdf.", "ps.", "svg."))
    }
    fixed["savefig.facecolor"] = "auto"
    with mpl.rc_context(fixed):
        write_atomically(
            path,
            lambda file: figure.savefig(file, format=kind, dpi=200, metadata=metadata),
            "plot",
        )


def save(ax: Any, path: str | Path) -> None:
    """Save the figure of some axes, atomically, and close it.

    The format follows the ending (png, svg, pdf). A PDF embeds its fonts as Type 42: many journals
    refuse Type 3, Matplotlib's default.

    **Raises:** `ValueError` for another ending, or a file that cannot be written.
    """
    write(ax.figure, path)
    plt.close(ax.figure)

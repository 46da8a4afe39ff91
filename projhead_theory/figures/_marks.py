"""Marks that all figures of the gallery share: theory as lines, trained networks as markers."""

from __future__ import annotations

from typing import Any

import matplotlib as mpl
import numpy as np
from matplotlib.ticker import (
    AutoLocator,
    FuncFormatter,
    LogLocator,
    MaxNLocator,
    NullFormatter,
    NullLocator,
)

from .._core.student import half_width

GREY = "0.55"
"""Grey of boundaries and of legend entries without a colour; visible on white and on black."""

MARKERS = ("o", "s", "^", "D", "v", "P", "X")
"""Markers in the order in which they are used: of layers, depths or kinds of runs."""

PAPER_MARKER = 4.5
"""Size of a marker in a figure of a paper, in points."""

HEIGHT = 0.72
"""Height of a panel, as a share of its width."""


def colour(i: int) -> str:
    """Colour of the `i`-th series, from 0, in the style in which it is drawn."""
    # Not "C0" and so on, which Matplotlib looks up when it writes the file: by then the style ends.
    colours = mpl.rcParams["axes.prop_cycle"].by_key()["color"]
    return colours[i % len(colours)]


def ink() -> str:
    """Colour of text in the style in which a figure is drawn."""
    return mpl.rcParams["text.color"]


def closed_form(ax: Any, x: Any, y: Any, color: str, **style: Any) -> None:
    """Draw a closed form as a line."""
    ax.plot(np.asarray(x), np.asarray(y), **{"color": color, "zorder": 2} | style)


def trained(ax: Any, x: Any, y: Any, color: str, marker: str = "o", **style: Any) -> None:
    """Draw trained networks as open markers, so that those that coincide can be seen.

    The size `ms` and the edge `mew` suit a figure of a paper, and grow with its style.
    """
    style = {"color": color, "mfc": "none", "mew": 1.0, "ls": "none", "zorder": 3} | style
    scale = mpl.rcParams["lines.markersize"] / PAPER_MARKER
    style |= {name: scale * style.get(name, PAPER_MARKER) for name in ("ms", "mew")}
    ax.plot(np.asarray(x), np.asarray(y), marker, **style)


def spread(ax: Any, x: Any, values: Any, color: str, marker: str = "o", **style: Any) -> None:
    """Draw means over seeds, the last axis, as `trained`, with bars of their interval.

    The interval is Student's of 95 per cent. Networks of one seed have no bars.
    """
    values = np.asarray(values, float)
    mean = values.mean(axis=-1)
    trained(ax, x, mean, color, marker, **style)
    if values.shape[-1] > 1:
        half = half_width(values, 0.975)
        size = mpl.rcParams["axes.linewidth"]
        bars = {"fmt": "none", "ecolor": color, "elinewidth": size, "capthick": size}
        ax.errorbar(np.asarray(x), mean, half, capsize=2.5 * size, zorder=3, **bars)


def band(ax: Any, x: Any, low: Any, high: Any, color: str) -> None:
    """Shade an interval of confidence."""
    low, high = np.asarray(low), np.asarray(high)
    ax.fill_between(np.asarray(x), low, high, color=color, alpha=0.2, lw=0, zorder=1)


def key(ax: Any, label: str, style: str = "-", color: str = GREY) -> None:
    """Add an entry to the legend that stands for all colours: a line style or a marker."""
    ax.plot([], [], style, color=color, mfc="none", label=label)


def panels(figure: Any, count: int = 1, height: float = HEIGHT, **shared: Any) -> list[Any]:
    """Axes of a figure: side by side if there is room, else below one another.

    The height of the figure follows from its width: each panel is `height` times as high as wide.
    """
    wide = figure.get_figwidth() / mpl.rcParams["font.size"] * 8 > 5
    columns = min(count, 2) if wide else 1
    rows = -(-count // columns)
    figure.set_figheight(figure.get_figwidth() / columns * height * rows)
    grid = figure.subplots(rows, columns, squeeze=False, **shared).ravel()
    for ax in grid[count:]:
        ax.remove()
    return list(grid[:count])


def legend(ax: Any, columns: int | None = None) -> None:
    """Put the legend of some axes above the whole figure, where it covers nothing.

    The figure grows by its rows.
    """
    figure = ax.figure
    handles, labels = ax.get_legend_handles_labels()
    size = mpl.rcParams["legend.fontsize"]
    if columns is None:
        # A character takes about 0.55 of the font size, and a handle about three of it.
        room = 72 * figure.get_figwidth() / size
        columns = max(1, int(room / (0.55 * max(map(_length, labels)) + 3.4)))
        columns = min(columns, len(labels), 4)
    rows = -(-len(labels) // columns)
    figure.set_figheight(figure.get_figheight() + (1.35 * rows + 0.3) * size / 72)
    figure.legend(handles, labels, loc="outside upper center", ncols=columns)


def _length(label: str) -> int:
    """Number of characters that a label is about as long as: without the marks of formulas."""
    for mark in ("$", "{", "}", "\\", "^", "_"):
        label = label.replace(mark, "")
    return len(label)


def plain(value: Any, _: Any = None) -> str:
    """A tick label as people write it: 0.01, 1, 100, and powers of ten beyond."""
    if value <= 0:
        return f"{value:g}"
    exponent = round(np.log10(value))
    if abs(exponent) > 3 and np.isclose(value, 10.0**exponent):
        return f"$10^{{{exponent}}}$"
    return f"{value:.10g}"


def log_axis(axis: Any, ticks: Any = None) -> None:
    """Make an axis (`ax.xaxis`, `ax.yaxis`) logarithmic, with plain numbers as tick labels.

    Ticks are at 1, 2 and 5 times powers of ten over less than two decades, at more numbers over
    less than one, else at powers of ten.
    """
    axis.axes.set(**{f"{axis.axis_name}scale": "log"})
    low, high = sorted(axis.get_view_interval())
    decades = np.log10(high / low)
    if ticks is not None:
        axis.set_ticks(list(ticks), [plain(tick) for tick in ticks])
        axis.set_minor_locator(NullLocator())
        return
    few = (1.0, 2.0, 5.0) if decades < 2 else (1.0,)
    subs = (1.0, 1.2, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 0.7 else few
    narrow = decades < 0.35
    axis.set_major_locator(MaxNLocator(5) if narrow else LogLocator(10, subs, numticks=8))
    axis.set_major_formatter(FuncFormatter(plain))
    axis.set_minor_formatter(NullFormatter())
    if decades < 2:
        axis.set_minor_locator(NullLocator())


def boundary(ax: Any, value: Any, vertical: bool = True) -> None:
    """Draw a thin grey line where the answer changes, or at a reference value."""
    draw = ax.axvline if vertical else ax.axhline
    draw(float(value), color=GREY, lw=mpl.rcParams["axes.linewidth"], zorder=0)


def settle(figure: Any) -> None:
    """Lay a figure out, in the style of the present context.

    Ticks take a style only when they are made, which is when they are first drawn. With the width
    of their labels the axes change in size, and with it the number of ticks; so those that are
    chosen first are kept.
    """
    figure.draw_without_rendering()
    for ax in figure.axes:
        for axis in (ax.xaxis, ax.yaxis):
            if isinstance(axis.get_major_locator(), AutoLocator):
                low, high = sorted(axis.get_view_interval())
                axis.set_ticks([t for t in axis.get_majorticklocs() if low <= t <= high])
    figure.draw_without_rendering()

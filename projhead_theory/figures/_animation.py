"""Training as a moving picture."""

from __future__ import annotations

import io
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from .._core import checks
from .._core.files import write_atomically
from ._marks import closed_form, colour, legend, log_axis, panels, trained
from ._style import inches, styled

if TYPE_CHECKING:
    from ..simulation import Trajectory
    from ..theory.layers import LayerPrediction


def animate(
    trajectory: Trajectory,
    path: str | Path,
    prediction: LayerPrediction | None = None,
    *,
    seconds: float = 5.0,
    style: str = "paper",
    width: str | float = "single",
) -> None:
    """Write the weights of every layer over training as a moving picture, one frame a save time.

    A predicted end is drawn as lines, on which the markers of the trained network come to rest.

    **Arguments:**

    - `trajectory`: a run of a linear network.
    - `path`: file to write, ending in `.gif`, or in `.html` for one page with a slider and buttons,
        which asks no host for anything.
    - `prediction`: closed form of the end.
    - `seconds`: length of one round, before the last frame is held for a second.
    - `style`, `width`: style of the library, and width in inches or columns.

    **Raises:** `ValueError` for another ending, a non-linear network, or an unknown style or width.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    kind = Path(path).suffix.lower()
    if kind not in WRITERS:
        raise checks.bad("path", repr(str(path)), "a file ending in .gif or .html")
    if not hasattr(trajectory.networks, "products"):
        raise checks.bad("trajectory", "a run of a non-linear network", "one of a linear network")
    if not seconds > 0:
        raise checks.bad("seconds", seconds, "a positive number")
    weights = np.asarray(trajectory.weights(None if prediction is None else prediction.directions))
    times, layers = np.asarray(trajectory.times), np.arange(1, weights.shape[1] + 1)
    size = inches(width, style)
    with styled(style):
        figure = Figure(figsize=(size, size), layout="constrained")
        FigureCanvasAgg(figure)
        (ax,) = panels(figure)
        for i in range(weights.shape[2]):
            if prediction is not None:
                closed_form(ax, layers, prediction.weights[:, i], colour(i), lw=0.8)
            trained(ax, layers, weights[0, :, i], colour(i), label=f"feature {i + 1}")
        markers = [line for line in ax.lines if line.get_marker() != "None"]
        shown = weights[weights > 0]
        ax.set_ylim(shown.min() / 1.3, 1.3 * shown.max())
        log_axis(ax.yaxis)
        ax.set_xticks(layers)
        ax.set(xlabel="layer", ylabel="weight of the feature")
        ax.margins(x=0.1)
        legend(ax)

        def show(frame: int) -> None:
            for line, row in zip(markers, weights[frame].T, strict=True):
                line.set_ydata(row)
            ax.set_title(f"time {times[frame]:.3g}")

        content = WRITERS[kind](figure, show, len(times), seconds)
    write_atomically(path, lambda file: file.write(content), "path")


def _gif(figure: Any, show: Callable[[int], None], count: int, seconds: float) -> bytes:
    from PIL import Image

    frames = []
    for frame in range(count):
        show(frame)
        figure.canvas.draw()
        frames.append(Image.fromarray(np.asarray(figure.canvas.buffer_rgba())).convert("RGB"))
    first, *rest = frames
    durations = [round(1000 * seconds / count)] * len(rest) + [1000]
    out = io.BytesIO()
    first.save(out, format="gif", save_all=True, append_images=rest, duration=durations, loop=0)
    return out.getvalue()


# Matplotlib's page takes the pictures on its buttons from another host: letters stand in their
# place. The longer names come first.
BUTTONS = {
    "fa-play fa-flip-horizontal": "\u25c0",
    "fa-fast-backward": "|\u25c0",
    "fa-step-backward": "\u25c1|",
    "fa-step-forward": "|\u25b7",
    "fa-fast-forward": "\u25b6|",
    "fa-pause": "\u2016",
    "fa-play": "\u25b6",
    "fa-minus": "\u2212",
    "fa-plus": "+",
}


def _html(figure: Any, show: Callable[[int], None], count: int, seconds: float) -> bytes:
    from matplotlib import rc_context
    from matplotlib.animation import FuncAnimation

    interval = 1000 * seconds / count
    moving = FuncAnimation(figure, show, frames=count, interval=interval, init_func=lambda: None)
    # No frame is left out for its size.
    with rc_context({"animation.embed_limit": 1e6}):
        body = moving.to_jshtml(default_mode="loop")
    body = re.sub(r"<link\b[^>]*>", "", body)
    for name, sign in BUTTONS.items():
        body = body.replace(f'<i class="fa {name}"></i>', sign)
    # The names of its elements are drawn at random.
    (own,) = set(re.findall(r"_anim_img([0-9a-f]+)", body))
    body = body.replace(own, "_training")
    head = '<meta charset="utf-8">\n<title>Weights of every layer over training</title>'
    page = f'<!DOCTYPE html>\n<html lang="en">\n<head>\n{head}\n</head>\n'
    page += f"<body>{body}</body>\n</html>\n"
    return page.encode()


WRITERS = {".gif": _gif, ".html": _html}

"""Training as a moving picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

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
    """Write the weights of every layer over training as a GIF, one frame a save time.

    A predicted end is drawn as lines, on which the markers of the trained network come to rest.

    **Arguments:**

    - `trajectory`: a run of a linear network.
    - `path`: file to write, ending in `.gif`.
    - `prediction`: closed form of the end.
    - `seconds`: length of one round, before the last frame is held for a second.
    - `style`, `width`: style of the library, and width in inches or columns.

    **Raises:** `ValueError` for another ending, a non-linear network, or an unknown style or width.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from PIL import Image

    if Path(path).suffix.lower() != ".gif":
        raise checks.bad("path", repr(str(path)), "a file ending in .gif")
    if not hasattr(trajectory.networks, "products"):
        raise checks.bad("trajectory", "a run of a non-linear network", "one of a linear network")
    if not seconds > 0:
        raise checks.bad("seconds", seconds, "a positive number")
    weights = np.asarray(trajectory.weights(None if prediction is None else prediction.directions))
    times, layers = np.asarray(trajectory.times), np.arange(1, weights.shape[1] + 1)
    size = inches(width, style)
    frames = []
    with styled(style):
        figure = Figure(figsize=(size, size), layout="constrained")
        canvas = FigureCanvasAgg(figure)
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
        for time, now in zip(times, weights, strict=True):
            for line, row in zip(markers, now.T, strict=True):
                line.set_ydata(row)
            ax.set_title(f"time {time:.3g}")
            canvas.draw()
            frames.append(Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB"))
    first, *rest = frames
    durations = [round(1000 * seconds / len(frames))] * len(rest) + [1000]
    options = {"save_all": True, "append_images": rest, "duration": durations, "loop": 0}
    write_atomically(path, lambda file: first.save(file, format="gif", **options), "path")

"""Images in a grid."""

from __future__ import annotations

from typing import Any

import numpy as np

from .._core import checks
from ._style import axes


def plot_images(images: Any, labels: Any = None, columns: int = 8, ax: Any = None) -> Any:
    """Plot images in a grid, row by row, with their labels in a corner; returns the axes.

    **Arguments:**

    - `images`: `(n, h, w, c)` with one or three channels, in [0, 1].
    - `labels`: a number or name for each image.
    - `columns`: images in a row.
    - `ax`: Matplotlib axes; new ones by default.

    **Raises:** `ValueError` for another shape.
    """
    x = np.asarray(images, float)
    if x.ndim != 4 or len(x) == 0 or x.shape[-1] not in (1, 3):
        raise checks.bad("images", f"shape {x.shape}", "(n, h, w, c) with one or three channels")
    columns = min(checks.count("columns", columns), len(x))
    x = np.broadcast_to(x, (*x.shape[:3], 3))
    rows, (height, width) = -(-len(x) // columns), x.shape[1:3]
    sheet = np.ones((rows * (height + 1), columns * (width + 1), 3))
    ax = axes(ax)
    for i, image in enumerate(x):
        top, left = i // columns * (height + 1), i % columns * (width + 1)
        sheet[top : top + height, left : left + width] = image
        if labels is not None:
            style = {"fontsize": "xx-small", "va": "top", "color": "w"}
            box = {"facecolor": "k", "edgecolor": "none", "alpha": 0.6, "pad": 1}
            ax.text(left, top, f"{np.asarray(labels)[i]}", bbox=box, **style)
    ax.imshow(np.clip(sheet, 0, 1), interpolation="nearest")
    ax.set_axis_off()
    return ax

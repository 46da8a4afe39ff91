"""Self-prediction with a stopped gradient: order of learning, and collapse under decay."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import theory
from .._core.errors import bad
from ..figures import MARKERS, boundary, closed_form, colour, key, legend, panels
from ..figures import trained as marks
from ..losses import self_prediction
from ..moments import Moments
from ..simulation import gradient_flow
from ._common import aligned, dataset, numbered
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def jepa_order(
    cross: tuple[float, ...] = (1.2, 0.7, 0.55),
    second: tuple[float, ...] = (2.0, 1.0, 0.6),
    depth: int = 1,
    start: float = 0.05,
    t1: float = 70.0,
    points: int = 16,
) -> xarray.Dataset:
    """Weights after the first layer over time, trained by predicting the other view."""
    if len(cross) != len(second):
        raise bad("second", f"{len(second)} numbers", f"{len(cross)}, one for each cross moment")
    d, fine = len(cross), np.linspace(0, t1, 300)
    times = np.linspace(t1 / points, t1, points)
    data = Moments(np.diag(cross), np.diag(second))
    # The encoder and the predictor have the same factor of each feature.
    network = aligned([start ** (depth + 1)] * d, depth + 1)
    run = gradient_flow(network, data, loss=self_prediction, t1=t1, save_at=times, stationarity=0.0)
    law = lambda c, q: theory.rivals.factor_at_time(jnp.asarray(fine), start, c, q, depth)
    closed = [law(c, q) for c, q in zip(cross, second, strict=True)]
    return dataset(
        {
            "theory": (("feature", "fine"), closed),
            "trained": (("time", "feature"), run.weights()[:points, 0]),
            "end": ("feature", np.divide(cross, second)),
        },
        {"feature": numbered(d), "fine": fine, "time": times},
    )


def draw_jepa_order(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, feature in enumerate(data.feature.values):
        own = data.sel(feature=feature)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"feature {feature}")
        marks(ax, own.time, own.trained, colour(i), MARKERS[i % 7])
        boundary(ax, own.end, vertical=False)
    key(ax, "theory")
    key(ax, "trained", "o")
    ax.set(xlabel="time $t$ (grey: signal fractions)", ylabel="weight after the first layer")
    legend(ax)


def jepa_collapse(
    cross: float = 0.8,
    second: float = 1.0,
    depth: tuple[int, ...] = (1, 2),
    points: int = 7,
) -> xarray.Dataset:
    """Factor that survives weight decay, and the edge of the basin of collapse."""
    share, tried = np.linspace(0, 0.999, 120), np.linspace(0.1, 0.9, points)
    rows: dict[str, list[Any]] = {
        name: [] for name in ("fine", "survivor", "edge", "weight_decay", "above", "below")
    }
    data = Moments([[cross]], [[second]])
    for count in depth:
        limit = float(theory.rivals.collapse_decay(cross, second, count))
        fine, decays = jnp.asarray(share * limit), jnp.asarray(tried * limit)
        edge = theory.rivals.basin_edge(cross, second, decays, count)

        def end(start: jax.Array, decay: jax.Array, n: int = count) -> jax.Array:
            run = gradient_flow(
                aligned(start[None] ** (n + 1), n + 1),
                data,
                loss=self_prediction,
                weight_decay=decay,
                t1=400.0 / decay,
                save_at=2,
            )
            return run.weights()[-1, 0, 0]

        # From 5 per cent above the edge of the basin, and from as much below.
        ends = jax.jit(jax.vmap(jax.vmap(end), in_axes=(0, None)))
        above, below = ends(jnp.stack([1.05 * edge, 0.95 * edge]), decays)
        values = (
            fine,
            theory.rivals.surviving_factor(cross, second, fine, count),
            theory.rivals.basin_edge(cross, second, fine, count),
            decays,
            above,
            below,
        )
        for name, value in zip(rows, values, strict=True):
            rows[name].append(value)
    dims = {"fine": "sample", "survivor": "sample", "edge": "sample"}
    return dataset(
        {name: (("depth", dims.get(name, "point")), value) for name, value in rows.items()},
        {"depth": depth},
    )


def draw_jepa_collapse(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        closed_form(ax, own.fine, own.survivor, colour(i), label=f"encoder of depth {depth}")
        closed_form(ax, own.fine, own.edge, colour(i), ls="--")
        marks(ax, own.weight_decay, own.above, colour(i))
        marks(ax, own.weight_decay, own.below, colour(i), "x")
    for label, style in (
        ("survives", "-"),
        ("edge of the basin", "--"),
        ("trained, from above", "o"),
        ("trained, from below", "x"),
    ):
        key(ax, label, style)
    ax.set(xlabel=r"weight decay $\gamma$", ylabel="weight after the first layer")
    legend(ax, 2)


ENTRIES = (
    Entry(
        "jepa-order",
        "Weights over time under self-prediction with a stopped gradient: lines as predicted, "
        "markers as trained, ending at the signal fractions.",
        jepa_order,
        draw_jepa_order,
        theorem="jepa-order",
        quick={"points": 4},
    ),
    Entry(
        "jepa-collapse",
        "Weight that survives weight decay under self-prediction, and the edge below which every "
        "start collapses, with networks started just above it and just below it.",
        jepa_collapse,
        draw_jepa_collapse,
        theorem="jepa-collapse",
        quick={"depth": (1,), "points": 3},
    ),
)

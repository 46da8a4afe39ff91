"""Minima under weight decay: what is left of a feature, and where it goes extinct."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import theory
from ..figures import MARKERS, boundary, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..losses import AbstractLoss, mse, spectral
from ..moments import Moments, TargetMoments
from ..simulation import gradient_flow
from ._common import aligned, dataset, diagonals, feature_model
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def _ends(
    data: Moments | TargetMoments,
    depth: int,
    starts: tuple[float, ...],
    decays: np.ndarray,
    loss: AbstractLoss,
) -> tuple[np.ndarray, np.ndarray]:
    """Weight of one feature and loss after training, from each start at each weight decay."""

    def end(start: jax.Array, decay: jax.Array) -> tuple[jax.Array, jax.Array]:
        network = aligned(start[None], depth)
        run = gradient_flow(network, data, loss=loss, weight_decay=decay, t1=1e5, save_at=2)
        return run.final.matrix[0, 0], run.loss[-1]

    all_ends = jax.vmap(jax.vmap(end, in_axes=(None, 0)), in_axes=(0, None))
    weight, lowest = jax.jit(all_ends)(jnp.asarray(starts), jnp.asarray(decays))
    return np.asarray(weight), np.asarray(lowest)


@functools.lru_cache(maxsize=1)
def decayed_feature(
    strength: float = 1.0,
    noise: float = 0.45,
    depth: tuple[int, ...] = (1, 2, 3, 5),
    points: int = 7,
) -> xarray.Dataset:
    """Weight and energy of a feature over weight decay, up to where its minimum ends."""
    data = feature_model([strength], noise).moments()
    cross, second = (float(x[0]) for x in diagonals(data))
    table: dict[str, list[Any]] = {name: [] for name in ("weight_decay", "weight", "energy")}
    fine: dict[str, list[Any]] = {name: [] for name in ("fine", "closed", "closed_energy")}
    extinct = []
    for count in depth:
        limit = float(theory.decay.decay_limit(cross, second, count))
        extinct.append(float(theory.decay.extinction_decay(cross, second, count)))
        energy = lambda w, g, n=count: theory.decay.decayed_energy(w, cross, second, g, n)
        grid, tried = np.linspace(0, limit, 300), np.geomspace(0.05, 0.95, points) * limit
        closed = theory.decay.decayed_weight(cross, second, jnp.asarray(grid), count)
        # The weight without decay is in the basin of the upper minimum.
        seen = _ends(data, count, (cross**0.5 / second,), tried, spectral)[0][0]
        rows = (tried, seen, energy(jnp.asarray(seen), jnp.asarray(tried)))
        for name, row in zip(table, rows, strict=True):
            table[name].append(row)
        for name, row in zip(fine, (grid, closed, energy(closed, jnp.asarray(grid))), strict=True):
            fine[name].append(row)
    return dataset(
        {name: (("depth", "point"), rows) for name, rows in table.items()}
        | {name: (("depth", "sample"), rows) for name, rows in fine.items()}
        | {"extinction": ("depth", extinct)},
        {"depth": depth},
    )


def draw_weight_decay_minimiser(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        kept = own.fine.values <= float(own.extinction)
        closed_form(ax, own.fine[kept], own.closed[kept], colour(i), label=f"depth {depth}")
        closed_form(ax, own.fine[~kept], own.closed[~kept], colour(i), ls="--")
        marks(ax, own.weight_decay, own.weight, colour(i), MARKERS[i % len(MARKERS)])
    key(ax, "no feature is better", "--")
    key(ax, "trained", "o")
    ax.set_xlim(left=float(data.weight_decay.min()) / 1.3, right=1.1 * float(data.fine.max()))
    log_axis(ax.xaxis)
    ax.set(xlabel=r"weight decay $\gamma$", ylabel="weight in the last layer")
    ax.set_ylim(bottom=0)
    legend(ax)


def draw_feature_extinction(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        closed_form(ax, own.fine, own.closed_energy, colour(i), label=f"depth {depth}")
        marks(ax, own.weight_decay, own.energy, colour(i), MARKERS[i % len(MARKERS)])
        marks(ax, own.extinction, 0, colour(i), "|", ms=12, mew=1.5)
    key(ax, "extinction", "|")
    key(ax, "trained", "o")
    boundary(ax, 0, vertical=False)
    ax.set_xlim(left=float(data.weight_decay.min()) / 1.3, right=1.1 * float(data.fine.max()))
    log_axis(ax.xaxis)
    ax.set(xlabel=r"weight decay $\gamma$", ylabel="energy of the feature")
    legend(ax)


def sl_extinction(
    target: float = 1.0,
    second: float = 1.2,
    depth: tuple[int, ...] = (1, 2, 3, 5),
    largest: float = 1.2,
    points: int = 20,
) -> xarray.Dataset:
    """Weight of a mode of regression at the lower of the minima that two starts reach."""
    data, fine = TargetMoments([[target]], [[second]]), np.linspace(0, largest, 600)
    tried, closed, seen = np.linspace(0.04, 0.96, points) * largest, [], []
    for count in depth:
        law = theory.decay.regression.decay_minimiser
        closed.append(law(target, second, jnp.asarray(fine), count))
        weights, losses = _ends(data, count, (1.5, 1e-3), tried, mse)
        seen.append(np.abs(np.take_along_axis(weights, losses.argmin(0)[None], 0)[0]))
    return dataset(
        {"theory": (("depth", "fine"), closed), "trained": (("depth", "weight_decay"), seen)},
        {"depth": depth, "fine": fine, "weight_decay": tried},
    )


def draw_sl_extinction(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        weight = own.theory.values.copy()
        # A line does not cross a jump.
        weight[1:][(weight[1:] == 0) & (weight[:-1] > 0.1 * weight[0])] = np.nan
        closed_form(ax, own.fine, weight, colour(i), label=f"depth {depth}")
        # All are zero from some decay on: each depth shows its own share of the decays.
        own = own.isel(weight_decay=slice(i, None, data.sizes["depth"]))
        marks(ax, own.weight_decay, own.trained, colour(i), MARKERS[i % len(MARKERS)])
    key(ax, "theory")
    key(ax, "trained", "o")
    ax.set(xlabel=r"weight decay $\gamma$", ylabel="weight of the mode")
    legend(ax)


ENTRIES = (
    Entry(
        "weight-decay-minimiser",
        "Weight in the last layer against weight decay at several depths; dashed where no weight "
        "at all would be better.",
        decayed_feature,
        draw_weight_decay_minimiser,
        theorem="weight-decay-minimiser",
        quick={"depth": (2,), "points": 3},
    ),
    Entry(
        "feature-extinction",
        "Energy of the trained feature against weight decay: it passes zero, the energy of no "
        "feature, at extinction, and the feature lives on beyond.",
        decayed_feature,
        draw_feature_extinction,
        theorem="feature-extinction",
        quick={"depth": (2,), "points": 3},
    ),
    Entry(
        "sl-extinction",
        "Weight of a trained mode against weight decay at several depths: ridge, soft threshold, "
        "and jumps.",
        sl_extinction,
        draw_sl_extinction,
        theorem="sl-extinction",
        quick={"depth": (2,), "points": 3},
    ),
)

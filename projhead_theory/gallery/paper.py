"""The paper's synthetic figures, as far as they can be rebuilt.

What is published besides the text says: the weights before and after the head have spikes at
strengths 0.2 and 0.4, and the layers have thresholds. Thresholds of 0.2 in both layers, from
weights of one, put the edges of the two layers exactly there. The rest of the settings is ours.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from .. import theory
from ..figures import MARKERS, boundary, closed_form, colour, key, legend, panels
from ..figures import trained as marks
from ..networks import ThresholdedDiagonal
from ..problems import ContrastiveProblem, Features, SignFlip
from ..simulation import gradient_flow
from ._common import dataset, numbered, one_each
from ._entry import Entry
from .thresholds import SIDES, swept

if TYPE_CHECKING:
    import xarray

IDENTITY = ((1.0,), (1.0,))


def paper_strength(
    strength: tuple[float, float] = (0.05, 1.2),
    flip: float = 0.1,
    threshold: tuple[float, float] = (0.2, 0.2),
    points: int = 24,
) -> xarray.Dataset:
    """Weights of both layers over strength, from identity layers, thresholds fixed and trained."""
    import xarray

    phi = np.linspace(*strength, points)
    thresholds = np.asarray(threshold)[:, None]
    both = [
        swept(ThresholdedDiagonal(IDENTITY, thresholds, trained=kind), phi, [flip])
        for kind in (False, True)
    ]
    return xarray.concat(
        [data.isel(flip=0, drop=True) for data in both], "thresholds"
    ).assign_coords(thresholds=["fixed", "trained"])


def draw_paper_strength(figure: Any, data: xarray.Dataset) -> None:
    both = panels(figure, 2, 0.62, sharey=True)
    for ax, kind in zip(both, data.thresholds.values, strict=True):
        own = data.sel(thresholds=kind)
        strength, last = own.strength.values, float(own.reach[-1])
        jump = np.searchsorted(strength, last, side="right")
        for i, (side, style, marker) in enumerate(SIDES):
            layer = own.isel(layer=-1 - i)
            line = np.insert(layer.predicted.values, jump, np.nan)
            closed_form(ax, np.insert(strength, jump, last), line, colour(i), ls=style, label=side)
            marks(ax, strength, layer.measured, colour(i), marker)
        for edge in own.reach.values:
            boundary(ax, edge)
        ax.set_title(f"thresholds {kind}")
        ax.set(xlabel=r"strength $\phi$ (grey: edges)", ylabel=r"weight $A / \phi$")
    key(both[0], "theory")
    key(both[0], "trained", "o")
    legend(both[0], 2)


def paper_flips(
    flip: tuple[float, float] = (0.0, 0.5),
    strength: tuple[float, ...] = (0.3, 0.6, 1.0),
    threshold: tuple[float, float] = (0.2, 0.2),
    points: int = 11,
) -> xarray.Dataset:
    """Weights of both layers over flip probabilities from one to another, from identity layers."""
    start = ThresholdedDiagonal(IDENTITY, np.asarray(threshold)[:, None])
    return swept(start, strength, np.linspace(*flip, points))


def draw_paper_flips(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, strength in enumerate(data.strength.values):
        for j, (_, style, marker) in enumerate(SIDES):
            own = data.isel(layer=-1 - j).sel(strength=strength)
            label = None if j else rf"strength {strength:g}"
            closed_form(ax, own.flip, own.predicted, colour(i), ls=style, label=label)
            marks(ax, own.flip, own.measured, colour(i), marker)
    for side, style, marker in SIDES:
        key(ax, side, style + marker)
    ax.set(xlabel=r"flip probability $\alpha$", ylabel=r"weight $A / \phi$")
    legend(ax)


def paper_weighting(
    strength: tuple[float, ...] = (0.5, 0.7, 0.9, 0.38, 0.3),
    flip: tuple[float, ...] = (0.02, 0.1, 0.25, 0.1, 0.1),
    threshold: tuple[float, float] = (0.2, 0.2),
) -> xarray.Dataset:
    """Weights of several features before and after the head, relative to the largest."""
    d = len(strength)
    flips, phi = one_each("flip", flip, d), jnp.asarray(strength)
    weights, thresholds = np.ones((2, d)), np.broadcast_to(np.asarray(threshold)[:, None], (2, d))
    problem = ContrastiveProblem(Features(strength), SignFlip(flips))
    run = gradient_flow(ThresholdedDiagonal(weights, thresholds), problem, t1=1e4, save_at=2)
    signal = jnp.asarray((1 - 2 * flips) ** 2)
    law = theory.thresholds.threshold_limit(
        jnp.asarray(weights), jnp.asarray(thresholds), phi, signal
    )
    relative = lambda a: np.asarray(a / phi) / np.asarray(a / phi).max(1, keepdims=True)
    dims = ("layer", "feature")
    return dataset(
        {"theory": (dims, relative(law)), "trained": (dims, relative(run.final.amplitudes(phi)))},
        {"layer": [1, 2], "feature": numbered(d)},
    )


def draw_paper_weighting(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, side in enumerate(("before the head", "after the head")):
        own, places = data.isel(layer=i), data.feature.values + 0.38 * i - 0.19
        ax.bar(places, own.theory, 0.36, color=colour(i), alpha=0.45, label=f"theory, {side}")
        marks(ax, places, own.trained, colour(i), MARKERS[i], label=f"trained, {side}")
    ax.set_xticks(data.feature.values)
    ax.set(xlabel="feature", ylabel="weight relative to the largest")
    legend(ax, 2)


ENTRIES = (
    Entry(
        "paper-strength",
        "Weights before and after the head against the strength, with thresholds of 0.2 in both "
        "layers: the edges are at 0.2 and 0.4.",
        paper_strength,
        draw_paper_strength,
        theorem="absent-features",
        quick={"points": 6},
    ),
    Entry(
        "paper-flips",
        "Weights before and after the head against the flip probability, for several strengths.",
        paper_flips,
        draw_paper_flips,
        theorem="absent-features",
        quick={"points": 3, "strength": (0.3, 0.6)},
    ),
    Entry(
        "paper-weighting",
        "Relative weights of five features before and after the head: more unequal after it, where "
        "two of them are absent.",
        paper_weighting,
        draw_paper_weighting,
        theorem="absent-features",
    ),
)

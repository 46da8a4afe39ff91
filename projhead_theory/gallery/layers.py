"""Weights of trained layers: the minimiser, the layer-wise law, progressive weighting."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax.numpy as jnp
import numpy as np

from .. import measure, theory
from ..figures import (
    MARKERS,
    boundary,
    closed_form,
    colour,
    ink,
    key,
    legend,
    log_axis,
    panels,
    spread,
    trained,
)
from ..simulation import gradient_flow
from ._common import (
    LONG,
    balanced,
    dataset,
    feature_model,
    mixed_moments,
    numbered,
    over_seeds,
)
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def spectral_minimiser(
    strength: tuple[float, ...] = (0.25, 0.35, 0.5, 0.7, 1.0, 1.4, 2.0, 2.8, 3.5),
    noise: float = 0.7,
    depth: tuple[int, ...] = (1, 2, 3),
    seed: int = 0,
    seeds: int = 5,
) -> xarray.Dataset:
    """Last-layer weights of features of one scale of noise, at several depths."""
    data, seen = feature_model(strength, noise).moments(), []
    for count in depth:

        def end(number: Any, n: int = count) -> Any:
            start = balanced(number, len(strength), n, 0.5 ** (1 / n))
            return measure.layer_weights(gradient_flow(start, data, **LONG).final)[-1]

        seen.append(over_seeds(end, seed, seeds))
    fine = np.geomspace(min(strength) / 1.5, 1.5 * max(strength), 100)
    closed = theory.layers.layerwise(feature_model(fine, noise).moments(), 1).weights[-1]
    return dataset(
        {"theory": ("fine", closed), "trained": (("depth", "strength", "seed"), seen)},
        {"fine": fine, "strength": strength, "depth": depth},
        noise=noise,
    )


def draw_spectral_minimiser(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    closed_form(ax, data.fine, data.theory, ink(), label="theory")
    boundary(ax, data.noise)
    count = data.sizes["depth"]
    for i in range(count):
        # Networks of all depths have the same weights: each shows its own share of the features.
        own = data.isel(depth=i, strength=slice(i, None, count))
        label = f"trained, depth {int(own.depth)}"
        spread(ax, own.strength, own.trained, colour(i), MARKERS[i % len(MARKERS)], label=label)
    log_axis(ax.xaxis)
    ax.set(xlabel=r"strength $\phi$ (grey: noise $\sigma$)", ylabel="weight in the last layer")
    legend(ax)


def layerwise_law(
    strength: tuple[float, ...] = (2.0, 1.2, 0.8, 0.5),
    noise: tuple[float, ...] = (1.6, 0.5, 0.25, 0.1),
    depth: int = 3,
    seed: int = 0,
    seeds: int = 5,
) -> xarray.Dataset:
    """Weight of every feature in every layer."""
    data = feature_model(strength, noise).moments()

    def ends(number: Any) -> Any:
        start = balanced(number, len(strength), depth, 0.7)
        return measure.layer_weights(gradient_flow(start, data, **LONG).final)

    closed, dims = theory.layers.layerwise(data, depth).weights, ("layer", "feature")
    return dataset(
        {"theory": (dims, closed), "trained": ((*dims, "seed"), over_seeds(ends, seed, seeds))},
        {"layer": numbered(depth), "feature": numbered(len(strength))},
    )


def draw_layerwise_law(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    places = [0, *data.layer.values]
    for i, feature in enumerate(data.feature.values):
        own = data.sel(feature=feature)
        closed_form(ax, places, [1, *own.theory.values], colour(i), label=f"feature {feature}")
        spread(ax, own.layer, own.trained, colour(i))
    key(ax, "theory")
    key(ax, "trained", "o")
    log_axis(ax.yaxis)
    ax.set_xticks(places, ["input", *map(str, data.layer.values)])
    ax.set(xlabel="layer", ylabel="weight of the feature")
    legend(ax)


def progressive_weighting(
    dimension: int = 4, depth: tuple[int, ...] = (1, 2, 3, 4), seed: int = 0, seeds: int = 5
) -> xarray.Dataset:
    """Condition number of the Gram of every layer, on moments that do not commute."""
    data, closed = mixed_moments(dimension, seed), []
    seen = np.full((len(depth), max(depth), seeds), np.nan)
    for i, count in enumerate(depth):
        closed.append(np.linalg.cond(theory.layers.layerwise(data, count).grams[-1]))

        def grams(number: Any, n: int = count) -> Any:
            start = balanced(number, dimension, n, 0.8)
            return jnp.stack(measure.layer_grams(gradient_flow(start, data, **LONG).final))

        found = np.moveaxis(over_seeds(grams, seed, seeds), -1, 1)
        seen[i, :count] = np.linalg.cond(found)
    return dataset(
        {
            "theory": ("depth", np.log(closed)),
            "trained": (("depth", "layer", "seed"), np.log(seen)),
        },
        {"depth": depth, "layer": numbered(max(depth))},
    )


def draw_progressive_weighting(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        closed_form(ax, [0, depth], [0, own.theory], colour(i), label=f"depth {depth}")
        spread(ax, own.layer, own.trained, colour(i), MARKERS[i % len(MARKERS)])
    key(ax, "theory")
    key(ax, "trained", "o")
    ax.set_xticks([0, *data.layer.values])
    ax.set(xlabel="layer (0: input)", ylabel="log condition number of the Gram")
    legend(ax)


def effective_rank(
    strength: tuple[float, ...] = (2.0, 1.2, 0.8, 0.5),
    noise: tuple[float, ...] = (1.6, 0.5, 0.25, 0.1),
    depth: tuple[int, ...] = (2, 3, 5),
    seed: int = 0,
) -> xarray.Dataset:
    """Effective rank of the Gram of every layer at several depths, over the share of the depth."""
    data, d = feature_model(strength, noise).moments(), len(strength)
    seen = np.full((len(depth), max(depth)), np.nan)
    for i, count in enumerate(depth):
        run = gradient_flow(balanced(seed, d, count, 0.7), data, **LONG)
        seen[i, :count] = theory.layers.effective_rank(measure.layer_grams(run.final))
    # A network of many layers has a layer at each of these shares of its depth.
    shares = 40
    closed = theory.layers.effective_rank(theory.layers.layerwise(data, shares).grams)
    return dataset(
        {"theory": ("share", closed), "trained": (("depth", "layer"), seen)},
        {
            "share": numbered(shares) / shares,
            "depth": depth,
            "layer": numbered(max(depth)),
        },
        features=d,
    )


def draw_effective_rank(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    rank = np.append(data.features, data.theory.values)
    closed_form(ax, np.append(0, data.share.values), rank, ink(), label="theory")
    for i, depth in enumerate(data.depth.values):
        own = data.sel(depth=depth)
        label = f"trained, depth {depth}"
        trained(ax, own.layer / depth, own.trained, colour(i), MARKERS[i % 7], label=label)
    ax.set(xlabel=r"layer as a share of the depth, $l / L$", ylabel="effective rank")
    legend(ax, 2)


ENTRIES = (
    Entry(
        "spectral-minimiser",
        "Weight in the last layer against strength: the closed form as a line, trained networks of "
        "several depths as markers, which are means over starts with intervals of 95 per cent.",
        spectral_minimiser,
        draw_spectral_minimiser,
        theorem="spectral-minimiser",
        quick={"strength": (0.5, 1.0, 2.0), "depth": (1, 2), "seeds": 2},
    ),
    Entry(
        "layerwise-law",
        "Weights of the features layer by layer, on a logarithmic axis: straight lines as "
        "predicted, markers as trained, means over starts with intervals of 95 per cent.",
        layerwise_law,
        draw_layerwise_law,
        theorem="layerwise-law",
        quick={"strength": (2.0, 1.0, 0.5), "noise": (1.0, 0.2, 0.1), "depth": 2, "seeds": 2},
    ),
    Entry(
        "progressive-weighting",
        "Logarithm of the condition number of each layer's Gram at several depths: straight lines "
        "through the origin, and means over starts with intervals of 95 per cent.",
        progressive_weighting,
        draw_progressive_weighting,
        theorem="progressive-weighting",
        quick={"depth": (1, 2), "dimension": 3, "seeds": 2},
    ),
    Entry(
        "effective-rank",
        "Effective rank of each layer's Gram against the layer as a share of the depth: networks "
        "of several depths lie on one curve, from the number of features down.",
        effective_rank,
        draw_effective_rank,
        theorem="effective-rank",
        quick={"strength": (2.0, 1.0, 0.5), "noise": (1.0, 0.2, 0.1), "depth": (1, 2)},
    ),
)

"""Starts that are not balanced, and samples that are not infinite."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from .. import measure, theory
from ..figures import (
    MARKERS,
    band,
    closed_form,
    colour,
    ink,
    key,
    legend,
    log_axis,
    panels,
    spread,
)
from ..figures import trained as marks
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import AdditiveNoise, ContrastiveProblem, Features
from ..simulation import gradient_flow
from ._common import dataset, feature_model, numbered, one_each, over_seeds
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def start_law(
    strength: tuple[float, ...] = (0.3, 0.56, 1.06, 2.0),
    noise: tuple[float, ...] = (0.09, 0.17, 0.32, 0.6),
    encoder: tuple[float, ...] = (0.0, 4.0, 1.0, 0.01),
    head: tuple[float, ...] = (0.0, 0.25, 1.0, 8.0),
    seed: int = 0,
) -> xarray.Dataset:
    """Weights before the head after training from isotropic starts of these scales."""
    problem, d = feature_model(strength, noise), len(strength)
    product = 0.2 * jax.random.normal(jax.random.key(seed), (d, d), float)
    heads = one_each("head", head, len(encoder))
    fine, closed, seen = np.geomspace(0.25, 5, 200), [], []
    for a, b in zip(encoder, heads, strict=True):
        law = theory.starts.weights_before_head
        closed.append(law(jnp.asarray(fine), encoder=float(a), head=float(b)))
        key_of_start = jax.random.key(seed)
        network = DeepLinear.isotropic(
            key_of_start, (d, 2 * d, d), float(a), float(b), product=product
        )
        run = gradient_flow(network, problem.moments(), t1=300.0, save_at=2)
        seen.append(measure.layer_weights(run.final))
    return dataset(
        {
            "theory": (("start", "fine"), closed),
            "trained": (("start", "layer", "feature"), seen),
            "encoder": ("start", encoder),
            "head": ("start", heads),
        },
        {"start": numbered(len(encoder)), "fine": fine, "layer": [1, 2], "feature": numbered(d)},
    )


def draw_start_law(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i in range(data.sizes["start"]):
        own = data.isel(start=i)
        a, b = float(own.encoder), float(own["head"])
        label = "balanced" if a == b == 0 else f"encoder {a:g}, head {b:g}"
        closed_form(ax, own.fine, own.theory, colour(i), label=label)
        before, after = own.trained.sel(layer=1), own.trained.sel(layer=2)
        marks(ax, after, before, colour(i), MARKERS[i % len(MARKERS)])
    key(ax, "theory")
    key(ax, "trained", "o")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="weight after the head", ylabel="weight before the head")
    legend(ax, 2)


def finite_sample(
    strength: tuple[float, ...] = (1.5, 0.8),
    noise: tuple[float, ...] = (0.5, 0.6),
    pairs: tuple[int, ...] = (250, 1000, 4000, 16000),
    depth: int = 2,
    replicates: int = 200,
    seed: int = 0,
) -> xarray.Dataset:
    """Weights of networks trained on many samples of each size, in mixed Gaussian features."""
    d, scale = len(strength), one_each("noise", noise, len(strength))
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((d, d)))[0]
    mixing = turn if d != 2 else np.array([[0.8, -0.6], [0.6, 0.8]])
    problem = ContrastiveProblem(
        Features(strength, "gaussian", mixing=mixing), ambient=AdditiveNoise(scale)
    )
    start = DeepLinear.balanced(jax.random.key(seed), (d,) * (depth + 1), 0.7)

    def empirical(key_of_sample: jax.Array, count: int) -> Moments:
        x1, x2 = problem.sample_pairs(key_of_sample, count)
        cross = x1.T @ x2 / count
        second = (x1.T @ x1 + x2.T @ x2) / (2 * count)
        return Moments((cross + cross.T) / 2, second, pairs=count)

    @jax.jit
    def weights(cross: jax.Array, second: jax.Array) -> jax.Array:
        def end(c: jax.Array, s: jax.Array) -> jax.Array:
            settings = {"t1": 1e5, "save_at": 2, "rtol": 1e-7, "stationarity": 1e-6}
            return gradient_flow(start, Moments(c, s), **settings).weights()[-1]

        return jax.vmap(end)(cross, second)

    seen, closed = [], []
    for index, count in enumerate(pairs):
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), index), replicates)
        draw = jax.jit(lambda keys, n=count: jax.lax.map(lambda k: empirical(k, n), keys))
        samples = draw(keys)
        seen.append(weights(samples.cross, samples.second))
        error = theory.samples.sampling_error(problem.moments(), depth, count)
        closed.append(error.standard_error)
        mean = error.weights
    dims = ("pairs", "layer", "feature")
    return dataset(
        {
            "trained": (("pairs", "replicate", "layer", "feature"), seen),
            "mean": (dims[1:], mean),
            "standard_error": (dims, closed),
        },
        {"pairs": pairs, "layer": numbered(depth), "feature": numbered(d)},
    )


def draw_finite_sample(figure: Any, data: xarray.Dataset) -> None:
    left, right = panels(figure, 2, 0.78)
    count = data.sizes["replicate"]
    ranks = np.arange(1, count + 1)
    quantiles = stats.norm.ppf((ranks - 0.5) / count)
    # The r-th of n uniform numbers in order has a beta distribution.
    low, high = (
        stats.norm.ppf(stats.beta.ppf(p, ranks, count + 1 - ranks)) for p in (0.025, 0.975)
    )
    closed_form(left, quantiles, quantiles, ink())
    band(left, quantiles, low, high, ink())
    # A sample variance has a chi-squared distribution.
    spread = [np.sqrt(stats.chi2.ppf(p, count - 1) / (count - 1)) for p in (0.025, 0.975)]
    largest = data.isel(pairs=-1)
    places = [(layer, i) for layer in data.layer.values for i in data.feature.values]
    for k, (layer, i) in enumerate(places):
        at = {"layer": layer, "feature": i}
        z = (largest.trained.sel(at) - largest["mean"].sel(at)) / largest.standard_error.sel(at)
        shown = slice(k % len(places), None, max(1, count // 25))
        label = f"layer {layer}, feature {i}"
        marker = MARKERS[k % len(MARKERS)]
        marks(left, quantiles[shown], np.sort(z)[shown], colour(k), marker, ms=3.5)
        own = data.sel(at)
        closed_form(right, own.pairs, own.standard_error, colour(k), label=label)
        error = own.standard_error
        band(right, own.pairs, spread[0] * error, spread[1] * error, colour(k))
        marks(right, own.pairs, own.trained.std("replicate", ddof=1), colour(k), marker)
    key(right, "theory, 95 per cent")
    key(right, "trained", "o")
    left.set(
        xlabel="quantile of the normal distribution",
        ylabel=f"deviation in standard errors\n({int(data.pairs[-1])} pairs)",
    )
    for axis in (right.xaxis, right.yaxis):
        log_axis(axis)
    log_axis(right.xaxis, data.pairs.values)
    right.set(xlabel="pairs $n$", ylabel="standard deviation of the weight")
    legend(right)


def gaussian_start(
    strength: tuple[float, ...] = (2.0, 1.0, 0.5),
    noise: tuple[float, ...] = (1.0, 0.2, 0.1),
    encoder: float = 1.5,
    head: float = 0.5,
    width: tuple[int, ...] = (64, 256, 1024, 4096),
    t1: float = 10.0,
    seed: int = 0,
    seeds: int = 16,
) -> xarray.Dataset:
    """Largest relative error over time of the start law, from random layers of these widths."""
    data, d = feature_model(strength, noise).moments(), len(strength)
    law = jax.vmap(lambda gram: theory.starts.start_law(gram, encoder=encoder, head=head))

    def error(number: Any, hidden: int) -> jax.Array:
        entries = jax.random.normal(jax.random.key(number), (hidden, 2 * d), float) / hidden**0.5
        # Flow commutes with rotations of the hidden units: the triangular factor has the same
        # Grams at all times, at the cost of a narrow network.
        factor = jnp.linalg.cholesky(entries.T @ entries).T
        layers = [encoder**0.5 * factor[:, :d], head**0.5 * factor[:, d:].T]
        times = jnp.geomspace(t1 / 100, t1, 4)
        run = gradient_flow(DeepLinear(layers), data, t1=t1, save_at=times, stationarity=0.0)
        before, after = run.grams[:4, 0], run.grams[:4, 1]
        size = lambda gram: jnp.linalg.norm(gram, axis=(-2, -1))
        return jnp.max(size(before - law(after)) / size(before))

    found = [over_seeds(functools.partial(error, hidden=h), seed, seeds) for h in width]
    rate = np.exp(np.log(found[0]).mean()) * (np.asarray(width) / width[0]) ** -0.5
    return dataset(
        {"rate": ("width", rate), "trained": (("width", "seed"), found)}, {"width": width}
    )


def draw_gaussian_start(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    closed_form(ax, data.width, data.rate, ink(), label="rate $h^{-1/2}$")
    spread(ax, data.width, data.trained, colour(0), label="trained, mean over starts")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="hidden width $h$", ylabel="relative error of the start law")
    legend(ax)


ENTRIES = (
    Entry(
        "start-law",
        "Weights before the head against weights after it, from several starts: lines as "
        "predicted, markers as trained.",
        start_law,
        draw_start_law,
        theorem="start-law",
        quick={"encoder": (0.0, 4.0), "head": (0.0, 0.25)},
    ),
    Entry(
        "gaussian-start",
        "Error of the start law after random starts against the hidden width: means over starts "
        "with intervals of 95 per cent, beside the predicted rate.",
        gaussian_start,
        draw_gaussian_start,
        theorem="gaussian-start",
        quick={"width": (64, 256), "seeds": 3},
    ),
    Entry(
        "finite-sample",
        "Deviations of trained weights in standard errors against normal quantiles, and their "
        "scatter against the number of pairs, with the bands in which 95 per cent should lie.",
        finite_sample,
        draw_finite_sample,
        theorem="finite-sample",
        quick={"replicates": 20, "pairs": (250, 1000)},
    ),
)

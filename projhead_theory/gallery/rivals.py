"""Other published theories: self-prediction, compression, the bottleneck, and collapse."""

from __future__ import annotations

import itertools
from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import theory
from .._core.errors import bad
from ..figures import MARKERS, boundary, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..losses import DistanceContrastive, self_prediction
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import Views
from ..simulation import gradient_descent, gradient_flow
from ._common import LONG, aligned, balanced, dataset, diagonals, feature_model, numbered, one_each
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


def layerwise_compression(
    strength: tuple[float, ...] = (2.0, 1.2, 0.8, 0.5),
    noise: tuple[float, ...] = (1.6, 0.5, 0.25, 0.1),
    between: tuple[float, ...] = (0.1, 0.9, 0.0, 0.8),
    depth: int = 5,
    seed: int = 0,
) -> xarray.Dataset:
    """Variance within over between classes in every layer of a trained network.

    `between` is the share of the variance of each feature that the means of the classes have.
    """
    problem, d = feature_model(strength, noise), len(strength)
    data = problem.moments()
    means = jnp.diag(jnp.asarray(one_each("between", between, d) * np.square(strength)))
    within = data.second - means
    run = gradient_flow(balanced(seed, d, depth, 0.7), data, **LONG)
    variance = lambda w, sigma: float(np.trace(np.asarray(w @ sigma @ w.T)))
    seen = [variance(w, within) / variance(w, means) for w in run.final.products()]
    # A network of many layers has a layer at each of these shares of its depth.
    shares = 60
    law = theory.layers.layerwise(data, shares)
    closed = theory.rivals.compression(law.grams, within, means)
    inputs = theory.rivals.compression(jnp.eye(d)[None], within, means)
    line = np.concatenate([inputs, closed])
    return dataset(
        {
            "theory": ("share", line),
            "geometric": ("share", theory.rivals.geometric_law(jnp.asarray(line))),
            "trained": ("layer", seen),
        },
        {"share": np.arange(shares + 1) / shares, "layer": numbered(depth)},
    )


def draw_layerwise_compression(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    closed_form(ax, data.share, data.theory, colour(0), label="theory")
    closed_form(ax, data.share, data.geometric, colour(1), ls="--", label="geometric law")
    marks(ax, data.layer / data.sizes["layer"], data.trained, colour(0), label="trained")
    log_axis(ax.yaxis)
    ax.set(
        xlabel=r"layer as a share of the depth, $l / L$",
        ylabel="variance within over\nbetween classes",
    )
    legend(ax)


def information_bottleneck(
    strength: tuple[float, ...] = (2.0, 1.0, 0.5),
    noise: tuple[float, ...] = (1.0, 0.2, 0.1),
    readout: float = 0.3,
    depth: int = 3,
    scale: tuple[float, float] = (0.1, 10.0),
    points: int = 8,
    seed: int = 0,
) -> xarray.Dataset:
    """Information on the features before the head, and bounds on it, over a factor of it.

    The representations are read with noise of the scale `readout`.
    """
    data, d = feature_model(strength, noise).moments(), len(strength)
    law = theory.layers.layerwise(data, depth)
    cross, second = diagonals(data)
    bounds = theory.rivals.information_bounds(
        cross, second, law.weights[-2], law.weights[-1], readout
    )
    run = gradient_flow(balanced(seed, d, depth, 0.7), data, **LONG)
    *_, below, _ = run.final.products()
    before, after, lower, upper = _informations(
        np.asarray(below), np.asarray(run.final.layers[-1]), data, readout
    )
    fine, tried = np.geomspace(*scale, 60), np.geomspace(*scale, points)
    lines = {
        "before the head": np.full(fine.size, bounds.before),
        "after the head": np.full(fine.size, bounds.after),
        "lower bound": np.full(fine.size, bounds.lower),
        "upper bound": float(bounds.upper) + d * np.log(fine),
    }
    seen = np.stack(
        [*(np.full(points, x) for x in (before, after, lower)), upper + d * np.log(tried)]
    )
    return dataset(
        {
            "theory": (("quantity", "fine"), list(lines.values())),
            "trained": (("quantity", "factor"), seen),
            "critical": ((), float(bounds.critical_scale)),
        },
        {"quantity": list(lines), "fine": fine, "factor": tried},
    )


def _informations(below: Any, head: Any, data: Moments, readout: float) -> tuple[float, ...]:
    """Information before and after the head, and both bounds, from determinants.

    Of the joint covariance of the features, both representations and a target behind the head.
    """
    d = len(below)
    zero, nu = np.zeros((d, d)), readout * np.eye(d)
    features = np.asarray(data.cross) ** 0.5
    blur = np.sqrt(np.asarray(data.second - data.cross))
    # Each row as a map of independent parts: features, noise of the view, of three readouts.
    first = np.hstack([below @ features, below @ blur, nu, zero, zero])
    second = head @ first + np.hstack([zero, zero, zero, nu, zero])
    target = second + np.hstack([zero, zero, zero, zero, nu])
    parts = (np.hstack([features, *[zero] * 4]), first, second, target)

    def volume(*chosen: int) -> float:
        rows = np.vstack([parts[i] for i in chosen])
        return float(np.linalg.slogdet(rows @ rows.T)[1]) / 2

    known = lambda a, b: volume(a) + volume(b) - volume(a, b)
    entropy = volume(1) + d * np.log(2 * np.pi * np.e) / 2
    before, after, passed = known(0, 1), known(0, 2), known(1, 2)
    return before, after, known(1, 3) - passed + known(3, 0), after - passed + entropy


def draw_information_bottleneck(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, name in enumerate(data.quantity.values):
        own = data.sel(quantity=name)
        closed_form(ax, own.fine, own.theory, colour(i), label=str(name))
        marks(ax, own.factor, own.trained, colour(i), MARKERS[i])
    boundary(ax, data.critical)
    key(ax, "theory")
    key(ax, "trained", "o")
    log_axis(ax.xaxis)
    ax.set(
        xlabel="factor of the representation before the head\n(grey: critical scale)",
        ylabel="information, nats",
    )
    ax.set_ylim(min(0, float(data.theory.sel(quantity="lower bound").min())) - 0.3)
    legend(ax, 2)


def augmentation_collapse(
    ratio: tuple[float, float] = (0.2, 4.0),
    temperature: float = 1.0,
    points: int = 12,
    steps: int = 20_000,
) -> xarray.Dataset:
    """Squared weight of one feature of strength one over the variance of the noise.

    Anchors and negatives are clean, or both views are noisy.
    """
    fine, tried = np.geomspace(*ratio, 200), np.geomspace(*ratio, points)
    signs = np.asarray(list(itertools.product((1.0, -1.0), repeat=3)))

    def square(noise: jax.Array, first: jax.Array) -> jax.Array:
        inputs, blurred = jnp.asarray(signs[:, :1]), jnp.asarray(signs[:, 1:])
        views = Views(inputs + first * noise * blurred[:, :1], inputs + noise * blurred[:, 1:])
        run = gradient_descent(
            DeepLinear([jnp.full((1, 1), 0.5)]),
            views,
            loss=DistanceContrastive(temperature),
            learning_rate=0.3 * temperature / (1 + noise**2),
            steps=steps,
            save_at=2,
        )
        return run.final.matrix[0, 0] ** 2

    ends = jax.jit(jax.vmap(jax.vmap(square, in_axes=(0, None)), in_axes=(None, 0)))
    seen = ends(jnp.sqrt(tried), jnp.asarray([0.0, 1.0]))
    law = theory.rivals
    closed = [
        form(1.0, jnp.sqrt(fine), temperature)
        for form in (law.anchored_square, law.anchored_square_gaussian)
    ]
    return dataset(
        {
            "theory": (("distribution", "fine"), closed),
            "trained": (("anchor", "ratio"), seen),
        },
        {
            "distribution": ["random sign", "Gaussian"],
            "fine": fine,
            "anchor": ["clean", "noisy"],
            "ratio": tried,
        },
    )


def draw_augmentation_collapse(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, name in enumerate(data.distribution.values):
        own = data.sel(distribution=name)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"theory, {name}")
    labels = ("trained, random sign", "trained, both views noisy")
    for i, (anchor, label) in enumerate(zip(data.anchor.values, labels, strict=True)):
        own = data.sel(anchor=anchor)
        marks(ax, own.ratio, own.trained, colour(2 * i), MARKERS[i], label=label)
    boundary(ax, 2)
    log_axis(ax.xaxis)
    ax.set(
        xlabel=r"noise over signal, $\sigma^2 / \varphi^2$ (grey: collapse)",
        ylabel=r"squared weight, in $\tau / \varphi^2$",
    )
    ax.set_ylim(-0.1, 3)
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
    Entry(
        "layerwise-compression",
        "Variance within over between classes from layer to layer: the closed form, trained "
        "layers, and the geometric law through the same ends.",
        layerwise_compression,
        draw_layerwise_compression,
        theorem="layerwise-compression",
        quick={"depth": 2},
    ),
    Entry(
        "information-bottleneck",
        "What a representation before the head tells of the features, and published bounds on it, "
        "over a factor that changes no information: the upper bound fails below a critical scale.",
        information_bottleneck,
        draw_information_bottleneck,
        theorem="information-bottleneck",
        quick={"points": 3, "depth": 2},
    ),
    Entry(
        "augmentation-collapse",
        "Squared weight of a feature against the noise of its positives: with clean anchors it "
        "collapses at twice the signal, with both views noisy it does not.",
        augmentation_collapse,
        draw_augmentation_collapse,
        theorem="augmentation-collapse",
        quick={"points": 4, "steps": 500},
    ),
)

"""Labels needed on each layer: the best layer, the boundary of the head, measured errors."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np
from scipy import stats

from .. import measure, probes, theory
from .._core.errors import bad
from ..figures import (
    MARKERS,
    band,
    boundary,
    closed_form,
    colour,
    ink,
    key,
    legend,
    log_axis,
    panels,
    shade_phase,
)
from ..figures import trained as marks
from ..problems import (
    AdditiveNoise,
    ContrastiveProblem,
    Downstream,
    DownstreamProblem,
    Features,
    SignLabel,
)
from ..simulation import gradient_flow
from ._common import LONG, balanced, dataset, feature_model, numbered, one_each, root
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def optimal_layer(
    strength: tuple[float, ...] = (1.5, 1.0, 0.5),
    noise: tuple[float, ...] = (1.2, 0.5, 0.15),
    depth: tuple[int, ...] = (2, 3, 5),
    seed: int = 0,
) -> xarray.Dataset:
    """Indicator of every layer of networks of several depths, with each feature as the label."""
    data, d = feature_model(strength, noise).moments(), len(strength)
    fine, power = np.linspace(0, 1, 200), np.diag(np.square(strength))
    targets = [Downstream(power, np.eye(d)[j] / strength[j]) for j in range(d)]
    curves = [
        theory.downstream.feature_complexity(
            theory.downstream.feature_weights(data), jnp.asarray(strength), j
        )
        for j in range(d)
    ]
    seen = np.full((d, len(depth), max(depth)), np.nan)
    for k, count in enumerate(depth):
        run = gradient_flow(balanced(seed, d, count, 0.5), data, **LONG).final
        for j, target in enumerate(targets):
            seen[j, k, :count] = measure.sample_complexity(run, target)
    return dataset(
        {
            "theory": (("feature", "share"), [curve(jnp.asarray(fine)) for curve in curves]),
            "best": ("feature", [float(curve.best) for curve in curves]),
            "least": ("feature", [float(curve.least) for curve in curves]),
            "trained": (("feature", "depth", "layer"), seen),
        },
        {
            "feature": numbered(d),
            "share": fine,
            "depth": depth,
            "layer": numbered(max(depth)),
        },
    )


def draw_optimal_layer(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for j, feature in enumerate(data.feature.values):
        own = data.sel(feature=feature)
        closed_form(ax, own.share, own.theory, colour(j), label=f"label: feature {feature}")
        for k, depth in enumerate(data.depth.values):
            marks(ax, own.layer / depth, own.trained.sel(depth=depth), colour(j), MARKERS[k])
        marks(ax, own.best, own.least, ink(), "|", ms=11, mew=1.3, zorder=4)
    for k, depth in enumerate(data.depth.values):
        key(ax, f"trained, depth {depth}", MARKERS[k])
    key(ax, "best layer", "|", ink())
    log_axis(ax.yaxis)
    ax.set(xlabel=r"layer as a share of the depth, $l / L$", ylabel="indicator")
    legend(ax, 2)


def when_pre_wins(
    strength: tuple[float, ...] = (1.5, 1.0, 0.6),
    noise: tuple[float, ...] = (1.0, 0.5, 0.3),
    target: int = 2,
    depth: int = 2,
    largest: tuple[float, float] = (1.5, 2.0),
    points: int = 128,
    networks: int = 64,
    seed: int = 0,
) -> xarray.Dataset:
    """Margin of the indicators over the target's noise and strength, and trained networks."""
    from ..theorems import check_phase

    d = len(strength)
    if not 1 <= target <= d:
        raise bad("target", target, f"the number of a feature, from 1 to {d}")
    powers, scales = jnp.asarray(strength, float), jnp.asarray(one_each("noise", noise, d))

    def problem(noise: Any, strength: Any) -> ContrastiveProblem:
        features = Features(powers.at[target - 1].set(strength))
        return ContrastiveProblem(features, AdditiveNoise(scales.at[target - 1].set(noise)))

    x, y = (np.linspace(largest[i] / 40 * i, largest[i], points) for i in range(2))
    diagram = theory.downstream.phase_diagram(problem, target - 1, x, y, depth=depth)
    check = check_phase(diagram, networks, jax.random.key(seed))
    names = ("x", "y", "measured", "kept", "converged", "misclassified")
    return dataset(
        {"margin": (("strength", "noise"), diagram.margin)}
        | {f"trained_{n}": ("network", np.asarray(getattr(check, n), float)) for n in names},
        {"noise": diagram.x, "strength": diagram.y},
        target=target,
    )


def draw_when_pre_wins(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure, height=0.8)
    image = shade_phase(ax, data.noise, data.strength, data.margin)
    bar = figure.colorbar(image, ax=ax, extend="both")
    bar.set_label("ln SC (after head) - ln SC (before)")
    pre, wrong = data.trained_measured.values > 0, data.trained_misclassified.values > 0
    fine = (data.trained_kept.values > 0) & (data.trained_converged.values > 0) & ~wrong
    # The colours of the plane, in any style: blue where pre-projection is better.
    for side, tone, marker, label in (
        (pre, "#0b3c75", "o", "trained: before the head is better"),
        (~pre, "#7a1020", "s", "trained: after the head is better"),
    ):
        at = data.isel(network=fine & side)
        look = {"mfc": tone, "mec": "white", "mew": 0.5, "ms": 4}
        marks(ax, at.trained_x, at.trained_y, tone, marker, label=label, **look)
    if wrong.any():
        at = data.isel(network=wrong)
        marks(ax, at.trained_x, at.trained_y, "black", "x", mew=1.5, label="on the other side")
    ax.set(
        xlabel=rf"noise of feature {int(data.target)}, $\sigma$",
        ylabel=rf"strength of feature {int(data.target)}, $\phi$",
        xlim=(float(data.noise.min()), float(data.noise.max())),
        ylim=(float(data.strength.min()), float(data.strength.max())),
    )
    legend(ax, 1)


def measured_sample_complexity(
    dimension: int = 32, draws: int = 100, sizes: int = 10, seed: int = 0
) -> xarray.Dataset:
    """Error of hard margins on both layers of a trained network, for two labels."""
    rng, d = np.random.default_rng(seed), dimension
    samples = np.unique(np.round(np.geomspace(6, 3 * d, sizes)).astype(int))
    fine, closed, seen = np.geomspace(4, 3.4 * d, 100), [], []
    labels = {"lightest": 1.8, "in between": 1.0}
    for name, noise in labels.items():
        strength, others = np.ones(d), np.full(d - 1, 0.8)
        if name == "in between":
            others = np.where(np.arange(d - 1) < 1, 0.25, 1.8)
            strength[1] = 4.0
        data = feature_model(np.ones(d), np.append(noise, others)).moments()
        run = gradient_flow(balanced(seed, d, 2, 0.5), data, t1=1e5, save_at=2)
        downstream = Downstream(np.diag(strength**2), np.eye(d)[0])
        grams = measure.layer_grams(run.final)
        error = jax.jit(
            jax.vmap(lambda n, g=grams, t=downstream: theory.downstream.margin_error(g, t, n))
        )
        closed.append(np.asarray(error(jnp.asarray(fine))).T)
        z = rng.standard_normal((draws, samples[-1], d)) * strength
        z[:, :, 0] = np.where(rng.random((draws, samples[-1])) < 0.5, -1, 1)
        z[:, 0, 0], z[:, 1, 0] = 1, -1
        seen.append([_margin_errors(z, root(grams[i]), strength, samples) for i in range(2)])
    dims = ("label", "layer")
    return dataset(
        {
            "theory": ((*dims, "fine"), closed),
            "trained": ((*dims, "samples", "draw"), seen),
        },
        {"label": list(labels), "layer": [1, 2], "fine": fine, "samples": samples},
    )


def _margin_errors(
    z: np.ndarray, features: np.ndarray, strength: np.ndarray, samples: np.ndarray
) -> np.ndarray:
    """Error of the hard-margin readout of each draw, for each number of samples."""
    errors = []
    for n in samples:
        labels = (z[:, :n, 0] > 0).astype(int)
        readout = probes.HardMargin().fit_many(z[:, :n] @ features, labels, throw=False)
        v = np.asarray(readout.weights)[:, 0] @ features
        across = np.linalg.norm(v[:, 1:] * strength[1:], axis=1)
        errors.append(stats.norm.cdf(-v[:, 0] / np.maximum(across, 1e-300)))
    return np.stack(errors)


def draw_measured_sample_complexity(figure: Any, data: xarray.Dataset) -> None:
    both = panels(figure, data.sizes["label"], 0.66, sharey=True)
    for ax, label in zip(both, data.label.values, strict=True):
        for i, side in enumerate(("before the head", "after the head")):
            own = data.sel(label=label, layer=i + 1)
            draws = own.trained.values
            mean, error = draws.mean(-1), draws.std(-1, ddof=1) / np.sqrt(draws.shape[-1])
            closed_form(ax, own.fine, own.theory, colour(i), label=f"theory, {side}")
            low = np.maximum(mean - 1.96 * error, 1e-6)  # the axis is logarithmic
            band(ax, own.samples, low, mean + 1.96 * error, colour(i))
            marks(ax, own.samples, mean, colour(i), MARKERS[i], label=f"trained, {side}")
        boundary(ax, 0.1, vertical=False)
        # Beyond, errors fall by hundreds of decades, and means are those of single draws.
        ax.set(ylim=(4e-3, 0.7), xlim=(0.8 * own.samples.min(), 1.2 * own.samples.max()))
        log_axis(ax.yaxis)
        log_axis(ax.xaxis)
        ax.set_title(f"label: a feature {label}" if " " in label else f"label: the {label} feature")
        ax.set(xlabel="number of labels", ylabel="error")
    legend(both[0], 2)


def ridge_margin(
    strength: tuple[float, ...] = (2.0, 1.0, 0.5),
    noise: tuple[float, ...] = (1.0, 0.2, 0.1),
    target: int = 1,
    depth: int = 3,
    labels: tuple[float, float] = (1.0, 1000.0),
    points: int = 10,
    seed: int = 0,
) -> xarray.Dataset:
    """Ridge indicator of every layer over the number of labels, and the exact indicator."""
    problem, d = feature_model(strength, noise), len(strength)
    if not 1 <= target <= d:
        raise bad("target", target, f"the number of a feature, from 1 to {d}")
    task = DownstreamProblem(Features(strength), SignLabel(target - 1))
    law = theory.layers.layerwise(problem.moments(), depth)
    exact = np.asarray(theory.downstream.sample_complexity(law.grams, task.moments()))
    fine, tried = np.geomspace(*labels, 100), np.geomspace(*labels, points)
    run = gradient_flow(balanced(seed, d, depth, 0.7), problem.moments(), **LONG)
    power = jnp.diag(jnp.square(jnp.asarray(strength)))
    shared = jnp.eye(d)[:, [target - 1]] * strength[target - 1]
    # Moments of the representations themselves, which a readout sees.
    maps = run.final.products()
    indicator = theory.downstream.representation_complexity
    seen = [[indicator(w @ power @ w.T, w @ shared, n)[0] for w in maps] for n in tried]
    return dataset(
        {
            "theory": (("fine", "layer"), 1 / (1 / exact + 1 / fine[:, None])),
            "trained": (("labels", "layer"), seen),
            "exact": ("layer", exact),
        },
        {"fine": fine, "labels": tried, "layer": numbered(depth)},
        target=target,
    )


def draw_ridge_margin(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, layer in enumerate(data.layer.values):
        own = data.sel(layer=layer)
        closed_form(ax, own.fine, own.theory, colour(i), label=f"layer {layer}")
        closed_form(ax, own.fine, np.full(own.fine.size, float(own.exact)), colour(i), ls=":")
        marks(ax, own.labels, own.trained, colour(i), MARKERS[i % len(MARKERS)])
    for label, style in (("ridge margin", "-"), ("exact", ":"), ("trained", "o")):
        key(ax, label, style)
    log_axis(ax.xaxis)
    ax.set(xlabel="number of labels $n$", ylabel=f"indicator for feature {int(data.target)}")
    legend(ax)


ENTRIES = (
    Entry(
        "optimal-layer",
        "Indicator over the depth for each feature as the label; networks of several depths lie "
        "on the curves.",
        optimal_layer,
        draw_optimal_layer,
        theorem="optimal-layer",
        quick={"depth": (1, 2)},
    ),
    Entry(
        "when-pre-wins",
        "Noise and strength of the target: the boundary between pre- and post-projection in "
        "closed form, and trained networks on both sides of it.",
        when_pre_wins,
        draw_when_pre_wins,
        theorem="when-pre-wins",
        quick={"points": 16, "networks": 8},
    ),
    Entry(
        "measured-sample-complexity",
        "Error of hard margins against the number of labels on both layers of trained networks, "
        "and its limit, for a label that is the lightest feature and for one in between.",
        measured_sample_complexity,
        draw_measured_sample_complexity,
        theorem="measured-sample-complexity",
        quick={"dimension": 12, "draws": 10, "sizes": 3},
    ),
    Entry(
        "ridge-margin",
        "Indicator with a ridge margin of every layer against the number of labels, below its "
        "limit, the exact indicator: lines as predicted, markers as trained.",
        ridge_margin,
        draw_ridge_margin,
        theorem="ridge-margin",
        quick={"points": 3, "depth": 2},
    ),
)

"""Other objectives: their weights, and what a narrow head keeps."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import experiments, measure, theory
from ..figures import MARKERS, closed_form, colour, ink, key, legend, log_axis, panels
from ..figures import trained as marks
from ..losses import (
    DistanceInfoNCE,
    ExpectedInfoNCE,
    SquaredVICReg,
    mse,
    spectral,
    unnormalised_barlow_twins,
)
from ..moments import Moments, TargetMoments
from ..networks import DeepLinear
from ..simulation import gradient_descent, gradient_flow
from ._common import balanced, dataset
from ._entry import Entry

if TYPE_CHECKING:
    import xarray

OBJECTIVES = (
    "joint embedding",
    "denoising reconstruction",
    "Barlow Twins",
    "principal components",
)


def narrow_head(
    strength: float = 1.0,
    noise: float = 0.8,
    low: float = 0.4,
    high: float = 2.0,
    noisiest: float = 2.5,
    points: int = 6,
    seed: int = 0,
) -> xarray.Dataset:
    """Feature of two that one unit keeps, for four objectives, over the first one's noise.

    The parameters `strength` and `noise` belong to the other feature.
    """
    strengths, noises = np.linspace(low, high, points), np.linspace(0.1, noisiest, points)
    fine, limits = np.linspace(low, high, 200), theory.responses
    stronger = np.where(fine > strength, np.inf, 0.0)
    edges = [
        limits.joint_embedding_limit(jnp.asarray(fine), strength, noise),
        limits.reconstruction_limit(jnp.asarray(fine), strength, noise),
        stronger,
        stronger,
    ]
    phi, sigma = (a.ravel() for a in np.meshgrid(strengths, noises, indexing="ij"))
    power = np.stack([phi, np.full(phi.size, strength)], 1) ** 2
    second = power + np.stack([sigma, np.full(phi.size, noise)], 1) ** 2
    kept = [
        _kept(name, jnp.asarray(power), jnp.asarray(second), seed).reshape(points, points)
        for name in OBJECTIVES
    ]
    return dataset(
        {
            "edge": (("objective", "fine"), edges),
            "kept": (("objective", "strength", "noise"), kept),
        },
        {"objective": list(OBJECTIVES), "fine": fine, "strength": strengths, "noise": noises},
    )


def _kept(name: str, power: jax.Array, second: jax.Array, seed: int) -> np.ndarray:
    """One where the trained network keeps the first feature, else zero."""
    joint = name in ("joint embedding", "Barlow Twins")
    losses = {"joint embedding": spectral, "Barlow Twins": unnormalised_barlow_twins}
    sizes = (2, 1, 1) if joint else (2, 1, 2)
    start = DeepLinear.balanced(jax.random.key(seed), sizes, 0.5)
    inputs = power if name == "principal components" else second

    def end(cross: jax.Array, inputs: jax.Array) -> jax.Array:
        kind = Moments if joint else TargetMoments
        run = gradient_flow(
            start,
            kind(jnp.diag(cross), jnp.diag(inputs)),
            loss=losses.get(name, mse),
            # Without decay this loss is minimal on every subspace.
            weight_decay=0.1 if name == "Barlow Twins" else 0.0,
            t1=1e3,
            save_at=2,
        )
        return jnp.linalg.norm(run.final.matrix, axis=0)

    sizes_of_columns = np.asarray(jax.jit(jax.vmap(end))(power, inputs))
    return (sizes_of_columns[:, 0] > sizes_of_columns[:, 1]).astype(float)


def draw_narrow_head(figure: Any, data: xarray.Dataset) -> None:
    four = _square(figure)
    x, y = (a.ravel() for a in np.meshgrid(data.strength, data.noise, indexing="ij"))
    top = 1.06 * float(data.noise.max())
    for k, (ax, name) in enumerate(zip(four, data.objective.values, strict=True)):
        own = data.sel(objective=name)
        edge = np.minimum(own.edge.values, 2 * top)
        ax.fill_between(own.fine, 0, edge, color=colour(0), alpha=0.2, lw=0, step="mid")
        closed_form(ax, own.fine, edge, ink(), lw=0.9)
        kept = own.kept.values.ravel() > 0
        marks(ax, x[kept], y[kept], colour(0), ms=3.5, label="trained: kept" if not k else None)
        label = "trained: dropped" if not k else None
        marks(ax, x[~kept], y[~kept], colour(1), "x", ms=3.5, label=label)
        ax.set_title(name)
        ax.set(xlim=(float(x.min()) - 0.1, float(x.max()) + 0.1), ylim=(0, top))
    for ax in four[2:]:
        ax.set_xlabel(r"strength $\phi$")
    for ax in four[::2]:
        ax.set_ylabel(r"noise $\sigma$")
    four[0].fill_between([], [], color=colour(0), alpha=0.2, lw=0, label="predicted: kept")
    legend(four[0])


def _square(figure: Any) -> list[Any]:
    """Four axes, two by two at any width."""
    figure.set_figheight(figure.get_figwidth() * 0.85)
    return list(figure.subplots(2, 2, sharex=True, sharey=True).ravel())


LOSSES = ("spectral", "VICReg, squared", "InfoNCE, distances", "Barlow Twins")


def response_minimiser(
    fraction: tuple[float, ...] = (0.15, 0.3, 0.45, 0.6, 0.75, 0.9),
    beta: float = 1.5,
    temperature: float = 1.0,
    depth: int = 2,
    seed: int = 0,
) -> xarray.Dataset:
    """Last-layer weights of features of variance one over their signal fraction, by loss."""
    kinds = theory.responses
    responses = (
        kinds.Spectral(),
        kinds.VICReg(beta=beta),
        kinds.InfoNCEDistance(temperature=temperature),
        kinds.BarlowTwins(),
    )
    objectives = (
        spectral,
        SquaredVICReg(beta),
        DistanceInfoNCE(temperature),
        unnormalised_barlow_twins,
    )
    views = lambda c: Moments(np.diag(c), np.eye(len(c)))
    fine, data = np.linspace(0.05, 0.97, 60), views(fraction)
    start = balanced(seed, len(fraction), depth, 0.7)
    closed, seen = [], []
    for response, loss in zip(responses, objectives, strict=True):
        closed.append(kinds.layers(views(fine), response, depth).weights[-1])
        run = gradient_flow(start, data, loss=loss, t1=1e4, save_at=2)
        seen.append(measure.layer_weights(run.final)[-1])
    return dataset(
        {"theory": (("loss", "fine"), closed), "trained": (("loss", "fraction"), seen)},
        {"loss": list(LOSSES), "fine": fine, "fraction": fraction},
    )


def draw_response_minimiser(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, loss in enumerate(data.loss.values):
        own = data.sel(loss=loss)
        closed_form(ax, own.fine, own.theory, colour(i), label=str(loss))
        marks(ax, own.fraction, own.trained, colour(i), MARKERS[i])
    key(ax, "theory")
    key(ax, "trained", "o")
    ax.set(xlabel=r"signal fraction $\lambda$", ylabel="weight in the last layer")
    ax.set_ylim(-0.1, 3)
    legend(ax, 2)


def infonce_negatives(
    fraction: tuple[float, ...] = (0.1, 0.2, 0.3),
    size: tuple[int, ...] = (64, 256, 1024, 4096),
    temperature: float = 1.0,
    steps: int = 60,
) -> xarray.Dataset:
    """Bias of the squared weight of one feature under InfoNCE on batches of these sizes."""
    sizes, fine = jnp.asarray(size, float), np.geomspace(min(size), max(size), 50)

    def bias(share: jax.Array, count: jax.Array) -> jax.Array:
        """Of a feature of variance one, from half of its limit."""
        run = gradient_descent(
            DeepLinear([jnp.sqrt(share * temperature / 2)[None, None]]),
            Moments(share[None, None], jnp.ones((1, 1))),
            loss=ExpectedInfoNCE(count, temperature),
            # The loss has curvature 4 lambda / tau in the weight.
            learning_rate=0.9 * temperature / (4 * share),
            steps=steps,
            save_at=2,
            stationarity=0.0,
        )
        return run.final.matrix[0, 0] ** 2 / temperature - share

    each = jax.jit(lambda share: jax.lax.map(lambda count: bias(share, count), sizes))
    seen = [each(jnp.asarray(share)) for share in fraction]
    first = [theory.responses.negatives_bias([share])[0] for share in fraction]
    second = [theory.responses.negatives_second_order([share])[0] for share in fraction]
    closed = np.asarray(first)[:, None] / fine
    return dataset(
        {
            "theory": (("fraction", "fine"), closed),
            "second_order": (("fraction", "fine"), closed + np.asarray(second)[:, None] / fine**2),
            "trained": (("fraction", "size"), seen),
        },
        {"fraction": fraction, "fine": fine, "size": size},
    )


def draw_infonce_negatives(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, fraction in enumerate(data.fraction.values):
        own = data.sel(fraction=fraction)
        label = rf"signal fraction $\lambda$ = {fraction:g}"
        closed_form(ax, own.fine, own.theory, colour(i), label=label)
        both = np.where(own.second_order > 0, own.second_order, np.nan)
        closed_form(ax, own.fine, both, colour(i), ls=":")
        marks(ax, own["size"], own.trained, colour(i), MARKERS[i % len(MARKERS)])
    for label, style in (("$a / n$", "-"), ("and the next order", ":"), ("trained", "o")):
        key(ax, label, style)
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="pairs of a batch $n$", ylabel=r"bias of the squared weight, in $\tau / q$")
    legend(ax, 2)


def cosine_shares(
    temperature: tuple[float, ...] = (0.1, 0.25, 0.5),
    features: int = 32,
    steps: int = 1000,
    seed: int = 0,
) -> xarray.Dataset:
    """Shares of features in the output under NT-Xent, in units of an equal share."""
    fraction, taus = jnp.linspace(0.9, 0.1, features), jnp.asarray(temperature)
    keys = jax.random.split(jax.random.key(seed), 1)
    closed = [theory.responses.cosine_shares(fraction, tau).share for tau in taus]
    seen = [experiments.nt_xent_shares(keys, fraction, tau, steps)[0] for tau in taus]
    products = fraction / jnp.sum(fraction)
    return dataset(
        {
            "theory": (("temperature", "fraction"), features * np.stack(closed)),
            "trained": (("temperature", "fraction"), features * np.stack(seen)),
            "products": (("fraction",), features * products),
        },
        {"temperature": temperature, "fraction": np.asarray(fraction)},
    )


def draw_cosine_shares(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    for i, temperature in enumerate(data.temperature.values):
        own, label = data.sel(temperature=temperature), rf"$\tau$ = {temperature:g}"
        closed_form(ax, own.fraction, own.theory, colour(i), label=label)
        marks(ax, own.fraction, own.trained, colour(i), MARKERS[i % len(MARKERS)], ms=3.5)
    closed_form(ax, data.fraction, data.products, ink(), ls=":", label="inner products, any")
    key(ax, "cosines, many features")
    key(ax, "trained", "o")
    ax.set(xlabel=r"signal fraction $\lambda$", ylabel="share of the output, over an equal one")
    ax.set_ylim(bottom=-0.1)
    legend(ax, 2)


ENTRIES = (
    Entry(
        "response-minimiser",
        "Weight in the last layer against the signal fraction under four losses: lines as "
        "predicted, markers as trained.",
        response_minimiser,
        draw_response_minimiser,
        theorem="response-minimiser",
        quick={"fraction": (0.3, 0.6, 0.9)},
    ),
    Entry(
        "infonce-negatives",
        "Bias of the squared weight under InfoNCE against the number of pairs of a batch, for "
        "several signal fractions: lines as predicted, markers as trained.",
        infonce_negatives,
        draw_infonce_negatives,
        theorem="infonce-negatives",
        quick={"fraction": (0.3,), "size": (256, 1024)},
    ),
    Entry(
        "cosine-shares",
        "Shares of 32 features in the output under the loss of SimCLR against their signal "
        "fraction, at several temperatures: lines as predicted for many features, markers as "
        "trained.",
        cosine_shares,
        draw_cosine_shares,
        theorem="response-minimiser",
        quick={"temperature": (0.25,), "features": 8, "steps": 200},
    ),
    Entry(
        "narrow-head",
        "Strength and noise of one of two features, under four objectives: the predicted region "
        "in which one unit keeps it, and trained networks.",
        narrow_head,
        draw_narrow_head,
        theorem="narrow-head",
        quick={"points": 3},
    ),
)

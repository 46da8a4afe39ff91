"""Balance under finite steps, and with units that are not linear."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import jax
import jax.numpy as jnp
import numpy as np

from .. import measure, theory
from ..figures import MARKERS, closed_form, colour, key, legend, log_axis, panels
from ..figures import trained as marks
from ..networks import ShallowReLU, ThresholdedDiagonal
from ..problems import ContrastiveProblem, Features, SignFlip
from ..simulation import (
    gradient_descent,
    gradient_flow,
    layer_gradients,
    minibatch,
    stochastic,
    trained_gradient,
)
from ._common import (
    balanced,
    dataset,
    feature_model,
    gap_to_law,
    mixed_moments,
    norm,
    numbered,
    root,
)
from ._entry import Entry

if TYPE_CHECKING:
    import xarray


def discrete_balancedness(
    learning_rate: float = 0.02,
    momentum: float = 0.9,
    steps: int = 300,
    dimension: int = 4,
    seed: int = 0,
) -> xarray.Dataset:
    """Imbalance over steps, and the sum that the law makes of the gradients of the run."""
    import optax

    data, start = mixed_moments(dimension, seed), balanced(seed, dimension, 2, 0.5)
    # As large steps in the end: momentum m makes them 1 / (1 - m) times as large.
    kinds = {
        "plain": (learning_rate, optax.sgd),
        "momentum": (
            learning_rate * (1 - momentum),
            jax.tree_util.Partial(optax.sgd, momentum=momentum),
        ),
    }
    law, seen = [], []
    for rate, optimiser in kinds.values():
        run = gradient_descent(
            start,
            data,
            learning_rate=rate,
            steps=steps,
            save_at=jnp.arange(steps + 1),
            optimiser=optimiser,
        )
        gradients = jax.jit(jax.vmap(lambda network: layer_gradients(network, data)))(run.networks)
        now, sizes = measure.imbalance(start), []
        for t in range(steps):
            now = theory.balance.discrete_imbalance(now, [g[t] for g in gradients], rate)
            sizes.append(norm(now[0]))
        law.append(sizes)
        seen.append(run.imbalance[1 : steps + 1, 0])
    dims = ("optimiser", "step")
    return dataset(
        {"theory": (dims, law), "trained": (dims, seen)},
        {"optimiser": list(kinds), "step": numbered(steps)},
    )


def draw_discrete_balancedness(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    shown = 2 ** np.arange(int(np.log2(data.sizes["step"])) + 1)
    for i, name in enumerate(data.optimiser.values):
        own = data.sel(optimiser=name)
        closed_form(ax, own.step, own.theory, colour(i), label=f"law, {name}")
        few = own.sel(step=shown)
        marks(ax, few.step, few.trained, colour(i), MARKERS[i], label=f"trained, {name}")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel="step", ylabel=r"imbalance $\|D_1\|$")
    legend(ax, 2)


def unbalanced_grams(
    learning_rate: tuple[float, ...] = (0.002, 0.004, 0.008, 0.015, 0.03, 0.06),
    t1: float = 60.0,
    dimension: int = 4,
    seed: int = 0,
) -> xarray.Dataset:
    """Gap to the layer-wise law after descent, and the part that the correction explains."""
    data, start = mixed_moments(dimension, seed), balanced(seed, dimension, 2, 0.5)
    gaps, predicted, left = [], [], []
    for rate in learning_rate:
        run = gradient_descent(
            start, data, learning_rate=rate, steps=int(t1 / rate), save_at=2
        ).final
        grams, imbalance = measure.layer_grams(run), measure.imbalance(run)
        pulled = [w.T @ d @ w for w, d in zip(run.products(), imbalance, strict=False)]
        corrected = np.asarray(theory.balance.unbalanced_grams(grams[-1], pulled)[0])
        gaps.append(gap_to_law(grams))
        predicted.append(norm(corrected - root(grams[1])))
        left.append(norm(grams[0] - corrected))
    names = {"theory": predicted, "trained": gaps, "remainder": left}
    return dataset(
        {name: ("learning_rate", values) for name, values in names.items()},
        {"learning_rate": learning_rate},
    )


def draw_unbalanced_grams(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    rate, left = data.learning_rate, data.remainder
    closed_form(ax, rate, data.theory, colour(0), label="correction, first order")
    marks(ax, rate, data.trained, colour(0), label=r"trained, $\|M_1 - M_2^{1/2}\|$")
    marks(ax, rate, left, colour(1), "s", label="left by the correction")
    square = float(left[0]) * (rate / float(rate[0])) ** 2
    closed_form(ax, rate, square, colour(1), ls="--", lw=0.8, label=r"slope 2")
    for axis in (ax.xaxis, ax.yaxis):
        log_axis(axis)
    ax.set(xlabel=r"learning rate $\eta$", ylabel="gap to the layer-wise law")
    legend(ax, 2)


def homogeneity(
    strength: float = 1.0,
    weight: tuple[float, float] = (0.8, 0.6),
    threshold: float = 0.2,
    flip: float = 0.1,
    t1: float = 3.0,
    points: int = 16,
) -> xarray.Dataset:
    """Two combinations of weights and threshold over time, thresholds trained and fixed."""
    times = jnp.linspace(t1 / 60, t1, points)
    problem = ContrastiveProblem(Features([strength]), SignFlip(flip))
    weights, thresholds = jnp.asarray(weight)[:, None], jnp.asarray([[threshold], [threshold / 2]])
    seen, starts = [], []
    for trained in (True, False):
        start = ThresholdedDiagonal(weights, thresholds, trained=trained)
        run = gradient_flow(start, problem, t1=t1, save_at=times, stationarity=0.0)
        w, b = (np.asarray(x)[:-1, :, 0] for x in (run.networks.weights, run.networks.thresholds))
        seen.append(_conserved(w, b, strength))
        starts.append(_conserved(np.asarray(weights).T, np.asarray(thresholds).T, strength)[:, 0])
    dims = ("thresholds", "quantity", "time")
    return dataset(
        {"trained": (dims, seen), "start": (dims[:2], starts)},
        {
            "thresholds": ["trained", "fixed"],
            "quantity": ["weights and threshold", "amplitude"],
            "time": times,
        },
    )


def _conserved(w: np.ndarray, b: np.ndarray, strength: float) -> np.ndarray:
    amplitude = w[:, 0] - b[:, 0] / strength
    return np.stack([w[:, 0] ** 2 + b[:, 0] ** 2 - w[:, 1] ** 2, amplitude**2 - w[:, 1] ** 2])


def draw_homogeneity(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    formulas = (r"$w_1^2 + b_1^2 - w_2^2$", r"$(A_1/\phi)^2 - w_2^2$")
    for i, formula in enumerate(formulas):
        for j, name in enumerate(data.thresholds.values):
            own = data.isel(quantity=i).sel(thresholds=name)
            label = f"{formula}, $b$ {name}"
            marks(ax, own.time, own.trained, colour(i), MARKERS[j], label=label)
        constant = float(data.start[0, i])
        closed_form(ax, data.time, np.full(data.sizes["time"], constant), colour(i))
    key(ax, "value at the start")
    ax.set(xlabel="time $t$", ylabel="conserved, or not")
    legend(ax, 2)


def discrete_homogeneity(
    strength: tuple[float, ...] = (1.5, 1.0, 0.7),
    noise: tuple[float, ...] = (0.4,),
    learning_rate: float = 0.01,
    batch_size: int = 16,
    steps: int = 300,
    units: int = 4,
    seed: int = 0,
) -> xarray.Dataset:
    """Drift of each hidden unit's conserved quantity over stochastic steps, and its sum."""
    problem, key_of_run = feature_model(strength, noise), jax.random.key(seed)
    d = len(strength)
    start = ShallowReLU.init(key_of_run, (d, units, d), 0.8, slope=0.2)
    run = stochastic(
        start,
        problem,
        key=key_of_run,
        learning_rate=learning_rate,
        steps=steps,
        batch_size=batch_size,
        save_at=np.arange(steps + 1),
    )
    measured = np.asarray(jax.vmap(measure.homogeneity)(run.networks)[0])[: steps + 1]

    def gain(item: Any) -> Any:
        i, network = item
        batch = minibatch(problem, key_of_run, i, batch_size)
        return measure.homogeneity(trained_gradient(network, batch))[0]

    before = jax.tree.map(lambda x: x[:steps], run.networks)
    gained = np.asarray(jax.lax.map(gain, (jnp.arange(steps), before)))
    law = np.concatenate([np.zeros((1, units)), learning_rate**2 * np.cumsum(gained, axis=0)])
    dims = ("step", "unit")
    return dataset(
        {"theory": (dims, law), "trained": (dims, measured - measured[0])},
        {"step": np.arange(steps + 1), "unit": numbered(units)},
    )


def draw_discrete_homogeneity(figure: Any, data: xarray.Dataset) -> None:
    (ax,) = panels(figure)
    every = max(1, data.sizes["step"] // 15)
    for i, unit in enumerate(data.unit.values):
        own = data.sel(unit=unit)
        closed_form(ax, own.step, own.theory, colour(i), label=f"unit {unit}")
        marks(ax, own.step[::every], own.trained[::every], colour(i))
    key(ax, "law")
    key(ax, "trained", "o")
    ax.set(xlabel="step", ylabel="drift of the conserved quantity")
    legend(ax)


ENTRIES = (
    Entry(
        "discrete-balancedness",
        "Imbalance over the steps: the law follows plain gradient descent exactly, and misses "
        "descent with momentum.",
        discrete_balancedness,
        draw_discrete_balancedness,
        theorem="discrete-balancedness",
        quick={"steps": 32, "dimension": 3},
    ),
    Entry(
        "unbalanced-grams",
        "Gap to the layer-wise law against the learning rate: proportional to it, as the "
        "correction predicts; the remainder is of second order.",
        unbalanced_grams,
        draw_unbalanced_grams,
        theorem="unbalanced-grams",
        quick={"learning_rate": (0.03, 0.06), "t1": 30.0, "dimension": 3},
    ),
    Entry(
        "homogeneity",
        "Conserved quantity of a unit along training, with trained and with fixed thresholds.",
        homogeneity,
        draw_homogeneity,
        theorem="homogeneity",
        quick={"points": 4},
    ),
    Entry(
        "discrete-homogeneity",
        "Drift of each unit's conserved quantity over steps of stochastic gradient descent, "
        "measured and followed by the law.",
        discrete_homogeneity,
        draw_discrete_homogeneity,
        theorem="discrete-homogeneity",
        quick={"steps": 20},
    ),
)

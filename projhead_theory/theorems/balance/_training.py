"""Gradient flow of a linear network under any loss, and the verdict on its imbalances."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import losses, measure
from ..._core.linalg import diagonal, frobenius, matmul
from ...claims import Verdict
from ...losses import AbstractLoss
from ...networks import DeepLinear
from ...problems import AdditiveNoise, ContrastiveProblem, Data, Features, Labelled
from ...simulation import gradient_descent
from .._common.rounding import imbalance_rounding, largest
from .._common.tasks import DIM, WIDTH, gaussian, harder, joints, rounded_data
from .._common.training import Run, even_steps, flow, in_place_of

DEPTH, PAIRS, CLASSES, RECORDS = 3, 64, WIDTH, 16

SIZES = (DIM, *(WIDTH,) * DEPTH)

SCALES = (1.0, 0.6, 0.8)

Quantity = Callable[[Any], tuple[Array, ...]]


class Training(eqx.Module):
    """Loss, data and an unbalanced start, for the claims on imbalances in continuous time."""

    loss: AbstractLoss
    data: Data
    key: PRNGKeyArray
    scales: Float[Array, " L"]
    until: Float[Array, ""]
    decay: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)
    max_steps: int = eqx.field(static=True, default=100_000)

    @property
    def label(self) -> str:
        return (
            f"{type(self.loss).__name__} on {type(self.data).__name__}, widths "
            f"{'-'.join(map(str, self.sizes))}"
        )

    @property
    def times(self) -> Float[Array, " T"]:
        steps = jnp.geomspace(1e-3, 1, RECORDS, dtype=self.until.dtype)
        return jnp.minimum(steps, 1) * self.until

    def start(self) -> DeepLinear:
        return gaussian(self.key, self.sizes, self.scales)

    def shrinks(self) -> Iterator[Callable[[], "Training"]]:
        return rounded_data(self)


def train(problem: Training, decay: Any = None) -> Run:
    """Gradient flow up to the last time, whether stationary or not."""
    decay = problem.decay if decay is None else decay
    return flow(
        problem.start(),
        problem.data,
        loss=problem.loss,
        until=problem.until,
        decay=decay,
        record=problem.times,
        stationarity=0.0,
    )


@eqx.filter_jit
def judge_kept(
    prediction: tuple[Array, ...], run: Run, quantity: Quantity = measure.imbalance
) -> Verdict:
    """Verdict on each imbalance along a run, in units of the largest squared layer norm.

    `prediction` has `(T + 1, p, p)` for each layer pair. Another `quantity` of the network may
    take the imbalance's place.
    """
    seen, coarse = (jax.vmap(quantity)(t.networks) for t in (run.fine, run.coarse))
    size = largest(run.fine.networks)
    apart = jnp.stack([frobenius(a - b) for a, b in zip(seen, prediction, strict=True)]) / size
    integration = (
        jnp.stack([jnp.max(frobenius(a - b)) for a, b in zip(seen, coarse, strict=True)]) / size
    )
    # The effect to detect: a change of the imbalance as large as predicted, or if none is predicted
    # as large as the change of the layers' own W W^T.
    squares = (jax.vmap(lambda w: matmul(w, w.T))(w) for w in run.fine.networks.layers)
    grown = jnp.stack([jnp.max(frobenius(s - s[:1])) for s in squares])
    moved = jnp.stack([jnp.max(frobenius(p - p[:1])) for p in prediction])
    return Verdict(
        discrepancy=jnp.max(apart, axis=1),
        parts={
            "integration": integration,
            "rounding": jnp.full_like(integration, imbalance_rounding(run.fine.networks) / size),
        },
        effect=jnp.where(moved > 0, moved, jnp.maximum(grown[1:], grown[:-1])) / size,
        predicted=jnp.stack([frobenius(p) for p in prediction]),
        measured=jnp.stack([frobenius(s) for s in seen]),
        settled=run.reached,
        finite=run.finite,
        labels=joints(len(prediction)),
        what="relative discrepancy of the imbalance",
    )


def training_on(
    key: PRNGKeyArray, loss: AbstractLoss, data: Data, decay: float = 0.0, until: float = 20.0
) -> Training:
    number = functools.partial(jnp.asarray, dtype=jnp.result_type(float))
    return Training(
        loss,
        data,
        jax.random.fold_in(key, 3000),
        number(SCALES),
        number(until),
        number(decay),
        SIZES,
    )


def gaussian_features() -> ContrastiveProblem:
    return ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, DIM), "gaussian"), AdditiveNoise(0.4))


def class_means(key: PRNGKeyArray) -> Labelled:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 5000))
    labels = jnp.arange(PAIRS) % CLASSES
    centres = jax.random.normal(k1, (CLASSES, DIM), jnp.result_type(float))
    return Labelled(
        centres[labels] + 0.5 * jax.random.normal(k2, (PAIRS, DIM), centres.dtype), labels
    )


def harder_training(
    sizes: tuple[int, ...], decay: bool = False
) -> Callable[[PRNGKeyArray], Training]:
    """Draws for a random search: strengths over six decades, layers of unlike scales, any decay."""

    def draw(key: PRNGKeyArray) -> Training:
        k = jax.random.split(key, 4)
        dtype = jnp.result_type(float)
        moments = harder(sizes)(k[0]).moments
        reach = jnp.max(diagonal(moments.second))
        depth = len(sizes) - 1
        scales = 10.0 ** jax.random.uniform(k[1], (depth,), dtype, -2, 0.5)
        # Until the fastest mode has moved, so that the imbalance could have moved as well.
        pace = reach * jnp.maximum(1, reach * jnp.max(scales) ** (2 * depth))
        until = 10.0 ** jax.random.uniform(k[2], (), dtype, -1, 1) / pace
        rate = (
            10.0 ** jax.random.uniform(k[3], (), dtype, -2, 0) / until
            if decay
            else jnp.zeros((), dtype)
        )
        return Training(losses.spectral, moments, k[1], scales, until, rate, sizes, max_steps=4_000)

    return draw


def with_optimiser(optimiser: Callable, step: float):
    def run(problem: Training, own: Run) -> Run:
        steps = 2_000
        at = even_steps(steps, RECORDS)
        trajectory = gradient_descent(
            problem.start(),
            problem.data,
            loss=problem.loss,
            optimiser=optimiser,
            step=step,
            steps=steps,
            decay=problem.decay,
            record=at,
        )
        return in_place_of(own, trajectory)

    return run

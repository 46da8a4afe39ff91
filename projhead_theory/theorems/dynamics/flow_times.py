"""flow-times: the weight of a feature as a function of time."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ...claims import Claim, Control, Verdict
from ...networks import DeepLinear
from ...simulation import gradient_descent
from ...theory import dynamics
from .._common.tasks import FeatureTask, aligned, replace, scaled
from .._common.training import Run, in_place_of, step_numbers
from ._contrastive import (
    DIM,
    features,
    harder_features,
    log_rounding,
    log_weights,
    opposed,
    paths,
    train,
)

AlignedTask = Any
"""`FeatureTask` or `ModeTask`: `start_weight`, `depth` and `start()`."""


@eqx.filter_jit
def judge_paths(prediction: Float[Array, "T L d"], run: Run) -> Verdict:
    """Verdict on the logarithm of every weight at every time.

    There is one row a feature: the worst over time and layers.
    """
    measured, apart = log_weights(run)
    predicted = jnp.log(prediction)
    worst = lambda x: jnp.max(x, axis=(0, 1))
    d = prediction.shape[2]
    grown = jnp.abs(predicted - predicted[:1])
    return Verdict(
        discrepancy=worst(jnp.abs(measured - predicted)),
        parts={
            "integration": worst(apart),
            "rounding": log_rounding(run) * (1 + worst(grown) + worst(jnp.abs(predicted))),
        },
        effect=worst(grown),
        predicted=predicted[:, -1].T,
        measured=measured[:, -1].T,
        settled=run.reached,
        finite=run.finite,
        labels=tuple(f"feature {i}" for i in range(d)),
        what="log weight over time",
    )


def _times_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth in (3, 2, 1, 5, 4):
        yield features(key, depth)
    yield opposed(2)
    for depth in (2, 3):
        yield features(key, depth, 1)


def unequal_weights(problem: AlignedTask) -> AlignedTask:
    """The task with unequal weights at the start: equal weights are aligned with any directions."""
    factors = jnp.asarray([1.0, 4.0, 0.25], problem.start_weight.dtype)
    return replace(problem, start_weight=problem.start_weight * factors)


def between_axes(problem: AlignedTask) -> DeepLinear:
    """Start with the same weights along orthonormal directions, none of which is near an axis."""
    ones = np.ones((DIM, DIM))
    basis = np.linalg.qr(np.eye(DIM) + 0.7 * (np.triu(ones, 1) - np.tril(ones, -1)))[0]
    weight = problem.start_weight
    return aligned(weight, problem.depth, jnp.asarray(basis, weight.dtype))


def unequal_layers(problem: AlignedTask) -> DeepLinear:
    """Start with the same product and unequal layers."""
    factors = [3.0, 1 / 3.0] + [1.0] * (problem.depth - 2)
    return scaled(problem.start(), jnp.asarray(factors, problem.start_weight.dtype))


def _large_steps(problem: FeatureTask, own: Run) -> Run:
    """Gradient descent in steps of a fiftieth of the fastest feature's time scale.

    It is recorded at the save times of the flow.
    """
    step = 1 / (50 * float(jnp.max(problem.cross)))
    at = step_numbers(problem.times, step)
    trajectory = gradient_descent(
        problem.start(),
        problem.moments,
        optimiser=optax.sgd,
        step=step,
        steps=int(at[-1]) + 1,
        record=at,
    )
    return in_place_of(own, trajectory)


def _at_depth(shift: int) -> Callable[[FeatureTask, Array], Array]:
    """Prediction for a network of another depth, read at the problem's own layers."""

    @eqx.filter_jit
    def wrong(problem: FeatureTask, own: Array) -> Array:
        p, other = problem, problem.depth + shift
        last = jax.vmap(
            lambda t: dynamics.weight_at_time(t, p.start_weight, p.cross, p.second, other)
        )(p.times)
        levels = jnp.arange(1, p.depth + 1, dtype=last.dtype) / p.depth
        return last[:, None, :] ** levels[:, None]

    return wrong


CLAIM = Claim(
    name="flow-times",
    statement="From an aligned balanced start every feature evolves alone, "
    "ds/dt = 4 L s^(3 - 2/L) (c - q^2 s^2), so its weight at every layer and time is known in "
    "closed form; the layer-wise law holds at every time on the way.",
    latex=r"\dot s = 4 L\, s^{3 - 2/L} (c - q^2 s^2), \qquad t = \frac{F(s) - F(s_0)}{4L}, \qquad "
    r"\|W_{l:1} v\| = s^{\,l/L}",
    hypotheses=("linear network", "feature model", "aligned balanced start", "gradient flow"),
    source="beyond the paper",
    problems=_times_problems,
    predict=paths,
    measure=train,
    compare=judge_paths,
    sharpness={
        "feature #": (5e-10, 0.006),
    },
    controls=(
        Control(
            "unaligned-start",
            "starts along directions between the features",
            problem=unequal_weights,
            measure=lambda problem, own: train(problem, between_axes(problem)),
        ),
        Control(
            "unbalanced-start",
            "starts with the same product, but unequal layers",
            measure=lambda problem, own: train(problem, unequal_layers(problem)),
        ),
        Control(
            "finite-step", "trains by gradient descent with a coarse step", measure=_large_steps
        ),
        Control("wrong-depth", "predicts for one layer more", predict=_at_depth(1)),
    ),
    search=tuple(harder_features(depth) for depth in (1, 2, 3, 5)),
    quick=1,
)

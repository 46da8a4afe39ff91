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
from ...simulation import gradient_descent
from ...theory import dynamics
from .._common.tasks import FeatureTask, aligned, replace, scaled
from .._common.training import Run, flow, in_place_of, step_numbers
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


def _unequal(problem: FeatureTask) -> FeatureTask:
    """Unequal weights at the start: equal weights are aligned with any directions."""
    return replace(
        problem,
        start_weight=problem.start_weight * jnp.asarray([1.0, 4.0, 0.25], problem.cross.dtype),
    )


def between_axes(dtype: Any) -> Float[Array, "d d"]:
    """Orthonormal directions, none of which is near an axis."""
    ones = np.ones((DIM, DIM))
    return jnp.asarray(
        np.linalg.qr(np.eye(DIM) + 0.7 * (np.triu(ones, 1) - np.tril(ones, -1)))[0], dtype
    )


def _off_axis(problem: FeatureTask, own: Any) -> Run:
    """Flow from a start with the same weights along directions between the features."""
    start = aligned(problem.start_weight, problem.depth, between_axes(problem.cross.dtype))
    return flow(
        start, problem.moments, until=problem.times[-1], record=problem.times, stationarity=0.0
    )


def unequal_factors(depth: int, dtype: Any) -> Float[Array, " L"]:
    """Factors of the layers that keep the product."""
    return jnp.asarray([3.0, 1 / 3.0] + [1.0] * (depth - 2), dtype)


def _lopsided(problem: FeatureTask, own: Run) -> Run:
    start = scaled(problem.start(), unequal_factors(problem.depth, problem.cross.dtype))
    return flow(
        start, problem.moments, until=problem.times[-1], record=problem.times, stationarity=0.0
    )


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
            problem=_unequal,
            measure=_off_axis,
        ),
        Control(
            "unbalanced-start",
            "starts with the same product, but unequal layers",
            measure=_lopsided,
        ),
        Control(
            "finite-step", "trains by gradient descent with a coarse step", measure=_large_steps
        ),
        Control("wrong-depth", "predicts for one layer more", predict=_at_depth(1)),
    ),
    search=tuple(harder_features(depth) for depth in (1, 2, 3, 5)),
    quick=1,
)

"""flow-times: the weight of a feature as a function of time."""

import functools
from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from ...simulation import gradient_descent
from .._common import FeatureTask, Run, in_place_of, step_numbers
from ._aligned import (
    WRONG_DEPTH,
    features,
    harder_features,
    log_rounding,
    log_weights,
    opposed,
    paths,
    start_controls,
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
    grown = worst(jnp.abs(predicted - predicted[:1]))
    rounding = log_rounding(run) * (1 + grown + worst(jnp.abs(predicted)))
    rows = Rows(
        numbered("feature", prediction.shape[2]),
        worst(jnp.abs(measured - predicted)),
        {"integration": worst(apart), "rounding": rounding},
        effect=grown,
        predicted=predicted[:, -1].T,
        measured=measured[:, -1].T,
    )
    return verdict_of(rows, what="log weight over time", converged=run.reached, finite=run.finite)


def _times_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth in (3, 2, 1, 5, 4):
        yield features(key, depth)
    yield opposed(2)
    for depth in (2, 3):
        yield features(key, depth, index=1)


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
        learning_rate=step,
        steps=int(at[-1]) + 1,
        save_at=at,
    )
    return in_place_of(own, trajectory)


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
        *start_controls(FeatureTask),
        Control(
            "finite-step", "trains by gradient descent with a coarse step", measure=_large_steps
        ),
        WRONG_DEPTH,
    ),
    search=tuple(functools.partial(harder_features, depth=depth) for depth in (1, 2, 3, 5)),
    quick=1,
)

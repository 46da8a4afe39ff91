"""flow-times: the weight of a feature as a function of time."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, gradient_descent
from ..._core import layer_powers, named
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from .._common import (
    RECORDS,
    AbstractAlignedTask,
    FeatureTask,
    ModeTask,
    Run,
    aligned,
    decades,
    drawn,
    flow_rounding,
    flow_through,
    in_place_of,
    local_error,
    over,
    replace,
    scaled,
    step_numbers,
    unbalanced_start,
    uniform,
    with_entries,
)

DIM = 3

SMALLEST = {
    FeatureTask: {1: 1e-3, 2: 1e-2, 3: 2e-2, 4: 3e-2, 5: 5e-2},
    ModeTask: {1: 1e-3, 2: 1e-3, 3: 1e-2, 4: 2e-2, 5: 3e-2},
}
"""Start weight at each depth.

The network waits several times as long as it then learns, but not for the whole run.
"""


def train(problem: AbstractAlignedTask, start: DeepLinear | None = None) -> Run:
    """Gradient flow to the last save time, recorded at all save times."""
    return flow_through(
        problem.start() if start is None else start,
        problem.moments,
        problem.times,
        loss=problem.loss,
        weight_decay=problem.weight_decay,
    )


@eqx.filter_jit
def paths(p: AbstractAlignedTask, depth: int | None = None) -> Float[Array, "T L d"]:
    """Predicted weight of every feature at every layer and time.

    With `depth`, the path of a network of that depth, read at the problem's own layers.
    """
    last = jax.vmap(
        lambda t: p.theory.weight_at_time(t, p.start_weight, p.cross, p.second, depth or p.depth)
    )(p.times)
    return jnp.swapaxes(layer_powers(last, p.depth), 1, 2)


def log_weights(run: Run) -> tuple[Array, Array]:
    r"""Logarithms of the weights, and their integration errors.

    Save times may force the same steps on both runs, which then have the same errors. Steps
    between geometric save times grow by a ratio $\rho$, and the error of a step by $\rho^8$, the
    order of the solver, until the weight has converged and errors fall at least as fast: together
    at most $2 / (1 - \rho^{-8})$ times the tolerance of a step.
    """
    times, depth = run.fine.times[:-1], run.fine.networks.depth
    floor = jnp.finfo(times.dtype).tiny
    log = lambda t: jnp.log(jnp.maximum(t.weights()[:-1], floor))
    apart = jnp.abs(log(run.fine) - log(run.coarse))
    growth = (times[-1] / times[0]) ** (8 / (times.size - 1))
    return log(run.fine), apart + 2 / (1 - 1 / growth) * local_error(apart.dtype, depth)


@drawn
def features(key: PRNGKeyArray, depth: int, *, index: Array | int = 0) -> FeatureTask:
    """Three features with cross moments a factor two or three apart.

    Their final weights need not be in the order of the cross moments.
    """
    k1, k2 = jax.random.split(named(key, "features", index))
    cross = jnp.asarray([1.0, 0.5, 0.2], jnp.result_type(float)) * uniform(k1, 0.8, 1.2, (DIM,))
    return _watched(cross, cross / uniform(k2, 0.3, 0.95, (DIM,)), depth)


@eqx.filter_jit
def opposed(depth: int) -> FeatureTask:
    """Features that are learned in the opposite order of their final weights.

    The strongest carry the most noise: they are learned first, and end with the smallest weights.
    """
    strength = jnp.asarray([2.0, 1.0, 0.6], jnp.result_type(float))
    noise = jnp.asarray([3.0, 0.5, 0.05], strength.dtype)
    return _watched(strength**2, strength**2 + noise**2, depth)


def _watched(cross: Array, second: Array, depth: int) -> FeatureTask:
    """Feature task whose save times span the learning of all features.

    They begin at the first changes of the fastest feature, and end after the slowest has been
    learned.
    """
    task = _small(FeatureTask, cross, second, depth)
    onset = task.theory.onset_time(task.start_weight[0], cross, depth)
    settling = 3 / (depth * cross * task.final ** (2 - 2 / depth))
    return _until(task, jnp.min(onset) / 20, 2 * jnp.max(onset) + jnp.max(settling))


@drawn
def modes(key: PRNGKeyArray, depth: int, *, index: Array | int = 0) -> ModeTask:
    """Three modes with targets a factor of two or so apart.

    The save times span the course from the first changes until after the slowest mode has been
    learned.
    """
    k1, k2 = jax.random.split(named(key, "modes", index))
    target = jnp.asarray([1.0, 0.6, 0.3], jnp.result_type(float)) * uniform(k1, 0.8, 1.2, (DIM,))
    task = _small(ModeTask, target, target * uniform(k2, 0.5, 1.5, (DIM,)), depth)
    end = task.theory.time_to_weight(
        0.95 * target / task.second, task.start_weight, target, task.second, depth
    )
    return _until(task, jnp.min(end) / 50, 1.5 * jnp.max(end))


def _small(kind: type, cross: Array, second: Array, depth: int):
    """Task from the smallest start weights, without decay, and without save times as yet."""
    return kind(
        cross,
        second,
        jnp.full_like(cross, SMALLEST[kind][depth]),
        cross,
        jnp.zeros_like(cross[0]),
        depth,
    )


def _until(task, first: Array | float, last: Array | float):
    """The task with save times from `first` to `last`."""
    return replace(task, times=jnp.geomspace(first, last, RECORDS, dtype=task.cross.dtype))


def fading(task, second: float, first: float, last: float):
    """The task with all features at their end, but the last one without signal and at weight one.

    Its second moment is `second`, and the save times range from `first` to `last`.
    """
    return replace(
        task,
        cross=with_entries(task.cross, -1, 0),
        second=with_entries(task.second, -1, second),
        start_weight=with_entries(task.final, -1, 1),
        times=np.geomspace(first, last, RECORDS, dtype=task.cross.dtype),
    )


def harder_fading(key: PRNGKeyArray, kind: type, depth: int, first: float):
    """Draw one feature without signal; save times are from `first` to 1e4 in units of its rate."""
    k = jax.random.split(key, 2)
    second, start = decades(k[0], -3, 3, (1,)), decades(k[1], -2, 1, (1,))
    rate = (second ** (kind.order // 2) * start ** (kind.order - 2 / depth))[0]
    return kind(
        jnp.zeros_like(start),
        second,
        start,
        jnp.geomspace(first, 1e4, RECORDS, dtype=rate.dtype) / rate,
        jnp.zeros_like(rate),
        depth,
    )


def _learned(task, rate: Array):
    """The task with save times from a thousandth of the slowest time scale to twenty of them."""
    return replace(task, times=jnp.geomspace(0.001, 20, RECORDS, dtype=rate.dtype) / jnp.min(rate))


def _tied(key: PRNGKeyArray, values: Array) -> Array:
    """The values, or a copy with the first two equal."""
    return jnp.where(jax.random.bernoulli(key, 0.3), values.at[1].set(values[0]), values)


def harder_features(key: PRNGKeyArray, depth: int, largest: float = 100.0) -> FeatureTask:
    """Draw features for a random search.

    Signal fractions range up to one, with ties. Starts range from tiny to beyond the final weight.
    """
    k = jax.random.split(key, 6)
    cross = _tied(k[4], decades(k[0], -3, 3) * decades(k[1], -1, 0, (DIM,)))
    task = _small(FeatureTask, cross, cross / _tied(k[3], uniform(k[2], 0.02, 1.0, (DIM,))), depth)
    start = task.final * task.start_weight * largest ** uniform(k[5], 0, 1, (DIM,))
    return _learned(
        replace(task, start_weight=start), depth * cross * task.final ** (2 - 2 / depth)
    )


def harder_modes(key: PRNGKeyArray, depth: int) -> ModeTask:
    """Draw modes for a random search.

    Units range over six decades, with tied targets. Starts range from tiny to beyond the end.
    """
    k = jax.random.split(key, 5)
    target = _tied(k[2], decades(k[0], -3, 3) * decades(k[1], -1, 0, (DIM,)))
    final = decades(k[3], -1, 1, (DIM,))
    task = replace(
        _small(ModeTask, target, target / final, depth),
        start_weight=final * decades(k[4], -1.5, 0.3, (DIM,)),
    )
    return _learned(task, depth * target * final ** (1 - 2 / depth))


def _between_axes(problem: AbstractAlignedTask) -> DeepLinear:
    """Start with the same weights along orthonormal directions, none of which is near an axis."""
    ones = np.ones((DIM, DIM))
    basis = np.linalg.qr(np.eye(DIM) + 0.7 * (np.triu(ones, 1) - np.tril(ones, -1)))[0]
    weight = problem.start_weight
    return aligned(weight, problem.depth, basis.astype(weight.dtype))


def start_controls(kind: type) -> tuple[Control, ...]:
    """Controls with starts that are not aligned, or not balanced."""
    return (
        Control(
            "unaligned-start",
            f"starts along directions between the {kind.word}s",
            # Equal weights are aligned with any directions.
            problem=lambda p: replace(
                p, start_weight=p.start_weight * np.asarray([1.0, 4.0, 0.25], p.cross.dtype)
            ),
            measure=lambda problem, own: train(problem, _between_axes(problem)),
        ),
        unbalanced_start(
            train,
            lambda p: scaled(
                p.start(), np.asarray([3.0, 1 / 3.0] + [1.0] * (p.depth - 2), p.cross.dtype)
            ),
            "the same product, but unequal layers",
        ),
    )


WRONG_DEPTH = Control(
    "wrong-depth",
    "predicts for one layer more",
    predict=lambda problem, own: paths(problem, problem.depth + 1),
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
    return verdict_of(
        Rows(
            numbered("feature", prediction.shape[2]),
            worst(jnp.abs(measured - predicted)),
            {
                "integration": worst(apart),
                "rounding": flow_rounding(run.fine) * (1 + grown + worst(jnp.abs(predicted))),
            },
            effect=grown,
            predicted=predicted[:, -1].T,
            measured=measured[:, -1].T,
        ),
        what="log weight over time",
        converged=run.reached,
        finite=run.finite,
    )


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
    return in_place_of(
        own,
        gradient_descent(
            problem.start(),
            problem.moments,
            learning_rate=step,
            steps=int(at[-1]) + 1,
            save_at=at,
        ),
    )


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
    search=over(harder_features, "depth", (1, 2, 3, 5)),
    quick=1,
)

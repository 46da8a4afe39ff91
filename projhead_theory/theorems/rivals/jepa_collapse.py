"""jepa-collapse: weight decay and starts under which self-prediction loses a feature."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, gradient_flow, losses, simulation, theory
from ..._core import named, solver_tolerance
from ...claims import Claim, Control, Measured, Verdict, compare_measured, numbered
from .._common import RECORDS, drawn, local_error, uniform, with_entries
from ._training import DIM, PredictionTask, other_predictor

HALVINGS = 20
"""Halvings of the bracket of an edge, down to a millionth of it."""

LAST = 1e5
"""Length of the runs that may be slow, in units of one over the decay."""

AT_REST = 1e-9
"""Relative gradient at which a run has ended, or ten times the solver's tolerance if larger."""

Start = Callable[[PredictionTask], DeepLinear]


class CollapseTask(PredictionTask):
    """Features under weight decay, and the halvings of the bracket of their collapse.

    The last runs take as long as the square root of the number of parts of the bracket.
    """

    halvings: int = eqx.field(static=True, default=20)


def _run(
    problem: PredictionTask,
    factor: np.ndarray,
    weight_decay: float,
    *,
    last: float = LAST,
    stop: bool = True,
    start: Start = PredictionTask.start,
    loss: losses.SelfPrediction = losses.self_prediction,
) -> simulation.Trajectory:
    """One run from these factors, until it is stationary or `last / weight_decay` has passed."""
    p, dtype = problem, problem.cross.dtype
    times = np.geomspace(1e-3, last, RECORDS) / weight_decay
    array = lambda x: jnp.asarray(x, dtype)
    return gradient_flow(
        start(dataclasses.replace(p, start_factor=array(factor))),
        p.moments,
        loss=loss,
        t1=array(times[-1]),
        save_at=array(times),
        weight_decay=array(weight_decay),
        rtol=solver_tolerance(dtype),
        stationarity=_at_rest(dtype) if stop else 0.0,
    )


def _at_rest(dtype: Any) -> float:
    return max(AT_REST, 10 * solver_tolerance(dtype))


@eqx.filter_jit
def _factors(trajectory: simulation.Trajectory) -> Float[Array, "T d"]:
    """Weights of the features at the first layer, which are the common factors."""
    return trajectory.weights()[:, 0]


@eqx.filter_jit
def _resting(trajectory: simulation.Trajectory) -> Float[Array, ""]:
    r"""Growth rate of the last feature that may be taken for rest, at most.

    A run ends when $\|G\| \|W\|$ is less than a share of the loss. A common factor $a$ of all $n$
    layers that grows at the rate $v a$ alone has the gradient $\sqrt n\, v a$.
    """
    layers = trajectory.final.layers
    size = jnp.sqrt(len(layers) * sum(jnp.sum(w**2) for w in layers))
    loss = jnp.max(jnp.abs(trajectory.loss))
    return _at_rest(size.dtype) * loss / (size * _factors(trajectory)[-1, -1])


def _threshold(problem: CollapseTask) -> tuple[float, float, float]:
    """Decay from which the last feature is lost from a large start.

    **Returns:** the decay, half of the last bracket, and the error of a run that ends early.
    """
    c, q = (np.asarray(x, float) for x in (problem.cross, problem.second))
    n, top = 2 * problem.depth, (c / q)[-1]
    # Without the closed form: the growth a^(n-1) (c - q a) is c lambda^(n-1) / 2^n at half of
    # lambda, and nowhere more than c lambda^(n-1) / (2 n).
    low, high = c[-1] * top ** (n - 1) / 2**n, c[-1] * top ** (n - 1) / (2 * n)
    low, high, rest = low / 1.1, high * 1.1, 0.0
    for _ in range(problem.halvings):
        middle = (low + high) / 2
        run = _run(problem, c / q, middle)
        lives = float(np.asarray(_factors(run))[-1, -1]) > 0.05 * top
        low, high = (middle, high) if lives else (low, middle)
        rest = float(_resting(run)) if lives else rest
    # A run just above the threshold passes the place of the lost roots in the time
    # pi / (gamma sqrt(L (2 L - 1) e)) if the decay is too large by the share e.
    slow = (np.pi / LAST) ** 2 / (problem.depth * (n - 1)) * low
    return (low + high) / 2, (high - low) / 2, slow + rest


def edges(
    problem: PredictionTask, start: Start = PredictionTask.start, halvings: int = HALVINGS
) -> tuple[np.ndarray, np.ndarray]:
    """Factors at the start from which each feature grows, and half of each last bracket."""
    c, q = (np.asarray(x, float) for x in (problem.cross, problem.second))
    # Where a feature neither grows nor decays, c a^(2L-1) is larger than the decay.
    low, high = (float(problem.weight_decay) / c) ** (1 / (2 * problem.depth - 1)), c / q
    for _ in range(halvings):
        middle = (low + high) / 2
        run = _run(problem, middle, float(problem.weight_decay), last=100, start=start)
        grows = np.asarray(_factors(run))[-1] > middle
        low, high = np.where(grows, low, middle), np.where(grows, middle, high)
    return (low + high) / 2, (high - low) / 2


def survivors(
    problem: PredictionTask, loss: losses.SelfPrediction = losses.self_prediction
) -> tuple[np.ndarray, np.ndarray]:
    """Factors that are left of a large start, and their change over the last records.

    The approach is exponential: what is left to go is less than the change over the time before.
    """
    top = np.asarray(problem.cross / problem.second, float)
    run = _run(problem, top, float(problem.weight_decay), last=300, stop=False, loss=loss)
    weights = np.asarray(_factors(run), float)
    return weights[-1], abs(weights[-1] - weights[-RECORDS // 8])


def measure(problem: CollapseTask) -> Measured:
    """Measure the decay of the collapse, the edges of the basins, and what survives.

    All three are points of rest. A Runge-Kutta method rests where its equation does, so that
    they carry no error of integration but the rounding of the steps.
    """
    (decay, decay_bracket, rest), (edge, bracket), (end, left) = (
        _threshold(problem),
        edges(problem),
        survivors(problem),
    )
    dtype, zeros = problem.cross.dtype, np.zeros(DIM)
    value = np.concatenate([[decay], edge, end])
    errors = {
        "bisection": np.concatenate([[2 * decay_bracket], 2 * bracket, zeros]),
        "stationarity": np.concatenate([[rest], zeros, left]),
        "rounding": local_error(dtype, problem.depth + 1) * value,
    }
    put = lambda x: jnp.asarray(x, dtype)
    return Measured(put(value), {name: put(x) for name, x in errors.items()})


@eqx.filter_jit
def predict(p: CollapseTask) -> Float[Array, " k"]:
    """The decay of the collapse of the last feature, the edges, and what survives."""
    decay = theory.rivals.collapse_decay(p.cross[-1:], p.second[-1:], p.depth)
    moments = p.cross, p.second, p.weight_decay, p.depth
    edge, left = theory.rivals.basin_edge(*moments), theory.rivals.surviving_factor(*moments)
    return jnp.concatenate([decay, edge, left])


def judge(prediction: Float[Array, " k"], measured: Measured) -> Verdict:
    return dataclasses.replace(
        compare_measured(prediction, measured),
        labels=(
            "decay of the collapse",
            *numbered("edge of the basin", DIM),
            *numbered("surviving factor", DIM),
        ),
        what="relative discrepancy of the collapse",
    )


@drawn
def _decaying(
    key: PRNGKeyArray, depth: int, halvings: int, *, share: Array | float
) -> CollapseTask:
    """Three features and a decay, a share of the one from which the last feature collapses."""
    k1, k2 = jax.random.split(named(key, "collapsing features"))
    cross = jnp.asarray([1.0, 0.9, 0.8], jnp.result_type(float)) * uniform(k1, 0.9, 1.1, (DIM,))
    second = cross / jnp.asarray([0.9, 0.85, 0.75], cross.dtype) * uniform(k2, 1.0, 1.1, (DIM,))
    decay = theory.rivals.collapse_decay(cross[-1], second[-1], depth) * share
    times = jnp.geomspace(1e-3, LAST, RECORDS, dtype=cross.dtype) / decay
    return CollapseTask(cross, second, cross / second, times, decay, depth, halvings)


def _problems(key: PRNGKeyArray) -> Iterator[CollapseTask]:
    for depth, share, halvings in ((2, 0.6, 14), (1, 0.5, 20), (3, 0.7, 18), (2, 0.3, 20)):
        yield _decaying(key, depth, halvings, share=share)


def _small_decay(problem: CollapseTask, own: Array) -> Array:
    """Edges at a small decay."""
    decay, cross = np.asarray(problem.weight_decay), np.asarray(problem.cross)
    return with_entries(own, slice(1, 1 + DIM), (decay / cross) ** (1 / (2 * problem.depth - 1)))


def _contrastive(p: CollapseTask, own: Array) -> Array:
    """The decay at which the contrastive loss of as deep a network loses the feature."""
    limit = theory.decay.decay_limit(np.asarray(p.cross)[-1], np.asarray(p.second)[-1], p.depth + 1)
    return with_entries(own, 0, np.asarray(limit))


def _replaced(own: Measured, at: slice, value: np.ndarray) -> Measured:
    return dataclasses.replace(own, value=with_entries(own.value, at, value))


CLAIM = Claim(
    name="jepa-collapse",
    statement="With weight decay, self-prediction with a stopped gradient loses a feature from "
    "every start if the decay exceeds a threshold known in closed form; below it every start under "
    "the edge of a basin still collapses, and every start above it keeps the feature.",
    latex=r"\gamma_c = \frac{c}{2L} \Big(\frac{(2L-1)\,c}{2L\,q}\Big)^{2L-1}, \qquad "
    r"a_\pm^{2L-1} (c - q\, a_\pm) = \gamma",
    hypotheses=(
        "linear network",
        "feature model",
        "stopped gradient",
        "aligned start with equal factors, the predictor included",
        "the same decay of all layers and the predictor",
    ),
    source="beyond the published theories; Tian et al. 2021 for one layer",
    problems=_problems,
    predict=predict,
    measure=measure,
    compare=judge,
    sharpness={
        "decay of the collapse": (2e-4, 0.02),
        "edge of the basin #": (3e-5, 0.02),
        "surviving factor #": (3e-11, 0.002),
    },
    controls=(
        Control(
            "no-stop-gradient",
            "lets the gradient through the target as well: nothing survives",
            measure=lambda problem, own: _replaced(
                own,
                slice(1 + DIM, None),
                survivors(problem, losses.SelfPrediction(leak=1.0))[0],
            ),
        ),
        Control(
            "unequal-predictor",
            "starts with a predictor larger than the layers, which moves the edges",
            measure=lambda problem, own: _replaced(
                own, slice(1, 1 + DIM), edges(problem, other_predictor, halvings=8)[0]
            ),
        ),
        Control(
            "small-decay", "predicts the edges to leading order in the decay", predict=_small_decay
        ),
        Control(
            "contrastive",
            "predicts the decay at which a contrastive loss loses the feature",
            predict=_contrastive,
        ),
    ),
    quick=1,
)

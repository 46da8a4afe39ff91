"""sl-extinction: the weight decay at which regression loses a mode, in a jump from three layers."""

import dataclasses
import functools
from typing import Any, NamedTuple

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ..._core import CHAIN, SOLVED, epsilons, named, solver_tolerance
from ...claims import Claim, Control, Measured, Verdict, compare_measured, numbered
from ...losses import mse
from ...moments import TargetMoments
from ...simulation import Ended, Trajectory, gradient_flow
from ...theory.decay import regression
from .._common import (
    COARSER,
    RECORDS,
    ModeTask,
    drawn,
    last_change,
    local_error,
    replace,
    uniform,
)

SIDE = 0.02
"""Relative distance from the extinction at which the minimum is measured, on either side."""

LARGE, SMALL = 1.5, 1e-3
"""Starts above and below the minimum, in units of the weight without decay."""

ITERATIONS = 7
"""More than enough: each doubles the number of digits."""


class Minimum(eqx.Module):
    """The first mode of a network trained under weight decay.

    - `weight`: its end-to-end weight.
    - `gain`: the decrease of the loss by that mode.
    - `cost`: the penalty on it, in units of the weight decay.
    - `left`: the error of the weight by incomplete training.
    """

    weight: Float[Array, ""]
    gain: Float[Array, ""]
    cost: Float[Array, ""]
    left: Float[Array, ""]
    converged: Any

    def objective(self, weight_decay: Any) -> Any:
        """Loss and penalty of the mode, above those without it."""
        return weight_decay * self.cost - self.gain

    @property
    def ratio(self) -> Any:
        """Gain over cost: the decay at which the mode is worth as much as none."""
        return self.gain / self.cost if self.cost > 0 else np.zeros_like(self.cost)


@eqx.filter_jit
def _first_mode(problem: ModeTask, run: Trajectory) -> Minimum:
    network: Any = run.final
    layers, matrix = network.layers, network.matrix
    weight = jnp.abs(matrix[0, 0])
    alone = TargetMoments(problem.cross[:1, None], problem.second[:1, None])
    loss = functools.partial(mse.regression, moments=alone)
    left = last_change(run, lambda network: network.matrix[:1, 0])[0]
    return Minimum(
        weight,
        loss(jnp.zeros_like(matrix[:1, :1])) - loss(matrix[:1, :1]),
        jnp.sum(jnp.stack([layer[:, 0] for layer in layers]) ** 2) / 2,
        left + local_error(weight.dtype, problem.depth) * weight,
        run.ended == Ended.converged,
    )


def trained_mode(problem: ModeTask, weight_decay: Any, share: float, factor: int = 1) -> Minimum:
    """Train three modes, the first from this share of its weight without decay.

    **Returns:** its minimum, with NumPy arrays.
    """
    dtype = problem.cross.dtype
    rtol = factor * solver_tolerance(dtype)
    final = np.asarray(problem.final)
    start = (final * LARGE).astype(dtype)
    start[0] = final[0] * share
    task = replace(problem, start_weight=start)
    run = gradient_flow(
        task.start(),
        task.moments,
        loss=mse,
        weight_decay=jnp.asarray(np.asarray(weight_decay, dtype)),
        save_at=task.times,
        t1=task.times[-1],
        rtol=rtol,
        stationarity=10 * rtol,
    )
    return jax.device_get(_first_mode(task, run))


class Extinguished(eqx.Module):
    """The decay of an extinction and the weights beside it, or three weights; and their names."""

    measured: Measured
    labels: tuple[str, ...] = eqx.field(static=True)


class Found(NamedTuple):
    """Weight decay at an extinction, with its errors, and the slope of the weight below it."""

    weight_decay: Any
    slope: Any
    errors: dict[str, Any]


def find_jump(problem: ModeTask, share: float) -> Found:
    """Find the decay at which the minimum reached from a start has the objective of no weight.

    It is the largest ratio of gain to cost, found by Dinkelbach's iteration: the ratio at the
    minimum of one decay is the next decay. The decays increase to it, at second order.
    """
    weight_decay = change = np.zeros_like(problem.weight_decay)
    best = trained_mode(problem, weight_decay, share)
    for _ in range(ITERATIONS):
        change, weight_decay = weight_decay, best.ratio
        best = trained_mode(problem, weight_decay, share)
    coarse = trained_mode(problem, weight_decay, share, COARSER).ratio
    tiny = np.finfo(change.dtype).tiny
    errors = {
        "iteration": np.abs(weight_decay - change),
        "integration": np.abs(weight_decay - coarse),
        # The ratio is stationary in the weight. The second derivative of its logarithm in that of
        # the weight is at least -2.
        "stationarity": (best.left / np.maximum(best.weight, tiny)) ** 2 * weight_decay,
        "rounding": epsilons(SOLVED, change.dtype) * weight_decay,
    }
    # Below the jump a weight falls by at most 3/2 of the relative increase of the decay.
    return Found(weight_decay, 2 * best.weight / np.maximum(weight_decay, tiny), errors)


def find_threshold(problem: ModeTask) -> Found:
    """Find the decay at which the weight is zero, on the line through two measured weights."""
    decays = np.asarray([0.2, 0.6], problem.cross.dtype) * np.asarray(problem.cross[0])

    def at(factor: int) -> tuple[Any, Any, Any]:
        a, b = (trained_mode(problem, decay, LARGE, factor) for decay in decays)
        slope = (a.weight - b.weight) / (decays[1] - decays[0])
        # The line is extended to twice the distance of the two decays.
        return decays[0] + a.weight / slope, slope, 3 * (a.left + b.left) / slope

    (found, slope, left), (coarse, *_) = at(1), at(COARSER)
    errors = {
        "iteration": np.zeros_like(found),
        "integration": np.abs(found - coarse),
        "stationarity": left,
        "rounding": epsilons(SOLVED, found.dtype) * found,
    }
    return Found(found, slope, errors)


def measure_mode(problem: ModeTask, share: float = LARGE) -> Extinguished:
    """Measure the decay of the extinction and the weights beside it; at depth 1, three weights.

    The jump is searched for along the minimum that is reached from this `share`.
    """
    if problem.depth == 1:
        return _beside(problem, ridge_decays(problem))
    found = find_jump(problem, share) if problem.depth > 2 else find_threshold(problem)
    sides = np.asarray([1 - SIDE, 1 + SIDE], problem.cross.dtype)
    return _beside(problem, found.weight_decay * sides, found)


def _beside(problem: ModeTask, decays: np.ndarray, found: Found | None = None) -> Extinguished:
    """Weights of the lowest minimum at these decays, after the decay that was found."""

    def lowest(weight_decay: Any, factor: int) -> Minimum:
        pair = [trained_mode(problem, weight_decay, share, factor) for share in (LARGE, SMALL)]
        return min(pair, key=lambda minimum: float(minimum.objective(weight_decay)))

    fine, coarse = ([lowest(decay, factor) for decay in decays] for factor in (1, COARSER))
    weights = np.stack([m.weight for m in fine])
    errors = {
        "integration": np.abs(weights - np.stack([m.weight for m in coarse])),
        "stationarity": np.stack([m.left for m in fine]),
        "rounding": np.full_like(weights, epsilons(CHAIN, weights.dtype) * np.max(weights)),
    }
    value, effect, labels = weights, weights, numbered("weight", len(weights))
    if found is not None:
        # The decays lie beside the one that was found, and the weight below moves with it.
        moved = lambda error: np.asarray([found.slope * error, 0], weights.dtype)
        errors = {
            name: np.append(error, errors.get(name, 0) + moved(error))
            for name, error in found.errors.items()
        }
        value = np.append(found.weight_decay, weights)
        # The effects to detect: a decay off by a sixteenth, and the weight below.
        effect = np.asarray([found.weight_decay / 16, weights[0], weights[0]], weights.dtype)
        what = "jump" if problem.depth > 2 else "threshold"
        labels = (f"decay of the {what}", f"weight below the {what}", f"weight above the {what}")
    converged = all(bool(m.converged) for m in fine)
    return Extinguished(Measured(jnp.asarray(value), errors, effect, converged=converged), labels)


def ridge_decays(problem: ModeTask) -> np.ndarray:
    """Decays at depth 1, up to many times the second moment."""
    return np.asarray(problem.second)[0] * np.asarray([0.1, 1.0, 30.0], problem.second.dtype)


@functools.partial(jax.jit, static_argnums=3)
def _predict(target: Array, second: Array, decays: Array, depth: int) -> Array:
    if depth == 1:
        return regression.decay_minimiser(target, second, decays, depth)
    extinct = regression.extinction_decay(target, second, depth)
    return jnp.append(extinct, regression.decay_minimiser(target, second, extinct * decays, depth))


def predict_mode(problem: ModeTask) -> Float[Array, " 3"]:
    """Predict what `measure_mode` measures."""
    p, dtype = problem, problem.cross.dtype
    decays = ridge_decays(p) if p.depth == 1 else np.asarray([1 - SIDE, 1 + SIDE], dtype)
    return _predict(p.cross[0], p.second[0], decays, p.depth)


def judge_mode(prediction: Float[Array, " 3"], found: Extinguished) -> Verdict:
    return dataclasses.replace(
        compare_measured(prediction, found.measured),
        labels=found.labels,
        what="relative discrepancy of the extinction in regression",
    )


def _soft(p: ModeTask, own: Array) -> Array:
    """The soft threshold of two layers, at any depth."""
    return jnp.asarray(np.asarray([p.cross[0], SIDE * p.cross[0] / p.second[0], 0], own.dtype))


def _spinodal(p: ModeTask, own: Array) -> Array:
    """Decay at which the upper minimum disappears altogether, and the weight just below."""
    weight_decay = regression.decay_limit(p.cross[0], p.second[0], p.depth)
    below = regression.decayed_weight(p.cross[0], p.second[0], weight_decay * (1 - SIDE), p.depth)
    return jnp.asarray(np.asarray([weight_decay, below, 0], own.dtype))


@drawn
def _modes(key: PRNGKeyArray, depth: int, *, index: Array | int = 0) -> ModeTask:
    """Three modes, of which the first goes extinct while the others stay."""
    k1, k2 = jax.random.split(named(key, "extinct mode", index))
    target = jnp.asarray([1.0, 4.0, 3.0], jnp.result_type(float)) * uniform(k1, 0.8, 1.2, (3,))
    return _watched(target, target / uniform(k2, 0.7, 1.4, (3,)), depth)


def _watched(target: Array, second: Array, depth: int) -> ModeTask:
    times = jnp.geomspace(1e-2, 1e5, RECORDS, dtype=target.dtype) / jnp.min(target)
    return ModeTask(target, second, target / second, times, jnp.zeros_like(target[0]), depth)


CLAIM = Claim(
    name="sl-extinction",
    statement="Under weight decay, regression shrinks a mode as ridge regression does at depth 1, "
    "by a soft threshold at depth 2, and from depth 3 loses it in a jump, in all layers at once "
    "and at a decay known in closed form.",
    latex=r"\min_s\; \tfrac q2 s^2 - a s + \tfrac{\gamma L}{2} s^{2/L}; \qquad "
    r"\gamma_c = \frac{a}{L-1} \left(\frac{(L-2)\,a}{(L-1)\,q}\right)^{1 - 2/L}, \quad "
    r"s_c = \frac{L-2}{L-1}\,\frac aq",
    hypotheses=(
        "linear network",
        "squared error",
        "aligned modes",
        "width at least the number of modes",
        "global minimum",
    ),
    source="beyond the paper",
    problems=lambda key: (
        _modes(key, depth, index=index)
        for depth, index in ((3, 0), (2, 0), (1, 0), (4, 0), (5, 0), (3, 1))
    ),
    predict=predict_mode,
    measure=measure_mode,
    compare=judge_mode,
    sharpness={
        "decay of the jump": (2e-12, 0),
        "weight below the jump": (1e-7, 5e-4),
        "weight above the jump": (5e-14, 0),
        "decay of the threshold": (2e-6, 5e-4),
        "weight below the threshold": (1e-5, 0.001),
        "weight above the threshold": (1e-11, 1e-5),
        "weight #": (2e-7, 0.002),
    },
    controls=(
        Control(
            "spinodal",
            "predicts the jump where the upper minimum disappears, not where it stops being the "
            "lower one",
            predict=_spinodal,
        ),
        Control(
            "soft-threshold",
            "predicts that the weight goes to zero without a jump, as at depth 2",
            predict=_soft,
        ),
        Control(
            "small-start",
            "searches for the jump from a start so small that decay keeps the mode from being "
            "learned",
            measure=lambda problem, own: measure_mode(problem, SMALL),
        ),
    ),
    quick=1,
)

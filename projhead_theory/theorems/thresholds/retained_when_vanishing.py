"""retained-when-vanishing: amplitudes below a last layer that loses a feature."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ... import theory
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from .._common import Run, local_error, replace
from .threshold_law import (
    RECORDS,
    Orbits,
    ThresholdTask,
    amplitudes_of,
    equal_weights,
    orbit_rounding,
    predict,
    task,
    time_row,
    train,
    with_thresholds,
)


class Retained(eqx.Module):
    """Predicted amplitudes of features without signal.

    - `orbits`: the amplitudes from this start.
    - `slope`: the slope of the last amplitude, in logarithms.
    - `left`, `slope_left`: the next terms of the expansion in time, in the amplitudes below the
      last layer and in the slope.
    """

    orbits: Orbits
    slope: Float[Array, ""]
    left: Float[Array, "J d"]
    slope_left: Float[Array, ""]


def _two_decades(times: Array) -> Array:
    """Index of the record two decades of time before the last one."""
    return jnp.argmin(jnp.abs(jnp.log(times * 100 / times[-1])))


@eqx.filter_jit
def predict_retained(p: ThresholdTask) -> Retained:
    ends = p.times[jnp.stack([_two_decades(p.times), jnp.asarray(RECORDS - 1)])]
    last = theory.thresholds.threshold_forgetting(ends, *p.given)
    decades = jnp.log(ends[1] / ends[0])
    slope = jnp.log(last[1] / last[0]) / decades
    # The next terms are doubled to cover the terms beyond them.
    below, growth = theory.thresholds.threshold_forgetting_slopes(*p.given)
    slope_left = jnp.abs(growth) * (last[0] - last[1]) / decades
    return Retained(
        predict(p), jnp.mean(slope), 2 * jnp.abs(below[:-1]) * last[1], 2 * jnp.max(slope_left)
    )


@eqx.filter_jit
def judge_retained(prediction: Retained, run: Run) -> Verdict:
    """Verdict on the final amplitudes below the last layer, the slope of the last, and the times.

    The slope is taken over the last two decades of time.
    """
    p, times = prediction.orbits, run.fine.times[:-1]
    fine, coarse = amplitudes_of(run, p.problem.strength)
    i, depth = _two_decades(times), fine.shape[1]
    rounding = orbit_rounding(p, run)
    size = jnp.sqrt(jnp.sum(p.limit[:-1] ** 2, axis=1))
    norm = lambda x: jnp.sqrt(jnp.sum(x**2, axis=-1)) / size
    slope = lambda a: jnp.log(a[-1, -1] / a[i, -1]) / jnp.log(times[-1] / times[i])
    largest = lambda x: jnp.max(jnp.abs(x))
    below = fine[-1, :-1]
    return verdict_of(
        Rows(
            numbered("layer", depth - 1),
            norm(below - p.limit[:-1]),
            {
                "asymptotics": norm(prediction.left),
                "integration": norm(below - coarse[-1, :-1]) + local_error(size.dtype, depth),
                "rounding": rounding,
            },
            # Effect: amplitudes that vanish.
            1.0,
            1.0,
            norm(below),
        ),
        Rows(
            ("slope",),
            largest(slope(fine) - prediction.slope),
            {
                "asymptotics": prediction.slope_left,
                "integration": largest(slope(fine) - slope(coarse)),
                "rounding": 16 * rounding,
            },
            # Effect: the slope of a linear network's last layer.
            0.5 - 1 / (4 - 2 / depth),
            prediction.slope,
            jnp.mean(slope(fine)),
        ),
        time_row(p, run),
        what="amplitudes of a disrupted feature",
        converged=run.reached,
        finite=run.finite,
    )


def _vanishing(problem: ThresholdTask) -> ThresholdTask:
    """The same problem with features that no two views share."""
    return replace(
        problem,
        flips=jnp.full_like(problem.flips, 0.5),
        times=jnp.asarray(np.geomspace(1e-2, 1e6, RECORDS, dtype=problem.times.dtype)),
    )


@eqx.filter_jit
def _of_equal_weights(problem: ThresholdTask, own: Retained) -> Retained:
    """Prediction with the limit from a start of equal weights."""
    return eqx.tree_at(
        lambda r: r.orbits.limit,
        own,
        theory.thresholds.threshold_law(0 * problem.strength, *equal_weights(problem).given),
    )


CLAIM = Claim(
    name="retained-when-vanishing",
    statement=(
        "A feature that the augmentation fully disrupts vanishes after the last layer, as "
        "t^(-1/2) at any depth, but is kept below: A_1 tends to sqrt(phi b_2) in two layers "
        "that start with equal weights, and to what the threshold law says from any start."
    ),
    latex=(
        r"\rho = 0:\quad A_L \simeq (8 R t)^{-1/2} \to 0, \qquad A_1 \to \sqrt{\varphi\, b_2} "
        "> 0"
    ),
    hypotheses=(
        "diagonal network with fixed thresholds",
        "a positive threshold in the last layer",
        "views share no sign",
        "active feature",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=lambda key: (
        _vanishing(task(key, depth, index=index))
        for depth, index in ((2, 10), (3, 10), (2, 11), (4, 10))
    ),
    predict=predict_retained,
    measure=train,
    compare=judge_retained,
    sharpness={
        "layer #": (0.006, 0.09),
        "slope": (0.3, 0.09),
        "time": (3e-8, 8e-4),
    },
    controls=(
        Control(
            "no-thresholds",
            "trains linear layers, which lose the feature everywhere",
            measure=lambda problem, own: train(with_thresholds(problem, 0 * problem.thresholds)),
        ),
        Control(
            "some-signal",
            "lets two views share one sign in ten thousand",
            measure=lambda problem, own: train(replace(problem, flips=problem.flips - 0.005)),
        ),
        Control(
            "balanced",
            "predicts what equal weights keep, from unequal ones",
            predict=_of_equal_weights,
        ),
        Control(
            "linear-slope",
            "predicts that the last layer forgets as that of a linear network does",
            predict=lambda problem, own: replace(
                own, slope=jnp.asarray(-1 / (4 - 2 / problem.depth), own.slope.dtype)
            ),
        ),
    ),
    quick=1,
)

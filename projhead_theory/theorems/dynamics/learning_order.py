"""learning-order: the times at which features are learned."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ... import gradient_descent, measure, simulation, theory
from ..._core import epsilons, first_crossing, layer_shares
from ...claims import Claim, Control, Measured, Rows, Verdict, numbered, verdict_of
from .._common import RECORDS, FeatureTask, Run, flow_rounding, over, replace
from .flow_times import features, harder_features, log_weights, opposed, train


class Order(eqx.Module):
    """Predicted onset of each feature, when its weight passes half of its last value.

    `leading` is the leading term of the onset alone.
    """

    onset: Float[Array, " d"]
    leading: Float[Array, " d"]


@eqx.filter_jit
def onsets(p: FeatureTask) -> Order:
    leading = theory.dynamics.onset_time(p.start_weight, p.cross, p.depth)
    rest = theory.dynamics.onset_correction(p.start_weight, p.cross, p.second, p.depth)
    # The last weight of a run is a little short of the final weight, and half of it is passed a
    # little earlier.
    last = theory.dynamics.weight_at_time(p.times[-1], p.start_weight, p.cross, p.second, p.depth)
    passed = lambda weight: theory.dynamics.time_to_weight(
        weight / 2, p.start_weight, p.cross, p.second, p.depth
    )
    return Order(leading + rest + (passed(last) - passed(p.final)), leading)


@eqx.filter_jit
def closer_records(problem: FeatureTask, first: Run) -> tuple[FeatureTask, Array]:
    """Task with most of its save times close to the onsets, and the levels to cross.

    A level is half of the last weight, in logarithms.
    """
    logs = log_weights(first)[0][:, -1]
    levels = logs[-1] - jnp.log(2.0).astype(logs.dtype)
    brackets = first_crossing(problem.times, logs, levels).around
    d = brackets.shape[0]
    each = (RECORDS - 1) // d
    # Features that share a bracket have their save times side by side in it, not at the same
    # places.
    shares = (
        jnp.arange(each, dtype=levels.dtype) + layer_shares(d + 1, levels.dtype)[:-1, None]
    ) / each
    close = (brackets[:, :1] + (brackets[:, 1:] - brackets[:, :1]) * shares).reshape(-1)
    times = jnp.sort(jnp.concatenate([close, problem.times[each * d - RECORDS :]]))
    # Times that still coincide are separated by a few epsilon of the dtype.
    apart = epsilons(4, times.dtype) * times[-1] * jnp.arange(RECORDS, dtype=times.dtype)
    return replace(problem, times=jax.lax.cummax(times - apart) + apart), levels


@eqx.filter_jit
def _onsets(run: Run, levels: Array) -> Measured:
    logs, apart = (x[:, -1] for x in log_weights(run))
    crossing = first_crossing(run.fine.times[:-1], logs, levels)
    starts = jnp.log(measure.layer_weights(run.fine.start)[-1])
    return Measured(
        crossing.times,
        {
            "interpolation": crossing.interpolation,
            # The largest error of the path, since the error at the crossing may be small by chance.
            "integration": jnp.max(apart, axis=0) / crossing.slope,
            "rounding": flow_rounding(run.fine)
            * (1 + jnp.max(jnp.abs(logs), axis=0))
            / crossing.slope,
        },
        premises={"start below half of the final weight": jnp.all(starts < levels)},
        converged=run.reached,
        finite=run.finite,
    )


def measure_onsets(problem: FeatureTask) -> Measured:
    """Measure the onsets in two passes, the second with most save times close to the onsets."""
    closer, levels = closer_records(problem, train(problem))
    return _onsets(train(closer), levels)


@eqx.filter_jit
def judge_order(prediction: Order, seen: Measured) -> Verdict:
    """Verdict on each feature's onset, and on the order of all onsets.

    The order is predicted by the leading term alone.
    """
    size, d = prediction.onset, seen.value.shape[0]
    pairs = max(d * (d - 1) / 2, 1)
    # Pairs that the leading term ranks, by more than the terms it leaves out, and that the run
    # ranks otherwise.
    left_out = jnp.abs(prediction.onset - prediction.leading)
    ahead = (prediction.leading + left_out)[:, None] < (prediction.leading - left_out)[None, :]
    wrong = jnp.sum(ahead & ~(seen.value[:, None] < seen.value[None, :])) / pairs
    return verdict_of(
        Rows(
            numbered("feature", d),
            jnp.abs(seen.value - prediction.onset) / size,
            {name: error / size for name, error in seen.errors.items()},
            # The effect to detect: the onset of a feature with twice the cross moment.
            effect=0.5,
            predicted=prediction.onset,
            measured=seen.value,
        ),
        Rows(("order",), wrong, {"counting": 0.5 / pairs}, effect=1.0),
        what="relative onset time",
        premises=seen.premises,
        converged=seen.converged,
        finite=seen.finite,
    )


def _order_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth in (3, 2, 1, 5, 4):
        yield opposed(depth)
    for depth in (2, 3):
        yield features(key, depth, index=2)


@eqx.filter_jit
def _by_weight(problem: FeatureTask, own: Order) -> Order:
    """Onsets in the order of the final weights."""
    rank = jnp.argsort(jnp.argsort(-problem.final))
    return jax.tree.map(lambda x: x[rank], own)


def _adam_steps(problem: FeatureTask, own: Measured) -> Measured:
    """Onsets under Adam, which moves all entries at one speed: every feature at once."""
    step = float(problem.times[-1]) / 20_000
    return _adam_onsets(
        gradient_descent(
            problem.start(),
            problem.moments,
            optimiser=optax.adam,
            learning_rate=step,
            steps=20_000,
            save_at=np.arange(0, 20_001, 10),
        ),
        jnp.asarray(step, problem.times.dtype),
    )


@eqx.filter_jit
def _adam_onsets(trajectory: simulation.Trajectory, learning_rate: Array) -> Measured:
    logs = jnp.log(trajectory.weights()[:, -1])
    seen = first_crossing(
        trajectory.times * learning_rate, logs, logs[-1] - jnp.log(2.0).astype(logs.dtype)
    )
    return Measured(seen.times, {"interpolation": seen.interpolation})


CLAIM = Claim(
    name="learning-order",
    statement="From a small aligned start a feature's onset time depends on its cross moment "
    "alone: strong features are learned first, whatever their final weight.",
    latex=r"t_i \simeq \frac{s_0^{-(2 - 2/L)}}{4 L\,(2 - 2/L)\, c_i}\ (L \ge 2), \qquad "
    r"t_i \simeq \frac{1}{8\, c_i\, s_0}\ (L = 2)",
    hypotheses=(
        "linear network",
        "feature model",
        "aligned balanced start",
        "small start",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=_order_problems,
    predict=onsets,
    measure=measure_onsets,
    compare=judge_order,
    sharpness={
        "feature #": (2e-4, 0.02),
        "order": (0.9, 0),
    },
    controls=(
        Control(
            "by-weight",
            "predicts that features are learned in the order of their final weights",
            predict=_by_weight,
        ),
        Control(
            "same-time",
            "predicts that all features are learned at one time",
            predict=lambda problem, own: jax.tree.map(
                lambda x: jnp.asarray(np.full_like(x, np.mean(x))), own
            ),
        ),
        Control(
            "adam", "trains with Adam, which learns all features at one speed", measure=_adam_steps
        ),
    ),
    search=over(harder_features, "depth", (2, 3), largest=10.0),
    quick=1,
)

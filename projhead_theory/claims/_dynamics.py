"""flow-times, learning-order and vanishing-features: when, and in what order, features are learned and forgotten."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .. import measure
from ..simulation import Trajectory, gradient_descent
from ..theory import dynamics
from ._claim import Claim, Control
from ._rounding import DEVIATIONS
from ._runs import Run, flow, in_place_of, local_error, step_numbers
from ._tasks import FeatureTask, aligned, replace, scaled
from ._verdict import Verdict

DIM, RECORDS = 3, 192
SMALLEST = {1: 1e-3, 2: 1e-2, 3: 2e-2, 4: 3e-2, 5: 5e-2}
"""A start at which each depth waits several times as long as it then learns, without the wait becoming all of the run."""


def train(problem: FeatureTask) -> Run:
    """Gradient flow to the last time, recorded at all of them."""
    return flow(problem.start(), problem.moments, until=problem.times[-1], record=problem.times, decay=problem.decay, stationarity=0.0)


@eqx.filter_jit
def paths(problem: FeatureTask) -> Float[Array, "T L d"]:
    """The predicted weight of every feature at every layer and time."""
    p = problem
    one = lambda t: dynamics.layer_weights(t, p.start_weight, p.cross, p.second, p.depth).T  # noqa: E731
    return jax.vmap(one)(p.times)


@eqx.filter_jit
def _weights(trajectory: Trajectory) -> Float[Array, "T L d"]:
    return trajectory.weights()[:-1]


def _logs(run: Run) -> tuple[Array, Array]:
    """Logarithms of the weights, and by how much integration may have moved them."""
    floor = jnp.finfo(run.fine.times.dtype).tiny
    log = lambda t: jnp.log(jnp.maximum(_weights(t), floor))  # noqa: E731
    apart = jnp.abs(log(run.fine) - log(run.coarse))
    return log(run.fine), apart + local_error(apart.dtype, run.fine.networks.depth)


def _rounded(run: Run) -> Array:
    """What rounding does to the logarithm of a weight, relative to that and to the growth: a rounded weight is learned a little earlier
    or later. Over so many steps, roundings of random sign add up as the root of their number.
    """
    weights = run.fine.networks.layers[0]
    steps = jnp.sqrt(run.fine.steps.astype(weights.dtype))
    return (64 + DEVIATIONS * steps) * run.fine.networks.depth * jnp.finfo(weights.dtype).eps


@eqx.filter_jit
def judge_paths(prediction: Float[Array, "T L d"], run: Run) -> Verdict:
    """The logarithm of every weight at every time, the worst over time and layers, one row a feature."""
    measured, apart = _logs(run)
    predicted = jnp.log(prediction)
    worst = lambda x: jnp.max(x, axis=(0, 1))  # noqa: E731
    d = prediction.shape[2]
    grown = jnp.abs(predicted - predicted[:1])
    return Verdict(
        discrepancy=worst(jnp.abs(measured - predicted)),
        parts={"integration": worst(apart), "rounding": _rounded(run) * (1 + worst(grown) + worst(jnp.abs(predicted)))},
        effect=worst(grown),
        predicted=predicted[:, -1].T,
        measured=measured[:, -1].T,
        settled=run.reached,
        finite=run.finite,
        labels=tuple(f"feature {i}" for i in range(d)),
        what="log weight over time",
    )


def features(key: PRNGKeyArray, depth: int, index: int = 0) -> FeatureTask:
    """Three features of cross moments a factor two or three apart, whose final weights need not be in that order."""
    return _features(key, depth, jnp.asarray(index))


@eqx.filter_jit
def _features(key: PRNGKeyArray, depth: int, index: Array) -> FeatureTask:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 7000 + index))
    dtype = jnp.result_type(float)
    cross = jnp.asarray([1.0, 0.5, 0.2], dtype) * jax.random.uniform(k1, (DIM,), dtype, 0.8, 1.2)
    second = cross / jax.random.uniform(k2, (DIM,), dtype, 0.3, 0.95)
    return _watched(cross, second, depth, jnp.asarray(SMALLEST[depth], dtype))


def _watched(cross: Array, second: Array, depth: int, start: Array) -> FeatureTask:
    """Watched from the first moves of the fastest feature until after the slowest has been learned."""
    onset = dynamics.onset_time(start, cross, depth)
    settling = 3 / (depth * cross * (jnp.sqrt(cross) / second) ** (2 - 2 / depth))
    times = jnp.geomspace(jnp.min(onset) / 20, 2 * jnp.max(onset) + jnp.max(settling), RECORDS, dtype=cross.dtype)
    return FeatureTask(cross, second, jnp.broadcast_to(start, cross.shape), times, jnp.zeros((), cross.dtype), depth)


@eqx.filter_jit
def opposed(depth: int) -> FeatureTask:
    """The strongest features carry the most noise: they are learned first, and end up with the smallest weights."""
    dtype = jnp.result_type(float)
    strength = jnp.asarray([2.0, 1.0, 0.6], dtype)
    second = strength**2 + jnp.asarray([3.0, 0.5, 0.05], dtype) ** 2
    return _watched(strength**2, second, depth, jnp.asarray(SMALLEST[depth], dtype))


def _times_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth in (3, 2, 1, 5, 4):
        yield features(key, depth)
    yield opposed(2)
    for depth in (2, 3):
        yield features(key, depth, 1)


def _unequal(problem: FeatureTask) -> FeatureTask:
    """Unequal weights at the start: equal ones are aligned with any directions at all."""
    return replace(problem, start_weight=problem.start_weight * jnp.asarray([1.0, 4.0, 0.25], problem.cross.dtype))


def between_axes(dtype: Any) -> Float[Array, "d d"]:
    """Orthonormal directions, none of which is near an axis."""
    ones = np.ones((DIM, DIM))
    return jnp.asarray(np.linalg.qr(np.eye(DIM) + 0.7 * (np.triu(ones, 1) - np.tril(ones, -1)))[0], dtype)


def _off_axis(problem: FeatureTask, own: Any) -> Run:
    """A start of the same weights along directions between the features."""
    start = aligned(problem.start_weight, problem.depth, between_axes(problem.cross.dtype))
    return flow(start, problem.moments, until=problem.times[-1], record=problem.times, stationarity=0.0)


def unequal_factors(depth: int, dtype: Any) -> Float[Array, " L"]:
    """Factors of the layers that leave the product as it is."""
    return jnp.asarray([3.0, 1 / 3.0] + [1.0] * (depth - 2), dtype)


def _lopsided(problem: FeatureTask, own: Run) -> Run:
    start = scaled(problem.start(), unequal_factors(problem.depth, problem.cross.dtype))
    return flow(start, problem.moments, until=problem.times[-1], record=problem.times, stationarity=0.0)


def _large_steps(problem: FeatureTask, own: Run) -> Run:
    """Gradient descent whose step is a fiftieth of the fastest feature's time scale, looked at in the same time."""
    step = 1 / (50 * float(jnp.max(problem.cross)))
    at = step_numbers(problem.times, step)
    trajectory = gradient_descent(problem.start(), problem.moments, optimiser=optax.sgd, step=step, steps=int(at[-1]) + 1, record=at)
    return in_place_of(own, trajectory)


def _at_depth(shift: int) -> Callable[[FeatureTask, Array], Array]:
    """The prediction for a network of another depth, read at the problem's own layers."""

    @eqx.filter_jit
    def wrong(problem: FeatureTask, own: Array) -> Array:
        p, other = problem, problem.depth + shift
        last = jax.vmap(lambda t: dynamics.weight_at_time(t, p.start_weight, p.cross, p.second, other))(p.times)
        levels = jnp.arange(1, p.depth + 1, dtype=last.dtype) / p.depth
        return last[:, None, :] ** levels[:, None]

    return wrong


def _harder_features(depth: int, largest: float = 100.0) -> Callable[[PRNGKeyArray], FeatureTask]:
    """Draws for a random search: signal fractions down to ties and to one, starts from tiny to beyond the final weight."""

    def draw(key: PRNGKeyArray) -> FeatureTask:
        k = jax.random.split(key, 6)
        dtype = jnp.result_type(float)
        unit = 10.0 ** jax.random.uniform(k[0], (), dtype, -3, 3)
        cross = unit * 10.0 ** jax.random.uniform(k[1], (DIM,), dtype, -1, 0)
        fractions = jax.random.uniform(k[2], (DIM,), dtype, 0.02, 1.0)
        fractions = jnp.where(jax.random.bernoulli(k[3], 0.3), fractions.at[1].set(fractions[0]), fractions)
        cross = jnp.where(jax.random.bernoulli(k[4], 0.3), cross.at[1].set(cross[0]), cross)
        second = cross / fractions
        final = jnp.sqrt(cross) / second
        start = final * SMALLEST[depth] * largest ** jax.random.uniform(k[5], (DIM,), dtype, 0, 1)
        rate = jnp.min(depth * cross * final ** (2 - 2 / depth))
        times = jnp.geomspace(0.001 / rate, 20 / rate, RECORDS, dtype=dtype)
        return FeatureTask(cross, second, start, times, jnp.zeros((), dtype), depth, max_steps=10_000)

    return draw


TIMES = Claim(
    name="flow-times",
    statement="From an aligned balanced start every feature evolves alone, ds/dt = 4 L s^(3 - 2/L) (c - q^2 s^2), so its weight at "
    "every layer and time is known in closed form; the layer-wise law holds at every time on the way.",
    latex=r"\dot s = 4 L\, s^{3 - 2/L} (c - q^2 s^2), \qquad t = \frac{F(s) - F(s_0)}{4L}, \qquad \|W_{l:1} v\| = s^{\,l/L}",
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
        Control("unaligned-start", "starts along directions between the features", problem=_unequal, measure=_off_axis),
        Control("unbalanced-start", "starts with the same product, but unequal layers", measure=_lopsided),
        Control("finite-step", "trains by gradient descent with a coarse step", measure=_large_steps),
        Control("wrong-depth", "predicts for one layer more", predict=_at_depth(1)),
    ),
    search=tuple(_harder_features(depth) for depth in (1, 2, 3, 5)),
    quick=1,
)


class Order(eqx.Module):
    """What is predicted of the order of learning: when each weight passes half of its last one; and the leading term of that alone."""

    onset: Float[Array, " d"]
    leading: Float[Array, " d"]


@eqx.filter_jit
def onsets(problem: FeatureTask) -> Order:
    p = problem
    leading = dynamics.onset_time(p.start_weight, p.cross, p.depth)
    rest = dynamics.onset_correction(p.start_weight, p.cross, p.second, p.depth)
    # The last weight that a run sees is a little short of the final one, and half of it is passed a little earlier.
    final = jnp.sqrt(p.cross) / p.second
    last = dynamics.weight_at_time(p.times[-1], p.start_weight, p.cross, p.second, p.depth)
    passed = lambda weight: dynamics.time_to_weight(weight / 2, p.start_weight, p.cross, p.second, p.depth)  # noqa: E731
    return Order(leading + rest + (passed(last) - passed(final)), leading)


class Onsets(eqx.Module):
    """When each weight passes half of its last one, and what integration, interpolation and rounding may have moved that by."""

    times: Float[Array, " d"]
    integration: Float[Array, " d"]
    interpolation: Float[Array, " d"]
    rounding: Float[Array, " d"]
    small: Bool[Array, ""]
    reached: Bool[Array, ""]
    finite: Bool[Array, ""]


class Crossing(eqx.Module):
    """The first passage of each level, by a parabola through records: when, by how much that errs, the slope, the records around it."""

    times: Float[Array, "*d"]
    interpolation: Float[Array, "*d"]
    slope: Float[Array, "*d"]
    around: Float[Array, "*d 2"]


def _crossing(times: Array, logs: Float[Array, "T d"], levels: Float[Array, " d"]) -> Crossing:
    def one(column: Array, level: Array) -> Crossing:
        i = jnp.clip(jnp.argmax(column > level), 2, column.shape[0] - 2)
        slope = (column[i] - column[i - 1]) / (times[i] - times[i - 1])
        at = times[i - 1] + (level - column[i - 1]) / slope
        near, when = (jax.lax.dynamic_slice_in_dim(x, i - 2, 4) for x in (column, times))
        steps = jnp.diff(when)
        second = 2 * jnp.diff(jnp.diff(near) / steps) / (steps[1:] + steps[:-1])
        bend = jnp.mean(second)
        corrected = at - bend / 2 * (at - when[1]) * (at - when[2]) / slope
        # A chord is off by at most an eighth of the squared step times the second derivative; the parabola, by what that changes from
        # end to end, twice over, and by what rounding changes it; and the correction, by the share by which the slope changes.
        chord = steps[1] ** 2 / 8 / slope
        rounding = 4 * jnp.finfo(column.dtype).eps * jnp.max(jnp.abs(near)) / jnp.min(steps) / (jnp.min(steps) + steps[1])
        left = chord * (2 * jnp.abs(second[1] - second[0]) + 2 * rounding + bend**2 * steps[1] / slope)
        return Crossing(corrected, left, slope, when[jnp.asarray([0, 3])])

    return jax.vmap(one, in_axes=(1, 0))(logs, levels)


@eqx.filter_jit
def _closer(problem: FeatureTask, first: Run) -> tuple[FeatureTask, Array]:
    """The same problem with most of its records close to where the weights pass half of what they end with; and those levels."""
    logs = _logs(first)[0][:, -1]
    levels = logs[-1] - jnp.log(2.0).astype(logs.dtype)
    brackets = _crossing(problem.times, logs, levels).around
    d = brackets.shape[0]
    each = (RECORDS - 1) // d
    # Features that share a bracket have their records side by side in it, not in the same places.
    shares = (jnp.arange(each, dtype=levels.dtype) + (jnp.arange(1, d + 1, dtype=levels.dtype) / (d + 1))[:, None]) / each
    close = (brackets[:, :1] + (brackets[:, 1:] - brackets[:, :1]) * shares).reshape(-1)
    times = jnp.sort(jnp.concatenate([close, problem.times[each * d - RECORDS :]]))
    # Should two coincide all the same, they are put apart by the least that the dtype can tell.
    apart = 4 * jnp.finfo(times.dtype).eps * times[-1] * jnp.arange(RECORDS, dtype=times.dtype)
    return replace(problem, times=jax.lax.cummax(times - apart) + apart), levels


@eqx.filter_jit
def _onsets(run: Run, levels: Array) -> Onsets:
    logs, apart = (x[:, -1] for x in _logs(run))
    crossing = _crossing(run.fine.times[:-1], logs, levels)
    small = jnp.all(jnp.log(measure.layer_weights(run.fine.start)[-1]) < levels)
    # The largest error of the path, not the one at the passage: that may be small by chance.
    integration = jnp.max(apart, axis=0) / crossing.slope
    rounding = _rounded(run) * (1 + jnp.max(jnp.abs(logs), axis=0)) / crossing.slope
    return Onsets(crossing.times, integration, crossing.interpolation, rounding, small, run.reached, run.finite)


def measure_onsets(problem: FeatureTask) -> Onsets:
    """Two passes: one to find each onset, one with most of its records close to them."""
    closer, levels = _closer(problem, train(problem))
    return _onsets(train(closer), levels)


@eqx.filter_jit
def judge_order(prediction: Order, seen: Onsets) -> Verdict:
    """Each feature's onset, when its weight passes half of its last one; and the order of all, by the leading term alone."""
    size, d = prediction.onset, seen.times.shape[0]
    pairs = max(d * (d - 1) / 2, 1)
    # Pairs that the leading term ranks, beyond what it leaves out, and that the run ranks otherwise.
    left_out = jnp.abs(prediction.onset - prediction.leading)
    ahead = (prediction.leading + left_out)[:, None] < (prediction.leading - left_out)[None, :]
    wrong = jnp.sum(ahead & ~(seen.times[:, None] < seen.times[None, :])) / pairs
    row = lambda x, last: jnp.append(x / size, jnp.asarray(last, size.dtype))  # noqa: E731
    # What the check must see: onsets as far apart as those of features with twice the cross moment.
    return Verdict(
        discrepancy=row(jnp.abs(seen.times - prediction.onset), wrong),
        parts={
            "interpolation": row(seen.interpolation, 0),
            "integration": row(seen.integration, 0),
            "rounding": row(seen.rounding, 0),
            "counting": row(jnp.zeros_like(size), 0.5 / pairs),
        },
        effect=row(size / 2, 1),
        predicted=jnp.append(prediction.onset, 0)[:, None],
        measured=jnp.append(seen.times, wrong)[:, None],
        premises={"start below half of the final weight": seen.small},
        settled=seen.reached,
        finite=seen.finite,
        labels=(*(f"feature {i}" for i in range(d)), "order"),
        what="relative onset time",
    )


def _order_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth in (3, 2, 1, 5, 4):
        yield opposed(depth)
    for depth in (2, 3):
        yield features(key, depth, 2)


@eqx.filter_jit
def _by_weight(problem: FeatureTask, own: Order) -> Order:
    """Onsets that go by the final weight: as if features ended in the order in which they begin."""
    final = jnp.sqrt(problem.cross) / problem.second
    rank = jnp.argsort(jnp.argsort(-final))
    return Order(own.onset[rank], own.leading[rank])


@eqx.filter_jit
def _same_time(problem: FeatureTask, own: Order) -> Order:
    return Order(jnp.full_like(own.onset, jnp.mean(own.onset)), jnp.full_like(own.leading, jnp.mean(own.leading)))


def _adam_steps(problem: FeatureTask, own: Onsets) -> Onsets:
    """Adam moves all entries at one speed: every feature at once."""
    step = float(problem.times[-1]) / 20_000
    at = np.arange(0, 20_001, 10)
    trajectory = gradient_descent(problem.start(), problem.moments, optimiser=optax.adam, step=step, steps=20_000, record=at)
    return _adam_onsets(trajectory, jnp.asarray(step, problem.times.dtype))


@eqx.filter_jit
def _adam_onsets(trajectory: Trajectory, step: Array) -> Onsets:
    logs = jnp.log(trajectory.weights()[:, -1])
    seen = _crossing(trajectory.times * step, logs, logs[-1] - jnp.log(2.0).astype(logs.dtype))
    none = jnp.zeros_like(seen.times)
    return Onsets(seen.times, none, seen.interpolation, none, *[jnp.ones((), bool)] * 3)


ORDER = Claim(
    name="learning-order",
    statement="From a small aligned start a feature's onset time depends on its cross moment alone: strong features are learned first, "
    "whatever their final weight.",
    latex=r"t_i \simeq \frac{s_0^{-(2 - 2/L)}}{4 L\,(2 - 2/L)\, c_i}\ (L \ge 2), \qquad t_i \simeq \frac{1}{8\, c_i\, s_0}\ (L = 2)",
    hypotheses=("linear network", "feature model", "aligned balanced start", "small start", "gradient flow"),
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
        Control("by-weight", "predicts that features are learned in the order of their final weights", predict=_by_weight),
        Control("same-time", "predicts that all features are learned at one time", predict=_same_time),
        Control("adam", "trains with Adam, which learns all features at one speed", measure=_adam_steps),
    ),
    search=tuple(_harder_features(depth, 10.0) for depth in (2, 3)),
    quick=1,
)


class Forgetting(eqx.Module):
    """A disrupted feature's predicted logarithmic weights over time, and the slope they tend to, layer by layer; `left`: what the next
    term of the expansion adds to the slope between the records that it is read off.
    """

    logs: Float[Array, "T L"]
    slopes: Float[Array, " L"]
    left: Float[Array, " L"]


def slopes_of(times: Array, logs: Float[Array, "T L"]) -> Float[Array, " L"]:
    """Of the logarithm of the weight over that of time, through the last quarter of the records."""
    i = 3 * times.shape[0] // 4
    return (logs[-1] - logs[i]) / jnp.log(times[-1] / times[i])


def slope_left(times: Array, transient: Array, depth: int, exponent: float) -> Float[Array, " L"]:
    r"""What the factor $(1 + u)^{-(l/L)/e}$ adds to the slope at every layer: $\frac{l/L}{e} \frac{u_i - u_T}{\ln(t_T / t_i)}$, to first
    order, and no more than that, since the series alternates; `exponent` is $e$.
    """
    i = 3 * times.shape[0] // 4
    levels = jnp.arange(1, depth + 1, dtype=times.dtype) / depth
    return levels / exponent * (transient[i] - transient[-1]) / jnp.log(times[-1] / times[i])


@eqx.filter_jit
def forgetting(problem: FeatureTask) -> Forgetting:
    """The exact decay of the last feature, and the power law it tends to."""
    p = problem
    logs = jnp.log(paths(p)[:, :, -1])
    slopes = -jnp.asarray([dynamics.vanishing_exponent(p.depth, level) for level in range(1, p.depth + 1)], logs.dtype)
    transient = dynamics.vanishing_transient(p.times, p.start_weight[-1], p.second[-1], p.depth)
    return Forgetting(logs, slopes, slope_left(p.times, transient, p.depth, 4 - 2 / p.depth))


@eqx.filter_jit
def judge_forgetting(prediction: Forgetting, run: Run) -> Verdict:
    """At every layer, the slope of the weight in logarithmic time, and the whole path to it."""
    logs, apart = (x[:, :, -1] for x in _logs(run))
    times = run.fine.times[:-1]
    slope = slopes_of(times, logs)
    slope_error = 2 * jnp.max(apart, axis=0) / jnp.log(times[-1] / times[3 * times.shape[0] // 4])
    depth = logs.shape[1]
    rounding = jnp.full(depth, _rounded(run) * (1 + jnp.max(jnp.abs(logs))))
    both = lambda a, b: jnp.concatenate([a, b])  # noqa: E731
    return Verdict(
        discrepancy=both(jnp.abs(slope - prediction.slopes), jnp.max(jnp.abs(logs - prediction.logs), axis=0)),
        parts={
            "asymptotics": both(prediction.left, jnp.zeros(depth, logs.dtype)),
            "integration": both(slope_error, jnp.max(apart, axis=0)),
            "rounding": both(8 * rounding, rounding),
        },
        # What the check must see: the slope of the neighbouring layer, and the decay itself.
        effect=both(jnp.abs(prediction.slopes[0]) * jnp.ones(depth, logs.dtype), jnp.max(jnp.abs(prediction.logs), axis=0)),
        predicted=both(prediction.slopes, prediction.logs[-1])[:, None],
        measured=both(slope, logs[-1])[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(*(f"slope, layer {i}" for i in range(1, depth + 1)), *(f"path, layer {i}" for i in range(1, depth + 1))),
        what="log weight of a disrupted feature",
    )


@eqx.filter_jit
def _vanishing(p: FeatureTask) -> FeatureTask:
    """Two ordinary features, and one whose views share nothing."""
    cross = p.cross.at[-1].set(0)
    times = jnp.geomspace(1e-2, 1e3, RECORDS, dtype=cross.dtype)
    start = jnp.sqrt(p.cross) / p.second
    return replace(p, cross=cross, times=times, start_weight=start.at[-1].set(1), second=p.second.at[-1].set(0.5))


def _vanishing_problems(key: PRNGKeyArray) -> Iterator[FeatureTask]:
    for depth, index in ((3, 20), (2, 20), (1, 20), (5, 20), (2, 21)):
        yield _vanishing(features(key, depth, index))


def _not_vanishing(problem: FeatureTask, own: Run) -> Run:
    return train(replace(problem, cross=problem.cross.at[-1].set(1e-3)))


def _same_rate(problem: FeatureTask, own: Forgetting) -> Forgetting:
    return replace(own, slopes=jnp.full_like(own.slopes, own.slopes[-1]))


def _harder_vanishing(depth: int) -> Callable[[PRNGKeyArray], FeatureTask]:
    def draw(key: PRNGKeyArray) -> FeatureTask:
        k = jax.random.split(key, 3)
        dtype = jnp.result_type(float)
        second = 10.0 ** jax.random.uniform(k[0], (1,), dtype, -3, 3)
        start = 10.0 ** jax.random.uniform(k[1], (1,), dtype, -2, 1)
        rate = second**2 * start ** (4 - 2 / depth)
        times = jnp.geomspace(1e-2, 1e4, RECORDS, dtype=dtype) / rate[0]
        return FeatureTask(jnp.zeros(1, dtype), second, start, times, jnp.zeros((), dtype), depth)

    return draw


VANISHING = Claim(
    name="vanishing-features",
    statement="A feature that the augmentation fully disrupts is forgotten as a power of time, t^(-(l/L)/(4 - 2/L)) at layer l: "
    "the lower layers forget more slowly.",
    latex=r"\|W_{l:1} v\| \sim t^{-\frac{l/L}{4 - 2/L}} \quad (c = 0)",
    hypotheses=("linear network", "feature model", "aligned balanced start", "cross moment zero", "gradient flow"),
    source="beyond the paper",
    problems=_vanishing_problems,
    predict=forgetting,
    measure=train,
    compare=judge_forgetting,
    sharpness={
        "slope, layer #": (0.02, 0.1),
        "path, layer #": (2e-10, 2e-4),
    },
    controls=(
        Control("not-vanishing", "leaves a thousandth of the signal in the views", measure=_not_vanishing),
        Control("same-rate", "predicts that all layers forget at the rate of the last", predict=_same_rate),
    ),
    search=tuple(_harder_vanishing(depth) for depth in (1, 2, 4)),
    quick=1,
)

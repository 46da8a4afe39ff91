"""threshold-law and retained-when-vanishing: what a diagonal network with thresholds makes of every feature, layer by layer and in time."""

import dataclasses
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from .. import theory
from ..networks import ThresholdedDiagonal
from ..problems import ContrastiveProblem, Features, SignFlip
from ..simulation import Trajectory, gradient_descent
from ._claim import Claim, Control
from ._runs import Run, flow, in_place_of, local_error, step_numbers
from ._search import rounded
from ._tasks import replace
from ._verdict import Verdict

DIM, RECORDS = 4, 64


class ThresholdTask(eqx.Module):
    """Features of some strengths with sign flips, a diagonal network with thresholds, and the times at which it is looked at."""

    strength: Float[Array, " d"]
    flips: Float[Array, " d"]
    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    times: Float[Array, " T"]

    @property
    def depth(self) -> int:
        return self.weights.shape[-2]

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.strength.shape[-1]} features"

    @property
    def rho(self) -> Float[Array, " d"]:
        return (1 - 2 * self.flips) ** 2

    @property
    def contrastive(self) -> ContrastiveProblem:
        return ContrastiveProblem(Features(self.strength), SignFlip(self.flips))

    def start(self) -> ThresholdedDiagonal:
        return ThresholdedDiagonal(self.weights, self.thresholds)

    def shrinks(self) -> Iterator[Callable[[], "ThresholdTask"]]:
        """One feature less, rounder numbers."""
        d = self.strength.shape[0]
        for i in range(d if d > 1 else 0):
            keep = jnp.asarray([j for j in range(d) if j != i])
            features = {name: getattr(self, name)[..., keep] for name in ("strength", "flips", "weights", "thresholds")}
            yield lambda features=features: dataclasses.replace(self, **features)
        yield from rounded(lambda r: r(self))


Function = Callable[..., Array]


class Orbits(eqx.Module):
    """What is predicted of the features of a start: the amplitudes of all layers at each of the last; when; and in the end.

    `assumed`: the weights and thresholds whose law the amplitudes are held against, those of the start unless a control says otherwise.
    """

    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    strength: Float[Array, " d"]
    rho: Float[Array, " d"]
    limit: Float[Array, "L d"]
    assumed: tuple[Float[Array, "L d"], Float[Array, "L d"]]
    law: Function = eqx.field(static=True, default=theory.threshold_law)
    time: Function = eqx.field(static=True, default=theory.threshold_time)


@eqx.filter_jit
def predict(problem: ThresholdTask) -> Orbits:
    p = problem
    limit = theory.threshold_limit(p.weights, p.thresholds, p.strength, p.rho)
    return Orbits(p.weights, p.thresholds, p.strength, p.rho, limit, (p.weights, p.thresholds))


def train(problem: ThresholdTask) -> Run:
    """Gradient flow of the exact population loss to the last time, recorded at all of them."""
    p = problem
    return flow(p.start(), p.contrastive, until=p.times[-1], record=p.times, stationarity=0.0)


def _amplitudes(run: Run, strength: Array) -> tuple[Array, Array]:
    """Of every layer at every recorded moment, in both runs."""
    fine, coarse = (t.each(lambda n: n.amplitudes(strength))[:-1] for t in (run.fine, run.coarse))
    return fine, coarse


def _rows(orbits: Orbits, run: Run) -> tuple[Array, Array, Array]:
    """For the layers below the last: how far amplitudes are from the law, and by how much integration may have moved that; relative."""

    def off(amplitudes: Array) -> Array:
        law = orbits.law(amplitudes[:, -1], *orbits.assumed, orbits.strength)
        return amplitudes[:, :-1] / law[:, :-1] - 1

    fine, coarse = (off(a) for a in _amplitudes(run, orbits.strength))
    worst = lambda x: jnp.max(jnp.abs(x), axis=(0, 2))  # noqa: E731
    # What the check must see: amplitudes that stay as they are.
    seen = _amplitudes(run, orbits.strength)[0][:, :-1]
    return worst(fine), worst(fine - coarse) + local_error(fine.dtype, 1), worst(seen / seen[:1] - 1)


def _when(orbits: Orbits, run: Run) -> tuple[Array, Array]:
    """When the last amplitude is what it is, relative to when it was seen, while that can be told; and the error of integration.

    Close to its end an amplitude says little of the time: the records at which it is within a thousandth of it are left out.
    """
    times = run.fine.times[:-1, None]
    fine, coarse = (a[:, -1] for a in _amplitudes(run, orbits.strength))
    moving = (jnp.abs(fine**2 - orbits.rho) > 2e-3 * orbits.rho) & (times > times[-1] * 1e-6)

    def when(last: Array) -> Array:
        # Where the flow never leads, the prediction is off by all of the time.
        time = orbits.time(last, orbits.weights, orbits.thresholds, orbits.strength, orbits.rho)
        return jnp.where(jnp.isnan(time), 0, time)

    early, late = when(fine), when(coarse)
    worst = lambda x: jnp.max(jnp.where(moving, jnp.abs(x) / jnp.where(moving, times, 1), 0))  # noqa: E731
    return worst(early - times), worst(early - late) + 1e3 * local_error(fine.dtype, 1)


def _rounding(orbits: Orbits, run: Run) -> Array:
    """Relative, in an amplitude that is what a threshold leaves of more, and in the law solved for it."""
    inside = jnp.max(orbits.thresholds, axis=0) / jnp.min(orbits.limit[:-1], axis=0)
    steps = jnp.sqrt(run.fine.steps.astype(inside.dtype))
    return 64 * (1 + steps) * (1 + jnp.max(inside)) * jnp.finfo(inside.dtype).eps


@eqx.filter_jit
def judge_orbits(prediction: Orbits, run: Run) -> Verdict:
    """At every moment the amplitudes below the last layer against the law at the last one's; when; and the last amplitudes in the end."""
    p = prediction
    off, integration, effect = _rows(p, run)
    late, when_integration = _when(p, run)
    end, coarse = (a[-1, -1] for a in _amplitudes(run, p.strength))
    relative = lambda x: jnp.max(jnp.abs(x / p.limit[-1]))  # noqa: E731
    rounding = _rounding(p, run)
    rows = lambda first, *rest: jnp.concatenate([first, jnp.stack([jnp.asarray(x, first.dtype) for x in rest])])  # noqa: E731
    below = off.shape[0]
    return Verdict(
        discrepancy=rows(off, late, relative(end - p.limit[-1])),
        parts={
            "integration": rows(integration, when_integration, relative(end - coarse) + local_error(end.dtype, below + 1)),
            "rounding": rows(jnp.full(below, rounding), 1e3 * rounding, rounding),
        },
        # Of the times and of the end: that they are twice as late, and twice as large.
        effect=rows(effect, 0.5, 0.5),
        predicted=rows(jnp.zeros(below, off.dtype), 0, 0)[:, None],
        measured=rows(off, late, relative(end - p.limit[-1]))[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(*(f"layer {i}" for i in range(1, below + 1)), "time", "end"),
        what="relative discrepancy of the amplitudes",
    )


def task(key: PRNGKeyArray, depth: int, index: int = 0) -> ThresholdTask:
    """Active features of unequal weights, layer by layer; thresholds in the first two layers and the last."""
    return _task(key, depth, jnp.asarray(index))


@eqx.filter_jit
def _task(key: PRNGKeyArray, depth: int, index: Array) -> ThresholdTask:
    k = jax.random.split(jax.random.fold_in(key, 11_000 + index), 4)
    dtype = jnp.result_type(float)
    strength = jax.random.uniform(k[0], (DIM,), dtype, 0.7, 2.0)
    flips = jax.random.uniform(k[1], (DIM,), dtype, 0.0, 0.25)
    thresholds = jax.random.uniform(k[2], (depth, DIM), dtype, 0.05, 0.3)
    thresholds = thresholds.at[2:-1].set(0) if depth > 3 else thresholds
    # Each layer leaves a share between 0.4 and 0.9 of the strength, the last less than what it will end with.
    shares = jax.random.uniform(k[3], (depth, DIM), dtype, 0.4, 0.9)
    amplitudes = jnp.concatenate([jnp.ones((1, DIM), dtype), shares[:-1], shares[-1:] / 3]) * jnp.where(
        jnp.arange(depth + 1)[:, None] < depth, strength, 1
    )
    weights = (amplitudes[1:] + thresholds) / amplitudes[:-1]
    times = jnp.geomspace(1e-3, 40.0, RECORDS, dtype=dtype)
    return ThresholdTask(strength, flips, weights, thresholds, times)


def _problems(key: PRNGKeyArray) -> Iterator[ThresholdTask]:
    for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0), (3, 1)):
        yield task(key, depth, index)


Start = tuple[Array, Array]


@eqx.filter_jit
def _equal(p: ThresholdTask) -> Start:
    """A start of equal weights."""
    return jnp.ones_like(p.weights).at[0].add(p.thresholds[0] / p.strength), p.thresholds


@eqx.filter_jit
def _linear(p: ThresholdTask) -> Start:
    """Weights without thresholds that give the same amplitudes in the start."""
    return p.weights.at[0].add(-p.thresholds[0] / p.strength), jnp.zeros_like(p.thresholds)


@eqx.filter_jit
def _exchanged(p: ThresholdTask) -> Start:
    """The thresholds of the first and the last layer exchanged."""
    swapped = p.thresholds.at[0].set(p.thresholds[-1]).at[-1].set(p.thresholds[0])
    return p.weights.at[0].add((swapped - p.thresholds)[0] / p.strength), swapped


def _assuming(start: Callable[[ThresholdTask], Start]) -> Callable[[ThresholdTask, Orbits], Orbits]:
    return lambda problem, own: dataclasses.replace(own, assumed=start(problem))


def _by_steps(optimiser: Callable, step: float) -> Callable[[ThresholdTask, Run], Run]:
    """Training in steps of this size, looked at in the same time."""

    def run(problem: ThresholdTask, own: Run) -> Run:
        at = step_numbers(problem.times, step)
        trajectory: Trajectory = gradient_descent(
            problem.start(), problem.contrastive, optimiser=optimiser, step=step, steps=int(at[-1]) + 1, record=at
        )
        replaced = in_place_of(own, trajectory)
        return eqx.tree_at(lambda r: r.fine.times, replaced, trajectory.times * step)

    return run


LAW = Claim(
    name="threshold-law",
    statement="In a diagonal network with thresholds, from any start, the amplitude of an active feature after the last layer gives that "
    "after every other, and the time; in two layers (A_1 / phi)^2 - w_2^2 is conserved, so from equal weights A_1^2 = phi (A_2 + b_2); "
    "the last amplitude ends at sqrt(rho).",
    latex=r"\left(\tfrac{A_1}{\varphi}\right)^2 - w_2^2 = K; \qquad A_1^2 = \varphi (A_2 + b_2)\ (K = 0); \qquad A_L \to \sqrt\rho",
    hypotheses=(
        "diagonal network with fixed thresholds",
        "features of two values with sign flips",
        "active feature",
        "no threshold in layers 3 to L - 1",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge_orbits,
    sharpness={
        "layer #": (3e-11, 1e-4),
        "time": (4e-8, 5e-4),
        "end": (8e-10, 0.006),
    },
    controls=(
        Control("no-thresholds", "predicts the law of a linear network", predict=_assuming(_linear)),
        Control("balanced", "predicts the law of equal weights, from unequal ones", predict=_assuming(_equal)),
        Control("exchanged", "predicts with the thresholds of the first and last layer exchanged", predict=_assuming(_exchanged)),
        Control("finite-step", "trains by gradient descent with a coarse step", measure=_by_steps(optax.sgd, 1e-2)),
        Control("adam", "trains with Adam", measure=_by_steps(optax.adam, 1e-2)),
    ),
    quick=1,
)


class Retained(eqx.Module):
    """What is predicted of features without signal; `slope`: of the last amplitude, in logarithms; and what the next terms of the expansion
    in time add to the amplitudes below and to that slope.
    """

    orbits: Orbits
    slope: Float[Array, ""]
    left: Float[Array, "J d"]
    slope_left: Float[Array, ""]


def _two_decades(times: Array) -> Array:
    """The record from which two decades of time lead to the last one."""
    return jnp.argmin(jnp.abs(jnp.log(times * 100 / times[-1])))


@eqx.filter_jit
def predict_retained(problem: ThresholdTask) -> Retained:
    p, orbits = problem, predict(problem)
    start = (p.weights, p.thresholds, p.strength)
    zero, one = jnp.zeros_like(p.strength), jnp.ones_like(p.strength)
    ends = p.times[jnp.stack([_two_decades(p.times), jnp.asarray(RECORDS - 1)])]
    last = theory.threshold_forgetting(ends, *start)
    decades = jnp.log(ends[1] / ends[0])
    slope = jnp.log(last[1] / last[0]) / decades
    # The amplitudes below grow with the last one, and so does R, by which 1 / A^2 = 8 R t + 16 R' A t with A of the leading term. Next
    # terms, twice over for those beyond.
    _, below = jax.jvp(lambda a: theory.threshold_law(a, *start), (zero,), (one,))
    speed, growth = jax.jvp(lambda a: theory.threshold_speed(a, *start), (zero,), (one,))
    slope_left = jnp.abs(growth / speed) * (last[0] - last[1]) / decades
    return Retained(orbits, jnp.mean(slope), 2 * jnp.abs(below[:-1]) * last[1], 2 * jnp.max(slope_left))


@eqx.filter_jit
def judge_retained(prediction: Retained, run: Run) -> Verdict:
    """The amplitudes below the last layer in the end; how the last one falls, over the last two decades of time; and when."""
    p = prediction.orbits
    fine, coarse = _amplitudes(run, p.strength)
    times = run.fine.times[:-1]
    i = _two_decades(times)
    depth = fine.shape[1]
    size = jnp.sqrt(jnp.sum(p.limit[:-1] ** 2, axis=1))
    norm = lambda x: jnp.sqrt(jnp.sum(x**2, axis=-1)) / size  # noqa: E731
    slope = lambda a: jnp.log(a[-1, -1] / a[i, -1]) / jnp.log(times[-1] / times[i])  # noqa: E731
    largest = lambda x: jnp.max(jnp.abs(x))  # noqa: E731
    late, when_integration = _when(p, run)
    rounding = _rounding(p, run)
    rows = lambda first, *rest: jnp.concatenate([first, jnp.stack([jnp.asarray(x, first.dtype) for x in rest])])  # noqa: E731
    ones = jnp.ones(depth - 1, fine.dtype)
    integration = norm(fine[-1, :-1] - coarse[-1, :-1]) + local_error(size.dtype, depth)
    return Verdict(
        discrepancy=rows(norm(fine[-1, :-1] - p.limit[:-1]), largest(slope(fine) - prediction.slope), late),
        parts={
            "asymptotics": rows(norm(prediction.left), prediction.slope_left, 0),
            "integration": rows(integration, largest(slope(fine) - slope(coarse)), when_integration),
            "rounding": rows(ones * rounding, 16 * rounding, 1e3 * rounding),
        },
        # What the check must see: amplitudes that vanish; the slope of a linear network's last layer; times twice as late.
        effect=rows(ones, 0.5 - 1 / (4 - 2 / depth), 0.5),
        predicted=rows(ones, prediction.slope, 0)[:, None],
        measured=rows(norm(fine[-1, :-1]), jnp.mean(slope(fine)), late)[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(*(f"layer {i}" for i in range(1, depth)), "slope", "time"),
        what="amplitudes of a disrupted feature",
    )


def _vanishing(problem: ThresholdTask) -> ThresholdTask:
    """The same features, none of which any two views share."""
    times = jnp.geomspace(1e-2, 1e6, RECORDS, dtype=problem.times.dtype)
    return dataclasses.replace(problem, flips=jnp.full_like(problem.flips, 0.5), times=times)


def _vanishing_problems(key: PRNGKeyArray) -> Iterator[ThresholdTask]:
    for depth, index in ((2, 10), (3, 10), (2, 11), (4, 10)):
        yield _vanishing(task(key, depth, index))


@eqx.filter_jit
def _of_equal_weights(problem: ThresholdTask, own: Retained) -> Retained:
    """What equal weights keep."""
    limit = theory.threshold_law(jnp.zeros_like(problem.strength), *_equal(problem), problem.strength)
    return eqx.tree_at(lambda r: r.orbits.limit, own, limit)


def _linear_slope(problem: ThresholdTask, own: Retained) -> Retained:
    return replace(own, slope=jnp.asarray(-1 / (4 - 2 / problem.depth), own.slope.dtype))


def _without_thresholds(problem: ThresholdTask, own: Run) -> Run:
    """Linear layers that start with the same amplitudes."""
    weights, thresholds = _linear(problem)
    return train(dataclasses.replace(problem, weights=weights, thresholds=thresholds))


def _some_signal(problem: ThresholdTask, own: Run) -> Run:
    return train(dataclasses.replace(problem, flips=problem.flips - 0.005))


RETAINED = Claim(
    name="retained-when-vanishing",
    statement="A feature that the augmentation fully disrupts vanishes after the last layer, as t^(-1/2) at any depth, but is kept below: "
    "A_1 tends to sqrt(phi b_2) in two layers that start with equal weights, and to what the threshold law says from any start.",
    latex=r"\rho = 0:\quad A_L \simeq (8 R t)^{-1/2} \to 0, \qquad A_1 \to \sqrt{\varphi\, b_2} > 0",
    hypotheses=(
        "diagonal network with fixed thresholds",
        "a positive threshold in the last layer",
        "views share no sign",
        "active feature",
        "gradient flow",
    ),
    source="beyond the paper",
    problems=_vanishing_problems,
    predict=predict_retained,
    measure=train,
    compare=judge_retained,
    sharpness={
        "layer #": (0.006, 0.09),
        "slope": (0.3, 0.09),
        "time": (3e-8, 8e-4),
    },
    controls=(
        Control("no-thresholds", "trains linear layers, which lose the feature everywhere", measure=_without_thresholds),
        Control("some-signal", "lets two views share one sign in ten thousand", measure=_some_signal),
        Control("balanced", "predicts what equal weights keep, from unequal ones", predict=_of_equal_weights),
        Control("linear-slope", "predicts that the last layer forgets as that of a linear network does", predict=_linear_slope),
    ),
    quick=1,
)

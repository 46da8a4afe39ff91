"""sl-times and sl-retention: when regression learns each mode, and how it forgets one that says nothing."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .. import losses
from ..moments import TargetMoments
from ..networks import DeepLinear
from ..theory import regression
from ._claim import Claim, Control
from ._dynamics import RECORDS, Forgetting, between_axes, judge_forgetting, judge_paths, slope_left, unequal_factors
from ._runs import Run, flow
from ._tasks import aligned, replace, scaled

DIM = 3
SMALLEST = {1: 1e-3, 2: 1e-3, 3: 1e-2, 4: 2e-2, 5: 3e-2}
"""A start from which each depth waits, without the wait becoming all of the run."""


class ModeTask(eqx.Module):
    r"""Aligned modes seen by a balanced network: per mode, the moment $a_i$ of target and input, the second moment $q_i$, and the product
    weight at the start; the moments of time at which it is looked at.
    """

    target: Float[Array, " d"]
    second: Float[Array, " d"]
    start_weight: Float[Array, " d"]
    times: Float[Array, " T"]
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.target.shape[0]} modes"

    @property
    def moments(self) -> TargetMoments:
        return _moments(self.target, self.second)

    def start(self) -> DeepLinear:
        return aligned(self.start_weight, self.depth)


@eqx.filter_jit
def _moments(target: Array, second: Array) -> TargetMoments:
    return TargetMoments(jnp.diag(target), jnp.diag(second))


def train(problem: ModeTask, start: DeepLinear | None = None) -> Run:
    """Gradient flow of the squared error to the last time, recorded at all of them."""
    p = problem
    return flow(p.start() if start is None else start, p.moments, loss=losses.mse, until=p.times[-1], record=p.times, stationarity=0.0)


@eqx.filter_jit
def paths(problem: ModeTask, depth: int | None = None) -> Float[Array, "T L d"]:
    """The predicted weight of every mode at every layer and time; of a network of another depth, read at the problem's own layers."""
    p = problem
    last = jax.vmap(lambda t: regression.weight_at_time(t, p.start_weight, p.target, p.second, depth or p.depth))(p.times)
    return last[:, None, :] ** (jnp.arange(1, p.depth + 1, dtype=last.dtype) / p.depth)[:, None]


def modes(key: PRNGKeyArray, depth: int, index: int = 0) -> ModeTask:
    """Three modes of targets a factor of two or so apart, watched from the first moves until after the slowest has been learned."""
    return _modes(key, depth, jnp.asarray(index))


@eqx.filter_jit
def _modes(key: PRNGKeyArray, depth: int, index: Array) -> ModeTask:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 15_000 + index))
    dtype = jnp.result_type(float)
    target = jnp.asarray([1.0, 0.6, 0.3], dtype) * jax.random.uniform(k1, (DIM,), dtype, 0.8, 1.2)
    second = target * jax.random.uniform(k2, (DIM,), dtype, 0.5, 1.5)
    start = jnp.full(DIM, SMALLEST[depth], dtype)
    end = regression.time_to_weight(0.95 * target / second, start, target, second, depth)
    times = jnp.geomspace(jnp.min(end) / 50, 1.5 * jnp.max(end), RECORDS, dtype=dtype)
    return ModeTask(target, second, start, times, depth)


def _times_problems(key: PRNGKeyArray) -> Iterator[ModeTask]:
    for depth in (3, 2, 1, 5, 4):
        yield modes(key, depth)
    for depth in (2, 3):
        yield modes(key, depth, 1)


def _unequal(problem: ModeTask) -> ModeTask:
    return replace(problem, start_weight=problem.start_weight * jnp.asarray([1.0, 4.0, 0.25], problem.target.dtype))


def _off_axis(problem: ModeTask, own: Any) -> Run:
    """A start of the same weights along directions between the modes."""
    return train(problem, aligned(problem.start_weight, problem.depth, between_axes(problem.target.dtype)))


def _lopsided(problem: ModeTask, own: Run) -> Run:
    return train(problem, scaled(problem.start(), unequal_factors(problem.depth, problem.target.dtype)))


def _harder_modes(depth: int) -> Callable[[PRNGKeyArray], ModeTask]:
    """Draws for a random search: units over six decades, targets down to ties, starts from tiny to beyond the end."""

    def draw(key: PRNGKeyArray) -> ModeTask:
        k = jax.random.split(key, 5)
        dtype = jnp.result_type(float)
        unit = 10.0 ** jax.random.uniform(k[0], (), dtype, -3, 3)
        target = unit * 10.0 ** jax.random.uniform(k[1], (DIM,), dtype, -1, 0)
        target = jnp.where(jax.random.bernoulli(k[2], 0.3), target.at[1].set(target[0]), target)
        final = 10.0 ** jax.random.uniform(k[3], (DIM,), dtype, -1, 1)
        start = final * 10.0 ** jax.random.uniform(k[4], (DIM,), dtype, -1.5, 0.3)
        rate = jnp.min(depth * target * final ** (1 - 2 / depth))
        return ModeTask(target, target / final, start, jnp.geomspace(0.001 / rate, 20 / rate, RECORDS, dtype=dtype), depth)

    return draw


TIMES = Claim(
    name="sl-times",
    statement="In regression, from an aligned balanced start every mode evolves alone, ds/dt = L s^(2 - 2/L) (a - q s): exponentially at "
    "depth 1, along a sigmoid at depth 2, and in closed form at any depth; layer l carries s^(l/L) at every time.",
    latex=r"\dot s = L\, s^{2 - 2/L} (a - q s), \qquad L = 2:\ s = \frac{a/q}{1 + (\frac{a}{q s_0} - 1)\, e^{-2at}}",
    hypotheses=("linear network", "squared error", "aligned modes", "aligned balanced start", "gradient flow"),
    source="beyond the paper; Saxe et al. 2014 for depth 2",
    problems=_times_problems,
    predict=paths,
    measure=train,
    compare=judge_paths,
    sharpness={
        "feature #": (5e-11, 0.01),
    },
    controls=(
        Control("unaligned-start", "starts along directions between the modes", problem=_unequal, measure=_off_axis),
        Control("unbalanced-start", "starts with the same product, but unequal layers", measure=_lopsided),
        Control("wrong-depth", "predicts for one layer more", predict=lambda problem, own: paths(problem, problem.depth + 1)),
    ),
    search=tuple(_harder_modes(depth) for depth in (1, 2, 3)),
    quick=1,
)


# sl-retention


@eqx.filter_jit
def forgetting(problem: ModeTask) -> Forgetting:
    """The exact decay of the last mode, and the power law it tends to."""
    p = problem
    logs = jnp.log(paths(p)[:, :, -1])
    slopes = -jnp.asarray([regression.retention_exponent(p.depth, level) for level in range(1, p.depth + 1)], logs.dtype)
    transient = regression.retention_transient(p.times, p.start_weight[-1], p.second[-1], p.depth)
    return Forgetting(logs, slopes, slope_left(p.times, transient, p.depth, 2 - 2 / p.depth))


@eqx.filter_jit
def _idle(p: ModeTask) -> ModeTask:
    """Two ordinary modes at their end, and one that says nothing of the target; slopes are read off the last two of eight decades."""
    start = (p.target / p.second).at[-1].set(1)
    times = jnp.geomspace(1e-4, 1e4, RECORDS, dtype=p.times.dtype)
    return replace(p, target=p.target.at[-1].set(0), second=p.second.at[-1].set(1.5), start_weight=start, times=times)


def _idle_problems(key: PRNGKeyArray) -> Iterator[ModeTask]:
    for depth, index in ((3, 20), (2, 20), (4, 20), (2, 21)):
        yield _idle(modes(key, depth, index))


def _harder_idle(depth: int) -> Callable[[PRNGKeyArray], ModeTask]:
    def draw(key: PRNGKeyArray) -> ModeTask:
        k1, k2 = jax.random.split(key)
        dtype = jnp.result_type(float)
        second = 10.0 ** jax.random.uniform(k1, (1,), dtype, -3, 3)
        start = 10.0 ** jax.random.uniform(k2, (1,), dtype, -2, 1)
        rate = second * start ** (2 - 2 / depth)
        return ModeTask(jnp.zeros(1, dtype), second, start, jnp.geomspace(1e-4, 1e4, RECORDS, dtype=dtype) / rate[0], depth)

    return draw


RETENTION = Claim(
    name="sl-retention",
    statement="A mode that says nothing of the target is forgotten by regression as a power of time, t^(-(l/L)/(2 - 2/L)) at layer l of "
    "two or more: the lower layers keep it longer. At depth 1 it falls exponentially.",
    latex=r"\|W_{l:1} v\| \sim t^{-\frac{l/L}{2 - 2/L}} \quad (a = 0,\ L \ge 2)",
    hypotheses=("linear network", "squared error", "depth at least 2", "aligned balanced start", "no signal", "gradient flow"),
    source="beyond the paper",
    problems=_idle_problems,
    predict=forgetting,
    measure=train,
    compare=judge_forgetting,
    sharpness={
        "slope, layer #": (0.007, 0.1),
        "path, layer #": (4e-11, 3e-4),
    },
    controls=(
        Control(
            "some-signal",
            "leaves a hundredth of the signal in the mode",
            measure=lambda problem, own: train(replace(problem, target=problem.target.at[-1].set(1e-2))),
        ),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=lambda problem, own: replace(own, slopes=jnp.full_like(own.slopes, own.slopes[-1])),
        ),
        Control(
            "contrastive-rate",
            "predicts the exponents of the spectral contrastive loss",
            predict=lambda problem, own: replace(own, slopes=own.slopes * (2 * problem.depth - 2) / (4 * problem.depth - 2)),
        ),
    ),
    search=tuple(_harder_idle(depth) for depth in (2, 3)),
    quick=1,
)

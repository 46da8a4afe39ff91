"""class-collapse and subclass-retention: where a subclass has no weight in any layer, and how slowly it gets there."""

import dataclasses
from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .. import theory
from ..problems import Groups
from ..theory import LayerPrediction, dynamics, layerwise
from ._claim import Claim, Control
from ._classes import ClassTask, train
from ._layers import PREMISE, judge_layers
from ._rounding import DEVIATIONS
from ._runs import Run, flow, local_error
from ._tasks import replace
from ._verdict import Verdict


class Collapse(eqx.Module):
    """A class and a subclass feature: strengths and noise of each, and how far they agree."""

    strength: Float[Array, " 2"]
    noise: Float[Array, " 2"]
    correlation: Float[Array, ""]
    key: PRNGKeyArray
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, a class and a subclass"

    @property
    def task(self) -> ClassTask:
        return _pair(self.strength, self.noise, self.correlation, self.key, (2,) + (1,) * self.depth)


@eqx.filter_jit
def _pair(strength: Array, noise: Array, correlation: Array, key: PRNGKeyArray, sizes: tuple[int, ...]) -> ClassTask:
    one = jnp.ones((), strength.dtype)
    return ClassTask(Groups.signs(strength, noise, correlation[None]), one, key, 0.7 * one, sizes)


class Layers(eqx.Module):
    """Predicted weights of class and subclass in every layer, and the whole of the layers, for what a run may be off by."""

    weights: Float[Array, "L 2"]
    layers: LayerPrediction


def predict_collapse(problem: Collapse) -> Layers:
    p, t = problem, problem.task
    return _layers_of(t, theory.subclass_weights(p.strength, p.noise, p.correlation, p.depth))


@eqx.filter_jit
def _layers_of(task: ClassTask, weights: Array) -> Layers:
    return Layers(weights, layerwise(task.moments, task.depth, width=1, throw=False))


@eqx.filter_jit
def judge_collapse(prediction: Layers, run: Run) -> Verdict:
    """Weight of the subclass relative to that of the class, layer by layer."""
    law = judge_layers(prediction.layers, run)
    seen = run.fine.weights()[-1]
    predicted, measured = (w[:, 1] / w[:, 0] for w in (prediction.weights, seen))
    # The Gram is of rank one: its relative error, twice, is how far its direction may have turned, and by that the tangent of the angle.
    # All layers are multiples of the first row: what is granted to the last goes for each.
    turn = 2 * (1 + predicted**2)
    return dataclasses.replace(
        law,
        discrepancy=jnp.abs(measured - predicted),
        parts={name: part[-1] * turn for name, part in law.parts.items()},
        # What the check must see: a hundredth of equal weights.
        effect=jnp.full_like(predicted, 0.01),
        predicted=prediction.weights,
        measured=seen,
        what="weight of the subclass over that of the class",
    )


def _collapse(key: PRNGKeyArray, noise: float, correlation: float, index: int, depth: int = 3) -> Collapse:
    number = lambda x: jnp.asarray(x, jnp.result_type(float))  # noqa: E731
    return _drawn(key, number(noise), number(correlation), jnp.asarray(index), depth)


@eqx.filter_jit
def _drawn(key: PRNGKeyArray, noise: Array, correlation: Array, index: Array, depth: int) -> Collapse:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 19_000 + index))
    strength = jnp.asarray([1.5, 1.2], noise.dtype) * jax.random.uniform(k1, (2,), noise.dtype, 0.9, 1.1)
    return Collapse(strength, jnp.stack([noise, jnp.full_like(noise, 0.5)]), correlation, k2, depth)


def _collapse_problems(key: PRNGKeyArray) -> Iterator[Collapse]:
    yield _collapse(key, 0.0, 0.6, 0)
    yield _collapse(key, 0.8, 0.5, 1)
    yield _collapse(key, 0.8, 0.0, 2)
    yield _collapse(key, 0.5, -0.7, 3)
    yield _collapse(key, 0.0, -0.9, 4, 2)


def _less_below(problem: Collapse, own: Layers) -> Layers:
    """As if the ratio of two weights at layer l were that of the last to the power l / L, as it is of features that do not collapse."""
    ratio = own.weights[-1, 1] / own.weights[-1, 0]
    levels = jnp.arange(1, problem.depth + 1, dtype=ratio.dtype) / problem.depth
    return replace(own, weights=own.weights.at[:, 1].set(own.weights[:, 0] * ratio**levels))


def _harder_collapse(key: PRNGKeyArray) -> Collapse:
    k1, k2, k3 = jax.random.split(key, 3)
    dtype = jnp.result_type(float)
    noise = jnp.where(jax.random.bernoulli(k3, 0.3), 0, jax.random.uniform(k1, (), dtype, 0.05, 1.5))
    return _drawn(key, noise, jax.random.uniform(k2, (), dtype, -0.95, 0.95), jnp.asarray(0), 2)


COLLAPSE = Claim(
    name="class-collapse",
    statement="Trained on two classes to the minimum, a linear network gives a subclass feature the weight r phi_s sigma_c^2 over "
    "phi_c (phi_s^2 (1 - r^2) + sigma_s^2) relative to the class feature, in every layer alike: none at all, in any layer, if the class "
    "feature has no noise or the subclass is independent of it.",
    latex=r"\frac{\|W_{l:1} e_s\|}{\|W_{l:1} e_c\|} = \frac{|r|\, \phi_s \sigma_c^2}{\phi_c (\phi_s^2 (1 - r^2) + \sigma_s^2)} "
    r"\ \text{ for all } l",
    hypotheses=("linear network", "two balanced classes", "width one", PREMISE, "trained to stationarity"),
    source="paper section 5; that no layer is spared, beyond the paper",
    problems=_collapse_problems,
    predict=predict_collapse,
    measure=lambda problem: train(problem.task),
    compare=judge_collapse,
    sharpness={
        "layer #": (6e-8, 0.03),
    },
    controls=(
        Control(
            "collapsed",
            "predicts that the subclass collapses where the class feature has noise",
            predict=lambda problem, own: replace(own, weights=own.weights.at[:, 1].set(0)),
            on=1,
        ),
        Control("kept-below", "predicts that lower layers weight the subclass less unequally", predict=_less_below, on=1),
    ),
    search=(_harder_collapse,),
    quick=2,
)


# subclass-retention

RETENTION_RECORDS, DECADE = 16, 5
"""Three decades of time; the last two are fitted, and what is left of the transient is read off their difference."""


class Fading(eqx.Module):
    """Predicted slope of each layer's weight of the subclass in logarithmic time, and the rate at which its inverse power grows."""

    slopes: Float[Array, " L"]
    rate: Float[Array, ""]


@eqx.filter_jit
def fading(task: ClassTask) -> Fading:
    subclass = jnp.asarray([0.0, 1.0], task.scale.dtype)
    depth, e = task.depth, 4 - 2 / task.depth
    last = theory.collapsing_weight(jnp.ones((), task.scale.dtype), task.moments, subclass, depth)[-1]
    slopes = -jnp.asarray([dynamics.vanishing_exponent(depth, level) for level in range(1, depth + 1)], last.dtype)
    return Fading(slopes, last**-e)


def train_long(task: ClassTask) -> Run:
    """Gradient flow over three decades of time, stationary or not."""
    times = jnp.geomspace(2.0, 2000.0, RETENTION_RECORDS, dtype=task.scale.dtype)
    return flow(task.start(), task.moments, until=times[-1], record=times, stationarity=0.0)


@eqx.filter_jit
def judge_fading(prediction: Fading, run: Run) -> Verdict:
    """Two rows a layer: the slope over the last two decades, and how fast the weight to the power -L e / l grows in the last of them."""
    depth, e = run.fine.networks.depth, 4 - 2 / run.fine.networks.depth
    times = run.fine.times[:-1]
    logs, coarse = (jnp.log(t.weights()[:-1, :, 1]) for t in (run.fine, run.coarse))
    apart = jnp.max(jnp.abs(logs - coarse), axis=0) + local_error(logs.dtype, depth)
    rounding = (64 + DEVIATIONS * jnp.sqrt(run.fine.steps.astype(logs.dtype))) * depth * jnp.finfo(logs.dtype).eps
    slope = lambda a, b: (logs[b] - logs[a]) / jnp.log(times[b] / times[a])  # noqa: E731
    powers = depth * e / jnp.arange(1, depth + 1, dtype=logs.dtype)
    rate = lambda a, b: (jnp.exp(-powers * logs[b]) - jnp.exp(-powers * logs[a])) / (times[b] - times[a])  # noqa: E731
    first, middle, end = RETENTION_RECORDS - 1 - 2 * DECADE, RETENTION_RECORDS - 1 - DECADE, RETENTION_RECORDS - 1
    # The transient falls at least as the last layer's weight does, t^(-1/e) with e < 4: at most 1.3 times what it has fallen by from one
    # decade to the next is left in the second, and 1.8 times in both together.
    slope_left = 2 * jnp.abs(slope(first, middle) - slope(middle, end))
    rate_left = 2 * jnp.abs(rate(first, middle) - rate(middle, end)) / prediction.rate
    both = lambda a, b: jnp.concatenate([a, b])  # noqa: E731
    rounded = jnp.full(depth, rounding * (1 + jnp.max(jnp.abs(logs))))
    spread = both(jnp.full(depth, 2 / jnp.log(times[end] / times[first])), 2 * powers)
    noise = lambda x: spread * both(x, x)  # noqa: E731
    predicted = both(prediction.slopes, jnp.ones(depth, logs.dtype))
    measured = both(slope(first, end), rate(middle, end) / prediction.rate)
    return Verdict(
        discrepancy=jnp.abs(measured - predicted),
        parts={"asymptotics": both(slope_left, rate_left), "integration": noise(apart), "rounding": noise(rounded)},
        # What the check must see: the slope of the neighbouring layer; half of the rate.
        effect=both(jnp.full(depth, jnp.abs(prediction.slopes[0])), jnp.full(depth, 0.5, logs.dtype)),
        predicted=predicted[:, None],
        measured=measured[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(*(f"slope, layer {i}" for i in range(1, depth + 1)), *(f"rate, layer {i}" for i in range(1, depth + 1))),
        what="decay of the subclass",
    )


def _fading_task(key: PRNGKeyArray, noise: float, correlation: float, index: int, depth: int = 2) -> ClassTask:
    p = _collapse(key, noise, correlation, index, depth)
    # Large, so that little of the start is left to be forgotten.
    return replace(_pair(p.strength, p.noise, p.correlation, p.key, (2,) * (depth + 1)), scale=jnp.full_like(p.correlation, 1.3))


def _fading_problems(key: PRNGKeyArray) -> Iterator[ClassTask]:
    yield _fading_task(key, 0.0, 0.6, 10)
    yield _fading_task(key, 0.6, 0.0, 11)
    yield _fading_task(key, 0.0, 0.6, 12, 3)
    yield _fading_task(key, 0.0, -0.8, 13)


def _some_noise(problem: ClassTask, own: Run) -> Run:
    """A little noise in the class feature, by which the subclass is of use where it agrees with the class."""
    return train_long(replace(problem, groups=replace(problem.groups, noise=jnp.full_like(problem.groups.noise, 0.3))))


def _alone(problem: ClassTask, own: Fading) -> Fading:
    """The rate with all the variance of the subclass, that of its own noise and what the class explains of it alike."""
    return replace(own, rate=own.rate * (problem.moments.second[1, 1] * jnp.linalg.inv(problem.moments.second)[1, 1]) ** 2)


def _harder_fading(key: PRNGKeyArray) -> ClassTask:
    return _fading_task(key, 0.0, 0.5, 0)


RETENTION = Claim(
    name="subclass-retention",
    statement="Where classes make a subclass collapse, time saves it: its weight at layer l falls as (4 L e q^2 t)^(-(l/L)/e) with "
    "e = 4 - 2/L and q the variance of the subclass that what is learned does not explain: lower layers keep it longer.",
    latex=r"\|W_{l:1} v\| \sim (4 L e\, q^2 t)^{-\frac{l/L}{e}}, \qquad e = 4 - \tfrac2L, \quad q = \frac{1}{v^\top S^{-1} v}",
    hypotheses=("linear network", "one direction collapses", "width at least two", "balanced start", "late", "gradient flow"),
    source="beyond the paper",
    problems=_fading_problems,
    predict=fading,
    measure=train_long,
    compare=judge_fading,
    sharpness={
        "slope, layer #": (0.2, 0.1),
        "rate, layer #": (0.3, 0.03),
    },
    controls=(
        Control("noisy-class", "trains with noise in the class feature, by which the subclass is not lost", measure=_some_noise),
        Control(
            "same-rate",
            "predicts that all layers forget at the rate of the last",
            predict=lambda problem, own: replace(own, slopes=jnp.full_like(own.slopes, own.slopes[-1])),
        ),
        Control("all-variance", "predicts with all of the subclass's variance for what the class leaves of it", predict=_alone),
    ),
    search=(_harder_fading,),
    quick=1,
)

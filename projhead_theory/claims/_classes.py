"""scl-minimiser, class-collapse, mixed-positives and subclass-retention: what supervised contrastive learning leaves of subclasses."""

import dataclasses
from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .. import theory
from .._spectra import psd_power
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import Groups, MixedPositives, SupervisedContrastiveProblem
from ..theory import LayerPrediction, dynamics, layerwise
from ._claim import Claim, Control
from ._layers import PREMISE, judge_layers, with_exponents
from ._rounding import DEVIATIONS
from ._runs import Run, flow, local_error
from ._tasks import balanced, replace
from ._verdict import Verdict


class ClassTask(eqx.Module):
    """Groups in classes, the share of positives drawn from the class, and a balanced start of a network of these `sizes`."""

    groups: Groups
    share: Float[Array, ""]
    key: PRNGKeyArray
    scale: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{self.groups.classes} classes, widths {'-'.join(map(str, self.sizes))}"

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def moments(self) -> Moments:
        return _moments(self.groups, self.share)

    def start(self) -> DeepLinear:
        return balanced(self.key, self.sizes, self.scale)

    def shrinks(self) -> Iterator[Callable[[], "ClassTask"]]:
        """Rounder means and noise."""
        from ._search import rounder

        for digits in (1, 2, 3):
            g = self.groups
            yield lambda digits=digits, g=g: replace(
                self, groups=replace(g, means=rounder(g.means, digits), noise=rounder(g.noise, digits))
            )


@eqx.filter_jit
def _moments(groups: Groups, share: Array) -> Moments:
    return SupervisedContrastiveProblem(groups, MixedPositives(share)).moments()


def train(problem: ClassTask) -> Run:
    """Gradient flow to stationarity."""
    return flow(problem.start(), problem.moments)


@eqx.filter_jit
def with_last(prediction: LayerPrediction, gram: Array) -> LayerPrediction:
    """The prediction with another last Gram, and the powers of it below."""
    levels = jnp.arange(1, prediction.depth + 1, dtype=gram.dtype) / prediction.depth
    return replace(prediction, grams=jax.vmap(lambda t: psd_power(gram, t, prediction.minimiser.kept))(levels))


# scl-minimiser


@eqx.filter_jit
def predict_classes(problem: ClassTask) -> LayerPrediction:
    """$S^{-1} C S^{-1}$ with the classes' own cross moment, and its powers; the rest says how near a run is to it."""
    m = problem.moments
    return with_last(layerwise(m, problem.depth, width=min(problem.sizes[1:]), throw=False), theory.class_minimiser(m))


def classes(key: PRNGKeyArray, sizes: tuple[int, ...], index: int = 0) -> ClassTask:
    """As many classes as the network is wide, of unequal probability and two groups each, in random position."""
    return _classes(key, sizes, jnp.asarray(index))


@eqx.filter_jit
def _classes(key: PRNGKeyArray, sizes: tuple[int, ...], index: Array) -> ClassTask:
    k = jax.random.split(jax.random.fold_in(key, 17_000 + index), 4)
    dtype = jnp.result_type(float)
    d, count = sizes[0], min(sizes[1:])
    centre, _ = jnp.linalg.qr(jax.random.normal(k[0], (d, count), dtype))
    centre = centre.T * jnp.linspace(2.0, 1.0, count, dtype=dtype)[:, None]
    apart = 0.7 * jax.random.normal(k[1], (count, 1, d), dtype) * jnp.asarray([[[1.0], [-1.0]]], dtype)
    share = jnp.linspace(1.5, 0.5, count, dtype=dtype) / count
    noise = jax.random.uniform(k[2], (d,), dtype, 0.5, 1.0)
    means = (centre[:, None] + apart).reshape(2 * count, d)
    groups = Groups(jnp.repeat(share / 2, 2), means, noise, jnp.repeat(jnp.arange(count), 2), count)
    one = jnp.ones((), dtype)
    return ClassTask(groups, one, k[3], one / 2, sizes)


def _class_problems(key: PRNGKeyArray) -> Iterator[ClassTask]:
    yield classes(key, (5, 3, 3))
    yield classes(key, (5, 3, 3, 3))
    yield classes(key, (4, 2))
    yield classes(key, (3, 1, 1))
    yield classes(key, (6, 4, 5))
    for index in (1, 2):
        yield classes(key, (5, 3, 3), index)


def _lopsided(problem: ClassTask, own: Run) -> Run:
    first, *rest = problem.start().layers
    return flow(DeepLinear([2 * first, *(w / 2 ** (1 / len(rest)) for w in rest)]), problem.moments)


UNBALANCED = Control(
    "unbalanced-start", "starts with the same product, but a larger lowest layer and smaller ones above", measure=_lopsided
)


def _noiseless(problem: ClassTask, own: LayerPrediction) -> LayerPrediction:
    """As if views shared their noise: the spread of the group means for the second moment, on its range."""
    m = problem.moments
    inner = problem.groups.between + 0.1 * jnp.eye(m.dim, dtype=m.second.dtype)
    half = jnp.linalg.solve(inner, m.cross)
    return with_last(own, jnp.linalg.solve(inner, half.T))


def _equal_classes(problem: ClassTask, own: LayerPrediction) -> LayerPrediction:
    """As if all classes were equally likely."""
    g, m = problem.groups, problem.moments
    half = jnp.linalg.solve(m.second, g.class_means.T @ g.class_means / g.classes)
    return with_last(own, jnp.linalg.solve(m.second, half.T))


def _harder_classes(sizes: tuple[int, ...]) -> Callable[[PRNGKeyArray], ClassTask]:
    return lambda key: _classes(key, sizes, jnp.asarray(0))


MINIMISER = Claim(
    name="scl-minimiser",
    statement="Supervised contrastive learning, whose positives are two inputs of one class, ends at M = S^(-1) C S^(-1) with "
    "C = sum_k pi_k mu_k mu_k^T, which spans the discriminant directions of the classes; layer l has the Gram M^(l/L).",
    latex=r"M^\star = S^{-1} \Big(\sum_k \pi_k \mu_k \mu_k^\top\Big) S^{-1}, \qquad M_l = (M^\star)^{l/L}",
    hypotheses=("linear network", "width the rank of C", PREMISE, "gradient flow", "trained to stationarity"),
    source="paper section 5; beyond the paper for any number of classes and depth",
    problems=_class_problems,
    predict=predict_classes,
    measure=train,
    compare=judge_layers,
    controls=(
        UNBALANCED,
        Control("equal-classes", "predicts as if all classes were equally likely", predict=_equal_classes),
        Control("no-noise", "predicts from the spread of the group means alone", predict=_noiseless),
        Control(
            "one-gram", "predicts one and the same Gram in every layer", predict=with_exponents(lambda level, depth: jnp.ones_like(level))
        ),
    ),
    search=tuple(_harder_classes(sizes) for sizes in ((2, 1), (4, 2, 2), (4, 3, 3, 3))),
    quick=1,
)


# mixed-positives


@eqx.filter_jit
def predict_mixed(problem: ClassTask, share: Array | None = None) -> LayerPrediction:
    """From the mixture of both cross moments; where the subclass is alone, its weight is that of the closed form."""
    g, a = problem.groups, problem.share if share is None else share
    class_only, views = (_moments(g, jnp.full_like(a, one)).cross for one in (1, 0))
    return layerwise(Moments(a * class_only + (1 - a) * views, g.second), problem.depth, throw=False)


def mixture(key: PRNGKeyArray, depth: int, share: float, index: int = 0, correlation: float = 0.4) -> ClassTask:
    """A class, a subclass and a third feature, with this share of positives from the class."""
    number = lambda x: jnp.asarray(x, jnp.result_type(float))  # noqa: E731
    return _mixture(key, depth, number(share), number(correlation), jnp.asarray(index))


@eqx.filter_jit
def _mixture(key: PRNGKeyArray, depth: int, share: Array, correlation: Array, index: Array) -> ClassTask:
    k1, k2, k3 = jax.random.split(jax.random.fold_in(key, 18_000 + index), 3)
    dtype = share.dtype
    strength = jnp.asarray([1.4, 1.0, 0.7], dtype) * jax.random.uniform(k1, (3,), dtype, 0.9, 1.1)
    noise = jnp.asarray([0.6, 0.4, 0.3], dtype) * jax.random.uniform(k2, (3,), dtype, 0.9, 1.1)
    groups = Groups.signs(strength, noise, correlation * jnp.asarray([1.0, -0.5], dtype))
    return ClassTask(groups, share, k3, jnp.asarray(0.7, dtype), (3,) * (depth + 1))


def _mixed_problems(key: PRNGKeyArray) -> Iterator[ClassTask]:
    yield mixture(key, 2, 0.6)
    yield mixture(key, 3, 0.8)
    for index, share in enumerate((0.2, 0.9, 0.97), 1):
        yield mixture(key, 2, share, index)
    yield mixture(key, 2, 0.7, 4, 0.0)


@eqx.filter_jit
def _separate(problem: ClassTask, own: LayerPrediction) -> LayerPrediction:
    """The mixture of the Grams of both minimisers, layer by layer: right in the last, where it is linear in C, and wrong below."""
    g, a = problem.groups, problem.share
    both = (layerwise(_moments(g, jnp.full_like(a, one)), problem.depth, throw=False).grams for one in (1, 0))
    return replace(own, grams=sum(w * grams for w, grams in zip((a, 1 - a), both, strict=True)))


def _harder_mixture(depth: int) -> Callable[[PRNGKeyArray], ClassTask]:
    def draw(key: PRNGKeyArray) -> ClassTask:
        k1, k2 = jax.random.split(key)
        dtype = jnp.result_type(float)
        share, r = jax.random.uniform(k1, (), dtype, 0, 0.98), jax.random.uniform(k2, (), dtype, -0.9, 0.9)
        return _mixture(key, depth, share, r, jnp.asarray(0))

    return draw


MIXED = Claim(
    name="mixed-positives",
    statement="Where a positive is drawn from the class with probability a and is another view otherwise, the cross moment is the mixture "
    "of both, and all closed forms apply: an independent subclass has weight (sqrt(1 - a) phi/(phi^2 + sigma^2))^(l/L) at layer l.",
    latex=r"C = a\, C_{\mathrm{class}} + (1 - a)\, C_{\mathrm{view}}, \qquad w_s = \sqrt{1 - a}\, \frac{\phi_s}{\phi_s^2 + \sigma_s^2}",
    hypotheses=("linear network", "a below 1", PREMISE, "gradient flow", "trained to stationarity"),
    source="beyond the paper",
    problems=_mixed_problems,
    predict=predict_mixed,
    measure=train,
    compare=judge_layers,
    controls=(
        UNBALANCED,
        Control(
            "share-squared",
            "predicts for a share a^2, as if each of a pair were drawn for itself",
            predict=lambda problem, own: replace(own, grams=predict_mixed(problem, problem.share**2).grams),
        ),
        Control("layers-mixed", "predicts in every layer the mixture of the Grams of both minimisers", predict=_separate),
    ),
    search=tuple(_harder_mixture(depth) for depth in (1, 2)),
    quick=1,
)


# class-collapse


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

    def shrinks(self) -> Iterator[Callable[[], "Collapse"]]:
        """Rounder numbers."""
        from ._search import rounder

        for digits in (1, 2, 3):
            yield lambda digits=digits: rounder(self, digits)


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
    turn = 2 * (1 + predicted**2)
    return dataclasses.replace(
        law,
        discrepancy=jnp.abs(measured - predicted),
        parts={name: part * turn for name, part in law.parts.items()},
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

RETENTION_RECORDS, DECADE = 61, 20
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
    # The transient falls with time: from one decade to the next by more than half, so less is left than it has fallen by; in both
    # decades together there is at most that of the first, twice what it has fallen by.
    slope_left = 2 * jnp.abs(slope(first, middle) - slope(middle, end))
    rate_left = jnp.abs(rate(first, middle) - rate(middle, end)) / prediction.rate
    both = lambda a, b: jnp.concatenate([a, b])  # noqa: E731
    wobble = apart + rounding * (1 + jnp.max(jnp.abs(logs)))
    spread = both(jnp.full(depth, 2 / jnp.log(times[end] / times[first])), 2 * powers)
    noise = lambda x: spread * both(x, x)  # noqa: E731
    predicted = both(prediction.slopes, jnp.ones(depth, logs.dtype))
    measured = both(slope(first, end), rate(middle, end) / prediction.rate)
    return Verdict(
        discrepancy=jnp.abs(measured - predicted),
        parts={"asymptotics": both(slope_left, rate_left), "integration": noise(apart), "rounding": noise(wobble - apart)},
        # What the check must see: a fifth of the slope, which is less than from one layer to the next; a fifth of the rate.
        effect=jnp.abs(predicted) / 5,
        predicted=predicted[:, None],
        measured=measured[:, None],
        settled=run.reached,
        finite=run.finite,
        labels=(*(f"slope, layer {i}" for i in range(1, depth + 1)), *(f"rate, layer {i}" for i in range(1, depth + 1))),
        what="decay of the subclass",
    )


def _fading_task(key: PRNGKeyArray, noise: float, correlation: float, index: int, depth: int = 2) -> ClassTask:
    p = _collapse(key, noise, correlation, index, depth)
    return _pair(p.strength, p.noise, p.correlation, p.key, (2,) * (depth + 1))


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

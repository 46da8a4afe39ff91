"""scl-minimiser and mixed-positives: what supervised contrastive learning weights, and what views among the positives add."""

import functools
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
from ..theory import LayerPrediction, layerwise
from ._claim import Claim, Control
from ._exact import try_exact
from ._layers import PREMISE, judge_layers, with_exponents
from ._runs import Run, flow
from ._search import rounded
from ._tasks import balanced, replace, scaled


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
        g = self.groups
        return rounded(lambda r: replace(self, groups=replace(g, means=r(g.means), noise=r(g.noise))))


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
    yield classes(key, (6, 4, 4, 4))
    yield classes(key, (5, 3, 3))
    yield classes(key, (4, 2))
    yield classes(key, (3, 1, 1))
    yield classes(key, (6, 4, 5))
    for index in (1, 2):
        yield classes(key, (5, 3, 3), index)


def _lopsided(problem: ClassTask, own: Run) -> Run:
    above = len(problem.sizes) - 2
    factors = jnp.asarray([2.0] + [2 ** (-1 / above)] * above, problem.scale.dtype)
    return flow(scaled(problem.start(), factors), problem.moments)


UNBALANCED = Control(
    "unbalanced-start", "starts with the same product, but a larger lowest layer and smaller ones above", measure=_lopsided
)


@eqx.filter_jit
def _noiseless(problem: ClassTask, own: LayerPrediction) -> LayerPrediction:
    """As if views shared their noise: the spread of the group means for the second moment, on its range."""
    m = problem.moments
    inner = problem.groups.between + 0.1 * jnp.eye(m.dim, dtype=m.second.dtype)
    half = jnp.linalg.solve(inner, m.cross)
    return with_last(own, jnp.linalg.solve(inner, half.T))


@eqx.filter_jit
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
    sharpness={
        "layer #": (2e-9, 0.09),
    },
    controls=(
        UNBALANCED,
        Control("equal-classes", "predicts as if all classes were equally likely", predict=_equal_classes),
        Control("no-noise", "predicts from the spread of the group means alone", predict=_noiseless),
        Control(
            "one-gram", "predicts one and the same Gram in every layer", predict=with_exponents(lambda level, depth: jnp.ones_like(level))
        ),
    ),
    search=tuple(_harder_classes(sizes) for sizes in ((2, 1), (4, 2, 2), (4, 3, 3, 3))),
    exact=functools.partial(try_exact, judge_layers, predict_classes),
    quick=1,
)


# mixed-positives


def predict_mixed(problem: ClassTask, share: Array | None = None) -> LayerPrediction:
    """From the mixture of both cross moments; where the subclass is alone, its weight is that of the closed form."""
    moments = _mixed(problem.groups, problem.share if share is None else share)
    return layerwise(moments, problem.depth, throw=False)


@eqx.filter_jit
def _mixed(groups: Groups, share: Array) -> Moments:
    class_only, views = (_moments(groups, jnp.full_like(share, one)).cross for one in (1, 0))
    return Moments(share * class_only + (1 - share) * views, groups.second)


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


def _separate(problem: ClassTask, own: LayerPrediction) -> LayerPrediction:
    """The mixture of the Grams of both minimisers, layer by layer: right in the last, where it is linear in C, and wrong below."""
    a = problem.share
    both = (predict_mixed(problem, jnp.full_like(a, one)).grams for one in (1, 0))
    return replace(own, grams=_weighted(a, *both))


@jax.jit
def _weighted(share: Array, first: Array, second: Array) -> Array:
    return share * first + (1 - share) * second


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
    sharpness={
        "layer #": (4e-9, 0.09),
    },
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
    exact=functools.partial(try_exact, judge_layers, predict_mixed),
    quick=1,
)

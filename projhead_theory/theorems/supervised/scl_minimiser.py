"""scl-minimiser: the layer-wise law on the moments of classes."""

from typing import ClassVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, Moments, SupervisedContrastiveProblem, losses, problems, theory
from ..._core import layer_shares, named
from ...claims import Claim, Control, Offers, rounded
from .._common import (
    PREMISE,
    UNBALANCED,
    balanced,
    drawn,
    exact_check,
    judge_layers,
    orthonormal,
    over,
    raised,
    replace,
    train,
    widths,
    with_exponents,
)


class ClassTask(eqx.Module):
    """Groups in classes, and a balanced start of a network of widths `sizes`.

    The share of positives drawn from the class is `share`.
    """

    groups: problems.Groups
    share: Float[Array, ""]
    key: PRNGKeyArray
    scale: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)
    loss: ClassVar[losses.AbstractLoss] = losses.spectral
    stiff: ClassVar[bool] = False

    @property
    def label(self) -> str:
        return f"{self.groups.classes} classes, {widths(self.sizes)}"

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def moments(self) -> Moments:
        return moments_of(self.groups, self.share)

    def start(self) -> DeepLinear:
        return balanced(self.key, self.sizes, self.scale)

    def shrinks(self) -> Offers:
        """Simpler problems: rounder means and noise."""
        g = self.groups
        return rounded(
            lambda r: replace(self, groups=replace(g, means=r(g.means), noise=r(g.noise)))
        )


@eqx.filter_jit
def moments_of(groups: problems.Groups, share: Array) -> Moments:
    return SupervisedContrastiveProblem(groups, problems.MixedPositives(share)).moments()


def with_last(
    prediction: theory.layers.LayerPrediction, gram: Array
) -> theory.layers.LayerPrediction:
    """The prediction with another last Gram, and its powers below."""
    return raised(prediction, layer_shares(prediction.depth, gram.dtype), gram)


def predict_classes(problem: ClassTask) -> theory.layers.LayerPrediction:
    """Powers of $S^{-1} C S^{-1}$, with the cross moment of the classes.

    The other fields, of the general layer-wise law, set the tolerances of a run.
    """
    m, width = problem.moments, min(problem.sizes[1:])
    return with_last(
        theory.layers.layerwise(m, problem.depth, width=width, throw=False),
        theory.supervised.class_minimiser(m),
    )


@drawn
def classes(key: PRNGKeyArray, sizes: tuple[int, ...], *, index: Array | int = 0) -> ClassTask:
    """Classes in random position, as many as the network is wide.

    They have unequal probabilities and two groups each.
    """
    k = jax.random.split(named(key, "classes", index), 4)
    d, count = sizes[0], min(sizes[1:])
    centre = orthonormal(k[0], d, count).T * jnp.linspace(2.0, 1.0, count)[:, None]
    apart = 0.7 * jax.random.normal(k[1], (count, 1, d)) * jnp.asarray([[[1.0], [-1.0]]])
    one = jnp.ones((), float)
    return ClassTask(
        problems.Groups(
            jnp.repeat((jnp.linspace(1.5, 0.5, count) / count) / 2, 2),
            (centre[:, None] + apart).reshape(2 * count, d),
            jax.random.uniform(k[2], (d,), float, 0.5, 1.0),
            jnp.repeat(jnp.arange(count), 2),
            count,
        ),
        one,
        k[3],
        one / 2,
        sizes,
    )


@eqx.filter_jit
def _noiseless(
    problem: ClassTask, own: theory.layers.LayerPrediction
) -> theory.layers.LayerPrediction:
    """Prediction from the spread of the group means, as if views shared their noise.

    The spread, with 0.1 added on the diagonal, takes the place of the second moment.
    """
    m = problem.moments
    inner = problem.groups.between + 0.1 * jnp.eye(m.dim, dtype=m.second.dtype)
    return with_last(own, jnp.linalg.solve(inner, jnp.linalg.solve(inner, m.cross).T))


@eqx.filter_jit
def _equal_classes(
    problem: ClassTask, own: theory.layers.LayerPrediction
) -> theory.layers.LayerPrediction:
    """Prediction as if all classes were equally likely."""
    g, m = problem.groups, problem.moments
    return with_last(
        own,
        jnp.linalg.solve(
            m.second, jnp.linalg.solve(m.second, g.class_means.T @ g.class_means / g.classes).T
        ),
    )


CLAIM = Claim(
    name="scl-minimiser",
    statement=(
        "Supervised contrastive learning, whose positives are two inputs of one class, ends at "
        "M = S^(-1) C S^(-1) with C = sum_k pi_k mu_k mu_k^T, which spans the discriminant "
        "directions of the classes; layer l has the Gram M^(l/L)."
    ),
    latex=(
        r"M^\star = S^{-1} \Big(\sum_k \pi_k \mu_k \mu_k^\top\Big) S^{-1}, \qquad M_l = "
        r"(M^\star)^{l/L}"
    ),
    hypotheses=(
        "linear network",
        "width the rank of C",
        PREMISE,
        "gradient flow",
        "trained to stationarity",
    ),
    source="paper section 5; beyond the paper for any number of classes and depth",
    problems=lambda key: (
        classes(key, sizes, index=index)
        for sizes, index in (
            ((6, 4, 4, 4), 0),
            ((5, 3, 3), 0),
            ((4, 2), 0),
            ((3, 1, 1), 0),
            ((6, 4, 5), 0),
            ((5, 3, 3), 1),
            ((5, 3, 3), 2),
        )
    ),
    predict=predict_classes,
    measure=train,
    compare=judge_layers,
    sharpness={
        "layer #": (2e-9, 0.09),
    },
    controls=(
        UNBALANCED,
        Control(
            "equal-classes",
            "predicts as if all classes were equally likely",
            predict=_equal_classes,
        ),
        Control(
            "no-noise", "predicts from the spread of the group means alone", predict=_noiseless
        ),
        Control(
            "one-gram",
            "predicts one and the same Gram in every layer",
            predict=with_exponents(lambda level, depth: jnp.ones_like(level)),
        ),
    ),
    search=over(classes, "sizes", ((2, 1), (4, 2, 2), (4, 3, 3, 3))),
    exact=exact_check(judge_layers, predict_classes),
    quick=1,
)

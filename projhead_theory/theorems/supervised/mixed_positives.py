"""mixed-positives: positives of the class and of the sample in any proportion."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ... import Moments, problems, theory
from ..._core import named
from ...claims import Claim, Control
from .._common import PREMISE, UNBALANCED, drawn, exact_check, judge_layers, over, replace, train
from .scl_minimiser import ClassTask, moments_of


def predict_mixed(problem: ClassTask, share: Array | None = None) -> theory.layers.LayerPrediction:
    """Layer-wise law of the mixture of both cross moments.

    An independent subclass has the weight of the closed form.
    """
    return theory.layers.layerwise(
        _mixed(problem.groups, problem.share if share is None else share),
        problem.depth,
        throw=False,
    )


@eqx.filter_jit
def _mixed(groups: problems.Groups, share: Array) -> Moments:
    class_only, views = (moments_of(groups, jnp.full_like(share, one)).cross for one in (1, 0))
    return Moments(share * class_only + (1 - share) * views, groups.second)


@drawn
def mixture(
    key: PRNGKeyArray,
    depth: int,
    *,
    share: Array | float,
    correlation: Array | float = 0.4,
    index: Array | int = 0,
) -> ClassTask:
    """A class, a subclass and a third feature, with this share of positives from the class."""
    k1, k2, k3 = jax.random.split(named(key, "mixed positives", index), 3)
    strength = jnp.asarray([1.4, 1.0, 0.7]) * jax.random.uniform(k1, (3,), float, 0.9, 1.1)
    noise = jnp.asarray([0.6, 0.4, 0.3]) * jax.random.uniform(k2, (3,), float, 0.9, 1.1)
    return ClassTask(
        problems.Groups.signs(strength, noise, correlation * jnp.asarray([1.0, -0.5])),
        jnp.asarray(share),
        k3,
        jnp.asarray(0.7, float),
        (3,) * (depth + 1),
    )


def _separate(
    problem: ClassTask, own: theory.layers.LayerPrediction
) -> theory.layers.LayerPrediction:
    """Prediction with the mixture of the Grams of both minimisers in every layer.

    It is right in the last layer, which is linear in C, and wrong below.
    """
    a = problem.share
    one, none = (predict_mixed(problem, jnp.full_like(a, x)).grams for x in (1, 0))
    return replace(own, grams=a * one + (1 - a) * none)


def _harder_mixture(key: PRNGKeyArray, depth: int) -> ClassTask:
    k1, k2 = jax.random.split(key)
    return mixture(
        key,
        depth,
        share=jax.random.uniform(k1, (), float, 0, 0.98),
        correlation=jax.random.uniform(k2, (), float, -0.9, 0.9),
    )


CLAIM = Claim(
    name="mixed-positives",
    statement=(
        "Where a positive is drawn from the class with probability a and is another view "
        "otherwise, the cross moment is the mixture of both, and all closed forms apply: an "
        "independent subclass has weight (sqrt(1 - a) phi/(phi^2 + sigma^2))^(l/L) at layer l."
    ),
    latex=(
        r"C = a\, C_{\mathrm{class}} + (1 - a)\, C_{\mathrm{view}}, \qquad w_s = \sqrt{1 - "
        r"a}\, \frac{\phi_s}{\phi_s^2 + \sigma_s^2}"
    ),
    hypotheses=("linear network", "a below 1", PREMISE, "gradient flow", "trained to stationarity"),
    source="beyond the paper",
    problems=lambda key: (
        mixture(key, depth, share=share, correlation=correlation, index=index)
        for depth, share, correlation, index in (
            (2, 0.6, 0.4, 0),
            (3, 0.8, 0.4, 0),
            (2, 0.2, 0.4, 1),
            (2, 0.9, 0.4, 2),
            (2, 0.97, 0.4, 3),
            (2, 0.7, 0.0, 4),
        )
    ),
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
            predict=lambda problem, own: replace(
                own, grams=predict_mixed(problem, problem.share**2).grams
            ),
        ),
        Control(
            "layers-mixed",
            "predicts in every layer the mixture of the Grams of both minimisers",
            predict=_separate,
        ),
    ),
    search=over(_harder_mixture, "depth", (1, 2)),
    exact=exact_check(judge_layers, predict_mixed),
    quick=1,
)

"""jepa-order: the course of features under self-prediction with a stopped gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import losses, theory
from ..._core import checks, layer_powers
from ...claims import Claim, Control
from .._common import decades, over, unbalanced_start, uniform
from ..dynamics.flow_times import judge_paths
from ._training import DIM, PredictionTask, features, other_predictor, train, watched


@eqx.filter_jit
def paths(p: PredictionTask, depth: int | None = None) -> Float[Array, "T K d"]:
    """Predicted weight of every feature at every layer and time, the predictor last.

    With `depth`, the factor of an encoder of that depth, read at the problem's own layers.
    """
    factor = theory.rivals.factor_at_time(
        p.times[:, None], p.start_factor, p.cross, p.second, depth or p.depth
    )
    return jnp.swapaxes(layer_powers(factor ** (p.depth + 1), p.depth + 1), 1, 2)


def _contrastive(problem: PredictionTask, own: Array) -> Array:
    """The same course, but towards weights that a contrastive loss gives the last layer."""
    course = np.asarray(own)
    end = np.sqrt(problem.cross) / np.asarray(problem.second)
    return checks.array(course / course[-1, -1] * end)


def harder(key: PRNGKeyArray, depth: int) -> PredictionTask:
    """Draw features over decades, signal fractions up to one, starts below and above the end."""
    k = jax.random.split(key, 4)
    cross = decades(k[0], -1, 1) * decades(k[1], -0.5, 0, (DIM,))
    second = cross / uniform(k[2], 0.4, 1.0, (DIM,))
    return watched(cross, second, cross / second * uniform(k[3], 0.25, 1.5, (DIM,)), depth)


CLAIM = Claim(
    name="jepa-order",
    statement="Under self-prediction with a stopped gradient, an encoder of L layers and a "
    "predictor that start aligned and equal share one factor for each feature, da/dt = "
    "a^(2L) (c - q a): layer l has weight a^l at every time, known in closed form, and ends at "
    "the signal fraction to the power l.",
    latex=r"\dot a = a^{2L} (c - q a), \qquad "
    r"t = \frac{\lambda^{1 - 2L}}{c} \Big(F\big(\tfrac{a}{\lambda}\big) - "
    r"F\big(\tfrac{a_0}{\lambda}\big)\Big), \qquad "
    r"F(x) = \ln\frac{x}{1 - x} - \sum_{n=2}^{2L} \frac{x^{1-n}}{n - 1}, \qquad "
    r"\|W_{l:1} v\| \to \lambda^l",
    hypotheses=(
        "linear network",
        "feature model",
        "stopped gradient",
        "aligned start with equal factors, the predictor included",
        "gradient flow",
    ),
    source="Tian et al. 2021 and Littwin et al. 2024, who expand in small starts; the times beyond "
    "them",
    problems=lambda key: (
        features(key, depth, index=index) for depth, index in ((2, 0), (1, 0), (3, 0), (2, 1))
    ),
    predict=paths,
    measure=train,
    compare=judge_paths,
    sharpness={"feature #": (2e-10, 0.002)},
    controls=(
        Control(
            "no-stop-gradient",
            "lets the gradient through the target as well, so that everything collapses",
            measure=lambda problem, own: train(problem, loss=losses.SelfPrediction(leak=1.0)),
        ),
        unbalanced_start(train, other_predictor, "a predictor larger than the layers"),
        Control(
            "contrastive-end",
            "predicts that the last layer tends to the weight under a contrastive loss",
            predict=_contrastive,
        ),
        Control(
            "wrong-depth",
            "predicts for one layer more",
            predict=lambda problem, own: paths(problem, problem.depth + 1),
        ),
    ),
    search=over(harder, "depth", (1, 2)),
    quick=1,
)

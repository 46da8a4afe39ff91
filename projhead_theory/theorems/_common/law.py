"""The layer-wise law on one problem: prediction, training, verdict and controls."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ... import DeepLinear, measure
from ..._core import psd_power
from ...claims import Control, Rows, Verdict, verdict_of
from ...theory.layers import LayerPrediction, SpectralMinimiser, layerwise
from .comparison import compare, on_range
from .tasks import Task, lopsided, replace
from .training import Run, flow, imbalance_rounding

PREMISE = "balanced start"


def predict(problem: Task) -> LayerPrediction:
    """Closed form of every layer."""
    return layerwise(problem.moments, problem.depth, width=problem.width, throw=False)


def train(problem: Any, start: DeepLinear | None = None) -> Run:
    """Gradient flow to stationarity, from the problem's own start or another."""
    return flow(
        problem.start() if start is None else start,
        problem.moments,
        loss=problem.loss,
        stiff=problem.stiff,
    )


def loss_rounding(minimiser: SpectralMinimiser, outputs: Float[Array, ""]) -> Float[Array, ""]:
    """Rounding of the least loss, compared with the loss of a network.

    `outputs` is the rounding of the variance of the network's outputs. Both losses are sums of
    squared signal fractions, and the errors are absolute in each fraction.
    """
    total = jnp.sum(minimiser.signal_fraction)
    return 4 * minimiser.whitening.rounding * total + 2 * outputs * (1 + total) + outputs**2


@eqx.filter_jit
def judge_layers(prediction: LayerPrediction, run: Run) -> Verdict:
    """Verdict on the Grams of all layers.

    The tolerance allows for the rounding of a balanced start and the integration error of the
    flow.
    """
    start = on_range(run.fine.start, prediction.minimiser.whitening.projector)
    rounding = imbalance_rounding(start)
    verdict = compare(prediction, run.fine, imbalance=rounding, drift=run.drift)
    balanced = jnp.all(measure.imbalance_norms(start) <= rounding)
    return replace(verdict, premises={**verdict.premises, PREMISE: balanced})


def carried(
    law: Verdict,
    discrepancy: Array,
    sensitivity: Array,
    *,
    effect: Any,
    predicted: Array,
    measured: Array,
    what: str,
    rounding: Array | float = 0.0,
) -> Verdict:
    """Verdict on a function of the Gram, layer by layer, from the verdict on the Grams.

    Every part of the tolerance is multiplied by the sensitivity of the function in that layer. A
    part of zero stays zero, however steep the function.

    **Arguments:**

    - `law`: the verdict on the Grams.
    - `sensitivity`: the error of the function for a relative error of the Gram.
    - `rounding`: the rounding of the function itself.
    - the others: as in `Rows` and `verdict_of`.
    """
    parts = {name: jnp.where(part > 0, part * sensitivity, 0) for name, part in law.parts.items()}
    parts["rounding"] = parts["rounding"] + rounding
    return verdict_of(
        Rows(law.labels, discrepancy, parts, effect, predicted, measured),
        what=what,
        premises=law.premises,
        converged=law.converged,
        finite=law.finite,
    )


def with_exponents(
    exponent: Callable[[Any, int], Any],
) -> Callable[[Any, LayerPrediction], LayerPrediction]:
    """Prediction with another exponent than l / L for layer l of L."""

    def wrong(problem: Any, prediction: LayerPrediction) -> LayerPrediction:
        levels = np.arange(1, prediction.depth + 1, dtype=prediction.loss.dtype)
        return raised(prediction, jnp.asarray(exponent(levels, prediction.depth)))

    return wrong


@eqx.filter_jit
def raised(
    prediction: LayerPrediction, powers: Float[Array, " L"], last: Array | None = None
) -> LayerPrediction:
    """Replace the Grams by these powers of the last Gram, or of another matrix."""
    gram, kept = prediction.grams[-1] if last is None else last, prediction.minimiser.kept
    return replace(prediction, grams=jax.vmap(lambda t: psd_power(gram, t, kept))(powers))


def unbalanced_start(
    train: Callable[[Any, DeepLinear], Any] = train,
    start: Callable[[Any], DeepLinear] = lopsided,
    unlike: str = "the same product, but a larger lowest layer and smaller ones above",
) -> Control:
    """Control that trains from layers of unlike size.

    **Arguments:**

    - `train`: the claim's training, of a problem from a start.
    - `start`: the unbalanced start of a problem.
    - `unlike`: the start in words, after "starts with".
    """
    return Control(
        "unbalanced-start",
        f"starts with {unlike}",
        measure=lambda problem, own: train(problem, start(problem)),
    )


UNBALANCED = unbalanced_start()
WRONG_EXPONENT = Control(
    "wrong-exponent",
    "predicts the power l / (L + 1)",
    predict=with_exponents(lambda level, layers: level / (layers + 1)),
)

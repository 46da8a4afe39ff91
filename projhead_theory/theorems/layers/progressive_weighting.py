"""progressive-weighting: condition numbers grow from layer to layer."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ... import measure, theory
from ..._core import frobenius
from ...claims import Claim, Control, Verdict
from .._common import (
    PREMISE,
    Run,
    carried,
    exact_check,
    harder,
    judge_layers,
    on_range,
    over,
    predict,
    train,
    with_exponents,
)
from .layerwise_law import SEARCHED, SHARED, balanced_problems


@eqx.filter_jit
def judge_spread(prediction: theory.layers.LayerPrediction, run: Run) -> Verdict:
    """Verdict on the logarithm of each layer's condition number on its range."""
    law = judge_layers(prediction, run)
    d, kept = prediction.moments.dim, prediction.minimiser.kept
    floor = jnp.finfo(prediction.grams.dtype).tiny

    def extremes(grams: Array) -> tuple[Array, Array]:
        """Largest eigenvalue of each layer, and the least of those that are kept."""
        spectrum = jnp.maximum(jnp.linalg.eigvalsh(grams), floor)
        return spectrum[:, -1], jnp.take(spectrum, d - jnp.maximum(kept, 1), axis=1)

    top, bottom = extremes(prediction.grams)
    predicted, measured = (
        jnp.log(high) - jnp.log(low)
        for high, low in (
            (top, bottom),
            extremes(
                measure.layer_grams(
                    on_range(run.fine.final, prediction.minimiser.whitening.projector)
                )
            ),
        )
    )
    # Weyl: an error of the Gram moves each eigenvalue by at most the norm of the error. A relative
    # error x of the least eigenvalue moves its logarithm by up to -log(1 - x), infinite at x = 1.
    size = frobenius(prediction.grams)
    lost = jnp.minimum(law.tolerance * size / bottom, 1)
    magnified = jnp.where(lost > 0, -jnp.log1p(-lost) / jnp.where(lost > 0, lost, 1), 1)
    return carried(
        law,
        jnp.abs(measured - predicted),
        size * (1 / top + magnified / bottom),
        effect=predicted[0],
        predicted=predicted,
        measured=measured,
        what="log condition number of the layer",
    )


CLAIM = Claim(
    name="progressive-weighting",
    statement="Layers weight features more and more unequally from layer to layer: the logarithm "
    "of the condition number of layer l is l/L times that of layer L.",
    latex=r"\ln \kappa(M_l) = \frac{l}{L} \ln \kappa(M_L)",
    hypotheses=(
        "linear network",
        PREMISE,
        "gradient flow",
        "weights not all equal",
        "trained to stationarity",
    ),
    source="paper section 3",
    problems=balanced_problems,
    predict=predict,
    measure=train,
    compare=judge_spread,
    sharpness={
        "layer #": (2e-8, 0.005),
    },
    controls=(
        *SHARED,
        Control(
            "equal-spread",
            "predicts that all layers weight features as unequally as the last",
            predict=with_exponents(lambda level, layers: jnp.ones_like(level)),
        ),
    ),
    search=over(harder, "sizes", SEARCHED[1:]),
    exact=exact_check(judge_spread, predict, logarithmic=True),
)

"""effective-rank: effective ranks fall from layer to layer."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np

from ... import measure, theory
from ..._core import diagonal, frobenius
from ...claims import Claim, Control, Verdict
from .._common import (
    PREMISE,
    Run,
    carried,
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
def judge_rank(prediction: theory.layers.LayerPrediction, run: Run) -> Verdict:
    """Verdict on the effective rank of each layer, relative to the prediction.

    The measured rank is the squared trace of the Gram over its squared Frobenius norm, without
    eigenvalues.
    """
    law = judge_layers(prediction, run)
    grams = measure.layer_grams(on_range(run.fine.final, prediction.minimiser.whitening.projector))
    predicted = theory.layers.effective_rank(prediction.grams)
    size = frobenius(grams)
    measured = (jnp.sum(diagonal(grams), axis=-1) / jnp.where(size > 0, size, 1)) ** 2
    # No direction is kept: the rank is zero, and so are the layers within the kept range.
    least = jnp.maximum(predicted, 1)
    # A Gram with the relative error x has a trace with the error sqrt(d) x |M|, and a norm with the
    # error x |M|; the trace is the norm times the root of the effective rank.
    error = jnp.minimum(law.tolerance, 1)
    apart = jnp.abs(predicted[:, None] - predicted[None, :]) + jnp.where(
        jnp.eye(predicted.size, dtype=bool), jnp.inf, 0
    )
    return carried(
        law,
        jnp.abs(measured - predicted) / least,
        (((1 + jnp.sqrt(prediction.moments.dim / least) * error) / (1 - error)) ** 2 - 1)
        / jnp.where(error > 0, error, 1),
        # Effect: the effective rank of the nearest other layer.
        effect=jnp.minimum(jnp.min(apart, axis=1) / least, 1),
        predicted=predicted,
        measured=measured,
        what="relative effective rank of the layer",
    )


CLAIM = Claim(
    name="effective-rank",
    statement="The effective rank of the layers falls from layer to layer: layer l has the "
    "participation ratio of the powers l/L of the last Gram's eigenvalues.",
    latex=r"r(M_l) = \frac{(\sum_i \mu_i^{l/L})^2}{\sum_i \mu_i^{2l/L}} \ge r(M_{l+1})",
    hypotheses=(
        "linear network",
        PREMISE,
        "gradient flow",
        "weights not all equal",
        "trained to stationarity",
    ),
    source="beyond the paper",
    problems=balanced_problems,
    predict=predict,
    measure=train,
    compare=judge_rank,
    sharpness={"layer #": (5e-8, 5e-4)},
    controls=(
        *SHARED,
        Control(
            "equal-rank",
            "predicts that all layers have the effective rank of the last",
            predict=with_exponents(lambda level, layers: np.ones_like(level)),
        ),
    ),
    search=over(harder, "sizes", SEARCHED[1:]),
)

"""progressive-weighting: condition numbers grow from layer to layer."""

import dataclasses
import functools

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array

from ... import measure
from ..._core.linalg import frobenius
from ...claims import Claim, Control, Verdict
from ...theory import LayerPrediction
from .._common.comparison import on_range
from .._common.exact import try_exact
from .._common.law import PREMISE, judge_layers, predict, train, with_exponents
from .._common.tasks import harder
from .._common.training import Run
from ._training import SEARCHED, SHARED, balanced_problems


@eqx.filter_jit
def judge_spread(prediction: LayerPrediction, run: Run) -> Verdict:
    """Verdict on the logarithm of each layer's condition number on its range."""
    law = judge_layers(prediction, run)
    depth, d = prediction.grams.shape[:2]
    kept = prediction.minimiser.kept

    def extremes(grams: Array) -> tuple[Array, Array]:
        spectrum = jnp.linalg.eigvalsh(grams)
        floor = jnp.finfo(grams.dtype).tiny
        return jnp.maximum(spectrum[:, -1], floor), jnp.maximum(
            jnp.take(spectrum, d - jnp.maximum(kept, 1), axis=1), floor
        )

    top, bottom = extremes(prediction.grams)
    seen_top, seen_bottom = extremes(
        measure.layer_grams(on_range(run.fine.final, prediction.minimiser.whitening.projector))
    )
    predicted, measured = jnp.log(top) - jnp.log(bottom), jnp.log(seen_top) - jnp.log(seen_bottom)
    # Weyl: an error of the Gram moves each eigenvalue by at most the norm of the error. A relative
    # error x of the least eigenvalue moves its logarithm by up to -log(1 - x), infinite at x = 1.
    size = frobenius(prediction.grams)
    lost = jnp.minimum(law.tolerance * size / bottom, 1)
    magnified = jnp.where(lost > 0, -jnp.log1p(-lost) / jnp.where(lost > 0, lost, 1), 1)
    sensitivity = size * (1 / top + magnified / bottom)
    return dataclasses.replace(
        law,
        discrepancy=jnp.abs(measured - predicted),
        parts={
            name: jnp.where(part > 0, part * sensitivity, 0) for name, part in law.parts.items()
        },
        effect=jnp.full(depth, predicted[0]),
        predicted=predicted[:, None],
        measured=measured[:, None],
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
    search=tuple(harder(sizes) for sizes in SEARCHED if len(sizes) > 2),
    exact=functools.partial(try_exact, judge_spread, predict, logarithmic=True),
)

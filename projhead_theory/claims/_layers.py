"""layerwise-law and progressive-weighting: what the layers between weight."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from .. import measure
from .._spectra import frobenius, psd_power
from ..simulation import Trajectory, gradient_descent
from ..theory import LayerPrediction, layerwise
from . import _settings as settings
from ._claim import Claim, Control
from ._compare import compare, judge_run
from ._rounding import imbalance_rounding
from ._verdict import Verdict, judge

DEPTHS = (2, 3)


def _predict(key: PRNGKeyArray, depth: int, index: int = 0) -> LayerPrediction:
    return layerwise(settings.draw(key, index), depth, width=settings.WIDTH)


def judge_layers(prediction: LayerPrediction, trajectory: Trajectory, granted: Trajectory | None = None) -> Verdict:
    """The Grams of all layers, granting a balanced start's rounding and a flow's integration error: those of the run, or of another."""
    granted = trajectory if granted is None else granted
    return compare(prediction, trajectory, imbalance=imbalance_rounding(granted.start), drift=granted.drift)


@eqx.filter_jit
def _spread(law: Verdict, prediction: LayerPrediction, trajectory: Trajectory) -> Verdict:
    depth, d = prediction.grams.shape[:2]
    kept = prediction.minimiser.kept

    def extremes(grams: Array) -> tuple[Array, Array]:
        spectrum = jnp.linalg.eigvalsh(grams)
        return spectrum[:, -1], jnp.take(spectrum, d - kept, axis=1)

    top, bottom = extremes(prediction.grams)
    seen_top, seen_bottom = extremes(measure.layer_grams(trajectory.final))
    predicted = jnp.log(top / bottom)
    measured = jnp.log(seen_top / seen_bottom)
    # Weyl: an error of the Gram moves each eigenvalue by at most its norm.
    sensitivity = frobenius(prediction.grams) * (1 / top + 1 / bottom)
    parts = {name: part * sensitivity for name, part in law.parts.items()}
    discrepancy = jnp.abs(measured - predicted)
    effect = jnp.full(depth, predicted[0])
    outcome = judge_run(discrepancy, parts, effect, trajectory, prediction.minimiser)
    return Verdict(
        discrepancy,
        parts,
        effect,
        outcome,
        predicted[:, None],
        measured[:, None],
        labels=law.labels,
        what="log condition number of the layer",
    )


def judge_spread(prediction: LayerPrediction, trajectory: Trajectory, granted: Trajectory | None = None) -> Verdict:
    """The logarithm of each layer's condition number on its range, against l / L times the last layer's."""
    return _spread(judge_layers(prediction, trajectory, granted), prediction, trajectory)


def _run(judgement):
    def run(key: PRNGKeyArray) -> Iterator[Verdict]:
        for depth in DEPTHS:
            for index in range(settings.PROBLEMS):
                prediction = _predict(key, depth, index)
                yield judgement(prediction, settings.flow(settings.start(key, depth, index), prediction.moments))

    return run


def _lopsided(judgement):
    def run(key: PRNGKeyArray) -> Verdict:
        prediction = _predict(key, 2)
        granted = settings.flow(settings.start(key, 2), prediction.moments)
        return judgement(prediction, settings.flow(settings.lopsided(key, 2), prediction.moments), granted)

    return run


def _settling_adam(step: Array) -> optax.GradientTransformation:
    """Adam whose step decays: at a constant one it circles the minimum for ever."""
    return optax.adam(optax.exponential_decay(step, 500, 0.5))


def _adam(judgement):
    def run(key: PRNGKeyArray) -> Verdict:
        prediction = _predict(key, 2)
        trajectory = gradient_descent(
            settings.start(key, 2), prediction.moments, optimiser=_settling_adam, step=1e-2, steps=10_000, record=16, stationarity=1e-5
        )
        return judgement(prediction, trajectory, settings.flow(settings.start(key, 2), prediction.moments))

    return run


def near_miss(prediction: LayerPrediction) -> LayerPrediction:
    """The prediction with the exponent l / (L + 1) for l / L."""
    exponents = jnp.arange(1, prediction.depth + 1) / (prediction.depth + 1)
    grams = jax.vmap(lambda t: psd_power(prediction.grams[-1], t, prediction.minimiser.kept))(exponents)
    return eqx.tree_at(lambda p: p.grams, prediction, grams)


def _wrong_exponent(key: PRNGKeyArray) -> Verdict:
    prediction = _predict(key, 2)
    return judge_layers(near_miss(prediction), settings.flow(settings.start(key, 2), prediction.moments))


def _equal_spread(key: PRNGKeyArray) -> Verdict:
    prediction = _predict(key, 2)
    trajectory = settings.flow(settings.start(key, 2), prediction.moments)
    verdict = judge_spread(prediction, trajectory)
    claimed = jnp.full_like(verdict.predicted, verdict.predicted[-1, 0])
    discrepancy = jnp.abs(verdict.measured - claimed)[:, 0]
    outcome = judge(discrepancy, verdict.parts, verdict.effect)
    return eqx.tree_at(lambda v: (v.discrepancy, v.predicted, v.outcome), verdict, (discrepancy, claimed, outcome))


LAW = Claim(
    name="layerwise-law",
    statement="In a balanced network the Gram of layer l is the last one to the power l/L; in a feature model "
    "the weight of a feature at layer l is its final weight to the power l/L.",
    hypotheses=("linear network", "balanced start", "gradient flow", "unique minimiser", "trained to stationarity"),
    source="paper section 3, for depth 2; beyond the paper for any depth, width and pair of moments",
    run=_run(judge_layers),
    controls=(
        Control("unbalanced-start", "starts with a lowest layer several times larger than the others", _lopsided(judge_layers)),
        Control("adam", "trains with Adam, which does not conserve balancedness", _adam(judge_layers)),
        Control("wrong-exponent", "predicts the power l / (L + 1)", _wrong_exponent),
    ),
)

PROGRESSIVE = Claim(
    name="progressive-weighting",
    statement="Layers weight features more and more unequally from layer to layer: the logarithm of the condition "
    "number of layer l is l/L times that of layer L.",
    hypotheses=("linear network", "balanced start", "gradient flow", "weights not all equal", "trained to stationarity"),
    source="paper section 3",
    run=_run(judge_spread),
    controls=(
        Control("unbalanced-start", "starts with a lowest layer several times larger than the others", _lopsided(judge_spread)),
        Control("adam", "trains with Adam, which does not conserve balancedness", _adam(judge_spread)),
        Control("equal-spread", "predicts that all layers weight features as unequally as the last", _equal_spread),
    ),
)

"""spectral-minimiser: where gradient flow ends is the closed form."""

from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from .._spectra import matmul
from ..problems import AdditiveNoise, ContrastiveProblem, Features
from ..simulation import Trajectory
from ..theory import LayerPrediction, layerwise, stationarity_defect
from . import _settings as settings
from ._claim import Claim, Control
from ._compare import compare, judge_run
from ._verdict import Verdict


@eqx.filter_jit
def _judge(gram: Verdict, prediction: LayerPrediction, trajectory: Trajectory, measured: Array) -> Verdict:
    minimiser, moments = prediction.minimiser, prediction.moments
    _, _, excess = stationarity_defect(minimiser, moments, measured)
    size = jnp.abs(minimiser.loss)
    gap = jnp.abs(trajectory.loss[-1] - minimiser.loss) / size
    parts = {name: jnp.stack([part[-1], jnp.zeros_like(gap)]) for name, part in gram.parts.items()}
    parts["stationarity"] = parts["stationarity"].at[1].set(excess / size)
    parts["rounding"] = parts["rounding"].at[1].set(minimiser.rounding)
    discrepancy = jnp.stack([gram.discrepancy[-1], gap])
    # What the check must see: the best network of one mode less, whose loss is higher by the square of the last kept fraction.
    last = minimiser.signal_fraction[jnp.maximum(minimiser.kept, 1) - 1] ** 2 / size
    effect = jnp.stack([jnp.ones_like(last), last])
    outcome = judge_run(discrepancy, parts, effect, trajectory, minimiser)
    return Verdict(
        discrepancy,
        parts,
        effect,
        outcome,
        jnp.stack([prediction.weights[-1]] * 2),
        jnp.stack([gram.measured[-1]] * 2),
        labels=("last Gram", "loss"),
        what="relative discrepancy of the minimiser",
    )


def judge_minimiser(prediction: LayerPrediction, trajectory: Trajectory) -> Verdict:
    """The last Gram against the closed form, and the loss against its minimum."""
    matrix = trajectory.final.matrix
    return _judge(compare(prediction, trajectory), prediction, trajectory, matmul(matrix.T, matrix))


def _run(key: PRNGKeyArray) -> Iterator[Verdict]:
    for depth in (1, 2):
        for index in range(settings.PROBLEMS):
            moments = settings.draw(key, index)
            trajectory = settings.flow(settings.start(key, depth, index), moments)
            yield judge_minimiser(layerwise(moments, depth, width=settings.WIDTH), trajectory)


def _decay(key: PRNGKeyArray) -> Verdict:
    moments = settings.draw(key)
    trajectory = settings.flow(settings.start(key, 2), moments, decay=0.05)
    return judge_minimiser(layerwise(moments, 2, width=settings.WIDTH), trajectory)


def _strongest(key: PRNGKeyArray) -> Verdict:
    # The strongest features carry the most noise here, so strength and signal fraction rank them in opposite orders.
    strength = jnp.linspace(2.0, 1.0, settings.DIM)
    moments = ContrastiveProblem(Features(strength), AdditiveNoise(strength**2)).moments()
    prediction = layerwise(moments, 2, width=settings.WIDTH)
    full = layerwise(moments, 2)
    keep = jnp.arange(settings.DIM) < settings.WIDTH
    wrong = jnp.where(keep[:, None] & keep[None, :], full.grams, 0)
    trajectory = settings.flow(settings.start(key, 2), moments)
    prediction = eqx.tree_at(lambda p: (p.grams, p.weights), prediction, (wrong, jnp.where(keep, full.weights, 0)))
    return judge_minimiser(prediction, trajectory)


def _tie(key: PRNGKeyArray) -> Verdict:
    strength = jnp.ones(settings.DIM)
    moments = ContrastiveProblem(Features(strength), AdditiveNoise(0.5)).moments()
    trajectory = settings.flow(settings.start(key, 2), moments)
    return judge_minimiser(layerwise(moments, 2, width=settings.WIDTH, throw=False), trajectory)


CLAIM = Claim(
    name="spectral-minimiser",
    statement="The spectral contrastive loss over linear networks of smallest width p is least at M = S^(-1/2) T_p S^(-1/2), "
    "where it is minus the sum of the p largest squared signal fractions; gradient flow from a generic start ends there.",
    hypotheses=("linear network", "lambda_p > lambda_(p+1)", "no weight decay", "trained to stationarity"),
    source="paper section 3; HaoChen et al. 2021 for unconstrained width",
    run=_run,
    controls=(
        Control("weight-decay", "trains with weight decay, which moves the minimum", _decay),
        Control("strongest-kept", "predicts that the p strongest features are kept, not the p of largest signal fraction", _strongest),
        Control("tied-cut", "the width cuts through tied signal fractions, so the minimiser is not unique", _tie, "premise_failed"),
    ),
)

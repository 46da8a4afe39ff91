"""spectral-minimiser: gradient flow ends at the closed form."""

import dataclasses
import functools
from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ..._core.tolerance import outputs_rounding, product_rounding
from ...claims import Claim, Control, Verdict
from ...problems import AdditiveNoise, ContrastiveProblem, Features
from ...theory import LayerPrediction, layerwise
from .._common.comparison import compare
from .._common.exact import try_exact
from .._common.law import loss_rounding, predict, train
from .._common.stationary import nearest_stationary
from .._common.tasks import Task, conflict, harder, replace, task
from .._common.training import Run, flow
from ._training import PAIR, SEARCHED, SHALLOW, TRIPLE


@eqx.filter_jit
def judge_minimiser(prediction: LayerPrediction, run: Run) -> Verdict:
    """Verdict on the last Gram, against the closed form, and on the loss, against its minimum."""
    trajectory = run.fine
    gram = compare(prediction, trajectory)
    minimiser, moments = prediction.minimiser, prediction.moments
    whitening = minimiser.whitening
    final = trajectory.final
    excess = nearest_stationary(
        moments, whitening, final.matrix, min(final.sizes), whitening.rounding
    ).excess
    size = jnp.abs(minimiser.loss)
    size = jnp.where(size > 0, size, 1)
    outputs = outputs_rounding(
        product_rounding(final.sizes, final.layers[0].dtype), prediction.grams, moments.second
    )
    rounding = loss_rounding(minimiser, outputs) / size
    gap = jnp.abs(trajectory.loss[-1] - prediction.loss) / size
    parts = {name: jnp.stack([part[-1], jnp.zeros_like(gap)]) for name, part in gram.parts.items()}
    parts["stationarity"] = parts["stationarity"].at[1].set(excess / size)
    parts["rounding"] = parts["rounding"].at[1].set(rounding)
    # The effect to detect: the best network with one mode less, whose loss is higher by the square
    # of the last kept fraction.
    last = minimiser.signal_fraction[jnp.maximum(minimiser.kept, 1) - 1] ** 2 / size
    return dataclasses.replace(
        gram,
        discrepancy=jnp.stack([gram.discrepancy[-1], gap]),
        parts=parts,
        effect=jnp.stack([jnp.ones_like(last), last]),
        predicted=jnp.stack([prediction.weights[-1]] * 2),
        measured=jnp.stack([gram.measured[-1]] * 2),
        labels=("last Gram", "loss"),
        what="relative discrepancy of the minimiser",
    )


def _problems(key: PRNGKeyArray) -> Iterator[Task]:
    yield conflict(key, TRIPLE)
    yield task(key, TRIPLE)
    yield conflict(key, PAIR)
    for index in range(3):
        yield task(key, PAIR, index=index)
    for index in range(2):
        yield task(key, SHALLOW, index=index)
    yield task(key, (4, 5, 5))


def _strongest(problem: Task, prediction: LayerPrediction) -> LayerPrediction:
    full = layerwise(problem.moments, problem.depth, throw=False)
    grams, weights = _cut(full.grams, full.weights, problem.width)
    return replace(prediction, grams=grams, weights=weights)


@eqx.filter_jit
def _cut(grams: Array, weights: Array, width: int) -> tuple[Array, Array]:
    """Grams and weights of the first features alone."""
    keep = jnp.arange(weights.shape[-1]) < width
    return jnp.where(keep[:, None] & keep[None, :], grams, 0), jnp.where(keep, weights, 0)


@eqx.filter_jit
def _tie(problem: Task) -> Task:
    strength = jnp.ones(problem.sizes[0])
    return replace(
        problem, moments=ContrastiveProblem(Features(strength), AdditiveNoise(0.5)).moments()
    )


def _decayed(problem: Task, run: Run) -> Run:
    return flow(problem.start(), problem.moments, decay=0.05)


CLAIM = Claim(
    name="spectral-minimiser",
    statement="The spectral contrastive loss over linear networks of smallest width p is least at "
    "M = S^(-1/2) T_p S^(-1/2), where it is minus the sum of the p largest squared signal "
    "fractions; gradient flow from a generic start ends there.",
    latex=r"M^\star = S^{-1/2}\, T_p\, S^{-1/2}, \quad T = S^{-1/2} C S^{-1/2}, \quad "
    r"\mathcal{L}^\star = -\sum_{i \le p} \lambda_i^2",
    hypotheses=(
        "linear network",
        "lambda_p > lambda_(p+1)",
        "no weight decay",
        "trained to stationarity",
    ),
    source="paper section 3; HaoChen et al. 2021 for unconstrained width",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge_minimiser,
    sharpness={
        "last Gram": (2e-9, 0.09),
        "loss": (2e-11, 0.001),
    },
    controls=(
        Control(
            "weight-decay", "trains with weight decay, which moves the minimum", measure=_decayed
        ),
        Control(
            "strongest-kept",
            "predicts that the p strongest features are kept, not the p of largest signal fraction",
            predict=_strongest,
        ),
        Control(
            "tied-cut",
            "the width cuts through tied signal fractions, so the minimiser is not unique",
            problem=_tie,
            expects="premise_failed",
        ),
    ),
    search=tuple(harder(sizes) for sizes in SEARCHED),
    exact=functools.partial(try_exact, judge_minimiser, predict),
)

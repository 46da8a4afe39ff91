"""spectral-minimiser: gradient flow ends at the closed form."""

from collections.abc import Iterator

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ... import AdditiveNoise, ContrastiveProblem, Features, theory
from ..._core import nonzero, outputs_rounding, product_rounding
from ...claims import Claim, Control, Rows, Verdict, verdict_of
from .._common import (
    Run,
    Task,
    compare,
    conflict,
    exact_check,
    flow,
    harder,
    loss_rounding,
    nearest_stationary,
    over,
    predict,
    replace,
    task,
    train,
)
from .layerwise_law import PAIR, SEARCHED, SHALLOW, TRIPLE


@eqx.filter_jit
def judge_minimiser(prediction: theory.layers.LayerPrediction, run: Run) -> Verdict:
    """Verdict on the last Gram, against the closed form, and on the loss, against its minimum."""
    gram, final = compare(prediction, run.fine), run.fine.final
    minimiser, moments = prediction.minimiser, prediction.moments
    near = nearest_stationary(
        moments,
        minimiser.whitening,
        final.matrix,
        min(final.sizes),
        minimiser.whitening.rounding,
    )
    size = nonzero(jnp.abs(minimiser.loss))
    product = product_rounding(final.sizes, final.layers[0].dtype)
    outputs = outputs_rounding(product, prediction.grams, moments.second)
    return verdict_of(
        Rows(
            ("last Gram",),
            gram.discrepancy[-1],
            {name: part[-1] for name, part in gram.parts.items()},
            effect=1.0,
            predicted=prediction.weights[-1:],
            measured=gram.measured[-1:],
        ),
        Rows(
            ("loss",),
            jnp.abs(run.fine.loss[-1] - prediction.loss) / size,
            {
                "stationarity": near.excess / size,
                "rounding": loss_rounding(minimiser, outputs) / size,
            },
            # The effect to detect: the best network with one mode less, whose loss is higher by the
            # square of the last kept fraction.
            effect=minimiser.signal_fraction[jnp.maximum(minimiser.kept, 1) - 1] ** 2 / size,
            predicted=prediction.weights[-1:],
            measured=gram.measured[-1:],
        ),
        what="relative discrepancy of the minimiser",
        premises=gram.premises,
        converged=gram.converged,
        finite=gram.finite,
    )


def _problems(key: PRNGKeyArray) -> Iterator[Task]:
    yield conflict(key, TRIPLE)
    yield task(key, TRIPLE)
    yield conflict(key, PAIR)
    for sizes, count in ((PAIR, 3), (SHALLOW, 2), ((4, 5, 5), 1)):
        yield from (task(key, sizes, index=index) for index in range(count))


@eqx.filter_jit
def _strongest(
    problem: Task, prediction: theory.layers.LayerPrediction
) -> theory.layers.LayerPrediction:
    full = theory.layers.layerwise(problem.moments, problem.depth, throw=False)
    keep = jnp.arange(problem.moments.dim) < problem.width
    grams = jnp.where(keep[:, None] & keep[None, :], full.grams, 0)
    return replace(prediction, grams=grams, weights=jnp.where(keep, full.weights, 0))


@eqx.filter_jit
def _tie(problem: Task) -> Task:
    return replace(
        problem,
        moments=ContrastiveProblem(
            Features(jnp.ones(problem.sizes[0])), AdditiveNoise(0.5)
        ).moments(),
    )


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
            "weight-decay",
            "trains with weight decay, which moves the minimum",
            measure=lambda problem, own: flow(problem.start(), problem.moments, weight_decay=0.05),
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
    search=over(harder, "sizes", SEARCHED),
    exact=exact_check(judge_minimiser, predict),
)

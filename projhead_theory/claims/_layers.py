"""layerwise-law and progressive-weighting: what the layers between weight."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from .. import measure
from .._spectra import frobenius, psd_power
from ..simulation import gradient_descent
from ..theory import LayerPrediction
from ._claim import Claim, Control
from ._compare import compare, on_range
from ._exact import try_exact
from ._minimiser import PAIR, SEARCHED, TRIPLE, predict, train
from ._rounding import imbalance_rounding
from ._runs import Run, flow, in_place_of
from ._tasks import DIM, Task, conflict, gaussian, harder, replace, task
from ._verdict import Verdict

UNEQUAL = (DIM, 5, 4, 7)
PREMISE = "balanced start"


@eqx.filter_jit
def judge_layers(prediction: LayerPrediction, run: Run) -> Verdict:
    """The Grams of all layers, granting a balanced start's rounding and the integration error of the flow."""
    start = on_range(run.fine.start, prediction.minimiser.whitening.projector)
    rounding = imbalance_rounding(start)
    verdict = compare(prediction, run.fine, imbalance=rounding, drift=run.drift)
    balanced = jnp.all(measure.imbalance_norms(start) <= rounding)
    return dataclasses.replace(verdict, premises={**verdict.premises, PREMISE: balanced})


@eqx.filter_jit
def judge_spread(prediction: LayerPrediction, run: Run) -> Verdict:
    """The logarithm of each layer's condition number on its range, against that of the predicted Gram."""
    law = judge_layers(prediction, run)
    depth, d = prediction.grams.shape[:2]
    kept = prediction.minimiser.kept

    def extremes(grams: Array) -> tuple[Array, Array]:
        spectrum = jnp.linalg.eigvalsh(grams)
        floor = jnp.finfo(grams.dtype).tiny
        return jnp.maximum(spectrum[:, -1], floor), jnp.maximum(jnp.take(spectrum, d - jnp.maximum(kept, 1), axis=1), floor)

    top, bottom = extremes(prediction.grams)
    seen_top, seen_bottom = extremes(measure.layer_grams(on_range(run.fine.final, prediction.minimiser.whitening.projector)))
    predicted, measured = jnp.log(top) - jnp.log(bottom), jnp.log(seen_top) - jnp.log(seen_bottom)
    # Weyl: an error of the Gram moves each eigenvalue by at most its norm. Of the least, relative errors add up in the logarithm to
    # -log(1 - x), which has no bound where they reach the eigenvalue itself.
    size = frobenius(prediction.grams)
    lost = jnp.minimum(law.tolerance * size / bottom, 1)
    magnified = jnp.where(lost > 0, -jnp.log1p(-lost) / jnp.where(lost > 0, lost, 1), 1)
    sensitivity = size * (1 / top + magnified / bottom)
    return dataclasses.replace(
        law,
        discrepancy=jnp.abs(measured - predicted),
        parts={name: jnp.where(part > 0, part * sensitivity, 0) for name, part in law.parts.items()},
        effect=jnp.full(depth, predicted[0]),
        predicted=predicted[:, None],
        measured=measured[:, None],
        what="log condition number of the layer",
    )


def _problems(key: PRNGKeyArray) -> Iterator[Task]:
    yield task(key, TRIPLE)
    yield conflict(key, TRIPLE)
    yield task(key, PAIR)
    yield conflict(key, PAIR)
    yield task(key, UNEQUAL)
    for index in range(1, 3):
        yield task(key, PAIR, index)
        yield task(key, TRIPLE, index)


def _lopsided(problem: Task, run: Run) -> Run:
    scales = jnp.asarray([2.0] + [0.3] * (problem.depth - 1), problem.scale.dtype)
    return flow(gaussian(problem.key, problem.sizes, scales), problem.moments)


def _settling_adam(step: Array) -> optax.GradientTransformation:
    """Adam whose step decays: at a constant one it circles the minimum for ever."""
    return optax.adam(optax.exponential_decay(step, 500, 0.5))


def _adam(problem: Task, run: Run) -> Run:
    trajectory = gradient_descent(
        problem.start(), problem.moments, optimiser=_settling_adam, step=1e-2, steps=10_000, record=17, stationarity=1e-5
    )
    return in_place_of(run, trajectory)


def with_exponents(exponent: Callable[[Array, int], Array]) -> Callable[[Any, LayerPrediction], LayerPrediction]:
    """The prediction with another exponent than l / L for layer l of L."""

    def wrong(problem: Any, prediction: LayerPrediction) -> LayerPrediction:
        return _raised(prediction, exponent(jnp.arange(1, prediction.depth + 1, dtype=prediction.loss.dtype), prediction.depth))

    return wrong


@eqx.filter_jit
def _raised(prediction: LayerPrediction, levels: Array) -> LayerPrediction:
    """The last Gram to these powers, as those of the layers."""
    return replace(prediction, grams=jax.vmap(lambda t: psd_power(prediction.grams[-1], t, prediction.minimiser.kept))(levels))


SHARED = (
    Control("unbalanced-start", "starts with a lowest layer several times larger than the others", measure=_lopsided),
    Control("adam", "trains with Adam, which does not conserve balancedness", measure=_adam),
)

LAW = Claim(
    name="layerwise-law",
    statement="In a balanced network the Gram of layer l is the last one to the power l/L; in a feature model "
    "the weight of a feature at layer l is its final weight to the power l/L.",
    latex=r"M_l = M_L^{\,l/L}, \qquad \|W_{l:1} v_i\| = w_i^{\,l/L}",
    hypotheses=("linear network", PREMISE, "gradient flow", "unique minimiser", "trained to stationarity"),
    source="paper section 3, for depth 2; beyond the paper for any depth, width and pair of moments",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge_layers,
    sharpness={
        "layer #": (7e-9, 0.09),
    },
    controls=(
        *SHARED,
        Control("wrong-exponent", "predicts the power l / (L + 1)", predict=with_exponents(lambda level, layers: level / (layers + 1))),
    ),
    search=tuple(harder(sizes) for sizes in SEARCHED if len(sizes) > 2),
    exact=functools.partial(try_exact, judge_layers, predict),
)

PROGRESSIVE = Claim(
    name="progressive-weighting",
    statement="Layers weight features more and more unequally from layer to layer: the logarithm of the condition "
    "number of layer l is l/L times that of layer L.",
    latex=r"\ln \kappa(M_l) = \frac{l}{L} \ln \kappa(M_L)",
    hypotheses=("linear network", PREMISE, "gradient flow", "weights not all equal", "trained to stationarity"),
    source="paper section 3",
    problems=_problems,
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

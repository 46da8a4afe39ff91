"""`optimal-layer`: near misses of its formula, and what is particular to the claim."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import predictions

from projhead_theory._core.linalg import psd_power
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.downstream import optimal_layer
from projhead_theory.theorems.downstream.optimal_layer import judge_logarithms, train_probing

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


@pytest.mark.deep
@pytest.mark.x64
def test_trained_networks_choose_the_predicted_side_of_the_head_in_two_hundred_problems():
    """From 2 to 32 features and 2 to 5 layers; the indicator is measured on the layers themselves,
    by their singular values.
    """
    decided = 0
    for number, (d, depth) in enumerate(
        [(2, 2), (3, 5), (5, 3), (8, 4), (12, 2), (16, 3), (24, 2), (32, 2)]
    ):
        sizes = (d,) * (depth + 1)

        def one(key, sizes=sizes):
            problem = optimal_layer.featured(key, sizes)
            prediction, run = optimal_layer.predict(problem), train_probing(problem)
            budget = judge_logarithms(prediction.layers, run, problem.downstream)
            predicted, measured = jnp.log(prediction.complexity), budget.measured[:, 0]
            band = budget.tolerance[-1] + budget.tolerance[-2]
            return (
                predicted[-1] - predicted[-2],
                measured[-1] - measured[-2],
                band,
                budget.converged,
            )

        keys = jax.random.split(jax.random.key(number), 25)
        # One after the other: nothing is gained by a batch in which all wait for the slowest.
        predicted, measured, band, converged = (
            np.asarray(x) for x in eqx.filter_jit(lambda k, one=one: jax.lax.map(one, k))(keys)
        )
        assert converged.all(), (d, depth)
        assert (np.abs(measured - predicted) <= band).all(), (d, depth)
        clear = np.abs(predicted) > band
        assert (np.sign(measured) == np.sign(predicted))[clear].all(), (d, depth)
        decided += clear.sum()
    assert decided >= 195


# Near misses: the claim with one thing in its formula changed


def complexity_of(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The indicator of every layer, from what the radius and the margin are made of: Grams,
    downstream moment and target.
    """

    def wrong(problem, own):
        after, grams = problem.downstream, own.layers.grams
        return replace(
            own, complexity=jnp.stack([change(gram, after.second, after.target) for gram in grams])
        )

    return wrong


def radius(gram, second):
    return jnp.sum(gram * second)


def norm(gram, target):
    return target @ jnp.linalg.solve(gram, target)


MISSES = predictions(
    {
        "radius not squared": complexity_of(lambda m, s, b: jnp.sqrt(radius(m, s)) * norm(m, b)),
        "margin not squared": complexity_of(lambda m, s, b: radius(m, s) * jnp.sqrt(norm(m, b))),
        "root of the downstream moment": complexity_of(
            lambda m, s, b: radius(m, psd_power(s, 0.5, len(s))) * norm(m, b)
        ),
        "the Gram squared": complexity_of(lambda m, s, b: radius(m @ m, s) * norm(m, b)),
        "the Gram for its inverse": complexity_of(lambda m, s, b: radius(m, s) * (b @ m @ b)),
        "isotropic inputs": complexity_of(lambda m, s, b: jnp.trace(m) * norm(m, b)),
        "the radius alone": complexity_of(lambda m, s, b: radius(m, s)),
        "the next layer": lambda problem, own: replace(
            own, complexity=jnp.roll(own.complexity, -1)
        ),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 1.53e-10,
    "noise": 0,
    "rounding": 5e-11,
    "start": 1.18e-11,
    "stationarity": 1.45e-09,
}

"""`best-kappa`: near misses of its formula, and what is particular to the claim."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import predictions

from projhead_theory.theorems.heads import best_kappa
from projhead_theory.theorems.heads.best_kappa import predict_from, predicting

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


def test_the_vertex_of_exponentials_is_found_to_the_fourth_order():
    """A fifth of the spacing: an error 5^4 times less."""
    want = np.log(2 * 2.0 / (4 * 0.3)) / 6
    errors = []
    for spacing in (0.05, 0.01):
        t = want + spacing * (np.arange(5) - 2 + 0.4)
        values = 0.3 * np.exp(4 * t) + 1 + 2.0 * np.exp(-2 * t)
        errors.append(abs(float(best_kappa.vertex(jnp.asarray(t), jnp.asarray(values))) - want))
    assert errors[0] < 1e-4
    assert 200 < errors[0] / errors[1] < 2000


# Near misses: the claim with one thing in its formula changed


def exponents(power: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The indicator with another power of kappa for each rank, its best ratio found on a fine
    grid.
    """

    def wrong(p, weights):
        ranks = jnp.argsort(jnp.argsort(-weights))
        rates = power((ranks - ranks[p.target]).astype(weights.dtype))
        terms = (weights * p.strength / weights[p.target] / p.strength[p.target]) ** 2
        value = lambda t: jnp.sum(terms * jnp.exp(rates * t[..., None]), axis=-1)
        grid = jnp.linspace(0, 3, 3001, dtype=weights.dtype)
        return jnp.append(value(jnp.log(p.kappas)), grid[jnp.argmin(value(grid))])

    return predicting(wrong)


MISSES = predictions(
    {
        "the rank itself, not twice it": exponents(lambda r: r),
        "four times the rank": exponents(lambda r: 4 * r),
        "less of the heavier": exponents(lambda r: jnp.abs(r)),
        "the other way": exponents(lambda r: -2 * r),
        "weights not squared": predicting(lambda p, w: predict_from(jnp.sqrt(w), p.strength, p)),
        "strengths not squared": predicting(lambda p, w: predict_from(w, jnp.sqrt(p.strength), p)),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "interpolation": 2.24e-05,
    "rounding": 1.54e-12,
    "stationarity": 3.69e-14,
}

"""`finite-sample`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from helpers.misses import Transformation, predicting

from projhead_theory import theory
from projhead_theory.problems import Views
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.samples.finite_sample import RATIO, Prediction

# Near misses of covariance J Omega J^T / n


def scatter(
    large: Callable[[Any], Any], small: Callable[[Any], Any] | None = None
) -> Transformation:
    """Other covariances, at large and at small samples."""

    def wrong(problem, own):
        changed = [
            replace(e, covariance=f(e.covariance))
            for e, f in ((own.large, large), (own.small, small or large))
        ]
        return Prediction(*changed)

    return predicting(wrong)


def unpaired(problem, own):
    """The scatter that the moments would have if views came in no pairs."""
    n, moments = problem.pairs, problem.problem.moments()
    pairs = problem.problem.sample_pairs(jax.random.key(7), 20_000)
    apart = Views(pairs.first, jnp.roll(pairs.second, 1, axis=0))
    return Prediction(
        *(
            theory.samples.sampling_error(moments, problem.depth, m, views=apart)
            for m in (RATIO * n, n)
        )
    )


MISSES = {
    "twice the variance": scatter(lambda c: 2 * c),
    "half the variance": scatter(lambda c: c / 2),
    "unpaired views": predicting(unpaired),
    "sigma^2 for sigma": scatter(lambda c: c * jnp.diagonal(c)),
    "standard errors as 1/n": scatter(lambda c: c / RATIO, lambda c: c),
    "standard errors as n^-1/4": scatter(lambda c: RATIO**0.5 * c, lambda c: c),
    "standard errors that stay": scatter(lambda c: RATIO * c, lambda c: c),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "sampling": 0.714,
    "second order": 0.0866,
    "stationarity": 0.00314,
}

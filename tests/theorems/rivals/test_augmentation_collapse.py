"""`augmentation-collapse`: near misses of its formula."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import predicting

from projhead_theory import losses
from projhead_theory.networks import DeepLinear
from projhead_theory.theorems.rivals.augmentation_collapse import (
    DIM,
    ENDS,
    noisy,
    predict,
    views,
)

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


def ending(square):
    """Other squared weights, a function of phi, r and the temperature."""
    return predicting(
        lambda p, own: own.at[ENDS].set(
            jnp.diag(square(p.strength, (p.noise / p.strength) ** 2, p.temperature))
        )
    )


def growing(rows, diagonal):
    return predicting(lambda p, own: own.at[rows].set(jnp.diag(diagonal(p))))


CLEAN, BOTH = slice(0, DIM), slice(DIM, 2 * DIM)

MISSES = {
    "phi^2 - sigma^2": growing(CLEAN, lambda p: (p.strength**2 - p.noise**2) / p.temperature),
    "2 phi^2 - 2 sigma^2": growing(
        CLEAN, lambda p: 2 * (p.strength**2 - p.noise**2) / p.temperature
    ),
    "no temperature": predicting(
        lambda p, own: predict(dataclasses.replace(p, temperature=jnp.ones_like(p.temperature)))
    ),
    "C": growing(BOTH, lambda p: p.strength**2 / p.temperature),
    "2 S": growing(BOTH, lambda p: 2 * (p.strength**2 + p.noise**2) / p.temperature),
    "clean growth for noisy views": growing(
        BOTH, lambda p: (2 * p.strength**2 - p.noise**2) / p.temperature
    ),
    "collapse at sigma = phi": ending(
        lambda phi, r, tau: (
            jnp.where(r < 1, tau / (2 * phi**2) * jnp.log(jnp.maximum(4 - r, 1) / r), 0) * (r < 0.5)
        )
    ),
    "no collapse": ending(lambda phi, r, tau: tau / (2 * phi**2) / r),
    "twice the weight": ending(
        lambda phi, r, tau: jnp.where(r < 2, tau / phi**2 * jnp.log(jnp.maximum(4 - r, 1) / r), 0)
    ),
    "a gradient beyond the head": predicting(lambda p, own: own.at[-1].set(1e-6)),
}


def test_views_list_all_signs_and_have_their_moments():
    problem = noisy(jax.random.key(0), ratios=jnp.asarray([0.8, 3.0]))
    clean, both = views(problem), views(problem, np.False_)
    phi, sigma = np.asarray(problem.strength), np.asarray(problem.noise)
    np.testing.assert_allclose(clean.first.T @ clean.first / 64, np.diag(phi**2), atol=1e-14)
    np.testing.assert_allclose(both.first.T @ both.second / 64, np.diag(phi**2), atol=1e-14)
    np.testing.assert_allclose(
        both.first.T @ both.first / 64, np.diag(phi**2 + sigma**2), atol=1e-14
    )


def test_no_gram_of_two_features_has_less_loss():
    """Brute force over Grams that are not diagonal."""
    problem = noisy(jax.random.key(0), ratios=jnp.asarray([0.8, 3.0]))
    loss, data = losses.DistanceContrastive(problem.temperature), views(problem)
    of = jax.jit(jax.vmap(lambda w: loss(DeepLinear([w]), data)))
    best = np.sqrt(np.diag(np.asarray(predict(problem)[ENDS])))
    least = float(of(jnp.diag(jnp.asarray(best))[None])[0])
    rng = np.random.default_rng(0)
    others = rng.normal(size=(200, 2, 2)) * rng.choice([1e-2, 0.3, 2.0], size=(200, 1, 1))
    assert (np.asarray(of(jnp.asarray(np.diag(best) + others))) > least).all()


# Each part of the tolerance as a share of the effect

PARTS = {
    "rounding": 1.03e-13,
    "stationarity": 1.22e-18,
}

"""`infonce-negatives`: near misses of its formula, and its loss against sampled batches."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import predicting

import projhead_theory as pt
from projhead_theory import losses
from projhead_theory.theorems._common.tasks import replace

# Near misses of a = lambda / (1 - 2 lambda^2)^(3/2) - lambda / (1 - lambda^2)^2


def biased(change: Callable[[Any], Any]):
    return predicting(
        lambda problem, own: replace(own, bias=change(problem.fraction) / problem.sizes)
    )


def spread(f):
    return f / (1 - 2 * f**2) ** 1.5


def paired(f):
    return f / (1 - f**2) ** 2


MISSES = {
    "half of it": biased(lambda f: (spread(f) - paired(f)) / 2),
    "its leading power": biased(lambda f: f**3),
    "the other sign": biased(lambda f: paired(f) - spread(f)),
    "without the positive pair": biased(spread),
    "the variance of negatives not halved": biased(lambda f: 2 * spread(f) - paired(f)),
    "1 - lambda^2, not squared": biased(lambda f: spread(f) - f / (1 - f**2)),
    "a root for the power 3/2": biased(lambda f: f / (1 - 2 * f**2) ** 0.5 - paired(f)),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "quadrature": 2.33e-05,
    "rounding": 1.29e-09,
    "second order": 0.0202,
    "stationarity": 6.51e-11,
}

MOMENTS = pt.Moments([[0.4]], [[0.8]])


def expected(size, positive=1.0, **rule):
    return losses.ExpectedInfoNCE(
        jnp.asarray(size), jnp.asarray(0.5), jnp.asarray(positive), **rule
    )


@pytest.mark.x64
@pytest.mark.parametrize("size", [4, 16])
def test_the_expected_loss_is_the_mean_over_sampled_batches(size):
    """Within five standard errors: the loss, and its slope in the weight."""
    problem = pt.ContrastiveProblem(pt.Features([0.4**0.5], "gaussian"), pt.AdditiveNoise(0.4**0.5))
    first, second = problem.sample_pairs(jax.random.key(size), 2**15)
    batches = [x.reshape(-1, size, 1) for x in (first, second)]
    loss = losses.GaussianInfoNCE(0.5)

    def sampled(weight, x1, x2):
        return loss.batch(weight * x1, weight * x2)

    weight = jnp.asarray(0.45)
    seen = jax.vmap(jax.value_and_grad(sampled), (None, 0, 0))(weight, *batches)
    own = jax.value_and_grad(lambda w: expected(float(size)).population(w[None, None], MOMENTS))
    for values, wanted in zip(seen, own(weight), strict=True):
        error = float(jnp.std(values)) / len(values) ** 0.5
        assert abs(float(jnp.mean(values)) - float(wanted)) < 5 * error


@pytest.mark.x64
def test_many_negatives_have_the_population_loss():
    weight = jnp.asarray([[0.45]])
    limit = losses.GaussianInfoNCE(0.5).population(weight, MOMENTS)
    gaps = [float(expected(n).population(weight, MOMENTS) - limit) for n in (1e4, 1e5)]
    assert gaps[0] / gaps[1] == pytest.approx(10, rel=0.05)
    assert abs(gaps[1]) < 1e-4


@pytest.mark.x64
def test_more_nodes_change_nothing():
    weight, slope = jnp.asarray([[0.45]]), jax.grad(lambda w, own: own.population(w, MOMENTS))
    most = slope(weight, expected(16.0, rule=(40, 80, 0.1)))
    for rule, error in (({}, 1e-9), ({"rule": (10, 20, 0.5)}, 1e-6)):
        np.testing.assert_allclose(slope(weight, expected(16.0, **rule)), most, rtol=error)


def test_moments_of_several_features_are_refused():
    with pytest.raises(ValueError, match="moments: got 2 features; want one"):
        expected(16.0).population(jnp.eye(2), pt.Moments(jnp.eye(2) / 2, jnp.eye(2)))

"""The sample-complexity indicator with a ridge margin."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import minimize

import projhead_theory as pt
from projhead_theory.problems import Downstream
from projhead_theory.theory.downstream import (
    representation_complexity,
    ridge_complexity,
    sample_complexity,
)

pytestmark = pytest.mark.x64
D = 4


def drawn(seed, rank=D):
    """A stack of three layers' matrices, downstream moments and a target, in random position."""
    rng = np.random.default_rng(seed)
    layers = rng.normal(size=(3, D, D)) / 2
    layers[:, rank:] = 0
    root = rng.normal(size=(D, D))
    return layers, Downstream(root @ root.T + 0.1 * np.eye(D), rng.normal(size=D))


def grams_of(layers):
    return jnp.asarray(np.einsum("lpi,lpj->lij", layers, layers))


@pytest.mark.parametrize("rank", [D, 2])
def test_it_is_the_minimum_that_a_general_optimiser_finds(rank):
    layers, task = drawn(1, rank)
    second, beta = np.asarray(task.second), np.asarray(task.target)
    n, rest = 7.0, 0.3
    found = ridge_complexity(grams_of(layers), task, n, rest)
    for w, value in zip(layers, found, strict=True):
        radius, towards = np.trace(w @ second @ w.T), w @ second @ beta

        def cost(v, w=w, radius=radius, towards=towards):
            missed = beta @ second @ beta + rest - 2 * v @ towards + v @ w @ second @ w.T @ v
            return radius * v @ v + n * missed

        best = minimize(cost, np.zeros(D), method="BFGS", options={"gtol": 1e-10})
        np.testing.assert_allclose(value, best.fun, rtol=1e-8)


def test_many_labels_give_the_exact_indicator():
    """The distance falls as 1 / n, as the harmonic law says of one feature."""
    layers, task = drawn(2)
    grams = grams_of(layers)
    exact = np.asarray(sample_complexity(grams, task))
    gaps = [exact / np.asarray(ridge_complexity(grams, task, n)) - 1 for n in (1e6, 1e7)]
    assert (gaps[1] > 0).all()
    np.testing.assert_allclose(gaps[0] / gaps[1], 10, rtol=1e-2)


def test_one_feature_adds_the_inverses():
    weights, strength = np.array([4.0, 2.0, 0.5]), np.array([0.5, 1.0, 2.0])
    grams = jnp.stack([jnp.diag(jnp.asarray(weights ** (2 * t))) for t in (0.5, 1.0)])
    for j in range(3):
        task = pt.DownstreamProblem(pt.Features(strength), pt.problems.SignLabel(j)).moments()
        exact = np.asarray(sample_complexity(grams, task))
        found = np.asarray(ridge_complexity(grams, task, 12.0))
        np.testing.assert_allclose(1 / found, 1 / exact + 1 / 12, rtol=1e-12)


def test_a_lost_label_costs_every_label():
    """A layer that lost the label, and one with no weight at all, need all n; never infinitely
    many.
    """
    task = Downstream(np.eye(2), np.array([0.0, 1.0]))
    grams = jnp.stack([jnp.diag(jnp.asarray([1.0, 0.0])), jnp.zeros((2, 2))])
    assert not np.isfinite(sample_complexity(grams, task)).any()
    np.testing.assert_allclose(ridge_complexity(grams, task, 9.0), 9.0, rtol=1e-12)


def test_a_representation_is_a_layer_of_its_own_moments():
    layers, task = drawn(3)
    second, beta = np.asarray(task.second), np.asarray(task.target)
    power = beta @ second @ beta
    seen = np.einsum("lpi,ij,lqj->lpq", layers, second, layers)
    cross = np.einsum("lpi,ij,j->lp", layers, second, beta)[..., None] / power**0.5
    found = representation_complexity(jnp.asarray(seen), jnp.asarray(cross), 5)[:, 0]
    np.testing.assert_allclose(power * found, ridge_complexity(grams_of(layers), task, 5.0))


@given(seed=st.integers(0, 2**16), scale=st.floats(1e-3, 1e3), n=st.floats(1, 1e4))
def test_scale_and_orientation_do_not_matter_and_it_stays_within_its_bounds(seed, scale, n):
    layers, task = drawn(seed, D - 1)
    turn = np.linalg.qr(np.random.default_rng(seed).normal(size=(D, D)))[0]
    found = np.asarray(ridge_complexity(grams_of(layers), task, n))
    np.testing.assert_allclose(
        found, ridge_complexity(grams_of(scale * turn @ layers), task, n), rtol=1e-8
    )
    power = float(task.target @ task.second @ task.target)
    assert (found > 0).all()
    assert (found <= n * power * (1 + 1e-12)).all()
    assert (found <= np.asarray(ridge_complexity(grams_of(layers), task, 2 * n))).all()


def test_its_derivative_is_that_of_finite_differences():
    layers, task = drawn(5)
    value = lambda g: jnp.sum(ridge_complexity(g, task, 6.0))
    grams = grams_of(layers)
    slope = np.asarray(jax.grad(value)(grams))
    turn = np.random.default_rng(0).normal(size=grams.shape)
    turn = turn + turn.swapaxes(1, 2)
    step = 1e-6
    quotient = (value(grams + step * turn) - value(grams - step * turn)) / (2 * step)
    np.testing.assert_allclose(np.sum(slope * turn), quotient, rtol=1e-6)


@pytest.mark.parametrize(
    ("second", "cross", "samples", "message"),
    [
        (np.ones(3), np.ones((3, 1)), 4, "second: got shape"),
        (np.eye(3), np.ones((2, 1)), 4, "cross: got shape"),
        (np.eye(3), np.ones((3, 1)), 0, "samples: got 0"),
        (np.eye(3), np.ones((3, 1)), np.ones(2), "samples: got shape"),
    ],
)
def test_arguments_are_checked(second, cross, samples, message, untyped):
    with pytest.raises(ValueError, match=message):
        representation_complexity(second, cross, samples)

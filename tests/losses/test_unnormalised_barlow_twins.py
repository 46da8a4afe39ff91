"""Barlow Twins without normalisation: both forms, and what its population form depends on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast

import projhead_theory as pt
from projhead_theory.losses import spectral, unnormalised_barlow_twins


def problem(d=3):
    strength = np.linspace(0.5, 1.5, d)
    return pt.ContrastiveProblem(
        pt.Features(cast(strength)), pt.AdditiveNoise(cast(0.3 + 0 * strength))
    )


def matrix(p, d, seed=0):
    return cast(np.random.default_rng(seed).normal(size=(p, d)))


@pytest.mark.parametrize(("p", "d"), [(1, 1), (2, 3), (4, 3)])
def test_population_form_is_the_distance_of_the_cross_moment_of_outputs_to_the_identity(p, d, eps):
    w, moments = matrix(p, d), problem(d).moments()
    outputs = np.asarray(w) @ np.asarray(moments.cross) @ np.asarray(w).T
    want = np.sum((outputs - np.eye(p)) ** 2)
    seen = unnormalised_barlow_twins(pt.DeepLinear([w]), moments)
    np.testing.assert_allclose(seen, want, rtol=64 * eps)


def test_it_is_the_spectral_loss_with_the_cross_moment_for_the_second(eps):
    """Up to a constant, the number of outputs; so the gradients agree."""
    w, moments = matrix(2, 3), problem().moments()
    cross = pt.Moments(moments.cross, moments.cross)
    value = lambda loss, m: jax.value_and_grad(lambda x: loss.population(x, m))(w)
    (seen, gradient), (want, other) = (
        value(unnormalised_barlow_twins, moments),
        value(spectral, cross),
    )
    np.testing.assert_allclose(seen, want + 2, rtol=64 * eps)
    np.testing.assert_allclose(gradient, other, rtol=256 * eps, atol=256 * eps)


def test_neither_noise_nor_a_rotation_of_the_outputs_changes_it(eps):
    w, moments = matrix(3, 3), problem().moments()
    turn = np.linalg.qr(np.random.default_rng(1).normal(size=(3, 3)))[0]
    loss = unnormalised_barlow_twins.population
    noisier = pt.Moments(moments.cross, moments.second + jnp.eye(3, dtype=w.dtype))
    np.testing.assert_array_equal(loss(w, noisier), loss(w, moments))
    np.testing.assert_allclose(loss(cast(turn) @ w, moments), loss(w, moments), rtol=256 * eps)


def test_batch_form_is_a_double_loop(eps):
    y1, y2 = matrix(5, 2, 2), matrix(5, 2, 3)
    cross = np.zeros((2, 2))
    for a, b in zip(np.asarray(y1, float), np.asarray(y2, float), strict=True):
        cross += (np.outer(a, b) + np.outer(b, a)) / 10
    want = np.sum((cross - np.eye(2)) ** 2)
    np.testing.assert_allclose(unnormalised_barlow_twins.batch(y1, y2), want, rtol=64 * eps)
    np.testing.assert_allclose(
        unnormalised_barlow_twins.batch(y2, y1),
        unnormalised_barlow_twins.batch(y1, y2),
        rtol=64 * eps,
    )


def test_batch_form_comes_to_the_population_form():
    """Within five standard errors of the cross moment of the outputs."""
    n, w = 200_000, matrix(2, 3)
    views = problem().sample_pairs(jax.random.key(0), n)
    network = pt.DeepLinear([w])
    seen = unnormalised_barlow_twins(network, views)
    want = unnormalised_barlow_twins(network, problem().moments())
    spread = float(jnp.std(network(views.first)) * jnp.std(network(views.second)))
    assert abs(float(seen - want)) < 5 * 8 * spread / n**0.5 * float(jnp.sqrt(want) + 1)


def test_no_output_and_the_inverse_root_of_the_cross_moment(eps):
    moments = problem().moments()
    assert float(unnormalised_barlow_twins(pt.DeepLinear([jnp.zeros((2, 3))]), moments)) == 2
    best = jnp.diag(jnp.diagonal(moments.cross) ** -0.5)
    assert float(unnormalised_barlow_twins(pt.DeepLinear([best]), moments)) < 64 * eps


def test_targets_are_refused():
    data = pt.moments.TargetMoments(jnp.eye(2), jnp.eye(2))
    with pytest.raises(ValueError, match="this loss has no regression form"):
        unnormalised_barlow_twins(pt.DeepLinear([jnp.eye(2)]), data)

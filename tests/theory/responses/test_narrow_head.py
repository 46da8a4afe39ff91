"""Features kept by a narrow network: against matrix truncations and searches over all choices."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st
from scipy.optimize import brentq

import projhead_theory as pt
from projhead_theory.theory import downstream
from projhead_theory.theory.responses import (
    joint_embedding,
    joint_embedding_limit,
    narrow_heads,
    principal_components,
    reconstruction,
    reconstruction_limit,
    unnormalised_barlow_twins,
)

STRENGTH, NOISE = np.array([2.0, 1.4, 0.8, 0.5]), np.array([4.0, 0.7, 0.1, 0.4])
CROSS, SECOND = STRENGTH**2, STRENGTH**2 + NOISE**2


def problem(dtype=float, flip=0.0):
    augmentation = pt.problems.Compose(
        pt.problems.SignFlip(cast(flip)), pt.AdditiveNoise(cast(NOISE))
    )
    return pt.ContrastiveProblem(pt.Features(cast(STRENGTH)), augmentation)


def choices(width):
    return itertools.combinations(range(4), width)


@pytest.mark.parametrize("width", [1, 2, 3, 4, 7])
def test_joint_embedding_is_the_truncated_spectral_minimiser(width, eps):
    head = joint_embedding(cast(CROSS), cast(SECOND), width)
    moments = pt.Moments(jnp.diag(cast(CROSS)), jnp.diag(cast(SECOND)))
    want = downstream.feature_weights(moments, width)
    np.testing.assert_allclose(head.weights, want, rtol=16 * eps)
    assert int(jnp.sum(head.kept)) == min(width, 4)


@pytest.mark.x64
@pytest.mark.parametrize("width", [1, 2, 3])
def test_reconstruction_is_reduced_rank_regression(width):
    """The best map of this rank, by the truncation of a matrix; in its basis, the features."""
    head = reconstruction(CROSS, SECOND, width)
    root = np.diag(SECOND**-0.5)
    u, s, vt = np.linalg.svd(np.diag(CROSS) @ root)
    best = (u[:, :width] * s[:width]) @ vt[:width] @ root
    np.testing.assert_allclose(np.diag(np.asarray(head.weights)), best, atol=1e-13)
    np.testing.assert_allclose(np.sort(np.asarray(head.score)), np.sort(s**2), rtol=1e-13)


@pytest.mark.x64
@pytest.mark.parametrize("width", [1, 2, 3])
def test_no_other_choice_of_features_does_better(width):
    """Each objective at its best weights, over all choices of as many features."""
    power = STRENGTH**2
    losses = {
        "joint_embedding": lambda i: -((CROSS[i] / SECOND[i]) ** 2),
        "reconstruction": lambda i: -(CROSS[i] ** 2) / SECOND[i],
        # Of two layers: the squared norm of the layers, since the loss itself is zero.
        "unnormalised_barlow_twins": lambda i: 2 * CROSS[i] ** -0.5,
        "principal_components": lambda i: -power[i],
    }
    heads = narrow_heads(problem(), width)
    for name, loss in losses.items():
        best = min(choices(width), key=lambda chosen: sum(loss(i) for i in chosen))
        assert tuple(np.flatnonzero(np.asarray(getattr(heads, name).kept))) == best


@pytest.mark.x64
def test_any_directions_with_signal_minimise_barlow_twins():
    """Random subspaces too: a loss of zero, at a larger norm than that of the kept features."""
    rng, width = np.random.default_rng(0), 2
    heads = unnormalised_barlow_twins(CROSS, width)
    least = np.sum(np.asarray(heads.weights) ** 2)
    moments = pt.Moments(np.diag(CROSS), np.diag(SECOND))
    for _ in range(20):
        frame = np.linalg.qr(rng.normal(size=(4, width)))[0]
        inside = frame.T @ np.diag(CROSS) @ frame
        values, vectors = np.linalg.eigh(inside)
        network = pt.DeepLinear([(vectors * values**-0.5).T @ frame.T])
        assert float(pt.losses.unnormalised_barlow_twins(network, moments)) < 1e-20
        assert np.sum(np.asarray(network.matrix) ** 2) > least


@pytest.mark.x64
def test_principal_components_are_those_of_samples():
    x = problem().features.sample(jax.random.key(0), 20_000)
    values, vectors = np.linalg.eigh(np.cov(np.asarray(x).T))
    kept = np.flatnonzero(np.asarray(principal_components(STRENGTH**2, 2).kept))
    assert {int(np.argmax(np.abs(v))) for v in vectors[:, -2:].T} == set(kept)
    assert np.all(np.diff(values) > 0)


@pytest.mark.x64
@pytest.mark.parametrize("flip", [0.0, 0.2, 0.8])
def test_the_moment_of_natural_and_augmented_features_is_that_of_samples(flip):
    """Up to its sign, which flips change; within five standard errors."""
    n, own = 100_000, problem(flip=flip)
    k1, k2 = jax.random.split(jax.random.key(1))
    x = own.features.sample(k1, n)
    products = np.asarray(x * own.augmentation(k2, x))
    heads = narrow_heads(own, 4)
    seen = np.asarray(heads.reconstruction.weights) * np.diagonal(own.moments().second)
    error = 5 * products.std(axis=0) / n**0.5
    assert np.all(np.abs(seen - np.abs(products.mean(axis=0))) <= error)


def test_ties_at_the_cut_have_no_weight_that_is_determined():
    head = joint_embedding(cast([1.0, 1.0, 3.0]), cast([2.0, 2.0, 4.0]), 2)
    np.testing.assert_array_equal(head.kept, [False, False, True])
    np.testing.assert_array_equal(np.isnan(np.asarray(head.weights)), [True, True, False])
    assert not bool(head.unique)
    both = joint_embedding(cast([1.0, 1.0, 3.0]), cast([2.0, 2.0, 4.0]), 3)
    assert bool(both.unique)
    assert np.all(np.asarray(both.kept))


def test_features_without_signal_are_never_kept():
    for head in (
        joint_embedding(cast([0.0, 1.0]), cast([1.0, 2.0]), 2),
        reconstruction(cast([0.0, 1.0]), cast([0.0, 2.0]), 2),
        unnormalised_barlow_twins(cast([0.0, 1.0]), 2),
        principal_components(cast([0.0, 1.0]), 1),
    ):
        np.testing.assert_array_equal(head.kept, [False, True])
        assert float(head.weights[0]) == 0
        assert bool(head.unique)
    assert list(np.asarray(unnormalised_barlow_twins(cast([0.0]), 1).kept)) == [False]


@pytest.mark.x64
@given(st.lists(st.floats(0.2, 5), min_size=4, max_size=4), st.sampled_from([1, 2, 3]))
def test_units_of_features_matter_to_all_but_joint_embedding(units, width):
    units = np.asarray(units)
    own = joint_embedding(CROSS, SECOND, width)
    other = joint_embedding(CROSS * units**2, SECOND * units**2, width)
    np.testing.assert_array_equal(own.kept, other.kept)
    np.testing.assert_allclose(own.weights, other.weights * units, rtol=1e-12)
    strongest = principal_components((STRENGTH * units) ** 2, width)
    order = np.argsort(-(STRENGTH * units))[:width]
    if len(np.unique(STRENGTH * units)) == 4:
        assert set(np.flatnonzero(np.asarray(strongest.kept))) == set(order)


SCORES = {
    joint_embedding_limit: lambda phi, sigma: phi**2 / (phi**2 + sigma**2),
    reconstruction_limit: lambda phi, sigma: phi**4 / (phi**2 + sigma**2),
}


@pytest.mark.x64
@pytest.mark.parametrize("limit", SCORES, ids=lambda f: f.__name__)
def test_limits_are_where_the_scores_agree(limit):
    """By a search for the noise; and the kept feature changes there."""
    score = SCORES[limit]
    for phi, other, noise in ((1.2, 1.0, 0.8), (1.0, 1.1, 0.9), (3.0, 0.5, 2.0)):
        found = brentq(lambda s, v=(phi, other, noise): score(v[0], s) - score(*v[1:]), 0, 1e3)
        assert float(limit(phi, other, noise)) == pytest.approx(found, rel=1e-9)
        keep = joint_embedding if limit is joint_embedding_limit else reconstruction
        for side, kept in ((0.999, 0), (1.001, 1)):
            sigma = np.array([found * side, noise])
            phis = np.array([phi, other])
            head = keep(phis**2, phis**2 + sigma**2, 1)
            assert int(jnp.argmax(head.kept)) == kept


def test_limits_at_their_edges():
    """A weak feature is never recovered; a feature beside nothing always is."""
    assert float(reconstruction_limit(0.5, 2.0, 0.1)) == 0
    assert float(joint_embedding_limit(0.5, 2.0, 0.0)) == 0
    for limit in SCORES:
        assert float(limit(0.0, 1.0, 1.0)) == 0
        assert np.isposinf(limit(1.0, 0.0, 1.0))


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match="width: got 0"):
        joint_embedding([1.0], [1.0], 0)
    with pytest.raises(ValueError, match=r"cross: got shape \(\); want one number a feature"):
        unnormalised_barlow_twins(1.0, 1)
    with pytest.raises(ValueError, match=r"target: got 1\.0 at index 0; want 0 where the second"):
        reconstruction([1.0], [0.0], 1)
    with pytest.raises(ValueError, match="strength: got -1"):
        reconstruction_limit(-1.0, 1.0, 1.0)
    mixed = pt.ContrastiveProblem(pt.Features([1.0, 2.0], mixing=np.eye(2)[::-1]))
    with pytest.raises(ValueError, match="problem: got mixed features"):
        narrow_heads(mixed, 1)
    custom = pt.ContrastiveProblem(pt.Features([1.0]), pt.problems.Custom(lambda key, x: x))
    with pytest.raises(ValueError, match="problem: got an augmentation without exact moments"):
        narrow_heads(custom, 1)

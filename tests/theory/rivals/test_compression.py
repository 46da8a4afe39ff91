"""Within- over between-class variance: of sampled classes, by differences, and where geometric."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.theory.rivals import compression, compression_rate, geometric_law

VALUES = np.array([1.0, 0.4, 0.05])


def powers(shares):
    return cast(np.stack([np.diag(VALUES**t) for t in shares]))


def covariances(seed):
    rng = np.random.default_rng(seed)
    return [a @ a.T for a in (rng.normal(size=(3, 3)), rng.normal(size=(3, 2)))]


@pytest.mark.x64
def test_it_is_the_ratio_of_the_variances_of_classes():
    """Of three classes with two inputs each, counted one by one."""
    rng = np.random.default_rng(0)
    weights = rng.normal(size=(2, 3))
    means = rng.normal(size=(3, 3))
    means -= means.mean(0)
    offsets = rng.normal(size=(3, 3))
    inputs = np.stack([means + offsets, means - offsets])
    images = inputs @ weights.T
    centre = images.mean(0)
    want = ((images - centre) ** 2).sum() / (2 * (centre**2).sum())
    within, between = offsets.T @ offsets / 3, means.T @ means / 3
    seen = compression(cast(weights.T @ weights), cast(within), cast(between))
    np.testing.assert_allclose(seen, want, rtol=1e-13)


@pytest.mark.x64
@pytest.mark.parametrize("seed", range(3))
def test_slope_and_curvature_are_those_of_differences(seed):
    within, between = map(cast, covariances(seed))
    step, middle = 1e-3, 0.6
    shares = middle + step * np.array([-1, 0, 1])
    logs = np.log(np.asarray(compression(powers(shares), within, between)))
    at = compression_rate(powers([1.0])[0], within, between, middle)
    np.testing.assert_allclose(at.rate, (logs[2] - logs[0]) / (2 * step), rtol=1e-5)
    np.testing.assert_allclose(
        at.bend, (logs[2] - 2 * logs[1] + logs[0]) / step**2, rtol=1e-4, atol=1e-5
    )


@given(scale=st.floats(0.1, 10.0), seed=st.integers(0, 20))
def test_the_unit_of_the_gram_cancels_and_that_of_a_covariance_does_not(scale, seed, eps):
    within, between = map(cast, covariances(seed))
    grams = powers([1 / 3, 2 / 3, 1.0])
    own = np.asarray(compression(grams, within, between))
    np.testing.assert_allclose(compression(scale * grams, within, between), own, rtol=64 * eps)
    np.testing.assert_allclose(
        compression(grams, scale * within, between), scale * own, rtol=64 * eps
    )


def test_the_law_is_geometric_on_one_eigenvalue_each_and_on_proportional_spectra(eps):
    """The second has both covariances on two eigenvalues of the same ratio: the published law needs
    less than that each lives on one.
    """
    shares = np.arange(1, 5) / 4
    diagonal = lambda *entries: cast(np.diag(entries))
    for within, between, values in (
        (diagonal(0.0, 0.0, 1.0, 0.0), diagonal(1.0, 0.0, 0.0, 0.0), [1.0, 0.4, 0.2, 0.1]),
        (diagonal(0.0, 0.0, 2.0, 3.0), diagonal(2.0, 3.0, 0.0, 0.0), [1.0, 0.4, 0.1, 0.04]),
    ):
        grams = cast(np.stack([np.diag(np.array(values) ** t) for t in shares]))
        seen = compression(grams, within, between)
        np.testing.assert_allclose(geometric_law(seen), seen, rtol=64 * eps)
        assert abs(float(compression_rate(grams[-1], within, between).bend)) < 1e3 * eps
    both = compression(grams, diagonal(1.0, 1.0, 1.0, 1.0), between)
    assert float(geometric_law(both)[1] / both[1] - 1) > 0.01


def test_degenerate_classes():
    zero, one = jnp.zeros((3, 3)), jnp.eye(3)
    grams = powers([0.5, 1.0])
    np.testing.assert_array_equal(compression(grams, zero, one), 0)
    assert np.isinf(compression(grams, one, zero)).all()
    flat = compression_rate(one, one, one)
    assert float(flat.rate) == float(flat.bend) == 0


@pytest.mark.usefixtures("untyped")
def test_bad_arguments():
    one = jnp.eye(3)
    with pytest.raises(ValueError, match=r"^within: got shape \(2, 2\)"):
        compression(one, jnp.eye(2), one)
    with pytest.raises(ValueError, match=r"^between: got asymmetry"):
        compression(one, one, -one)
    with pytest.raises(ValueError, match=r"^share: got 0.0"):
        compression_rate(one, one, one, 0.0)
    with pytest.raises(ValueError, match=r"^ratios: got shape \(1,\)"):
        geometric_law(jnp.ones(1))

"""Features: every distribution has mean 0 and variance 1, strengths scale it, mixing embeds it, and
bad input is named.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory.problems import DISTRIBUTIONS, Features, Gaussian, SpikeAndSlab

# E z^4 of each distribution, from its density: it gives the sampling error of the variance.
FOURTH = {"rademacher": 1, "gaussian": 3, "uniform": 9 / 5, "laplace": 6, "spike-and-slab": 3 / 0.1}
N = 2**16


def test_every_law_has_a_known_fourth_moment():
    assert set(FOURTH) == set(DISTRIBUTIONS)


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_distribution_has_mean_zero_and_variance_one(distribution, eps):
    z = np.asarray(Features([1.0], distribution).sample(jax.random.key(0), N)[:, 0], np.float64)
    # Five standard errors, plus what rounding each draw costs.
    assert abs(z.mean()) <= 5 * N**-0.5 + eps
    assert abs((z**2).mean() - 1) <= 5 * ((FOURTH[distribution] - 1) / N) ** 0.5 + 4 * eps


@pytest.mark.parametrize("distribution", DISTRIBUTIONS)
def test_features_are_uncorrelated_and_scale_with_strength(distribution, eps):
    strength = np.array([0.01, 1.0, 30.0])
    u = np.asarray(Features(strength, distribution).sample(jax.random.key(1), N), np.float64)
    z = u / strength
    correlation = z.T @ z / N
    spread = np.full((3, 3), N**-0.5)  # variance of z_i z_j is 1 for independent features
    np.fill_diagonal(spread, ((FOURTH[distribution] - 1) / N) ** 0.5)
    assert (np.abs(correlation - np.eye(3)) <= 5 * spread + 8 * eps).all()


@pytest.mark.parametrize("density", [0.01, 0.3, 1.0])
def test_spike_and_slab_is_active_with_its_density(density):
    z = np.asarray(SpikeAndSlab(density).sample(jax.random.key(2), (N,), jnp.result_type(float)))
    assert abs((z != 0).mean() - density) <= 5 * (density * (1 - density) / N) ** 0.5
    assert abs((z**2).mean() - 1) <= 5 * ((3 / density - 1) / N) ** 0.5


def test_mixing_embeds_each_feature_along_its_column(eps):
    mixing = np.random.default_rng(0).standard_normal((5, 3))
    features = Features([1.0, 2.0, 3.0], mixing=mixing)
    u = features.sample(jax.random.key(0), 7)
    assert features.dim == 3
    assert features.ambient_dim == 5
    np.testing.assert_allclose(
        features.embed(u), np.asarray(u) @ mixing.T, atol=32 * eps * np.abs(mixing).max()
    )
    np.testing.assert_allclose(
        features.directions, mixing / np.linalg.norm(mixing, axis=0), atol=8 * eps
    )


def test_without_mixing_input_is_the_features():
    features = Features([1.0, 2.0])
    u = features.sample(jax.random.key(0), 4)
    assert (features.embed(u) == u).all()
    assert features.ambient_dim == 2
    np.testing.assert_array_equal(features.directions, np.eye(2))


def test_a_law_may_be_an_object():
    assert isinstance(Features([1.0], Gaussian()).distribution, Gaussian)


def test_dtype_of_the_strengths_is_kept():
    features = Features(np.ones(2, np.float32))
    assert features.sample(jax.random.key(0), 3).dtype == jnp.float32


BAD = {
    "zero": (lambda: Features([1.0, 0.0]), "strength: got 0.0 at index 1"),
    "negative": (lambda: Features([-1.0]), "strength: got -1.0 at index 0"),
    "nan": (lambda: Features([1.0, float("nan")]), "strength: got nan at index 1"),
    "infinite": (lambda: Features([float("inf")]), "strength: got inf"),
    "empty": (lambda: Features([]), "strength: "),
    "scalar": (lambda: Features(1.0), "strength: "),
    "matrix": (lambda: Features([[1.0]]), "strength: "),
    "not numbers": (lambda: Features(["one"]), "strength: "),
    "complex": (lambda: Features([1j]), "strength: "),
    "distribution": (
        lambda: Features([1.0], "cauchy"),
        "distribution: got 'cauchy'; want one of rademacher",
    ),
    "mixing columns": (
        lambda: Features([1.0, 2.0], mixing=np.eye(3)),
        r"mixing: got shape \(3, 3\)",
    ),
    "mixing vector": (lambda: Features([1.0, 2.0], mixing=[1.0, 2.0]), "mixing: "),
    "mixing nan": (lambda: Features([1.0], mixing=[[float("nan")]]), "mixing: got nan"),
    "density zero": (lambda: SpikeAndSlab(0.0), "density: "),
    "density above one": (lambda: SpikeAndSlab(1.5), "density: got 1.5"),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        make()

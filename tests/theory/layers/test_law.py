"""The layer-wise law: every Gram is a power of the last, and every weight a power of the final
weight.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import AdditiveNoise, ContrastiveProblem, Features, Moments
from projhead_theory.problems import random_moments
from projhead_theory.theory.layers import layerwise, spectral

DEPTHS = [1, 2, 3, 5]
PHI, SIGMA = np.array([0.5, 1.0, 3.0]), np.array([0.1, 0.7, 5.0])
W = PHI / (PHI**2 + SIGMA**2)


def feature_model(mixing=None):
    return ContrastiveProblem(Features(PHI, mixing=mixing), AdditiveNoise(SIGMA)).moments()


@pytest.mark.parametrize("depth", DEPTHS)
@pytest.mark.parametrize("width", [2, 4])
def test_every_gram_is_a_root_of_the_last(depth, width, eps):
    moments = random_moments(jax.random.key(0), [0.9, 0.6, 0.3, 0.1], condition=4.0)
    prediction = layerwise(moments, depth, width=width)
    last = np.asarray(spectral(moments, width).gram)
    spectrum = np.linalg.eigvalsh(last)[-width:]
    assert prediction.depth == depth
    for level in range(1, depth + 1):
        values, v = np.linalg.eigh(np.asarray(prediction.grams[level - 1]))
        assert (values >= -256 * eps * values[-1]).all()
        # A root magnifies relative errors of small eigenvalues; raised back to the power L it
        # divides them again.
        back = v[:, -width:] * values[-width:] ** (depth / level) @ v[:, -width:].T
        np.testing.assert_allclose(
            back, last, atol=256 * eps * depth * spectrum[-1] * spectrum[-1] / spectrum[0]
        )
    np.testing.assert_allclose(prediction.grams[-1], last, atol=256 * eps * spectrum[-1])
    np.testing.assert_allclose(prediction.loss, spectral(moments, width).loss, atol=256 * eps)


@pytest.mark.parametrize("depth", DEPTHS)
def test_feature_weights_are_powers_of_the_final_weight(depth, eps):
    weights = layerwise(feature_model(), depth).weights
    for level in range(1, depth + 1):
        np.testing.assert_allclose(weights[level - 1], W ** (level / depth), rtol=256 * eps)


@pytest.mark.parametrize("depth", DEPTHS)
def test_spread_and_condition_number_are_raised_to_the_power_of_the_layer(depth, eps):
    prediction = layerwise(feature_model(), depth)
    spread = np.asarray(prediction.weights.max(1) / prediction.weights.min(1))
    np.testing.assert_allclose(
        spread, (W.max() / W.min()) ** (np.arange(1, depth + 1) / depth), rtol=512 * eps
    )
    assert (np.diff(spread) > 0).all()
    condition = [np.linalg.cond(np.asarray(g)) for g in prediction.grams]
    np.testing.assert_allclose(condition, spread**2, rtol=512 * eps * spread[-1] ** 2)


def test_depth_one_is_the_minimiser():
    np.testing.assert_array_equal(
        layerwise(feature_model(), 1).grams[0], spectral(feature_model()).gram
    )


@pytest.mark.parametrize("depth", [1, 2, 3])
def test_weights_along_the_feature_directions_of_a_rotated_input_are_those_of_the_features(
    depth, eps
):
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 3)))[0]
    problem = ContrastiveProblem(Features(PHI, mixing=q), AdditiveNoise(SIGMA))
    weights = layerwise(problem.moments(), depth, directions=problem.directions).weights
    condition = (PHI**2 + SIGMA**2).max() / (PHI**2 + SIGMA**2).min() * (W.max() / W.min()) ** 2
    assert weights.shape == (depth, 3)
    for level in range(1, depth + 1):
        np.testing.assert_allclose(
            weights[level - 1], W ** (level / depth), rtol=64 * eps * condition
        )


def test_weights_without_directions_are_those_of_the_axes(eps):
    moments = random_moments(jax.random.key(1), [0.9, 0.5, 0.2])
    axes = layerwise(moments, 2, directions=jnp.eye(3)).weights
    np.testing.assert_allclose(layerwise(moments, 2).weights, axes, rtol=256 * eps)


def test_a_dropped_feature_has_weight_zero_in_every_layer(eps):
    weights = np.asarray(layerwise(feature_model(), 3, width=2).weights)
    assert (weights[:, 2] <= 64 * eps).all()  # the strongest, with the smallest signal fraction
    assert (weights[:, :2] > 0.1).all()


SMALL = [(jnp.float32, 2e3), (jnp.float32, 1e8)] + (jnp.result_type(float) == jnp.float64) * [
    (jnp.float64, 1e8),
    (jnp.float64, 1e60),
]


@pytest.mark.parametrize(("dtype", "noise"), SMALL)
def test_a_feature_of_small_signal_fraction_has_its_weight_in_every_layer(dtype, noise):
    """Far below the rounding of the other feature's, which it does not mix with."""
    sigma, depth = np.array([noise, 0.1]), 4
    moments = ContrastiveProblem(
        Features(np.ones(2, dtype)), AdditiveNoise(sigma.astype(dtype))
    ).moments()
    prediction = layerwise(moments, depth)
    for level in range(1, depth + 1):
        # Of eight roundings each the moments, the fraction, the Gram and its power, and of the
        # exponent times ln w < 280.
        np.testing.assert_allclose(
            prediction.weights[level - 1],
            (1 / (1 + sigma**2)) ** (level / depth),
            rtol=512 * jnp.finfo(dtype).eps,
        )
    assert (int(prediction.minimiser.kept), int(prediction.minimiser.unresolved)) == (2, 0)


@pytest.mark.x64
@pytest.mark.parametrize("phi", [[1e-150, 1e150], [1e150, 1e-150, 1.0]])
@pytest.mark.parametrize("depth", [1, 2, 5])
def test_weights_three_hundred_decades_apart(phi, depth):
    """No entry of any layer underflows beside the others."""
    phi, sigma = np.array(phi), np.full(len(phi), 1e-150)
    prediction = layerwise(ContrastiveProblem(Features(phi), AdditiveNoise(sigma)).moments(), depth)
    last = phi / (phi**2 + sigma**2)
    for level in range(1, depth + 1):
        # As above, with ln w < 350.
        np.testing.assert_allclose(
            prediction.weights[level - 1], last ** (level / depth), rtol=512 * np.finfo(float).eps
        )
    assert (int(prediction.minimiser.kept), int(prediction.minimiser.unresolved)) == (len(phi), 0)


@pytest.mark.parametrize(
    ("dtype", "noise"),
    [(jnp.float32, 1e10), *(jnp.result_type(float) == jnp.float64) * [(jnp.float64, 1e80)]],
)
def test_a_weight_whose_square_underflows_is_flagged(dtype, noise):
    """It shows as zero at layers where the dtype would have it, but not in silence."""
    moments = ContrastiveProblem(
        Features(np.ones(2, dtype)), AdditiveNoise(np.array([noise, 1], dtype))
    ).moments()
    prediction = layerwise(moments, 2)
    assert (prediction.weights[:, 0] == 0).all()
    assert int(prediction.minimiser.unresolved) == 1


@pytest.mark.parametrize(
    ("dtype", "strength"),
    [(jnp.float32, 1e-20), *(jnp.result_type(float) == jnp.float64) * [(jnp.float64, 1e-160)]],
)
@pytest.mark.parametrize("power", [1, -1])
def test_strengths_whose_squares_the_dtype_has_not_are_refused(dtype, strength, power):
    with pytest.raises(ValueError, match=r"^strength: got "):
        Features(np.array([strength**power, 1], dtype))


@pytest.mark.parametrize("dtype", dict(SMALL))
def test_a_mixed_feature_that_rounding_hides_is_flagged(dtype):
    """Of a signal fraction of 10 eps, where 8 d eps = 24 are granted to rounding: weight zero, but
    not in silence.
    """
    q = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    cross = q * np.array([0.5, 0.3, 10 * jnp.finfo(dtype).eps]) @ q.T
    minimiser = layerwise(Moments(cross.astype(dtype), np.eye(3, dtype=dtype)), 2).minimiser
    assert (int(minimiser.kept), int(minimiser.unresolved)) == (2, 1)


def test_to_xarray_is_labelled_by_layer():
    pytest.importorskip("xarray")
    prediction = layerwise(feature_model(), 3)
    data = prediction.to_xarray()
    assert list(data.layer.values) == [1, 2, 3]
    assert dict(data.sizes) == {"layer": 3, "direction": 3, "input": 3, "input_": 3, "mode": 3}
    np.testing.assert_array_equal(data.weight.sel(layer=2), prediction.weights[1])
    np.testing.assert_array_equal(data.gram.sel(layer=3), prediction.grams[2])


@pytest.mark.parametrize(
    ("arguments", "name"),
    [({"depth": 0}, "depth"), ({"depth": -1}, "depth"), ({"depth": 2, "width": 0}, "width")],
)
def test_depth_and_width_below_one_are_named(arguments, name):
    with pytest.raises(
        ValueError, match=f"^{name}: got {arguments[name]}; want a whole number >= 1"
    ):
        layerwise(feature_model(), **arguments)

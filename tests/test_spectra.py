"""Powers of a PSD matrix: against SciPy, and the derivative, also at ties, against finite differences."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from projhead_theory._spectra import psd_power


def with_spectrum(spectrum, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(spectrum),) * 2))[0]
    a = q * np.asarray(spectrum) @ q.T
    return jnp.asarray((a + a.T) / 2, jnp.result_type(float))


SPECTRA = {"apart": [3.0, 1.0, 0.2], "tied": [2.0, 2.0, 0.5], "all tied": [1.5, 1.5, 1.5], "one": [0.7]}


@pytest.mark.parametrize("exponent", [0.5, -0.5, 1 / 3, 1.0, 2.0])
@pytest.mark.parametrize("name", SPECTRA)
def test_power_is_the_fractional_matrix_power(name, exponent, eps):
    a = with_spectrum(SPECTRA[name])
    want = scipy.linalg.fractional_matrix_power(np.asarray(a, np.float64), exponent)
    # Condition of x -> x^t on a spectrum within a factor 15: |t| 15^|t| at most.
    np.testing.assert_allclose(psd_power(a, exponent, len(a)), want, atol=64 * eps * 15 ** abs(exponent))


def test_only_the_largest_positive_eigenvalues_count(eps):
    a = with_spectrum([4.0, 1.0, 0.25, -1.0])
    v = np.linalg.eigh(np.asarray(a, np.float64))[1][:, ::-1]
    for rank, kept in ((4, [2.0, 1.0, 0.5]), (2, [2.0, 1.0]), (1, [2.0]), (0, [])):
        want = v[:, : len(kept)] * np.array(kept) @ v[:, : len(kept)].T
        np.testing.assert_allclose(psd_power(a, 0.5, rank), want, atol=64 * eps)


def test_negative_half_power_is_the_pseudo_inverse_root(eps):
    a = with_spectrum([4.0, 1.0, 0.0])
    root = np.asarray(psd_power(a, -0.5, 2))
    np.testing.assert_allclose(root @ root, np.linalg.pinv(np.asarray(a, np.float64), rcond=64 * eps), atol=64 * eps)


def test_power_of_the_zero_matrix_is_zero_and_so_is_its_derivative():
    value, slope = jax.jvp(lambda a: psd_power(a, 0.5, 3), (jnp.zeros((3, 3)),), (jnp.eye(3),))
    np.testing.assert_array_equal(value, np.zeros((3, 3)))
    assert np.isfinite(slope).all()


@pytest.mark.x64
@pytest.mark.parametrize("exponent", [0.5, -0.5, 1 / 3, 2.0])
@pytest.mark.parametrize("name", [*SPECTRA, "nearly tied", "nearly tied beyond the root of eps"])
def test_derivative_agrees_with_finite_differences(name, exponent, eps):
    spectra = SPECTRA | {"nearly tied": [2.0, 2.0 + 1e-10, 0.5], "nearly tied beyond the root of eps": [2.0, 2.0 + 1e-6, 0.5]}
    a = with_spectrum(spectra[name])
    d = len(a)
    direction = with_spectrum(np.linspace(-1, 1, d) if d > 1 else [1.0], seed=1)
    slope = jax.jvp(lambda x: psd_power(x, exponent, d), (a,), (direction,))[1]
    h = eps ** (1 / 3)

    def power(x):
        return scipy.linalg.fractional_matrix_power(np.asarray(x), exponent)

    difference = (power(a + h * direction) - power(a - h * direction)) / (2 * h)
    # Third derivative of x^t on the spectrum over 6, with h^2, and rounding eps / h = h^2; quotients of nearby values add eps^(1/2) h.
    third = abs(exponent * (exponent - 1) * (exponent - 2)) * 0.2 ** (exponent - 3)
    np.testing.assert_allclose(slope, difference, atol=(third + 16) * h**2)


@pytest.mark.x64
def test_derivative_of_a_truncation_agrees_with_finite_differences(eps):
    """The dropped eigenvalue contributes through the rotation of the kept space."""
    a, direction = with_spectrum([3.0, 2.0, 0.5]), with_spectrum([-1.0, 0.5, 1.0], seed=1)
    slope = jax.jvp(lambda x: psd_power(x, 1.0, 2), (a,), (direction,))[1]
    h = eps ** (1 / 3)

    def truncate(x):
        w, v = np.linalg.eigh(np.asarray(x))
        return v[:, 1:] * w[1:] @ v[:, 1:].T

    difference = (truncate(a + h * direction) - truncate(a - h * direction)) / (2 * h)
    # The separation is 1.5 and |direction| = 1: the third derivative is of order one.
    np.testing.assert_allclose(slope, difference, atol=64 * h**2)


def test_reverse_mode_is_the_transpose_of_forward_mode(eps):
    a, x, y = with_spectrum([2.0, 2.0, 0.5]), with_spectrum([1.0, -1.0, 0.3], 1), with_spectrum([0.2, 1.0, -0.7], 2)
    forward = jnp.vdot(y, jax.jvp(lambda m: psd_power(m, 0.5, 3), (a,), (x,))[1])
    backward = jnp.vdot(jax.vjp(lambda m: psd_power(m, 0.5, 3), a)[1](y)[0], x)
    assert abs(forward - backward) <= 64 * eps

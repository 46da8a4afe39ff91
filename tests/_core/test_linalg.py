"""Powers, truncation and whitening: against SciPy, NumPy and 50 digits, and derivatives, also at
ties, against finite differences.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
from helpers.draws import some, whole_rows

from projhead_theory._core.linalg import nonzero, psd_power, truncation, whiten


def with_spectrum(spectrum, seed=0):
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((len(spectrum),) * 2))[0]
    a = q * np.asarray(spectrum) @ q.T
    return jnp.asarray((a + a.T) / 2, jnp.result_type(float))


SPECTRA = {
    "apart": [3.0, 1.0, 0.2],
    "tied": [2.0, 2.0, 0.5],
    "all tied": [1.5, 1.5, 1.5],
    "one": [0.7],
}


@pytest.mark.parametrize("exponent", [0.5, -0.5, 1 / 3, 1.0, 2.0])
@pytest.mark.parametrize("name", SPECTRA)
def test_power_is_the_fractional_matrix_power(name, exponent, eps):
    a = with_spectrum(SPECTRA[name])
    want = scipy.linalg.fractional_matrix_power(np.asarray(a, np.float64), exponent)
    # Condition of x -> x^t on a spectrum within a factor 15: |t| 15^|t| at most.
    np.testing.assert_allclose(
        psd_power(a, exponent, len(a)), want, atol=64 * eps * 15 ** abs(exponent)
    )


def test_only_the_largest_positive_eigenvalues_count(eps):
    a = with_spectrum([4.0, 1.0, 0.25, -1.0])
    v = np.linalg.eigh(np.asarray(a, np.float64))[1][:, ::-1]
    for rank, kept in ((4, [2.0, 1.0, 0.5]), (2, [2.0, 1.0]), (1, [2.0]), (0, [])):
        want = v[:, : len(kept)] * np.array(kept) @ v[:, : len(kept)].T
        np.testing.assert_allclose(psd_power(a, 0.5, rank), want, atol=64 * eps)


def test_negative_half_power_is_the_pseudo_inverse_root(eps):
    a = with_spectrum([4.0, 1.0, 0.0])
    root = np.asarray(psd_power(a, -0.5, 2))
    np.testing.assert_allclose(
        root @ root, np.linalg.pinv(np.asarray(a, np.float64), rcond=64 * eps), atol=64 * eps
    )


def test_power_of_the_zero_matrix_is_zero_and_so_is_its_derivative():
    value, slope = jax.jvp(lambda a: psd_power(a, 0.5, 3), (jnp.zeros((3, 3)),), (jnp.eye(3),))
    np.testing.assert_array_equal(value, np.zeros((3, 3)))
    assert np.isfinite(slope).all()


@pytest.mark.x64
@pytest.mark.parametrize("exponent", [0.5, -0.5, 1 / 3, 2.0])
@pytest.mark.parametrize("name", [*SPECTRA, "nearly tied", "nearly tied beyond the root of eps"])
def test_derivative_agrees_with_finite_differences(name, exponent, eps):
    spectra = SPECTRA | {
        "nearly tied": [2.0, 2.0 + 1e-10, 0.5],
        "nearly tied beyond the root of eps": [2.0, 2.0 + 1e-6, 0.5],
    }
    a = with_spectrum(spectra[name])
    d = len(a)
    direction = with_spectrum(np.linspace(-1, 1, d) if d > 1 else [1.0], seed=1)
    slope = jax.jvp(lambda x: psd_power(x, exponent, d), (a,), (direction,))[1]
    h = eps ** (1 / 3)

    def power(x):
        return scipy.linalg.fractional_matrix_power(np.asarray(x), exponent)

    difference = (power(a + h * direction) - power(a - h * direction)) / (2 * h)
    # Third derivative of x^t on the spectrum over 6, with h^2, and rounding eps / h = h^2;
    # quotients of nearby values add eps^(1/2) h.
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
    a, x, y = (
        with_spectrum([2.0, 2.0, 0.5]),
        with_spectrum([1.0, -1.0, 0.3], 1),
        with_spectrum([0.2, 1.0, -0.7], 2),
    )
    forward = jnp.vdot(y, jax.jvp(lambda m: psd_power(m, 0.5, 3), (a,), (x,))[1])
    backward = jnp.vdot(jax.vjp(lambda m: psd_power(m, 0.5, 3), a)[1](y)[0], x)
    assert abs(forward - backward) <= 64 * eps


def test_powers_of_a_diagonal_matrix_are_exact_over_the_whole_dtype():
    """Entry by entry, where an eigenvalue of a full matrix errs by eps of the largest; equal
    entries count in their order.
    """
    least, most = (
        float(jnp.finfo(jnp.result_type(float)).tiny) * 4,
        float(jnp.finfo(jnp.result_type(float)).max) / 4,
    )
    own = jnp.asarray([least, most, 0.0, 1.0, 1.0])
    for rank, kept in ((5, [0, 1, 3, 4]), (3, [1, 3, 4]), (2, [1, 3]), (0, [])):
        want = np.where(np.isin(np.arange(5), kept), np.sqrt(own), 0)
        np.testing.assert_array_equal(psd_power(jnp.diag(own), 0.5, rank), np.diag(want))


def central(function, step):
    """The difference of a curve at zero, a bound on its error, and the size of its values. Half the
    step errs by a third of the distance from the whole one, to leading order.
    """
    wide, narrow = (
        (np.asarray(function(h)) - np.asarray(function(-h))) / (2 * h) for h in (step, step / 2)
    )
    return narrow, np.abs(wide - narrow).max(), np.abs(function(0.0)).max()


# Truncation

SHAPES = [(3, 3), (5, 3), (3, 4)]
SINGULAR = {
    "apart": ([2.0, 1.4, 0.5], (1, 2, 3)),
    "tied above": ([2.0, 2.0, 0.5], (2, 3)),
    "tied below": ([2.0, 0.5, 0.5], (1, 3)),
    "all tied": ([1.5, 1.5, 1.5], (3,)),
    "singular": ([2.0, 1.4, 0.0], (1, 2)),
    "tied and singular": ([2.0, 2.0, 0.0], (2,)),
    "twice singular": ([2.0, 0.0, 0.0], (1,)),
}


def with_singular(values, shape, seed=0):
    rng = np.random.default_rng(seed)
    u, v = (np.linalg.qr(rng.standard_normal((n, len(values))))[0] for n in shape)
    return u * np.asarray(values) @ v.T


def truncated(a, rank):
    """By NumPy's decomposition."""
    u, s, vt = np.linalg.svd(a, full_matrices=False)
    return u[:, :rank] * s[:rank] @ vt[:rank]


@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SINGULAR)
def test_truncation_is_the_best_approximation_of_its_rank(name, shape, eps):
    values, ranks = SINGULAR[name]
    a = jnp.asarray(with_singular(values, shape), jnp.result_type(float))
    for rank in (0, *ranks):
        # Backward error of a few d eps, and the least gap of 0.5 over the largest value of 2.
        np.testing.assert_allclose(
            truncation(a, rank), truncated(np.asarray(a, float), rank), atol=64 * 4 * eps
        )


@pytest.mark.x64
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("name", SINGULAR)
def test_derivative_of_a_truncation_agrees_with_finite_differences_at_ties(name, shape, eps):
    """Wherever the singular values above the rank and below it are apart."""
    values, ranks = SINGULAR[name]
    a, direction = with_singular(values, shape), np.random.default_rng(1).standard_normal(shape)
    for rank in ranks:
        slope = jax.jvp(
            lambda x, rank=rank: truncation(x, rank), (jnp.asarray(a),), (jnp.asarray(direction),)
        )[1]
        h = 1e-4
        difference, error, size = central(
            lambda h, rank=rank: truncated(a + h * direction, rank), h
        )
        np.testing.assert_allclose(slope, difference, atol=error + 64 * 4 * eps * size / h)
        assert error < 1e-5


def test_reverse_mode_of_a_truncation_is_the_transpose_of_forward_mode(eps):
    a, x, y = (
        jnp.asarray(with_singular(v, (5, 3), seed), jnp.result_type(float))
        for seed, v in enumerate(([2, 2, 0.5], [1, 2, 3], [1, 1, 2]))
    )
    forward = jnp.vdot(y, jax.jvp(lambda m: truncation(m, 2), (a,), (x,))[1])
    backward = jnp.vdot(jax.vjp(lambda m: truncation(m, 2), a)[1](y)[0], x)
    assert abs(forward - backward) <= 256 * eps


# Whitening


def reached(seed, d, r, decades):
    """Whole combinations of r features at d strengths, powers of two over so many decades, and the
    features' variances: $S$ is exact.
    """
    rng = np.random.default_rng(seed)
    rows = whole_rows(rng, d, r)
    strengths = 2.0 ** rng.permutation(np.linspace(0, decades * np.log2(10), d).round())
    return strengths[:, None] * rows, 2.0 ** rng.integers(-2, 3, r)


@pytest.mark.parametrize("decades", some([0, 3, 12], 0, 2))
@pytest.mark.parametrize(("d", "r"), some([(3, 3), (3, 2), (4, 2)], 0, 2))
def test_whitening_against_fifty_digits(d, r, decades, eps):
    """Rank, pseudo-inverse, projector and S itself, to the error that is claimed, which strengths
    decades apart do not widen.
    """
    mpmath = pytest.importorskip("mpmath")
    for seed in range(4):
        reach, variances = reached(seed, d, r, decades)
        second = reach * variances @ reach.T
        found = whiten(jnp.asarray(second, jnp.result_type(float)))
        with mpmath.workdps(50):
            a = mpmath.matrix(reach.tolist())
            back = (a.T * a) ** -1 * a.T
            inverse = back.T * mpmath.diag([1 / mpmath.mpf(v) for v in variances]) * back
            own = {
                name: mpmath.matrix(np.asarray(getattr(found, name), float).tolist())
                for name in ("inverse", "forward", "projector")
            }
            pairs = (
                (own["inverse"] * own["inverse"].T, inverse),
                (own["forward"].T * own["forward"], mpmath.matrix(second.tolist())),
                (own["projector"], a * back),
            )
            errors = [
                float(mpmath.mnorm(got - want, "f") / mpmath.mnorm(want, "f"))
                for got, want in pairs
            ]
            ones = mpmath.eigsy(
                own["inverse"].T * mpmath.matrix(second.tolist()) * own["inverse"],
                eigvals_only=True,
            )
        assert int(found.rank) == r
        # Of two factors each.
        assert max(errors) <= 2 * float(found.rounding)
        np.testing.assert_allclose(
            np.array(list(ones), float)[-r:], 1, atol=2 * float(found.rounding)
        )
        np.testing.assert_allclose(
            np.array(list(ones), float)[:-r], 0, atol=2 * float(found.rounding)
        )
        # The condition is below 200, and the range, if there is less than all, leans by no more
        # than that.
        assert float(found.rounding) < 8 * d * eps * 200 * (200 if r < d else 1)


@pytest.mark.parametrize(("d", "r"), [(3, 3), (4, 2)])
def test_condition_is_that_of_the_range(d, r):
    """Of the second moment scaled to unit diagonal; by the singular values of a root of it."""
    for seed in range(4):
        reach, variances = reached(seed, d, r, 3)
        root = reach * variances**0.5
        sizes = np.linalg.svd(root / np.linalg.norm(root, axis=1, keepdims=True), compute_uv=False)[
            :r
        ]
        found = whiten(jnp.asarray(root @ root.T, jnp.result_type(float)))
        # Its own condition is below 1e3: so many roundings at most, in either dtype.
        assert float(found.condition) == pytest.approx((sizes[0] / sizes[-1]) ** 2, rel=1e-3)


def beside_nothing(seed, decades):
    """A second moment of three inputs, and the same with two that are always zero."""
    reach, variances = reached(seed, 3, 3, decades)
    inner, at = (
        jnp.asarray(reach * variances @ reach.T, jnp.result_type(float)),
        np.array([0, 2, 3]),
    )
    return inner, jnp.zeros((5, 5), inner.dtype).at[np.ix_(at, at)].set(inner), np.ix_(at, at)


def test_whitening_leaves_out_inputs_without_variance(eps):
    """The rest is whitened as if they were not there, to the rounding that is claimed."""
    inner, second, at = beside_nothing(0, 3)
    found, alone = whiten(second), whiten(inner)
    assert int(found.rank) == 3
    for name, got, want in (
        ("inverse", found.inverse @ found.inverse.T, alone.inverse @ alone.inverse.T),
        ("forward", found.forward.T @ found.forward, inner),
        ("projector", found.projector, jnp.eye(3)),
    ):
        embedded = jnp.zeros_like(second).at[at].set(want)
        np.testing.assert_allclose(
            got, embedded, atol=2 * float(found.rounding) * np.abs(want).max(), err_msg=name
        )
    nothing = whiten(jnp.zeros((2, 2)))
    assert int(nothing.rank) == 0
    for x in nothing[:3]:
        np.testing.assert_array_equal(x, np.zeros((2, 2)))


@pytest.mark.parametrize("decades", [0, 6, 12])
def test_inputs_without_variance_cost_no_digits(decades):
    """The claimed error grows by the number of inputs, 5 for 3, and the norm of a projector of rank
    3, however far apart strengths are.
    """
    for seed in range(3):
        inner, second, _ = beside_nothing(seed, decades)
        assert float(whiten(second).rounding) < 1.1 * 5 / 3 * 3**0.5 * float(whiten(inner).rounding)


CURVES = {
    "full": np.array([[1.0, 0.3, -0.2], [0.2, 2.0, 0.4], [-0.1, 0.5, 0.6]]),
    "tied": np.eye(3),
    "strengths apart": np.array([[1.0, 0.3, -0.2], [0.2, 2.0, 0.4], [-0.1, 0.5, 0.6]])
    * np.array([1e3, 1.0, 1e-3]),
    "singular": np.array([[1.0, 0.3, -0.2], [0.2, 2.0, 0.4]]),
    "singular, tied": np.array([[1.0, 0.0, 1.0], [0.0, 1.0, 0.0]]),
}


@pytest.mark.x64
@pytest.mark.parametrize("name", some(CURVES, 2, 4))
def test_derivative_of_whitening_agrees_with_finite_differences(name):
    """Along a curve of second moments that keeps their rank: of the inverse root, the root and the
    projector.
    """
    factor = jnp.asarray(CURVES[name])
    direction = jnp.asarray(np.random.default_rng(0).standard_normal(factor.shape)) * jnp.abs(
        factor
    ).max(0)

    def curve(h):
        moved = factor + h * direction
        return whiten(moved.T @ moved)

    slopes, h = jax.jvp(curve, (0.0,), (1.0,))[1], 1e-4
    for part in ("inverse", "forward", "projector"):
        difference, error, size = central(lambda h, part=part: getattr(curve(h), part), h)
        tolerance = error + float(curve(0.0).rounding) * size / h
        np.testing.assert_allclose(getattr(slopes, part), difference, atol=tolerance)
        assert tolerance <= 1e-4 * max(np.abs(difference).max(), size)


def test_a_size_of_zero_divides_as_one():
    np.testing.assert_array_equal(nonzero(jnp.asarray([0.0, 2.0])), [1.0, 2.0])

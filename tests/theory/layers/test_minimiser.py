"""The closed-form minimiser: against brute force, 30-digit arithmetic and hand formulas, its
symmetries, ties and derivatives.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import whole_rows
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import AdditiveNoise, ContrastiveProblem, Features, Moments
from projhead_theory.problems import Mask, random_moments
from projhead_theory.theory.layers import NonUniqueMinimiserError, layerwise, spectral

FRACTIONS = np.array([0.9, 0.6, 0.3])


def brute_force(moments, width, seed):
    """Minimise over W by BFGS from a random start. Returns M, the loss, and how far M may still be
    from a minimiser.
    """
    cross, second = np.asarray(moments.cross), np.asarray(moments.second)
    d = len(second)

    def value_and_gradient(flat):
        w = flat.reshape(width, d)
        inner = w @ second @ w.T
        return -2 * np.sum((w @ cross) * w) + np.sum(inner**2), (
            4 * (inner @ w @ second - w @ cross)
        ).ravel()

    start = np.random.default_rng(seed).standard_normal(width * d)
    result = scipy.optimize.minimize(
        value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-9, "maxiter": 5000}
    )
    w = result.x.reshape(width, d)
    # Off the orbit of rotations the curvature is at least 4 (lambda_p - lambda_{p+1}) in whitened
    # coordinates, S's least eigenvalue there.
    gap = min(0.3, 1.0) * np.linalg.eigvalsh(second)[0]
    return w.T @ w, result.fun, 2 * np.linalg.norm(w) * np.linalg.norm(result.jac) / (4 * gap)


@pytest.mark.x64
@pytest.mark.parametrize("width", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_no_numerical_minimisation_finds_another_gram_or_a_lower_loss(width, seed, eps):
    moments = random_moments(jax.random.key(seed), FRACTIONS, condition=5.0)
    result = spectral(moments, width)
    assert int(result.kept) == width
    np.testing.assert_allclose(result.loss, -(FRACTIONS[:width] ** 2).sum(), atol=256 * eps)
    for start in range(4):
        gram, loss, distance = brute_force(moments, width, start)
        slack = 2 * distance + 1024 * eps
        np.testing.assert_allclose(result.gram, gram, atol=slack)
        assert abs(loss - result.loss) <= slack


@pytest.mark.x64
def test_agrees_with_thirty_digit_arithmetic(eps):
    mpmath = pytest.importorskip("mpmath")
    cross = [["0.6", "0.2", "0.1"], ["0.2", "0.5", "-0.1"], ["0.1", "-0.1", "0.2"]]
    second = [["1.5", "0.3", "-0.2"], ["0.3", "0.9", "0.1"], ["-0.2", "0.1", "0.7"]]
    with mpmath.workdps(30):
        c, s = mpmath.matrix(cross), mpmath.matrix(second)
        assert mpmath.mnorm(c * s - s * c) > 0.01  # they do not commute
        values, q = mpmath.eigsy(s)
        root = q * mpmath.diag([v**-0.5 for v in values]) * q.T
        fractions, v = mpmath.eigsy(root * c * root)
        for width in (1, 2, 3):
            kept = [0] * (3 - width) + list(fractions)[3 - width :]
            want = root * v * mpmath.diag(kept) * v.T * root
            result = spectral(Moments(np.array(cross, float), np.array(second, float)), width)
            # Spectra of the example are within a factor 10 and the gaps above 0.1: conditioning
            # below 100.
            np.testing.assert_allclose(
                result.gram, np.array(want.tolist(), float), atol=100 * 16 * eps
            )
            np.testing.assert_allclose(
                result.loss, -float(sum(k**2 for k in kept)), atol=100 * 16 * eps
            )
    np.testing.assert_allclose(
        result.signal_fraction, np.array(list(fractions)[::-1], float), atol=100 * 16 * eps
    )


@pytest.mark.parametrize("width", [2, 3, 7])
def test_modes_solve_the_generalised_eigenproblem_and_make_the_gram(width, eps):
    moments = random_moments(jax.random.key(5), FRACTIONS, condition=5.0)
    result = spectral(moments, width)
    u, slack = np.asarray(result.modes), {"atol": 1024 * eps}
    cross, second = np.asarray(moments.cross), np.asarray(moments.second)
    np.testing.assert_allclose(u.T @ second @ u, np.eye(3), **slack)
    np.testing.assert_allclose(cross @ u, second @ u * FRACTIONS, **slack)
    np.testing.assert_allclose(
        result.gram, (u * (FRACTIONS * (np.arange(3) < width))) @ u.T, **slack
    )


PHI, SIGMA = np.array([0.5, 1.0, 3.0]), np.array([0.1, 0.7, 5.0])


def feature_model(phi=PHI, sigma=SIGMA, mixing=None):
    return ContrastiveProblem(Features(phi, mixing=mixing), AdditiveNoise(sigma)).moments()


def test_feature_model_weights_are_phi_over_phi_squared_plus_noise(eps):
    result = spectral(feature_model())
    np.testing.assert_allclose(
        np.diagonal(result.gram), (PHI / (PHI**2 + SIGMA**2)) ** 2, rtol=64 * eps
    )
    assert (
        np.abs(np.asarray(result.gram) - np.diag(np.diagonal(result.gram))).max()
        <= 64 * eps * np.abs(result.gram).max()
    )


def test_masked_features_have_weight_root_c_over_q(eps):
    m = np.array([0.1, 0.4, 0.9])
    result = spectral(ContrastiveProblem(Features(PHI), Mask(m)).moments())
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(result.gram)), PHI * (1 - m) / (PHI**2 * (1 - m)), rtol=64 * eps
    )


def test_a_narrow_network_keeps_the_largest_signal_fraction_not_the_strongest_feature(eps):
    """The strongest feature here is the noisiest and goes first."""
    fractions = PHI**2 / (PHI**2 + SIGMA**2)
    assert fractions.argmin() == PHI.argmax()
    weights = (PHI / (PHI**2 + SIGMA**2)) ** 2
    for width in (1, 2):
        kept = np.argsort(-fractions)[:width]
        want = np.where(np.isin(np.arange(3), kept), weights, 0)
        np.testing.assert_allclose(
            np.diagonal(spectral(feature_model(), width).gram), want, atol=64 * eps * weights.max()
        )


def test_directions_without_variance_get_weight_zero(eps):
    """Three features in five dimensions, mixed by orthonormal columns: the minimiser is that of the
    features, turned.
    """
    q = np.linalg.qr(np.random.default_rng(0).standard_normal((5, 3)))[0]
    result = spectral(feature_model(mixing=q))
    want = q * (PHI / (PHI**2 + SIGMA**2)) ** 2 @ q.T
    condition = (PHI**2 + SIGMA**2).max() / (PHI**2 + SIGMA**2).min()
    np.testing.assert_allclose(result.gram, want, atol=64 * eps * condition * np.abs(want).max())
    assert int(result.kept) == 3


def test_a_coordinate_that_is_always_zero_gets_weight_exactly_zero():
    result = spectral(Moments(np.diag([0.5, 0.0]), np.diag([1.0, 0.0])))
    np.testing.assert_array_equal(result.gram, np.diag([0.5, 0.0]))


def test_a_fully_disrupted_feature_gets_weight_zero():
    result = spectral(Moments(np.diag([0.5, 0.0]), np.eye(2)))
    np.testing.assert_array_equal(result.gram, np.diag([0.5, 0.0]))
    assert int(result.kept) == 1


def test_without_any_cross_moment_the_minimiser_is_zero():
    for width in (1, 2):
        result = spectral(Moments(np.zeros((2, 2)), np.eye(2)), width)
        np.testing.assert_array_equal(result.gram, np.zeros((2, 2)))
        assert bool(result.unique)
        assert result.loss == 0


def test_one_feature():
    result = spectral(Moments([[0.5]], [[2.0]]))
    assert result.gram[0, 0] == pytest.approx(0.5 / 4)
    assert result.loss == pytest.approx(-(0.25**2))


def test_width_above_the_dimension_changes_nothing():
    moments = random_moments(jax.random.key(0), FRACTIONS)
    np.testing.assert_array_equal(spectral(moments, 10).gram, spectral(moments).gram)


def test_a_width_that_cuts_a_tie_has_no_unique_minimiser(eps):
    moments = random_moments(jax.random.key(1), [0.9, 0.5, 0.5, 0.1], condition=3.0)
    with pytest.raises(
        NonUniqueMinimiserError,
        match=r"^width: got 2, which cuts between the tied signal fractions 2 and 3: both are 0.5",
    ):
        spectral(moments, 2)
    shared = spectral(moments, 2, throw=False)
    assert not bool(shared.unique)
    assert int(shared.kept) == 1
    np.testing.assert_allclose(shared.gram, spectral(moments, 1).gram, atol=1024 * eps)
    np.testing.assert_allclose(shared.loss, -(0.81 + 0.25), atol=1024 * eps)
    for width in (1, 3, 4):  # a tie that is kept or dropped as a whole does no harm
        assert bool(spectral(moments, width).unique)


def test_a_tie_at_zero_is_no_tie():
    """Features with nothing in common between the views are dropped at any width."""
    moments = Moments(np.diag([0.5, 0.0, 0.0]), np.eye(3))
    for width in (1, 2, 3):
        assert bool(spectral(moments, width).unique)


@pytest.mark.x64
@pytest.mark.parametrize(("gap", "unique"), [(1e-3, True), (1e-8, True), (0.0, False)])
def test_near_ties_are_told_from_ties_by_rounding(gap, unique):
    result = spectral(
        random_moments(jax.random.key(2), [0.5 + gap, 0.5, 0.1], condition=2.0), 1, throw=False
    )
    assert bool(result.unique) == unique
    if unique:
        assert float(result.gap) == pytest.approx(gap, abs=float(result.rounding) * gap)


@pytest.mark.x64
@pytest.mark.parametrize("order", [[0, 1, 2, 3], [3, 1, 0, 2]])
def test_strengths_six_decades_apart_keep_ten_digits(order):
    phi, sigma = np.array([1e-3, 1e-1, 1e1, 1e3])[order], np.array([1e-3, 2e-1, 5.0, 3e3])[order]
    result = spectral(feature_model(phi, sigma))
    np.testing.assert_allclose(
        np.sqrt(np.diagonal(result.gram)), phi / (phi**2 + sigma**2), rtol=1e-10
    )


@pytest.mark.x64
@pytest.mark.parametrize("condition", [1e2, 1e5, 1e8])
def test_accuracy_on_ill_conditioned_moments_degrades_no_faster_than_the_condition(condition, eps):
    fractions = np.array([0.9, 0.7, 0.4, 0.2])
    moments = random_moments(jax.random.key(3), fractions, condition)
    result = spectral(moments)
    # A backward error of eps in S is eps * condition in T; the moments themselves already carry it.
    np.testing.assert_allclose(result.signal_fraction, fractions, atol=8 * 4 * eps * condition)
    second, gram = np.asarray(moments.second), np.asarray(result.gram)
    size = np.linalg.norm(second @ gram, 2) * np.linalg.norm(second, 2)
    np.testing.assert_allclose(
        second @ gram @ second, moments.cross, atol=64 * eps * condition * size
    )


def copied(seed, d, r):
    """Features that reach d inputs, each a whole combination of r features at a strength of its
    own, over three decades; moments are exact.

    Returns the combinations `(d, r)`, and the features' cross and second moments.
    """
    rng = np.random.default_rng(seed)
    rows = whole_rows(rng, d, r)
    second = 2.0 ** rng.integers(-2, 3, r)
    return (
        2.0 ** rng.permutation(np.linspace(0, 10, d).round())[:, None] * rows,
        second * rng.permutation([0.75, 0.5, 0.25])[:r],
        second,
    )


@pytest.mark.parametrize(("d", "r"), [(3, 2), (4, 2), (3, 3)])
@pytest.mark.parametrize(
    "dtype", [jnp.float32, jnp.float64] if jnp.result_type(float) == jnp.float64 else [jnp.float32]
)
def test_rounding_bounds_the_error_of_the_gram_and_not_by_much(d, r, dtype):
    """Against 50 digits, for second moments of every input and of fewer features than inputs, whose
    range leans to the strongest.
    """
    mpmath = pytest.importorskip("mpmath")
    shares = []
    for seed in range(12):
        reach, cross, second = copied(seed, d, r)
        moments = Moments(
            (reach * cross @ reach.T).astype(dtype), (reach * second @ reach.T).astype(dtype)
        )
        for width in range(1, r + 1):
            result = spectral(moments, width)
            kept = np.argsort(-cross / second)[:width]
            with mpmath.workdps(50):
                a = mpmath.matrix(reach.tolist())
                back = (a.T * a) ** -1 * a.T
                squares = [
                    cross[i] / mpmath.mpf(second[i]) ** 2 if i in kept else 0 for i in range(r)
                ]
                want = back.T * mpmath.diag(squares) * back
                error = mpmath.mnorm(
                    mpmath.matrix(np.asarray(result.gram, float).tolist()) - want, "f"
                ) / mpmath.mnorm(want, "f")
            shares.append(float(error) / float(result.rounding))
            assert int(result.kept) == width
    assert max(shares) <= 1
    # A first-order bound on the worst of all roundings, of which these are some: a thousand times
    # wider at the most.
    assert max(shares) > 1e-3


@given(st.integers(0, 10**6), st.integers(1, 3), st.floats(1e-3, 1e3))
def test_minimiser_turns_permutes_and_scales_with_the_data(seed, width, scale):
    moments = random_moments(jax.random.key(seed), FRACTIONS, condition=10.0)
    gram = np.asarray(spectral(moments, width).gram)
    # Conditioning 10 of S, eigengap 0.3.
    slack = 64 * 3 * float(jnp.finfo(moments.second.dtype).eps) * 10 / 0.3 * np.abs(gram).max()
    rng = np.random.default_rng(seed)
    for turn in (np.linalg.qr(rng.standard_normal((3, 3)))[0], np.eye(3)[rng.permutation(3)]):
        np.testing.assert_allclose(
            spectral(moments.rotate(turn), width).gram, turn.T @ gram @ turn, atol=slack
        )
    scaled = Moments(moments.cross * scale**2, moments.second * scale**2)
    np.testing.assert_allclose(
        np.asarray(spectral(scaled, width).gram) * scale**2, gram, atol=slack
    )


@given(st.integers(0, 10**6))
def test_any_linear_change_of_input_leaves_the_function_learned(seed):
    """Representations of x and of A x have the same Gram in the input: A^T M' A = M."""
    moments = random_moments(jax.random.key(seed), FRACTIONS, condition=4.0)
    a = np.random.default_rng(seed).standard_normal((3, 3)) + 4 * np.eye(3)
    gram = np.asarray(spectral(moments, 2).gram)
    slack = (
        1024
        * float(jnp.finfo(moments.second.dtype).eps)
        * np.linalg.cond(a) ** 2
        * 4
        / 0.3
        * np.abs(gram).max()
    )
    np.testing.assert_allclose(
        a.T @ np.asarray(spectral(moments.rotate(a.T), 2).gram) @ a, gram, atol=slack
    )


@pytest.mark.x64
def test_float32_agrees_with_float64_to_float32_rounding():
    wide = random_moments(jax.random.key(4), FRACTIONS, condition=10.0)
    result = spectral(Moments(wide.cross.astype(jnp.float32), wide.second.astype(jnp.float32)), 2)
    assert result.gram.dtype == jnp.float32
    exact = spectral(wide, 2).gram
    np.testing.assert_allclose(
        result.gram, exact, atol=64 * np.finfo(np.float32).eps * 10 / 0.3 * np.abs(exact).max()
    )


def test_negative_eigenvalues_of_an_estimated_cross_moment_are_clipped():
    result = spectral(Moments(np.diag([0.5, -0.2]), np.eye(2), pairs=100))
    np.testing.assert_array_equal(result.gram, np.diag([0.5, 0.0]))
    np.testing.assert_allclose(result.signal_fraction, [0.5, 0.0])
    assert result.loss == -0.25


@pytest.mark.parametrize("width", [0, -1, 1.5, True])
@pytest.mark.usefixtures("untyped")
def test_a_width_that_is_not_a_positive_whole_number_is_named(width):
    with pytest.raises(ValueError, match=r"^width: got "):
        spectral(feature_model(), width)


def test_vmap_and_jit_give_what_a_loop_gives(eps):
    many = [random_moments(jax.random.key(k), FRACTIONS) for k in range(4)]
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *many)
    mapped = jax.vmap(lambda m: spectral(m, 2).gram)(stacked)
    for one, gram in zip(many, mapped, strict=True):
        np.testing.assert_allclose(gram, spectral(one, 2).gram, atol=1024 * eps)
        np.testing.assert_allclose(
            eqx.filter_jit(spectral)(one, 2).gram, spectral(one, 2).gram, atol=1024 * eps
        )


@pytest.mark.parametrize("width", [None, 2])
@pytest.mark.parametrize("phi", [[0.5, 1.0, 3.0], [1.0, 1.0, 0.2]], ids=["apart", "two tied"])
def test_derivative_of_the_weights_is_the_analytic_one_also_at_ties(phi, width, eps):
    """dw/dsigma of phi / (phi^2 + sigma^2), for the kept features, at every layer; nothing for the
    dropped one.
    """
    phi, sigma, depth = np.array(phi), np.full(3, 0.5), 3

    def weights(s):
        moments = ContrastiveProblem(Features(phi), AdditiveNoise(s)).moments()
        return layerwise(moments, depth, width=width).weights

    q = phi**2 + sigma**2
    w, slope = phi / q, -2 * sigma * phi / q**2
    kept = np.isin(np.arange(3), np.argsort(-(phi**2) / q)[: width or 3])
    jacobian = jax.jacobian(weights)(jnp.asarray(sigma, jnp.result_type(float)))
    for level in range(1, depth + 1):
        want = np.diag(np.where(kept, level / depth * w ** (level / depth - 1) * slope, 0))
        np.testing.assert_allclose(jacobian[level - 1], want, atol=1024 * eps * np.abs(want).max())

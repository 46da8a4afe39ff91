"""How many samples a separator of largest margin needs: limits in closed form, symmetries, and the
separators themselves.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.integrate
import scipy.optimize
import scipy.stats
from helpers.draws import cast, some
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory.probes import HardMargin
from projhead_theory.problems import Downstream
from projhead_theory.theory.downstream import margin_error, margin_samples
from projhead_theory.theory.downstream.margin import Spectrum, solve

Z = scipy.stats.norm.ppf(0.9)


def features(spread, mean):
    """A layer of the identity: a label feature of strength `mean`, nuisance features of variances
    `spread`.
    """
    variances = np.concatenate([[mean**2], spread])
    return cast(np.eye(variances.size))[None], Downstream(
        cast(np.diag(variances)), cast(np.eye(variances.size)[0] / mean)
    )


def samples(spread, mean, error=0.1):
    return float(margin_samples(*features(np.asarray(spread, float), mean), error)[0])


def residuals(spread, mean, n):
    """How far the stationary state at `n` samples, found by bisection here, is from the equations
    in their integral form.

    Before any simplification: the truncated moments of the margins are integrals, and the
    separator's share along the label and across it, `A` and `sigma`, are unknowns of their own.
    """
    error = float(margin_error(*features(spread, mean), n)[0])
    z = -scipy.stats.norm.ppf(error)

    def moments(x):
        density = scipy.stats.norm.pdf
        return [
            scipy.integrate.quad(
                lambda h, k=k: (x - h) ** k * density(h), -np.inf, x, epsabs=1e-12
            )[0]
            for k in range(3)
        ]

    def state(x):
        p, e1, e2 = moments(x)
        sigma = 1 / (x + z)
        kappa = z * p / (mean**2 * e1)
        share = kappa * spread / (1 + kappa * spread)
        return n * p - share.sum(), sigma**2 * n * p**2 - e2 * sigma**2 * (
            share**2
        ).sum() * n * p / share.sum()

    x = scipy.optimize.brentq(lambda x: state(x)[0], 0, 30)
    return abs(state(x)[1]) / n


@pytest.mark.x64
@pytest.mark.parametrize("n", [5.0, 20.0, 45.0])
def test_the_equations_are_those_of_the_stationary_state(n):
    spread = np.geomspace(2.0, 0.2, 30)
    assert residuals(spread, 0.9, n) < 1e-7


@pytest.mark.x64
@pytest.mark.parametrize("count", some([10**3, 10**4, 10**5], 1))
def test_with_many_nuisance_features_it_is_their_squared_variances_that_count(count):
    """N = z^2 sum s^2 / m^4 up to relative order n / d, while the sum of variances alone, as in the
    indicator, grows without bound.
    """
    spread = np.tile([0.5, 1.5], count // 2) * 4 / count**0.5
    want = Z**2 * (spread**2).sum()
    assert samples_of_diagonal(spread) == pytest.approx(want, rel=5 * want**0.5 / count**0.5)


def samples_of_diagonal(spread):
    """The same through fewer features: by symmetry only the solver's sums count, so that a large
    diagonal need not be a matrix.
    """
    layer = Spectrum(
        cast(np.concatenate([[0.0], spread / spread.max()])),
        cast(np.concatenate([[1 / spread.max()], 0 * spread])),
    )
    return float(jax.jit(lambda: solve(layer, lambda n, z: z - Z))()[0])


@pytest.mark.x64
def test_a_label_too_weak_needs_twice_the_nuisance_features_and_no_more():
    """Wendel: as many random directions surround the origin. The indicator has no such bound."""
    spread = np.geomspace(2.0, 0.3, 12)
    needed = [samples(spread, mean) for mean in (1.0, 0.1, 1e-2, 1e-3)]
    assert (np.diff(needed) > 0).all()
    assert needed[-1] < 24
    assert needed[-1] == pytest.approx(24, rel=0.01)
    assert float(margin_error(*features(spread, 0.01), 25.0)[0]) < 1e-6


def test_error_and_samples_are_inverse(eps):
    """And monotone in one another."""
    layer = features(np.geomspace(2.0, 0.2, 20), 0.8)
    wanted = np.asarray([0.4, 0.2, 0.1, 0.02])
    counts = [float(margin_samples(*layer, e)[0]) for e in wanted]
    assert (np.diff(counts) > 0).all()
    np.testing.assert_allclose(
        [float(margin_error(*layer, n)[0]) for n in counts], wanted, rtol=max(1e-6, 1e4 * eps)
    )


@given(seed=st.integers(0, 2**31), scale=st.floats(-2, 2))
def test_rotations_and_units_do_not_matter(seed, scale):
    """Of the input, with the network along; and the scale of a layer."""
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    rng = np.random.default_rng(seed)
    d = 6
    a = rng.standard_normal((d, d)) / d**0.5
    gram, strength = a @ a.T + 0.2 * np.eye(d), rng.uniform(0.5, 1.5, d)
    q = np.linalg.qr(rng.standard_normal((d, d)))[0]
    down = Downstream(cast(np.diag(strength**2)), cast(np.eye(d)[0] / strength[0]))
    plain = margin_samples(cast(gram), down, 0.2)
    turned = margin_samples(cast(10.0**scale * q.T @ gram @ q), down.rotate(cast(q)), 0.2)
    assert float(turned) == pytest.approx(float(plain), rel=max(1e-6, 1e5 * eps))


@pytest.mark.parametrize("mean", some([0.5, 1.0], 0))
@pytest.mark.parametrize("distribution", ["gaussian", "rademacher"])
def test_separators_fitted_to_samples_approach_it_as_features_grow(distribution, mean):
    """Whatever the distribution of the nuisance: finite size leaves a share of order 1 / n of the
    error, three times that being allowed.
    """
    for d, repeats in ((6, 600), (48, 100)):
        spread = np.tile([0.4, 1.0, 2.0], d // 3)
        n = int(0.9 * d)
        measured, error = fitted(spread, mean, n, distribution, repeats)
        limit = float(margin_error(*features(spread, mean), float(n))[0])
        assert abs(measured - limit) < 3 / n * measured + 5 * error


def fitted(spread, mean, n, distribution, repeats):
    """Mean error of the separators of so many samples, exact for Gaussian nuisance features, and
    its standard error.
    """
    rng = np.random.default_rng(0)
    y = np.where(np.arange(n) % 2, 1, -1)
    shape = (repeats, n, spread.size)
    z = rng.standard_normal(shape) if distribution == "gaussian" else rng.choice([-1.0, 1.0], shape)
    x = np.concatenate(
        [np.broadcast_to(mean * y[:, None], (repeats, n, 1)), z * np.sqrt(spread)], axis=2
    )
    readouts = HardMargin().fit_many(cast(x), np.broadcast_to((y > 0).astype(int), shape[:2]))
    v = np.asarray(readouts.weights)[:, 0]
    across = np.sqrt((v[:, 1:] ** 2 * spread).sum(1))
    errors = scipy.stats.norm.cdf(-v[:, 0] * mean / across)
    return errors.mean(), errors.std() / repeats**0.5


def test_a_layer_that_mixes_the_label_with_other_features():
    """Not of a feature model: the mean and the covariance of the nuisance have no common axes."""
    rng = np.random.default_rng(1)
    d, repeats, n = 36, 120, 30
    w = rng.standard_normal((d, d)) / d**0.5 + 0.5 * np.eye(d)
    y = np.where(np.arange(n) % 2, 1.0, -1.0)
    z = rng.standard_normal((repeats, n, d))
    z[:, :, 0] = y
    readouts = HardMargin().fit_many(
        cast(z @ w.T), np.broadcast_to((y > 0).astype(int), (repeats, n))
    )
    v = np.asarray(readouts.weights)[:, 0] @ w
    errors = scipy.stats.norm.cdf(-v[:, 0] / np.linalg.norm(v[:, 1:], axis=1))
    down = Downstream(cast(np.eye(d)), cast(np.eye(d)[0]))
    limit = float(margin_error(cast(w.T @ w), down, float(n)))
    assert errors.mean() == pytest.approx(
        limit, abs=3 / n * limit + 5 * errors.std() / repeats**0.5
    )


def test_degenerate_layers():
    """Nothing but the label; a label that is lost; nothing at all."""
    down = Downstream(cast(np.eye(3)), cast([1.0, 0.0, 0.0]))
    grams = cast(
        np.stack([np.diag(g) for g in ([1.0, 0.0, 0.0], [0.0, 1.0, 1.0], [0.0, 0.0, 0.0])])
    )
    np.testing.assert_array_equal(margin_samples(grams, down, 0.1), [0, np.inf, np.inf])
    np.testing.assert_allclose(margin_error(grams, down, 5.0), [0, 0.5, 0.5])


def test_layers_are_mapped_over_and_dtype_is_kept():
    gram, down = features(np.ones(5), 0.7)
    stack = jnp.concatenate([gram, 2 * gram])[:, None]
    assert margin_samples(stack, down, 0.2).shape == (2, 1)
    small = Downstream(down.second.astype(jnp.float32), down.target.astype(jnp.float32))
    got = margin_samples(gram.astype(jnp.float32), small, 0.2)
    assert got.dtype == jnp.float32
    np.testing.assert_allclose(got, margin_samples(gram, down, 0.2), rtol=1e-3)
    np.testing.assert_allclose(
        jax.jit(lambda g: margin_samples(g, down, 0.2))(gram),
        margin_samples(gram, down, 0.2),
        rtol=1e-4,
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda g, d: margin_samples(g, d, 0.5),
            r"^error: got 0\.5; want an error between 0 and 1/2",
        ),
        (lambda g, d: margin_samples(g, d, 0.0), r"^error: got 0\.0"),
        (lambda g, d: margin_error(g, d, 0.0), r"^samples: got 0\.0; want positive"),
        (
            lambda g, d: margin_samples(g[:, :2, :2], d, 0.1),
            r"^grams: got shape \(1, 2, 2\); want \(\.\.\., 6, 6\)",
        ),
        (
            lambda g, d: margin_samples(g, Downstream(d.second, 2 * d.target), 0.1),
            r"^downstream: got a target of variance 4; want var.* 1",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(*features(np.ones(5), 0.7))

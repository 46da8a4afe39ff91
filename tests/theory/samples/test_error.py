"""The delta method for finitely many pairs, beside brute force, a sample of views, and algebra by
hand.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import some

from projhead_theory import Moments
from projhead_theory.problems import AdditiveNoise, ContrastiveProblem, Features, Views
from projhead_theory.theory.layers import NonUniqueMinimiserError, layerwise
from projhead_theory.theory.samples import sampling_error

pytestmark = pytest.mark.x64

DEPTH = 2


@pytest.fixture(scope="module")
def problem():
    """Gaussian views whose moments do not commute."""
    mixing, _ = np.linalg.qr(np.random.default_rng(0).standard_normal((2, 2)))
    return ContrastiveProblem(
        Features([1.5, 0.8], "gaussian", mixing=mixing), ambient=AdditiveNoise([0.5, 0.7])
    )


def by_hand(cross, second, depth, pairs):
    """One feature, w = sqrt(c) / q, and w^(l/L) at layer l.

    Of Gaussian views Isserlis gives, for h = x1 x2 and r = (x1^2 + x2^2) / 2, with E x^2 = q and E
    x1 x2 = c: var h = q^2 + c^2, var r = q^2 + c^2, cov(h, r) = 2 c q.
    """
    c, q = cross, second
    weight = np.sqrt(c) / q
    slope = np.array([weight / (2 * c), -weight / q])
    omega = np.array([[q**2 + c**2, 2 * c * q], [2 * c * q, q**2 + c**2]])
    levels = np.arange(1, depth + 1) / depth
    slopes = (levels * weight ** (levels - 1))[:, None] * slope
    # Second derivatives of w^t = c^(t/2) q^-t.
    hessian = np.array(
        [
            weight**t
            * np.array(
                [
                    [t / 2 * (t / 2 - 1) / c**2, -t * t / 2 / (c * q)],
                    [-t * t / 2 / (c * q), t * (t + 1) / q**2],
                ]
            )
            for t in levels
        ]
    )
    bends = hessian @ omega
    second = np.einsum("tij,uji->tu", bends, bends) / 2 / pairs**2
    return (
        slopes @ omega @ slopes.T / pairs,
        np.einsum("tij,ij->t", hessian, omega) / 2 / pairs,
        second,
    )


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("cross", "second"), some([(0.3, 0.8), (2.0, 2.5)], 1))
def test_one_feature_is_as_by_hand(depth, cross, second):
    """Covariance between all layers to rounding; mean and covariance of the second-order term to
    the next order in 1/n.
    """
    pairs = 10_000
    found = sampling_error(Moments(jnp.array([[cross]]), jnp.array([[second]])), depth, pairs)
    covariance, bias, quadratic = by_hand(cross, second, depth, pairs)
    np.testing.assert_allclose(
        found.weights[:, 0],
        (np.sqrt(cross) / second) ** (np.arange(1, depth + 1) / depth),
        rtol=1e-13,
    )
    np.testing.assert_allclose(found.covariance, covariance, rtol=1e-11)
    np.testing.assert_allclose(found.bias[:, 0], bias, rtol=20 / pairs)
    np.testing.assert_allclose(found.second_covariance, quadratic, rtol=40 / pairs)
    np.testing.assert_allclose(
        found.curvature[:, 0], np.sqrt(np.diag(quadratic) / np.diag(covariance)), rtol=20 / pairs
    )
    np.testing.assert_allclose(found.standard_error[:, 0], np.sqrt(np.diag(covariance)), rtol=1e-11)


def closed_form(x1, x2):
    """The weights of both layers on the empirical moments of each sample `(R, n, d)`, as a user
    would compute them.
    """
    n = x1.shape[1]
    cross = np.einsum("rna,rnb->rab", x1, x2) / n
    second = (np.einsum("rna,rnb->rab", x1, x1) + np.einsum("rna,rnb->rab", x2, x2)) / (2 * n)
    cross = (cross + cross.swapaxes(1, 2)) / 2
    values, vectors = np.linalg.eigh(second)
    root = np.einsum("rai,ri,rbi->rab", vectors, values**-0.5, vectors)
    gram = root @ (root @ cross @ root) @ root
    values, vectors = np.linalg.eigh(gram)
    below = np.einsum("rai,ri,rbi->rab", vectors, np.sqrt(values), vectors)
    return np.sqrt(np.stack([below, gram], axis=1).diagonal(axis1=2, axis2=3)).reshape(len(x1), -1)


def test_brute_force_agrees(problem):
    """Four thousand samples of Gaussian pairs, the closed form of each in plain NumPy: mean, and
    all variances and covariances, within five of their own standard errors; the bias is seen, and
    so is that a bias of the other sign is wrong.
    """
    pairs, replicates = 400, 4000
    found = sampling_error(problem.moments(), DEPTH, pairs)
    moments = problem.moments()
    joint = np.block([[moments.second, moments.cross], [moments.cross, moments.second]])
    draws = np.random.default_rng(1).multivariate_normal(
        np.zeros(4), joint, (replicates, pairs), method="cholesky"
    )
    weights = closed_form(draws[..., :2], draws[..., 2:])
    covariance = np.cov(weights.T)
    sigma = np.sqrt(np.diag(found.covariance))
    # Of a covariance of normal deviations; of second order are a few parts in a hundred at this
    # many pairs.
    spread = np.sqrt((np.outer(sigma, sigma) ** 2 + np.asarray(found.covariance) ** 2) / replicates)
    second_order = 4 * np.outer(found.curvature, found.curvature) * np.outer(sigma, sigma)
    assert np.all(np.abs(covariance - found.covariance) < 5 * spread + second_order)
    assert np.all(5 * spread + second_order < 0.25 * np.outer(sigma, sigma))
    off = weights.mean(axis=0) - np.asarray(found.weights).reshape(-1)
    error = sigma / np.sqrt(replicates)
    bias = np.asarray(found.bias).reshape(-1)
    assert np.all(np.abs(off - bias) < 5 * error)
    assert np.any(np.abs(off + bias) > 6 * error)


def test_a_sample_of_views_gives_the_same(problem):
    """Estimated from the scatter of a large sample's own pairs, without the assumption that they
    are Gaussian.
    """
    count = 200_000
    views = problem.sample_pairs(jax.random.key(0), count)
    exact = sampling_error(problem.moments(), DEPTH, 1000)
    found = sampling_error(problem.moments(), DEPTH, 1000, views=views)
    sigma = np.sqrt(np.diag(exact.covariance))
    # A fourth moment of normal numbers scatters by about sqrt(96) of its square.
    assert np.all(
        np.abs(found.covariance - exact.covariance) < 50 / count**0.5 * np.outer(sigma, sigma)
    )
    np.testing.assert_allclose(found.weights, exact.weights, rtol=1e-13)
    np.testing.assert_allclose(
        found.bias, exact.bias, atol=0.2 * float(jnp.max(jnp.abs(exact.bias)))
    )
    np.testing.assert_allclose(found.curvature, exact.curvature, rtol=0.1)


def test_views_that_are_not_gaussian_scatter_otherwise():
    """Of equal moments; a feature that is always one or minus one, with noise, has less to scatter
    than a Gaussian of its size.
    """
    laws = [
        ContrastiveProblem(Features([1.0], law), AdditiveNoise([0.5]))
        for law in ("gaussian", "rademacher")
    ]
    assert laws[0].moments().second == laws[1].moments().second
    errors = [
        sampling_error(
            p.moments(), 1, 100, views=p.sample_pairs(jax.random.key(1), 50_000)
        ).standard_error.item()
        for p in laws
    ]
    gaussian = sampling_error(laws[0].moments(), 1, 100).standard_error.item()
    assert errors[0] == pytest.approx(gaussian, rel=0.03)
    assert errors[1] < 0.9 * gaussian


@pytest.mark.parametrize("pairs", [2, 7, 10**6])
def test_the_covariance_falls_as_one_over_n(problem, pairs):
    """To rounding; standard errors as the root."""
    few, many = (sampling_error(problem.moments(), DEPTH, n) for n in (pairs, 16 * pairs))
    np.testing.assert_allclose(16 * many.covariance, few.covariance, rtol=1e-12)
    np.testing.assert_allclose(4 * many.standard_error, few.standard_error, rtol=1e-12)
    assert float(few.pairs) == pairs


def test_the_second_order_falls_faster(problem):
    """Bias as 1/n and curvature as its root, up to the next order."""
    few, many = (sampling_error(problem.moments(), DEPTH, n) for n in (10**6, 16 * 10**6))
    np.testing.assert_allclose(16 * many.bias, few.bias, rtol=1e-3, atol=1e-12)
    np.testing.assert_allclose(4 * many.curvature, few.curvature, rtol=1e-3)


def test_a_covariance_is_one(problem):
    """Symmetric, positive semi-definite, of the rank that so many moments can give."""
    covariance = np.asarray(sampling_error(problem.moments(), 5, 100).covariance)
    np.testing.assert_allclose(covariance, covariance.T, rtol=1e-14)
    values = np.linalg.eigvalsh(covariance)
    assert values[0] > -1e-14 * values[-1]
    # Ten weights, but five layers of a feature rise and fall together, but for what rotates: six
    # moments in all.
    assert np.sum(values > 1e-12 * values[-1]) <= 6


@pytest.mark.parametrize("fractions", [(0.5, 0.5), (1.0, 1.0), (0.5, 0.25)])
def test_ties_do_not_give_a_nan(fractions):
    """Equal signal fractions, views that are all signal, features alike in everything: eigenvectors
    have no derivative, weights do.
    """
    for second in ((1.0, 1.0), (2.0, 0.5)):
        moments = Moments(
            jnp.diag(jnp.array(fractions) * jnp.array(second)), jnp.diag(jnp.array(second))
        )
        found = sampling_error(moments, DEPTH, 100)
        for leaf in jax.tree.leaves(found):
            assert np.all(np.isfinite(leaf))
        for i in range(2):
            covariance, *_ = by_hand(fractions[i] * second[i], second[i], DEPTH, 100)
            own = np.asarray(found.covariance).reshape(DEPTH, 2, DEPTH, 2)[:, i, :, i]
            np.testing.assert_allclose(own, covariance, rtol=1e-7)


def test_a_feature_that_is_disrupted_is_no_nan():
    """A weight of zero has no first-order scatter that could be stated."""
    found = sampling_error(Moments(jnp.diag(jnp.array([0.5, 0.0])), jnp.eye(2)), DEPTH, 100)
    for leaf in jax.tree.leaves(found):
        assert np.all(np.isfinite(leaf))


def test_directions_and_width(problem):
    """The weights are those of `layerwise` with the same options; a direction of the axes is an
    axis; a narrow network has less.
    """
    moments = problem.moments()
    plain = sampling_error(moments, DEPTH, 100)
    axes = sampling_error(moments, DEPTH, 100, directions=jnp.eye(2)[:, ::-1])
    order = np.array([1, 0, 3, 2])
    np.testing.assert_allclose(axes.covariance, plain.covariance[order][:, order], rtol=1e-10)
    narrow = sampling_error(moments, DEPTH, 100, width=1)
    np.testing.assert_allclose(
        narrow.weights, layerwise(moments, DEPTH, width=1).weights, rtol=1e-14
    )
    assert np.linalg.norm(narrow.weights) < np.linalg.norm(plain.weights)
    assert np.all(np.isfinite(narrow.covariance))


def test_other_numbers_give_the_same_through_jit(problem):
    """The number of pairs may be traced."""
    direct = sampling_error(problem.moments(), DEPTH, 300)
    traced = jax.jit(lambda n: sampling_error(problem.moments(), DEPTH, n).covariance)(
        jnp.asarray(300)
    )
    np.testing.assert_allclose(traced, direct.covariance, rtol=1e-12)


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"pairs": 1}, r"^pairs: got 1\.0; want at least two pairs"),
        ({"pairs": 0}, r"^pairs: got 0\.0"),
        ({"pairs": float("nan")}, r"^pairs: got nan"),
        ({"depth": 0}, r"^depth: got 0"),
        ({"width": 0}, r"^width: got 0"),
    ],
)
def test_bad_arguments_are_named(untyped, change, says):
    arguments = {"moments": Moments(jnp.eye(2) / 2, jnp.eye(2)), "depth": 2, "pairs": 10} | change
    with pytest.raises(ValueError, match=says):
        sampling_error(**arguments)


def test_a_cut_through_a_tie_is_refused():
    with pytest.raises(NonUniqueMinimiserError):
        sampling_error(Moments(jnp.eye(2) / 2, jnp.eye(2)), 2, 10, width=1)


def test_views_of_another_dimension_are_refused(problem, untyped):
    views = problem.sample_pairs(jax.random.key(0), 10)
    with pytest.raises(ValueError, match="views"):
        sampling_error(Moments(jnp.eye(3) / 2, jnp.eye(3)), 2, 10, views=views)


def test_an_error_is_data(problem):
    """A field may be replaced, as a control does, and the standard error follows."""
    found = sampling_error(problem.moments(), DEPTH, 100)
    doubled = dataclasses.replace(found, covariance=4 * found.covariance)
    np.testing.assert_allclose(doubled.standard_error, 2 * found.standard_error)
    assert isinstance(problem.sample_pairs(jax.random.key(0), 2), Views)

"""Moments: what is refused, that estimates equal a plain NumPy oracle, that errors are calibrated,
and changes of basis.
"""

import itertools
import logging

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg

from projhead_theory import Moments
from projhead_theory.problems import ContrastiveProblem, Features, Mask, Views, random_moments

EYE = np.eye(2)


def oracle(x1, x2):
    """Symmetrised moments and their standard errors, one row at a time."""
    x1, x2 = np.asarray(x1, np.float64), np.asarray(x2, np.float64)
    n = len(x1)
    cross = (np.einsum("ni,nj->nij", x1, x2) + np.einsum("ni,nj->nij", x2, x1)) / 2
    second = (np.einsum("ni,nj->nij", x1, x1) + np.einsum("ni,nj->nij", x2, x2)) / 2
    return (
        cross.mean(0),
        second.mean(0),
        cross.std(0, ddof=1) / n**0.5,
        second.std(0, ddof=1) / n**0.5,
    )


def pairs(n, d, seed=0):
    rng = np.random.default_rng(seed)
    x = rng.standard_normal((n, d)) * 10.0 ** rng.uniform(-1, 1, d)
    dtype = jnp.result_type(float)
    return (x + rng.standard_normal((n, d))).astype(dtype), (
        x + rng.standard_normal((n, d))
    ).astype(dtype)


@pytest.mark.parametrize(
    ("n", "chunk"),
    [(2, 1), (2, 5), (101, 1), (101, 10), (101, 100), (101, 101), (100, 25), (100, 10**6)],
)
def test_estimates_equal_the_oracle_for_any_chunk(n, chunk, eps):
    x1, x2 = pairs(n, 3)
    moments = Moments.from_views(x1, x2, chunk)
    cross, second, cross_error, second_error = oracle(x1, x2)
    # Rounding of a sum of n products is below n eps times the sum of their sizes; a variance is a
    # difference of such sums.
    size = max(np.abs(second).max(), 1)
    slack = n * eps * size
    np.testing.assert_allclose(moments.cross, cross, atol=slack)
    np.testing.assert_allclose(moments.second, second, atol=slack)
    fourth = max((np.asarray(x, np.float64) ** 4).mean(0).max() for x in (x1, x2))
    for error, want in ((moments.cross_error, cross_error), (moments.second_error, second_error)):
        np.testing.assert_allclose(np.asarray(error) ** 2, want**2, atol=n * eps * fourth / (n - 1))
    assert int(moments.pairs) == n


def test_chunks_and_views_give_the_same_moments(eps):
    x1, x2 = pairs(60, 2)
    whole = Moments.from_views(x1, x2)
    pieces = Moments.from_chunks([(x1[:50], x2[:50]), (x1[50:], x2[50:])])
    views = Views(x1, x2).moments()
    for other in (pieces, views):
        np.testing.assert_allclose(
            other.cross, whole.cross, atol=60 * eps * np.abs(whole.second).max()
        )
        np.testing.assert_allclose(other.second_error, whole.second_error, rtol=1e-3)


def test_integer_views_are_numbers():
    assert Moments.from_views(np.array([[1], [2]]), np.array([[1], [3]])).cross[0, 0] == 3.5


def test_ten_million_rows_stream_in_float32_without_losing_digits_and_compile_once(caplog):
    """Entries are 1 or 2, so that sums over a chunk are exact in float32 (below 2^24) while the sum
    over all rows is not.
    """
    total, size = 10**7, 10**6 + 1  # the last chunk is shorter
    one = np.float32(1) + (np.arange(size) % 2 == 0).astype(np.float32)
    other = np.float32(1) + (np.arange(size) % 3 == 0).astype(np.float32)
    x1, x2 = np.stack([one, other], 1), np.stack([other, other], 1)
    lengths = [size] * (total // size) + [total % size]
    with jax.log_compiles(), caplog.at_level(logging.WARNING):
        moments = Moments.from_chunks((x1[:n], x2[:n]) for n in lengths)
    compiled = [
        r
        for r in caplog.records
        if r.getMessage().startswith("Compiling") and "_sums" in r.getMessage()
    ]
    assert len(compiled) == 1

    def sums(a, b):
        """Exact, in whole numbers."""
        a, b = a.astype(np.int64), b.astype(np.int64)
        return sum(int((a[:n] * b[:n]).sum()) for n in lengths)

    cross = [
        [sums(x1[:, i], x2[:, j]) + sums(x2[:, i], x1[:, j]) for j in range(2)] for i in range(2)
    ]
    second = [
        [sums(x1[:, i], x1[:, j]) + sums(x2[:, i], x2[:, j]) for j in range(2)] for i in range(2)
    ]
    assert int(moments.pairs) == total
    assert moments.cross.dtype == jnp.float32
    # Exact sums: all that is lost is the rounding of the result (and of its symmetrisation) to
    # float32.
    np.testing.assert_allclose(
        moments.cross, np.array(cross) / (2 * total), rtol=2 * np.finfo(np.float32).eps
    )
    np.testing.assert_allclose(
        moments.second, np.array(second) / (2 * total), rtol=2 * np.finfo(np.float32).eps
    )


def test_standard_errors_are_calibrated():
    """Over repeated draws the squared z-scores of every entry average to one."""
    n, repeats = 512, 300
    problem = ContrastiveProblem(
        Features([0.5, 2.0], "uniform", [[1.0, 0.3], [0.2, 1.0]]), Mask([0.1, 0.4])
    )
    exact = problem.moments()
    draw = jax.jit(lambda key: tuple(problem.sample_pairs(key, n)))
    z = []
    for key in jax.random.split(jax.random.key(0), repeats):
        estimate = Moments.from_views(*draw(key))
        z.append(
            [
                (estimate.cross - exact.cross) / estimate.cross_error,
                (estimate.second - exact.second) / estimate.second_error,
            ]
        )
    z = np.asarray(z)
    # z^2 has variance 2 and, since its scale is estimated from n rows, a bias of order (kurtosis of
    # a product ~ 10) / n.
    assert (np.abs((z**2).mean(0) - 1) <= 5 * (2 / repeats) ** 0.5 + 10 / n).all()
    assert (np.abs(z.mean(0)) <= 5 * repeats**-0.5).all()


def generalised(moments):
    return np.sort(
        scipy.linalg.eigh(np.asarray(moments.cross), np.asarray(moments.second), eigvals_only=True)
    )


@pytest.mark.parametrize("seed", range(3))
def test_signal_fractions_do_not_depend_on_the_basis(seed, eps):
    fractions = np.array([0.9, 0.5, 0.5, 0.0])
    moments = random_moments(jax.random.key(seed), fractions, condition=20.0)
    basis = np.random.default_rng(seed).standard_normal((4, 4))
    for m, condition in (
        (moments, 20),
        (moments.rotate(np.linalg.qr(basis)[0]), 20),
        (moments.rotate(basis), 20 * np.linalg.cond(basis) ** 2),
    ):
        np.testing.assert_allclose(generalised(m), np.sort(fractions), atol=64 * eps * condition)


def test_rotation_drops_entrywise_errors_and_keeps_the_number_of_pairs():
    turned = Moments.from_views(*pairs(50, 3)).rotate(np.eye(3)[:, :2])
    assert turned.dim == 2
    assert turned.cross_error is None
    assert int(turned.pairs) == 50


def test_restriction_keeps_all_there_is_of_singular_moments(eps):
    """Three features in five dimensions: the range is recovered, and the signal fractions are those
    of the features.
    """
    mixing = np.random.default_rng(1).standard_normal((5, 3))
    masks = np.array([0.1, 0.3, 0.6])
    moments = ContrastiveProblem(Features([1.0, 2.0, 0.5], mixing=mixing), Mask(masks)).moments()
    basis = np.asarray(moments.range_basis())
    assert basis.shape == (5, 3)
    np.testing.assert_allclose(basis.T @ basis, np.eye(3), atol=32 * eps)
    scale = np.abs(moments.second).max()
    np.testing.assert_allclose(
        basis @ basis.T @ np.asarray(moments.second), moments.second, atol=64 * eps * scale
    )
    inner = moments.restrict()
    spectrum = np.diagonal(inner.second)
    assert (np.diff(spectrum) <= 0).all()
    np.testing.assert_allclose(inner.second, np.diag(spectrum), atol=64 * eps * scale)
    np.testing.assert_allclose(
        generalised(inner), np.sort(1 - masks), atol=64 * eps * spectrum[0] / spectrum[-1]
    )


def test_range_tolerance_decides_what_counts_as_variance():
    moments = Moments(np.diag([0.5, 0.0]), np.diag([1.0, 1e-3]))
    assert moments.range_basis().shape == (2, 2)
    assert moments.range_basis(1e-2).shape == (2, 1)


def test_moments_are_symmetric_exactly(eps):
    a = np.array([[1.0, 0.1], [0.1 + eps / 8, 1.0]])
    moments = Moments(a / 2, a)
    assert (moments.cross == moments.cross.T).all()
    assert (moments.second == moments.second.T).all()


def test_an_estimate_may_have_a_cross_moment_with_negative_eigenvalues():
    assert Moments(-0.1 * EYE, EYE, pairs=10).cross[0, 0] == pytest.approx(-0.1)


def test_moments_pass_through_jit_unchecked_and_unchanged():
    moments = jax.jit(lambda c, s: Moments(c, s))(jnp.eye(2) / 2, jnp.eye(2))
    np.testing.assert_array_equal(moments.cross, EYE / 2)


nan = float("nan")
BAD = {
    "asymmetric cross": (
        lambda: Moments([[0.5, 0.1], [0.0, 0.5]], EYE),
        "cross: got asymmetry 0.1",
    ),
    "asymmetric second": (
        lambda: Moments(EYE / 2, [[1.0, 0.2], [0.0, 1.0]]),
        "second: got asymmetry 0.2",
    ),
    "cross above second": (
        lambda: Moments(1.1 * EYE, EYE),
        "cross: got least eigenvalue -0.1 of second - cross",
    ),
    "cross above second, off the diagonal": (
        lambda: Moments([[0.9, 0.5], [0.5, 0.9]], EYE),
        "cross: got least eigenvalue -0.4 of second",
    ),
    "negative cross": (lambda: Moments(-0.1 * EYE, EYE), "cross: got least eigenvalue -0.1; "),
    "estimated cross too negative": (
        lambda: Moments(-1.1 * EYE, EYE, pairs=9),
        r"cross: got least eigenvalue -0.1 of second \+ cross",
    ),
    "negative second": (lambda: Moments(-2 * EYE, -EYE), "second: got least eigenvalue -1"),
    "nan": (lambda: Moments(np.full((2, 2), nan), EYE), "cross: got an entry that is not finite"),
    "infinite": (
        lambda: Moments(EYE, np.full((2, 2), np.inf)),
        "second: got an entry that is not finite",
    ),
    "vector": (lambda: Moments([1.0], EYE), "cross: got shape"),
    "not square": (lambda: Moments(EYE, np.ones((2, 3))), "second: got shape"),
    "empty": (lambda: Moments(np.zeros((0, 0)), np.zeros((0, 0))), "cross: got shape"),
    "shapes differ": (lambda: Moments(np.eye(3) / 2, EYE), r"cross: got shape \(3, 3\)"),
    "views differ": (
        lambda: Moments.from_views(np.ones((3, 2)), np.ones((2, 2))),
        r"x2: got shape \(2, 2\)",
    ),
    "views are vectors": (
        lambda: Moments.from_views(np.ones(3), np.ones(3)),
        r"x1: got shape \(3,\)",
    ),
    "views have no shape": (lambda: Moments.from_views([[1.0]], [[1.0]]), "x1: got shape list"),
    "views without columns": (
        lambda: Moments.from_views(np.ones((3, 0)), np.ones((3, 0))),
        "x1: got shape",
    ),
    "one row": (lambda: Moments.from_views(np.ones((1, 2)), np.ones((1, 2))), "views: got 1 rows"),
    "no rows": (lambda: Moments.from_views(np.ones((0, 2)), np.ones((0, 2))), "views: got 0 rows"),
    "no chunks": (lambda: Moments.from_chunks([]), "views: got 0 rows"),
    "chunks differ within": (
        lambda: Moments.from_chunks([(np.ones((3, 2)), np.ones((3, 1)))]),
        r"views: got shapes \(3, 2\) and \(3, 1\)",
    ),
    "chunks differ in columns": (
        lambda: Moments.from_chunks([(np.ones((3, d)), np.ones((3, d))) for d in (1, 2)]),
        "views: ",
    ),
    "chunk size": (lambda: Moments.from_views(np.ones((3, 2)), np.ones((3, 2)), 0), "chunk: got 0"),
    "rotation": (lambda: Moments(EYE / 2, EYE).rotate(np.eye(3)), r"basis: got shape \(3, 3\)"),
    "no variance": (lambda: Moments(0 * EYE, 0 * EYE).range_basis(), "second: got the zero matrix"),
    "views object differ": (lambda: Views(np.ones((3, 2)), np.ones((2, 2))), "x2: got shape"),
    "views object short": (lambda: Views(np.ones((1, 2)), np.ones((1, 2))), "views: got 1 rows"),
    "fraction above one": (
        lambda: random_moments(jax.random.key(0), [1.5]),
        "signal_fraction: got 1.5",
    ),
    "condition below one": (
        lambda: random_moments(jax.random.key(0), [0.5], 0.5),
        "condition: got 0.5",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        make()


@pytest.mark.parametrize(
    ("value", "row"), list(itertools.product([nan, float("inf"), -float("inf")], [0, 7]))
)
def test_a_non_finite_row_is_located_by_its_chunk(value, row):
    x1, x2 = pairs(10, 2)
    x2[row, 1] = value
    with pytest.raises(
        ValueError,
        match=f"^views: got a non-finite entry in rows {row // 5 * 5} to {row // 5 * 5 + 4}",
    ):
        Moments.from_views(x1, x2, chunk=5)


def test_one_infinity_in_a_row_of_zeros_is_still_seen():
    """0 * inf is nan in the product, not 0."""
    x1, x2 = np.zeros((4, 2)), np.zeros((4, 2))
    x1[2, 0] = np.inf
    with pytest.raises(ValueError, match=r"^views: got a non-finite entry"):
        Moments.from_views(x1, x2)


def test_the_range_above_a_tolerance_leaves_out_what_is_below():
    """Of three variances, those above a millionth of the largest; the default sees all."""
    moments = Moments(jnp.zeros((3, 3)), jnp.diag(jnp.asarray([1e-8, 1.0, 1e-3])))
    np.testing.assert_allclose(
        np.abs(moments.range_basis(1e-6)), [[0, 0], [1, 0], [0, 1]], atol=1e-6
    )
    assert moments.range_basis().shape == (3, 3)

"""The least sum of squared layer norms: attained by a balanced factorisation, and undercut by
none.
"""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.draws import cast
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import DeepLinear, measure
from projhead_theory.theory.balance import least_norm, least_norm_factors

SHAPES = [(3, 3), (2, 4), (5, 2), (1, 3)]


def matrix(shape, rank=None, seed=0):
    rng = np.random.default_rng(seed)
    rank = min(shape) if rank is None else rank
    return rng.standard_normal((shape[0], rank)) @ rng.standard_normal((rank, shape[1]))


def total(layers):
    return float(sum(jnp.sum(w**2) for w in layers))


@pytest.mark.parametrize("depth", [1, 2, 3, 5])
@pytest.mark.parametrize("rank", [None, 1])
@pytest.mark.parametrize("shape", SHAPES)
def test_factors_are_balanced_multiply_to_the_matrix_and_attain_the_least_norm(
    shape, rank, depth, eps
):
    w = cast(matrix(shape, rank))
    layers = least_norm_factors(w, depth)
    inner = (min(shape),) * (depth - 1)
    network = DeepLinear(layers)
    assert network.sizes == (shape[1], *inner, shape[0])
    size = float(jnp.linalg.norm(w))
    # Singular values of a deficient matrix that are rounding of zero are dropped.
    np.testing.assert_allclose(network.matrix, w, atol=64 * depth * eps * size)
    assert total(layers) == pytest.approx(float(least_norm(w, depth)), rel=64 * depth * eps)
    np.testing.assert_allclose(measure.imbalance_norms(network), 0, atol=64 * eps * total(layers))


@pytest.mark.parametrize("depth", [1, 2, 3, 4])
def test_norm_is_the_sum_of_powers_of_singular_values(depth, eps):
    values = np.array([2.0, 0.5, 0.1])
    q1, q2 = (np.linalg.qr(np.random.default_rng(k).standard_normal((3, 3)))[0] for k in (1, 2))
    want = depth * (values ** (2 / depth)).sum()
    # The root of a small singular value magnifies its rounding, relative to the largest, by 2 / 0.1
    # at most.
    assert float(least_norm(cast(q1 * values @ q2.T), depth)) == pytest.approx(
        want, rel=20 * 64 * eps
    )


@pytest.mark.parametrize("rank", [0, 1, 2])
@pytest.mark.parametrize("depth", [2, 3, 6])
def test_rounding_of_zero_singular_values_does_not_count(rank, depth, eps):
    """At depth 6 a singular value of 1e-16 would count as 5e-6 if it were taken at its word."""
    w = matrix((6, 6), rank)
    kept = np.linalg.svd(w)[1][:rank]
    assert float(least_norm(cast(w), depth)) == pytest.approx(
        depth * (kept ** (2 / depth)).sum(), rel=1e3 * eps, abs=eps
    )
    layers = least_norm_factors(cast(w), depth, widths=[max(rank, 1)] * (depth - 1))
    np.testing.assert_allclose(DeepLinear(layers).matrix, w, atol=1e3 * eps * max(kept, default=1))


@pytest.mark.x64
@pytest.mark.parametrize(
    ("shape", "depth", "width"), [((2, 2), 2, 2), ((2, 3), 2, 3), ((2, 2), 3, 2)]
)
def test_no_numerical_search_over_factorisations_goes_below(shape, depth, width):
    """SciPy's constrained minimisation of the norms over all layers that multiply to the matrix,
    from random starts, ends at the least.
    """
    w = matrix(shape, seed=3)
    sizes = (shape[1], *(width,) * (depth - 1), shape[0])
    shapes = list(zip(sizes[1:], sizes, strict=False))
    cuts = np.cumsum([m * n for m, n in shapes])[:-1]
    unpack = lambda y: [part.reshape(s) for part, s in zip(np.split(y, cuts), shapes, strict=True)]

    def product(y):
        p, *rest = unpack(y)
        for layer in rest:
            p = layer @ p
        return p

    least, best = float(least_norm(cast(w), depth)), np.inf
    for seed in range(2):
        start = np.random.default_rng(seed).standard_normal(sum(m * n for m, n in shapes))
        found = scipy.optimize.minimize(
            lambda y: y @ y,
            start,
            jac=lambda y: 2 * y,
            method="SLSQP",
            constraints={"type": "eq", "fun": lambda y: (product(y) - w).ravel()},
            options={"maxiter": 500, "ftol": 1e-12},
        )
        if np.abs(product(found.x) - w).max() < 1e-8:
            assert found.fun >= least - 1e-6
            best = min(best, found.fun)
    assert best == pytest.approx(least, rel=1e-5)


@given(seed=st.integers(0, 2**31), depth=st.integers(1, 4), scale=st.floats(-3, 3))
def test_no_random_factorisation_goes_below(seed, depth, scale):
    """Whatever the layers, and however the norm is shared out among them: the bound is of the
    product alone.
    """
    rng = np.random.default_rng(seed)
    sizes = rng.integers(1, 4, depth + 1)
    layers = [
        10.0**scale ** (rng.random() < 0.5) * rng.standard_normal((m, n))
        for n, m in itertools.pairwise(sizes)
    ]
    product = np.linalg.multi_dot([np.eye(layers[-1].shape[0]), *layers[::-1]])
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    with jax.disable_jit():
        # Rounding of the product enters with the condition number of the layers, below 1e2 for all
        # but a few draws.
        assert sum((w**2).sum() for w in layers) >= float(least_norm(cast(product), depth)) * (
            1 - 1e4 * eps
        )


@pytest.mark.parametrize("widths", [(2, 5), (7, 2), (2, 2)])
def test_widths_down_to_the_rank_will_do(widths, eps):
    w = cast(matrix((4, 5), rank=2))
    layers = least_norm_factors(w, 3, widths)
    network = DeepLinear(layers)
    assert network.sizes == (5, *widths, 4)
    np.testing.assert_allclose(network.matrix, w, atol=256 * eps * float(jnp.linalg.norm(w)))
    assert total(layers) == pytest.approx(float(least_norm(w, 3)), rel=256 * eps)


def test_one_layer_is_the_matrix_itself():
    w = cast(matrix((2, 3)))
    (only,) = least_norm_factors(w, 1)
    np.testing.assert_array_equal(only, w)
    np.testing.assert_allclose(least_norm(w, 1), jnp.sum(w**2), rtol=1e-5)


@pytest.mark.x64
def test_gradient_is_that_of_the_singular_values():
    """U s^(2/L - 1) V^T times 2, finite at ties and for a deficient matrix, against finite
    differences where it is smooth.
    """
    w = cast(matrix((3, 2), seed=5))
    gradient = jax.grad(lambda w: least_norm(w, 3))(w)
    u, s, vt = np.linalg.svd(w, full_matrices=False)
    np.testing.assert_allclose(gradient, 2 * u * s ** (2 / 3 - 1) @ vt, rtol=1e-10, atol=1e-12)
    for degenerate in (jnp.eye(3), jnp.diag(cast([1.0, 0.0, 0.0]))):
        np.testing.assert_allclose(
            jax.grad(lambda w: least_norm(w, 3))(degenerate), 2 * degenerate, atol=1e-12
        )


def test_norm_is_invariant_under_rotations_and_homogeneous(eps):
    w = cast(matrix((3, 3), seed=7))
    q = cast(np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0])
    for depth in (2, 3):
        base = float(least_norm(w, depth))
        assert float(least_norm(q @ w, depth)) == pytest.approx(base, rel=1e4 * eps)
        assert float(least_norm(8 * w, depth)) == pytest.approx(
            base * 8 ** (2 / depth), rel=1e4 * eps
        )


def test_jit_and_vmap_do_not_matter(eps):
    batch = cast(np.stack([matrix((3, 2), seed=k) for k in range(4)]))
    each = [float(least_norm(w, 3)) for w in batch]
    np.testing.assert_allclose(
        jax.jit(jax.vmap(lambda w: least_norm(w, 3)))(batch), each, rtol=256 * eps
    )
    layers = jax.jit(jax.vmap(lambda w: least_norm_factors(w, 3, (2, 4))))(batch)
    assert [w.shape for w in layers] == [(4, 2, 2), (4, 4, 2), (4, 3, 4)]
    np.testing.assert_allclose(layers[2] @ layers[1] @ layers[0], batch, atol=1e3 * eps)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda w: least_norm(w, 0), r"^depth: got 0; want a whole number >= 1"),
        (lambda w: least_norm_factors(w, -1), r"^depth: got -1; want a whole number >= 1"),
        (
            lambda w: least_norm_factors(w, 3, (2,)),
            r"^widths: got 1 numbers; want 2: one between each two layers",
        ),
        (lambda w: least_norm_factors(w, 2, (0,)), r"^widths: got 0; want a whole number >= 1"),
        (
            lambda w: least_norm_factors(w, 2, (1,)),
            r"^widths: got 1; want at least 2, the rank of the matrix",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call(cast(matrix((3, 2))))

"""Balancedness: the exact step of gradient descent, and what an imbalance does to the layer-wise
law.
"""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast

from projhead_theory import DeepLinear, measure
from projhead_theory.theory.balance import discrete_imbalance, imbalance_bound, unbalanced_grams

SIZES = [(3, 3, 3), (2, 5, 1), (4, 2, 3, 2), (3, 1, 4, 2, 2), (3, 2)]


def imbalance(layers):
    return [b.T @ b - a @ a.T for a, b in itertools.pairwise(layers)]


def products(layers):
    return list(itertools.accumulate(layers, lambda below, w: w @ below))


def chain(layers, outer):
    """Layer gradients of any loss whose gradient in the end-to-end matrix is `outer`."""
    below = [np.eye(layers[0].shape[1]), *products(layers)[:-1]]
    above = [np.eye(layers[-1].shape[0])]
    for w in layers[:0:-1]:
        above.append(above[-1] @ w)
    return [a.T @ outer @ b.T for a, b in zip(above[::-1], below, strict=True)]


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
@pytest.mark.parametrize("step", [1e-3, 0.5])
@pytest.mark.parametrize("sizes", SIZES)
def test_one_step_of_descent_changes_the_imbalance_exactly_as_stated(
    sizes, step, weight_decay, eps
):
    """For any loss: only the gradient in the end-to-end matrix enters, and here it is random."""
    rng = np.random.default_rng(len(sizes))
    layers = [rng.standard_normal((m, n)) for n, m in itertools.pairwise(sizes)]
    gradients = chain(layers, rng.standard_normal((sizes[-1], sizes[0])))
    moved = [w - step * (g + weight_decay * w) for w, g in zip(layers, gradients, strict=True)]
    predicted = discrete_imbalance(
        [cast(d) for d in imbalance(layers)], [cast(g) for g in gradients], step, weight_decay
    )
    assert len(predicted) == len(sizes) - 2
    size = max((w**2).sum() for w in [*layers, *moved]) + step**2 * max(
        (g**2).sum() for g in gradients
    )
    for seen, want in zip(predicted, imbalance(moved), strict=True):
        np.testing.assert_allclose(seen, want, atol=16 * max(sizes) * eps * size)


def test_gradients_that_are_of_no_common_loss_break_the_law():
    """Control: independent random layer gradients leave a first-order change that the formula does
    not have.
    """
    rng = np.random.default_rng(0)
    layers, gradients = rng.standard_normal((2, 2, 3, 3))
    predicted = discrete_imbalance(
        [cast(d) for d in imbalance(layers)], [cast(g) for g in gradients], 0.1
    )
    moved = [w - 0.1 * g for w, g in zip(layers, gradients, strict=True)]
    assert np.abs(predicted[0] - imbalance(moved)[0]).max() > 0.1


def test_wrong_number_of_gradients_is_named():
    with pytest.raises(
        ValueError, match=r"^gradients: got 2 layers; want 3: one more than imbalances"
    ):
        discrete_imbalance([jnp.eye(2)] * 2, [jnp.eye(2)] * 2, 0.1)


def balanced(rng, sizes, spectrum):
    """W_l = Q_l Sigma Q_{l-1}^T with random frames; `spectrum` are the singular values of every
    layer.
    """
    frames = [np.linalg.qr(rng.standard_normal((size, len(spectrum))))[0] for size in sizes]
    return [above * spectrum @ below.T for below, above in itertools.pairwise(frames)]


def law_grams(layers, rank):
    """M_L^{l/L} by a singular value decomposition of the product, and a_min, a_max: the extreme
    eigenvalues of its first root.
    """
    depth = len(layers)
    _, s, vt = np.linalg.svd(products(layers)[-1])
    root, v = s[:rank] ** (2 / depth), vt[:rank].T
    return (
        np.stack([v * root**level @ v.T for level in range(1, depth + 1)]),
        root.min(),
        root.max(),
    )


def sweep(seed, count, conditions=(1, 1e2, 1e4)):
    """Random networks of depth 2 to 5, random widths, balanced and then perturbed in random layers
    by random amounts.
    """
    rng = np.random.default_rng(seed)
    for _ in range(count):
        depth = int(rng.integers(2, 6))
        sizes = rng.integers(1, 5, depth + 1)
        rank = min(sizes)
        spectrum = rng.choice(conditions) ** -rng.uniform(0, 0.5, rank)
        layers = balanced(rng, sizes, spectrum)
        amount = 10.0 ** rng.uniform(-8, 0.5)
        yield (
            [w + amount * rng.standard_normal(w.shape) * (rng.random() < 0.5) for w in layers],
            rank,
        )


def ratios(layers, rank, eps):
    """Distance from the law over the bound at every layer but the last, with what rounding may add
    to the distance taken off.
    """
    grams, least, most = law_grams(layers, rank)
    norms = np.array([np.linalg.norm(d) for d in imbalance(layers)])
    bound = np.asarray(imbalance_bound(cast(grams), cast(norms)), np.float64)
    seen = np.stack([p.T @ p for p in products(layers)])
    distance = np.linalg.norm(seen - grams, axis=(1, 2))
    # A singular value of the product is off by eps times the product of the norms; its 2/L-th root
    # has a_min^(1 - L/2) times that.
    product = np.prod([np.linalg.norm(w, 2) for w in layers])
    depth = len(layers)
    rounding = (
        64
        * eps
        * (
            product * max(least, 1e-300) ** (1 - depth / 2) * max(most, 1) ** depth
            + np.linalg.norm(seen, axis=(1, 2)).max()
        )
    )
    return np.maximum(distance - rounding, 0)[:-1] / np.maximum(
        bound[:-1], 1e-300
    ), norms.max() / least


@pytest.mark.x64
def test_bound_holds_for_any_imbalance(eps):
    """Random networks of depth 2 to 5, widths 1 to 5, well and ill conditioned, balanced, slightly
    and grossly unbalanced.
    """
    gross = 0
    for layers, rank in sweep(0, 600):
        ratio, relative = ratios(layers, rank, eps)
        gross += relative > 1
        assert (ratio <= 1).all(), (ratio, relative, [w.shape for w in layers])
    assert gross > 100


@pytest.mark.x64
@pytest.mark.parametrize("depth", [2, 3, 4, 5])
def test_bound_holds_where_a_feature_vanishes_above(depth, eps):
    """The hardest case of the search, one mode dead in the last layer alone: everything the factor
    sqrt 2 leaves is attained.
    """
    for small in (1.0, 1e-2, 1e-4):
        layers = [np.diag([1.0, small])] * (depth - 1) + [np.diag([1.0, 0.0])]
        ratio, _ = ratios(layers, 1, eps)
        assert (ratio <= 1).all()
        # The allowance for rounding that `ratios` takes off is well below a thousandth here.
        assert ratio.max() >= 2**-0.5 * (1 - 1e-3)


@pytest.mark.x64
def test_bound_is_within_a_factor_of_the_truth(eps):
    """It is not vacuous: at depth 2, one mode, a small imbalance moves the lower layer by half of
    it, 1 / (2 sqrt 2) of the bound.
    """
    ratio, _ = ratios([np.array([[1.0]]), np.array([[1 + 1e-6]])], 1, eps)
    np.testing.assert_allclose(ratio, 8**-0.5, rtol=1e-5)


def test_a_balanced_network_is_allowed_no_deviation():
    grams, _, _ = law_grams(
        balanced(np.random.default_rng(0), (3, 3, 3), np.array([1.0, 0.5, 0.2])), 3
    )
    np.testing.assert_array_equal(imbalance_bound(cast(grams), jnp.zeros(1)), np.zeros(2))


def pulled(layers):
    return [p.T @ d @ p for p, d in zip(products(layers), imbalance(layers), strict=False)]


@pytest.mark.x64
@pytest.mark.parametrize("sizes", [(3, 3, 3), (3, 4, 3, 3), (2, 3, 2, 4, 2), (3, 5, 3, 4, 3, 3)])
def test_grams_of_an_unbalanced_network_are_right_to_second_order(sizes):
    """Halving the imbalance quarters the error, while the error of the plain law halves."""
    rng = np.random.default_rng(len(sizes))
    start = balanced(rng, sizes, np.array([1.2, 0.9, 0.7])[: min(sizes)])
    kicks = [rng.standard_normal(w.shape) for w in start]
    first, second = [], []
    for h in (2e-4, 1e-4):
        layers = [w + h * k for w, k in zip(start, kicks, strict=True)]
        seen = np.stack([p.T @ p for p in products(layers)])
        predicted = np.asarray(unbalanced_grams(cast(seen[-1]), [cast(p) for p in pulled(layers)]))
        np.testing.assert_allclose(predicted[-1], seen[-1], atol=1e-12)
        second.append(np.linalg.norm(predicted[:-1] - seen[:-1]))
        first.append(np.linalg.norm(law_grams(layers, min(sizes))[0][:-1] - seen[:-1]))
    # The next order is h times a constant of the spectrum: per cents at h = 1e-4.
    assert np.log2(second[0] / second[1]) == pytest.approx(2, abs=0.1)
    assert np.log2(first[0] / first[1]) == pytest.approx(1, abs=0.1)


def test_without_imbalance_the_grams_are_those_of_the_law(eps):
    layers = balanced(np.random.default_rng(1), (3, 4, 2, 3), np.array([1.0, 0.5]))
    grams, _, _ = law_grams(layers, 2)
    predicted = unbalanced_grams(cast(grams[-1]), [jnp.zeros((3, 3))] * 2, rank=2)
    np.testing.assert_allclose(predicted, grams, atol=512 * eps)


def test_numpy_and_library_agree_on_what_imbalance_is(eps):
    rng = np.random.default_rng(2)
    layers = [rng.standard_normal((m, n)) for n, m in itertools.pairwise((3, 4, 2, 3))]
    for seen, want in zip(
        measure.imbalance(DeepLinear([cast(w) for w in layers])), imbalance(layers), strict=True
    ):
        np.testing.assert_allclose(seen, want, atol=256 * eps)

"""Deep linear networks: the starts are what they say, and measurements equal NumPy's."""

import itertools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from projhead_theory import DeepLinear, measure

# A fixed set of shapes: JAX compiles anew for each.
SIZES = [(3, 3, 3), (4, 2), (2, 5, 3), (5, 2, 4, 3), (1, 1, 1)]


def arrays(network):
    return [np.asarray(w, np.float64) for w in network.layers]


def rounding(network):
    """What a product of two layers is off by: eps times the inner width times the largest layer,
    squared.
    """
    eps = float(jnp.finfo(network.layers[0].dtype).eps)
    return 8 * max(network.sizes) * eps * max((w**2).sum() for w in arrays(network))


@given(st.sampled_from(SIZES), st.integers(0, 99), st.sampled_from([1e-3, 1.0, 50.0]))
def test_balanced_start_is_balanced_for_any_widths(sizes, seed, scale):
    network = DeepLinear.balanced(jax.random.key(seed), sizes, scale)
    assert network.sizes == tuple(sizes)
    for d in measure.imbalance(network):
        assert np.abs(d).max() <= rounding(network)


@pytest.mark.parametrize("sizes", SIZES)
def test_balanced_start_has_the_stated_spectrum(sizes, eps):
    network = DeepLinear.balanced(jax.random.key(0), sizes, scale=2.0)
    rank = min(sizes)
    spectra = [np.linalg.svd(w, compute_uv=False)[:rank] for w in arrays(network)]
    for spectrum in spectra:
        assert ((spectrum >= 1 - 32 * eps) & (spectrum <= 3 + 32 * eps)).all()
        np.testing.assert_allclose(spectrum, spectra[0], rtol=64 * eps)


@pytest.mark.parametrize("sizes", [(4, 3), (4, 2, 2), (3, 5, 2, 4)])
def test_aligned_start_has_the_stated_weight_at_every_layer(sizes, eps):
    weights = np.array([0.3, 2.0])
    basis = np.linalg.qr(np.random.default_rng(0).standard_normal((sizes[0], sizes[0])))[0]
    network = DeepLinear.aligned(basis[:, :2], weights, sizes)
    depth = len(sizes) - 1
    seen = measure.layer_weights(network, jnp.asarray(basis, jnp.result_type(float)))
    for level in range(1, depth + 1):
        np.testing.assert_allclose(seen[level - 1, :2], weights ** (level / depth), rtol=64 * eps)
        np.testing.assert_allclose(seen[level - 1, 2:], 0, atol=64 * eps)
    for d in measure.imbalance(network):
        assert np.abs(d).max() <= rounding(network)
    np.testing.assert_allclose(
        network.matrix @ basis[:, :2], np.eye(sizes[-1], 2) * weights, atol=64 * eps
    )


@pytest.mark.parametrize("sizes", SIZES)
def test_orthogonal_start_is_orthogonal_layer_by_layer(sizes, eps):
    for w in arrays(DeepLinear.orthogonal(jax.random.key(1), sizes, scale=0.5)):
        m, n = w.shape
        gram = w.T @ w if m >= n else w @ w.T
        np.testing.assert_allclose(gram, 0.25 * np.eye(min(m, n)), atol=32 * eps)


def test_orthogonal_start_of_equal_widths_is_balanced():
    network = DeepLinear.orthogonal(jax.random.key(1), (3, 3, 3, 3), scale=0.7)
    assert measure.imbalance_norms(network).max() <= rounding(network)


def test_gaussian_start_has_the_stated_scale_at_every_layer():
    sizes, scales = (200, 300, 50), (0.1, 4.0)
    for w, scale in zip(
        arrays(DeepLinear.init(jax.random.key(0), sizes, scales)), scales, strict=True
    ):
        z = w * w.shape[1] ** 0.5 / scale
        assert abs(z.mean()) <= 5 * z.size**-0.5
        assert abs((z**2).mean() - 1) <= 5 * (2 / z.size) ** 0.5


def test_unbalanced_start_is_gaussian_with_a_scale_for_each_layer_and_not_balanced():
    network = DeepLinear.unbalanced(jax.random.key(0), (3, 3, 3), (1.0, 5.0))
    same = DeepLinear.init(jax.random.key(0), (3, 3, 3), (1.0, 5.0))
    assert all((a == b).all() for a, b in zip(network.layers, same.layers, strict=True))
    assert measure.imbalance_norms(network)[0] > 1


@pytest.mark.parametrize("start", [DeepLinear.init, DeepLinear.orthogonal, DeepLinear.balanced])
def test_starts_differ_by_key_and_agree_on_it_and_keep_the_dtype(start):
    a, b, c = (start(jax.random.key(k), (3, 2, 4), dtype=jnp.float32) for k in (0, 0, 1))
    assert a.layers[0].dtype == jnp.float32
    assert (a.layers[1] == b.layers[1]).all()
    assert (a.layers[1] != c.layers[1]).any()


@given(st.sampled_from(SIZES), st.integers(0, 99))
def test_calling_is_multiplying_by_the_matrix(sizes, seed):
    network = DeepLinear.init(jax.random.key(seed), sizes)
    x = jax.random.normal(jax.random.key(seed + 1), (4, sizes[0]))
    matrix = np.linalg.multi_dot([np.eye(sizes[-1]), *arrays(network)[::-1]])
    # Each product of layers loses at most a width times eps of the product of their norms.
    size = np.prod([np.linalg.norm(w) for w in arrays(network)])
    slack = 8 * len(sizes) * max(sizes) * float(jnp.finfo(x.dtype).eps) * size
    np.testing.assert_allclose(network.matrix, matrix, atol=slack)
    np.testing.assert_allclose(
        network(x), np.asarray(x) @ matrix.T, atol=slack * float(jnp.linalg.norm(x))
    )
    assert network.depth == len(sizes) - 1
    assert network.width == min(sizes[1:])


@pytest.mark.parametrize("sizes", SIZES)
def test_measurements_equal_numpy(sizes, eps):
    network = DeepLinear.init(jax.random.key(2), sizes)
    layers = arrays(network)
    products = list(itertools.accumulate(layers, lambda below, w: w @ below))
    directions = np.random.default_rng(0).standard_normal((sizes[0], 2))
    size = max(1, np.prod([max(1, np.linalg.norm(w)) for w in layers]) ** 2)
    slack = {"atol": 64 * max(sizes) * eps * size}
    np.testing.assert_allclose(measure.layer_grams(network), [p.T @ p for p in products], **slack)
    np.testing.assert_allclose(
        measure.layer_weights(network), [np.linalg.norm(p, axis=0) for p in products], **slack
    )
    turned = [np.linalg.norm(p @ directions, axis=0) for p in products]
    np.testing.assert_allclose(
        measure.layer_weights(network, jnp.asarray(directions, jnp.result_type(float))),
        turned,
        **slack,
    )
    imbalance = [b.T @ b - a @ a.T for a, b in itertools.pairwise(layers)]
    for seen, want in zip(measure.imbalance(network), imbalance, strict=True):
        np.testing.assert_allclose(seen, want, **slack)
    np.testing.assert_allclose(
        measure.imbalance_norms(network), [np.linalg.norm(d) for d in imbalance], **slack
    )


def test_rotating_between_the_layers_changes_no_measurement(eps):
    network = DeepLinear.init(jax.random.key(3), (3, 4, 2, 5))
    rng = np.random.default_rng(1)
    turns = [np.eye(3), *(np.linalg.qr(rng.standard_normal((k, k)))[0] for k in network.sizes[1:])]
    turned = DeepLinear(
        [
            above @ w @ below.T
            for w, below, above in zip(arrays(network), turns, turns[1:], strict=False)
        ]
    )
    slack = {"atol": 256 * eps * max(1, np.abs(measure.layer_grams(network)).max())}
    np.testing.assert_allclose(measure.layer_grams(turned), measure.layer_grams(network), **slack)
    np.testing.assert_allclose(
        measure.layer_weights(turned), measure.layer_weights(network), **slack
    )
    np.testing.assert_allclose(
        measure.imbalance_norms(turned), measure.imbalance_norms(network), **slack
    )


def test_one_layer_has_nothing_to_balance():
    network = DeepLinear.init(jax.random.key(0), (3, 2))
    assert measure.imbalance(network) == ()
    assert measure.imbalance_norms(network).shape == (0,)


KEY = jax.random.key(0)
BAD = {
    "no layers": (lambda: DeepLinear([]), "layers: got none"),
    "shapes do not chain": (
        lambda: DeepLinear([np.ones((2, 3)), np.ones((4, 3))]),
        "layers: got shapes",
    ),
    "a vector": (lambda: DeepLinear([np.ones(3)]), "layers: "),
    "a vector above": (lambda: DeepLinear([np.ones((3, 3)), np.ones(3)]), "layers: "),
    "depth 0": (lambda: DeepLinear.init(KEY, (3,)), "depth: got 0 layers"),
    "balanced depth 0": (lambda: DeepLinear.balanced(KEY, (3,)), "depth: got 0 layers"),
    "width 0": (lambda: DeepLinear.init(KEY, (3, 0)), "width: got 0"),
    "orthogonal width 0": (lambda: DeepLinear.orthogonal(KEY, (3, 0, 2)), "width: got 0"),
    "balanced width 0": (lambda: DeepLinear.balanced(KEY, (0, 2)), "width: got 0"),
    "negative scale": (lambda: DeepLinear.init(KEY, (3, 2), -1.0), "scale: got -1.0"),
    "nan scale": (lambda: DeepLinear.balanced(KEY, (3, 2), float("nan")), "scale: got nan"),
    "scales": (
        lambda: DeepLinear.unbalanced(KEY, (3, 2, 2), [1.0]),
        "scales: got 1 numbers; want 2",
    ),
    "aligned too narrow": (
        lambda: DeepLinear.aligned(np.eye(3), [1.0, 1.0, 1.0], (3, 2, 3)),
        "width: got 2; want at least 3",
    ),
    "aligned shape": (
        lambda: DeepLinear.aligned(np.eye(3), [1.0, 1.0], (3, 3)),
        "directions: got shape",
    ),
    "aligned skew": (
        lambda: DeepLinear.aligned([[1.0, 1.0], [0.0, 1.0]], [1.0, 1.0], (2, 2)),
        "directions: got columns",
    ),
    "aligned negative": (
        lambda: DeepLinear.aligned(np.eye(2), [1.0, -1.0], (2, 2)),
        "weights: got -1.0 at index 1",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_bad_input_is_named(case):
    make, message = BAD[case]
    with pytest.raises(ValueError, match=f"^{message}"):
        make()

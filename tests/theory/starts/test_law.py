"""The start law against its quadratic equation, its limits, and networks that are trained."""

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.moments import TargetMoments
from projhead_theory.theory import starts

SCALES = [(0.0, 0.0), (0.3, 0.0), (0.0, 0.3), (2.0, 0.5), (1e-8, 1e6), (1e6, 1e-8)]


def gram(seed=0, dim=4, rank=4):
    x = np.random.default_rng(seed).standard_normal((rank, dim))
    return jnp.asarray(x.T @ x, jnp.result_type(float))


def roots(values, a, b):
    """Larger root of (p - a)(p + b) = m, in 60 digits."""
    with mpmath.workdps(60):
        a, b = mpmath.mpf(a), mpmath.mpf(b)
        return [float((a - b + mpmath.sqrt((a + b) ** 2 + 4 * mpmath.mpf(m))) / 2) for m in values]


@pytest.mark.parametrize(("a", "b"), SCALES)
def test_weights_solve_the_quadratic_equation_to_rounding(a, b, eps):
    """Whatever the sizes of the scales: nothing cancels."""
    weights = np.array([0.0, 1e-6, 1e-3, 0.1, 1.0, 30.0])
    found = starts.weights_before_head(jnp.asarray(weights), encoder=a, head=b)
    squares = (jnp.asarray(weights, jnp.result_type(float)) ** 2).tolist()
    np.testing.assert_allclose(found**2, roots(squares, a, b), rtol=32 * eps)


@pytest.mark.parametrize(("a", "b"), SCALES[1:4])
def test_the_law_and_its_inverse(a, b, eps):
    last = gram()
    first = starts.start_law(last, encoder=a, head=b)
    one = np.eye(4)
    np.testing.assert_allclose(
        (first - a * one) @ (first + b * one), last, atol=256 * eps * float(jnp.max(last))
    )
    back = starts.inverse_start_law(first, encoder=a, head=b)
    np.testing.assert_allclose(back, last, atol=256 * eps * float(jnp.max(last)))
    weights = jnp.asarray([0.5, 2.0])
    before = starts.weights_before_head(weights, encoder=a, head=b)
    np.testing.assert_allclose(
        starts.weights_after_head(before, encoder=a, head=b), weights, rtol=128 * eps
    )


def test_a_balanced_start_gives_the_layer_wise_law(eps):
    last = gram()
    np.testing.assert_allclose(
        starts.start_law(last, encoder=0.0, head=0.0) @ starts.start_law(last, encoder=0, head=0),
        last,
        atol=256 * eps * float(jnp.max(last)),
    )
    zero = jnp.zeros((2, 2))
    np.testing.assert_array_equal(starts.start_law(zero, encoder=0.0, head=0.0), zero)
    np.testing.assert_array_equal(starts.start_law(zero, encoder=2.0, head=0.0), 2 * np.eye(2))
    np.testing.assert_array_equal(starts.weights_before_head(0.0, encoder=0.0, head=0.0), 0.0)


def test_limits_of_unlike_scales(eps):
    """A large encoder has equal weights; a large head leaves the squares of the weights."""
    weights = jnp.asarray([2.0, 1.0, 0.1])
    equal = starts.weights_before_head(weights, encoder=1e6, head=1.0)
    np.testing.assert_allclose(equal / equal[0], 1, rtol=1e-5)
    unequal = starts.weights_before_head(weights, encoder=0.0, head=1e6)
    np.testing.assert_allclose(unequal / unequal[0], weights / weights[0], rtol=1e-5)
    # Equal scales are the mixed regime.
    mixed = starts.weights_before_head(weights, encoder=0.7, head=0.7)
    np.testing.assert_allclose(mixed**2, jnp.sqrt(weights**2 + 0.49), rtol=32 * eps)


@given(st.integers(0, 99), st.sampled_from(SCALES[1:4]))
def test_the_law_turns_with_the_inputs(seed, scales):
    a, b = scales
    last, turn = gram(seed), np.linalg.qr(np.random.default_rng(seed).standard_normal((4, 4)))[0]
    turned = starts.start_law(jnp.asarray(turn @ last @ turn.T), encoder=a, head=b)
    direct = turn @ starts.start_law(last, encoder=a, head=b) @ turn.T
    slack = 1e3 * float(jnp.finfo(last.dtype).eps)
    np.testing.assert_allclose(turned, direct, atol=slack * float(jnp.max(jnp.abs(direct))))


@pytest.mark.x64
def test_derivatives_at_ties_and_in_the_scales():
    """Against differences; a Gram with a tie and a zero mode."""
    turn = np.linalg.qr(np.random.default_rng(1).standard_normal((3, 3)))[0]
    last = jnp.asarray(turn @ np.diag([2.0, 2.0, 0.0]) @ turn.T)
    law = lambda g, a, b: starts.start_law(g, encoder=a, head=b)
    moved = jnp.asarray(turn @ np.array([[1, 0.3, 0], [0.3, -1, 0], [0, 0, 0.5]]) @ turn.T)
    at, along = (
        (last, jnp.asarray(0.4), jnp.asarray(0.9)),
        (moved, jnp.asarray(1.0), jnp.asarray(-2.0)),
    )
    step = lambda h: law(*(x + h * y for x, y in zip(at, along, strict=True)))
    # The zero mode may only grow: a difference forward, of second order.
    h = 1e-4
    numeric = (-3 * step(0) + 4 * step(h) - step(2 * h)) / (2 * h)
    np.testing.assert_allclose(jax.jvp(law, at, along)[1], numeric, atol=1e-7)
    slope = jax.grad(lambda w: starts.weights_before_head(w, encoder=0.0, head=0.0))(0.0)
    assert float(slope) == 0


def test_decay_shrinks_the_scales_alone(eps):
    last, start = gram(), starts.Start(2.0, 0.5)
    faded = start.after(3.0, 0.1)
    np.testing.assert_allclose(faded.encoder, 2 * np.exp(-0.6), rtol=8 * eps)
    np.testing.assert_array_equal(
        starts.start_law(last, encoder=2.0, head=0.5, weight_decay=0.1, time=3.0),
        starts.start_law(last, encoder=faded.encoder, head=faded.head),
    )


def test_scales_of_frameworks(eps):
    """The sample mean of the squares of the entries that a framework draws, times the width."""
    sizes, key = (4, 512, 3), jax.random.key(0)
    draw = jax.nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
    for start, own in (
        (starts.Start.torch(sizes), draw),
        (starts.Start.flax(sizes), jax.nn.initializers.lecun_normal()),
    ):
        first, second = own(key, (4, 512)), own(key, (512, 3))
        # Of n entries the variance is off by (2 / n)^(1/2), six times over.
        np.testing.assert_allclose(start.encoder, 512 * np.mean(first**2), rtol=6 / 1024**0.5)
        np.testing.assert_allclose(start.head, 512 * np.mean(second**2), rtol=6 / 768**0.5)
    # PyTorch's bound of a uniform entry, over the root of 3, is its standard deviation.
    own = starts.Start.gaussian(sizes, (1 / 4**0.5) / 3**0.5, (1 / 512**0.5) / 3**0.5)
    named = starts.Start.torch(sizes)
    np.testing.assert_allclose(own.encoder, named.encoder, rtol=16 * eps)
    np.testing.assert_allclose(own.head, named.head, rtol=16 * eps)


def test_arguments_out_of_range():
    with pytest.raises(ValueError, match=r"^encoder: got -1.0; want non-negative"):
        starts.Start(-1.0, 0.0)
    with pytest.raises(ValueError, match=r"^head: got shape \(2,\); want one number"):
        starts.Start(1.0, jnp.ones(2))
    with pytest.raises(ValueError, match=r"^sizes: got \(3, 4\); want \(d, h, p\)"):
        starts.Start.torch((3, 4))
    with pytest.raises(ValueError, match=r"^gram: got .*; want no eigenvalue below"):
        starts.inverse_start_law(jnp.eye(2), encoder=2.0, head=1.0)
    with pytest.raises(ValueError, match=r"^weights: got .*; want no weight below the root"):
        starts.weights_after_head([1.0, 2.0], encoder=2.0, head=1.0)


@pytest.mark.usefixtures("untyped")
def test_a_gram_that_is_not_square():
    with pytest.raises(ValueError, match=r"^gram: got shape \(2, 3\); want a square matrix"):
        starts.start_law(jnp.ones((2, 3)), encoder=2.0, head=1.0)


def _flows(start, data):
    run = lambda moments: pt.gradient_flow(start, moments, loss=pt.losses.mse, t1=400.0, save_at=2)
    return [run(moments).grams[-1] for moments in data]


@pytest.mark.x64
@pytest.mark.parametrize("depth", [2, 3])
def test_beyond_two_layers_the_last_gram_does_not_determine_the_others(depth):
    """Two regressions on one teacher, on inputs of other variances, from one isotropic start.

    They end at one product. So do the Grams of two layers; those of three differ.
    """
    teacher = jnp.asarray([[2.0, 1.0], [-1.0, 0.5]])
    turn = np.array([[np.cos(1.2), -np.sin(1.2)], [np.sin(1.2), np.cos(1.2)]])
    seconds = np.eye(2), turn @ np.diag([50.0, 1.0]) @ turn.T / 50**0.5
    data = [TargetMoments(teacher @ s, jnp.asarray(s)) for s in map(jnp.asarray, seconds)]
    # Orthonormal columns: those of the head are orthogonal to what the layers below write.
    q = lambda seed: np.linalg.qr(np.random.default_rng(seed).standard_normal((8, 8)))[0]
    first, middle = 0.7 * q(0)[:, :2], 0.8 * q(1)
    below = first if depth == 2 else middle @ first
    free = np.linalg.qr(np.hstack([below, q(2)[:, :2]]))[0][:, 2:4]
    layers = [first, 1.1 * free.T] if depth == 2 else [first, middle, 1.1 * free.T]
    one, other = _flows(pt.DeepLinear([jnp.asarray(w) for w in layers]), data)
    apart = np.abs(one - other).max(axis=(1, 2))
    assert apart[-1] < 1e-7
    if depth == 2:
        assert apart[0] < 1e-7
    else:
        assert (apart[:-1] > 1e-4).all()


def test_layers_whose_imbalance_is_isotropic_have_a_law_at_any_depth(eps):
    """M_l is the product of M_1 + mu_k, with mu_k the sum of the first k - 1 imbalances."""
    rng, imbalance = np.random.default_rng(0), (0.5, 1.5)
    layers = [rng.standard_normal((3, 3))]
    for shift in imbalance:
        values, v = np.linalg.eigh(layers[-1] @ layers[-1].T + shift * np.eye(3))
        turn = np.linalg.qr(rng.standard_normal((3, 3)))[0]
        layers.append(turn @ (v * np.sqrt(values)) @ v.T)
    grams = pt.measure.layer_grams(pt.DeepLinear([jnp.asarray(w) for w in layers]))
    expected, shift = np.eye(3), 0.0
    for gram, more in zip(grams, (*imbalance, 0.0), strict=True):
        expected = expected @ (grams[0] + shift * np.eye(3))
        np.testing.assert_allclose(gram, expected, atol=1e3 * eps * float(jnp.max(jnp.abs(gram))))
        shift += more

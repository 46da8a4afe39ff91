"""Non-linear networks: what they compute, the moments of their outputs, and that every simulator
trains what is to be trained.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.draws import some
from hypothesis import given
from hypothesis import strategies as st
from scipy.integrate import quad
from scipy.stats import norm

import projhead_theory as pt
from projhead_theory.losses import info_nce, spectral
from projhead_theory.networks import (
    DeepLinear,
    ShallowReLU,
    ShallowThresholded,
    ThresholdedDiagonal,
    symmetrised_relu,
)
from projhead_theory.simulation import (
    gradient_descent,
    gradient_flow,
    layer_gradients,
    minibatch,
    stochastic,
    trained_gradient,
)
from projhead_theory.theory.thresholds import homogeneity_invariants

PHI = jnp.array([1.0, 1.5, 0.7, 0.3])
FLIPS = jnp.array([0.1, 0.0, 0.5, 0.2])
WEIGHTS = jnp.array([[0.9, 1.1, -1.0, 0.8], [0.8, 0.5, 1.2, 0.3], [1.0, 0.9, 1.3, 0.7]])
CUTS = jnp.array([[0.1, 0.2, 0.1, 0.1], [0.05, 0.1, 0.2, 0.2], [0.03, 0.1, 0.02, 0.1]])
KEY = jax.random.key(0)


def problem(augmentation=None, distribution="rademacher"):
    return pt.ContrastiveProblem(
        pt.Features(PHI, distribution), pt.SignFlip(FLIPS) if augmentation is None else augmentation
    )


def diagonal(depth=2, trained=False):
    return ThresholdedDiagonal(WEIGHTS[:depth], CUTS[:depth], trained)


def shallow(final=False, trained=True):
    return ShallowThresholded.init(KEY, (4, 6, 3), 1.0, 0.2, final=final, trained=trained)


def same(a, b):
    return bool(eqx.tree_equal(a, b))


# What they compute


@given(st.floats(-3, 3), st.floats(0, 2))
def test_symmetrised_relu_is_soft_thresholding(u, b):
    value = float(symmetrised_relu(jnp.asarray(u), jnp.asarray(b)))
    assert value == pytest.approx(np.sign(u) * max(abs(u) - b, 0), abs=1e-6)


def test_nothing_moves_on_or_within_the_threshold():
    """The derivative is zero there, the edge included; beyond it is one."""
    slope = jax.vmap(jax.grad(symmetrised_relu), in_axes=(0, None))
    np.testing.assert_array_equal(
        slope(jnp.array([-2.0, -0.5, 0.0, 0.3, 0.5, 0.6]), jnp.array(0.5)), [1, 0, 0, 0, 0, 1]
    )


def test_soft_thresholds_compose_to_one(eps):
    """Whatever the signs of the weights."""
    network, x = diagonal(3), 4 * jax.random.normal(KEY, (50, 4))
    slopes, cuts = network.composed()
    for level, a in enumerate(network.representations(x)):
        signs = jnp.sign(jnp.prod(WEIGHTS[: level + 1], axis=0))
        np.testing.assert_allclose(
            a, signs * symmetrised_relu(slopes[level] * x, cuts[level]), atol=64 * eps
        )
    np.testing.assert_array_equal(
        network.amplitudes(PHI), jnp.abs(jnp.stack(network.representations(PHI)))
    )


def test_without_thresholds_they_are_linear(eps):
    linear = ThresholdedDiagonal(WEIGHTS, jnp.zeros((3, 4)))
    x = jax.random.normal(KEY, (9, 4))
    np.testing.assert_allclose(linear(x), DeepLinear(linear.layers)(x), atol=16 * eps)
    np.testing.assert_allclose(
        spectral(linear, problem()), spectral(DeepLinear(linear.layers), problem()), rtol=64 * eps
    )
    network = DeepLinear.init(KEY, (4, 6, 3))
    zero = [jnp.zeros(6), jnp.zeros(3)]
    np.testing.assert_allclose(
        ShallowThresholded(network.layers, zero)(x), network(x), atol=64 * eps
    )
    np.testing.assert_allclose(ShallowReLU(network.layers, 1.0)(x), network(x), atol=64 * eps)


def test_shallow_networks_are_what_they_say(eps):
    """In NumPy; the head linear or not."""
    x = np.asarray(jax.random.normal(KEY, (9, 4)))
    w1, w2 = (np.asarray(w) for w in shallow().layers)
    leaky = lambda u: np.where(u > 0, u, 0.3 * u)
    soft = lambda u: np.sign(u) * np.maximum(np.abs(u) - 0.2, 0)
    for network, act in ((ShallowReLU((w1, w2), 0.3), leaky), (shallow(), soft)):
        np.testing.assert_allclose(network(jnp.asarray(x)), act(x @ w1.T) @ w2.T, atol=64 * eps)
    for network, act in (
        (ShallowReLU((w1, w2), 0.3, final=True), leaky),
        (shallow(final=True), soft),
    ):
        np.testing.assert_allclose(
            network(jnp.asarray(x)), act(act(x @ w1.T) @ w2.T), atol=64 * eps
        )
    assert [r.shape for r in shallow().representations(jnp.asarray(x))] == [(9, 6), (9, 3)]


# Moments of the outputs


@pytest.mark.x64
@pytest.mark.parametrize("distribution", ["rademacher", "gaussian"])
def test_population_loss_against_quadrature(distribution):
    """Both moments, coordinate by coordinate, by SciPy on the network itself; features with noise,
    and Gaussian features.
    """
    sigma = 0.4
    augmentation = (
        pt.problems.Compose(pt.SignFlip(FLIPS), pt.AdditiveNoise(sigma))
        if distribution == "rademacher"
        else pt.SignFlip(FLIPS)
    )
    moments = diagonal(3).output_moments(problem(augmentation, distribution))
    rho = (1 - 2 * np.asarray(FLIPS)) ** 2
    slopes, cuts = (np.asarray(x)[-1] for x in diagonal(3).composed())
    for i in range(4):
        centre, spread = (
            (float(PHI[i]), sigma) if distribution == "rademacher" else (0.0, float(PHI[i]))
        )
        mean, second = (
            _expectation(i, centre, spread, cuts[i] / slopes[i], power) for power in (1, 2)
        )
        np.testing.assert_allclose(moments.second[i, i], second, rtol=1e-7, atol=1e-14)
        np.testing.assert_allclose(
            moments.cross[i, i],
            rho[i] * (mean**2 if distribution == "rademacher" else second),
            rtol=1e-7,
            atol=1e-14,
        )


def _expectation(i, centre, spread, edge, power):
    """Of a power of the output, under a Gaussian input, by adaptive quadrature between its
    kinks.
    """
    kinks = sorted(
        (side * edge - centre) / spread
        for side in (-1, 1)
        if abs(side * edge - centre) < 8 * spread
    )
    return quad(
        lambda z: _forward(centre + spread * z, i) ** power * norm.pdf(z), -9, 9, points=kinks
    )[0]


def _forward(x, i):
    for w, b in zip(np.asarray(WEIGHTS)[:, i], np.asarray(CUTS)[:, i], strict=True):
        x = np.sign(w * x) * np.maximum(np.abs(w * x) - b, 0)
    return x


@pytest.mark.parametrize(
    "augmentation",
    [pt.SignFlip(FLIPS), pt.AdditiveNoise(jnp.array([0.3, 0.2, 0.0, 0.5]))],
    ids=["flips", "noise"],
)
def test_population_loss_against_drawn_views(augmentation):
    """Within five standard errors of the batch loss of many pairs."""
    p, network = problem(augmentation), diagonal()
    batches = jax.vmap(lambda key: spectral(network, p.sample_pairs(key, 4_000)))(
        jax.random.split(KEY, 64)
    )
    assert abs(float(batches.mean() - spectral(network, p))) <= 5 * float(batches.std()) / 8


def test_rademacher_loss_is_a_sum_over_features(eps):
    """-2 rho A^2 + A^4; the same for a flip probability and what it lacks to one."""
    a = diagonal().amplitudes(PHI)[-1]
    expected = jnp.sum(-2 * (1 - 2 * FLIPS) ** 2 * a**2 + a**4)
    for flips in (FLIPS, 1 - FLIPS):
        np.testing.assert_allclose(
            spectral(diagonal(), problem(pt.SignFlip(flips))), expected, rtol=64 * eps
        )


def test_no_noise_is_the_limit_of_little(eps):
    """A scale of zero is as no noise at all, and differentiable."""
    value = lambda network, scale: spectral(network, problem(pt.AdditiveNoise(scale)))
    np.testing.assert_allclose(
        value(diagonal(), 0.0), spectral(diagonal(), problem(pt.SignFlip(0.0))), rtol=64 * eps
    )
    gradient = jax.grad(value)(diagonal(), 0.0)
    assert bool(jnp.isfinite(gradient.weights).all())
    np.testing.assert_allclose(
        gradient.weights, jax.grad(value)(diagonal(), 1e-5).weights, atol=1e-3
    )


# Training


@pytest.mark.parametrize("depth", [2, 3])
def test_fixed_thresholds_stay_and_weak_features_are_frozen_bit_for_bit(depth):
    """Under flow and under any optimiser; the recorded networks have their thresholds."""
    network, p = diagonal(depth), problem()
    dead = network.amplitudes(PHI)[-1] == 0
    assert dead.any()
    assert not dead.all()
    # Optax's own Adam mixes dtypes.
    with jax.numpy_dtype_promotion("standard"):
        runs = [
            gradient_descent(network, p, learning_rate=0.01, steps=30, optimiser=o, save_at=4)
            for o in (optax.sgd, optax.adam)
        ]
    if depth == 2:
        runs.append(gradient_flow(network, p, t1=3.0, save_at=4))
    for run in runs:
        np.testing.assert_array_equal(
            run.networks.thresholds, jnp.broadcast_to(CUTS[:depth], run.networks.thresholds.shape)
        )
        moved = jnp.any(run.networks.weights != network.weights, axis=(0, 1))
        np.testing.assert_array_equal(moved, ~dead)
        assert float(run.loss[-1]) < float(run.loss[0])
        np.testing.assert_allclose(run.loss[-1], spectral(run.final, p), rtol=1e-5)


def test_decay_and_gradient_norms_leave_fixed_thresholds_alone():
    """One step from all-dead features: decay shrinks the weights, and nothing else is there to
    move.
    """
    network = ThresholdedDiagonal(WEIGHTS[:2], 10 * jnp.ones((2, 4)))
    run = gradient_descent(
        network, problem(), learning_rate=0.5, steps=1, weight_decay=0.2, save_at=2
    )
    np.testing.assert_allclose(run.final.weights, 0.9 * WEIGHTS[:2], rtol=1e-6)
    np.testing.assert_array_equal(run.final.thresholds, network.thresholds)
    np.testing.assert_allclose(run.gradient_norm[0], 0.2 * jnp.linalg.norm(WEIGHTS[:2]), rtol=1e-6)


@pytest.mark.x64
def test_trained_thresholds_conserve_two_things():
    """w_l^2 + b_l^2 - w_(l+1)^2 in every pair of layers, and w_1 + phi b_1 in the first; thresholds
    may fall below zero.
    """
    network = diagonal(3, trained=True)
    run = gradient_flow(network, problem(), t1=20.0, save_at=8, stationarity=0.0)
    kept = jax.vmap(homogeneity_invariants)(run.networks.weights, run.networks.thresholds)
    np.testing.assert_allclose(kept, jnp.broadcast_to(kept[0], kept.shape), atol=1e-10)
    first = jnp.abs(run.networks.weights[:, 0]) + PHI * run.networks.thresholds[:, 0]
    np.testing.assert_allclose(first, jnp.broadcast_to(first[0], first.shape), atol=1e-10)
    assert float(run.final.thresholds.min()) < 0
    assert float(jnp.abs(run.final.thresholds - network.thresholds).max()) > 0.1


@pytest.mark.parametrize(
    "make",
    some(
        [
            lambda: ShallowReLU.init(KEY, (4, 6, 3), slope=0.1),
            shallow,
            lambda: shallow(trained=False),
        ],
        1,
        kind="slow",
    ),
)
def test_stochastic_is_steps_of_the_minibatch_gradient(make):
    """Each step subtracts the gradient of its own minibatch, in what is trained; `None` where
    nothing is.
    """
    network, p = make(), problem()
    run = stochastic(
        network, p, key=KEY, learning_rate=0.05, steps=3, batch_size=16, save_at=[0, 1, 2, 3]
    )
    for i in range(3):
        before, after = (jax.tree.map(lambda x, j=j: x[j], run.networks) for j in (i, i + 1))
        data = minibatch(p, KEY, i, 16)
        gradient = eqx.filter_jit(trained_gradient)(before, data)
        trained, fixed = eqx.partition(before, before.trainable)
        stepped = eqx.combine(jax.tree.map(lambda w, g: w - 0.05 * g, trained, gradient), fixed)
        for a, b in zip(jax.tree.leaves(stepped), jax.tree.leaves(after), strict=True):
            np.testing.assert_allclose(a, b, atol=1e-6)
        assert same(eqx.filter_jit(layer_gradients)(before, data), gradient.layers)
    assert float(run.noise) > 0


def test_any_loss_of_views_trains_them():
    run = gradient_descent(
        ShallowReLU.init(KEY, (4, 6, 3)),
        problem().sample_pairs(KEY, 32),
        loss=info_nce,
        learning_rate=0.1,
        steps=40,
        save_at=2,
    )
    assert float(run.loss[-1]) < float(run.loss[0])


def test_a_record_is_a_data_set_without_what_only_linear_networks_have():
    run = gradient_descent(diagonal(), problem(), learning_rate=0.1, steps=3, save_at=2)
    assert set(run.to_xarray().data_vars) == {"loss", "gradient_norm"}
    assert run.each(lambda n: n.amplitudes(PHI)).shape == (2, 2, 4)


def test_batches_of_runs_by_vmap_and_in_float32():
    """The amplitudes of each run as by itself; the dtype is the network's."""
    weights = jnp.stack([WEIGHTS[:2], 1.1 * WEIGHTS[:2]]).astype(jnp.float32)

    def one(w):
        p = pt.ContrastiveProblem(
            pt.Features(PHI.astype(jnp.float32)), pt.SignFlip(FLIPS.astype(jnp.float32))
        )
        return gradient_descent(
            ThresholdedDiagonal(w, CUTS[:2].astype(jnp.float32)),
            p,
            learning_rate=0.1,
            steps=20,
            save_at=3,
        ).final.weights

    # Steps, which compile sooner than a flow.
    both = jax.jit(jax.vmap(one))(weights)
    assert both.dtype == jnp.float32
    np.testing.assert_allclose(both, jnp.stack([one(w) for w in weights]), rtol=1e-4)


# Bad arguments


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (
            lambda: ThresholdedDiagonal(WEIGHTS, -CUTS),
            r"^thresholds: got -0\.1 at index \(0, 0\); want non-negative",
        ),
        (
            lambda: ThresholdedDiagonal(WEIGHTS, CUTS[:2]),
            r"^thresholds: got shape \(2, 4\); want the shape of the weights, \(3, 4\)",
        ),
        (
            lambda: ThresholdedDiagonal(WEIGHTS[0], CUTS[0]),
            r"^weights: got shape \(4,\); want \(L, d\)",
        ),
        (lambda: ThresholdedDiagonal(jnp.inf * WEIGHTS, CUTS), r"^weights: got inf"),
        (lambda: ShallowReLU(shallow().layers, -0.1), r"^slope: got -0\.1"),
        (
            lambda: ShallowThresholded(shallow().layers, []),
            r"^thresholds: got 0 vectors; want 1, or 2",
        ),
        (
            lambda: ShallowThresholded(shallow().layers, [jnp.ones(5)]),
            r"^thresholds: got shape \(5,\); want \(6,\)",
        ),
        (lambda: ShallowThresholded(shallow().layers, [-jnp.ones(6)]), r"^thresholds: got -1"),
        (
            lambda: ShallowThresholded.init(KEY, (4, 6, 3), threshold=[0.1, 0.2]),
            r"^threshold: got shape \(2,\); want one number, or 1",
        ),
        (
            lambda: spectral(diagonal(), problem().moments()),
            r"^data: got Moments, for ThresholdedDiagonal; want a problem, Views",
        ),
        (
            lambda: spectral(shallow(), problem()),
            r"^data: got a ContrastiveProblem, for ShallowThresholded; want Views of it",
        ),
        (
            lambda: spectral(diagonal(), problem(pt.problems.Mask(0.1))),
            r"^problem: got the augmentation Mask; want sign flips and additive",
        ),
        (
            lambda: spectral(diagonal(), problem(distribution="laplace")),
            r"^problem: got Laplace features, fixed thresholds; want Rademacher",
        ),
        (
            lambda: spectral(diagonal(2, True), problem(pt.AdditiveNoise(0.1))),
            r"^problem: got Rademacher features with noise, trained",
        ),
        (
            lambda: spectral(diagonal(), pt.ContrastiveProblem(pt.Features([1.0]))),
            r"^problem: got inputs of dimension 1, perhaps mixed",
        ),
        (lambda: info_nce(diagonal(), problem()), r"^data: got Moments, for InfoNCE"),
    ],
)
def test_bad_arguments_are_named(make, says):
    with pytest.raises(ValueError, match=says):
        make()

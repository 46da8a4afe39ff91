"""Laws of every network that the front door exports, a new one included: its shapes, its training
under every simulator, its closed forms.
"""

import inspect

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory import measure, networks
from projhead_theory.losses import spectral
from projhead_theory.networks import AbstractLinearNetwork, AbstractNetwork
from projhead_theory.simulation import (
    Ended,
    gradient_descent,
    gradient_flow,
    layer_gradients,
    stochastic,
    trained_gradient,
)

KEY = jax.random.key(0)
PROBLEM = pt.ContrastiveProblem(pt.Features([1.5, 1.0, 0.7]), pt.SignFlip([0.1, 0.0, 0.2]))
# Networks without an `init` that takes a key and three widths.
MADE = {
    "Headed": lambda: pt.Headed(
        pt.DeepLinear.init(KEY, (3, 3, 3), scale=0.7), pt.networks.ReweightingHead(1.5)
    ),
    "ThresholdedDiagonal": lambda: pt.ThresholdedDiagonal(
        [[0.9, 1.1, 0.8], [0.8, 0.7, 1.2]], [[0.1, 0.2, 0.1], [0.05, 0.1, 0.2]]
    ),
}
NAMES = [
    name
    for name in networks.__all__
    if inspect.isclass(kind := getattr(networks, name))
    and issubclass(kind, AbstractNetwork)
    and not inspect.isabstract(kind)
]
LINEAR = [name for name in NAMES if issubclass(getattr(networks, name), AbstractLinearNetwork)]


def make(name):
    return MADE[name]() if name in MADE else getattr(networks, name).init(KEY, (3, 3, 3), 0.7)


@pytest.mark.parametrize("name", NAMES)
def test_shapes_agree_and_the_output_is_the_last_representation(name):
    network, x = make(name), jax.random.normal(KEY, (5, 3))
    assert (network.depth, network.sizes) == (2, (3, 3, 3))
    assert [w.shape for w in network.layers] == [(3, 3)] * 2
    assert len(network.thresholds) in (0, 1, 2)
    assert network.trained_thresholds == () or len(network.trained_thresholds) in (1, 2)
    shown = network.representations(x)
    assert len(shown) >= 2
    np.testing.assert_array_equal(network(x), shown[-1])
    gram = np.asarray(network.gram(x))
    assert np.linalg.eigvalsh(gram).min() >= -1e-6 * np.trace(gram)


@pytest.mark.parametrize("name", NAMES)
def test_the_gradient_is_that_of_the_trained_part(name):
    network, views = make(name), PROBLEM.sample_pairs(KEY, 16)
    trained, frozen = eqx.partition(network, network.trainable)
    want = jax.grad(lambda t: spectral(eqx.combine(t, frozen), views))(trained)
    found = trained_gradient(network, views)
    assert jax.tree.structure(found) == jax.tree.structure(trained)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    assert [g.shape for g in layer_gradients(network, views)] == [(3, 3)] * 2


@pytest.mark.parametrize("simulator", ["flow", "descent", "stochastic"])
@pytest.mark.parametrize("name", NAMES)
def test_every_simulator_moves_what_is_trainable_and_nothing_else(name, simulator):
    """The loss falls, and the record holds whole networks."""
    network, views = make(name), PROBLEM.sample_pairs(KEY, 64)
    run = {
        "flow": lambda: gradient_flow(network, views, t1=0.5, save_at=2, rtol=1e-3),
        "descent": lambda: gradient_descent(
            network, views, learning_rate=1e-3, steps=20, save_at=2
        ),
        "stochastic": lambda: stochastic(
            network, views, key=KEY, learning_rate=1e-3, steps=20, batch_size=64, save_at=2
        ),
    }[simulator]()
    assert run.ended != Ended.diverged
    assert float(run.loss[-1]) < float(run.loss[0])
    assert jax.tree.structure(run.final) == jax.tree.structure(network)
    assert bool(eqx.tree_equal(run.start, network))
    assert run.drift.shape == (1,)
    assert float(run.drift[0]) > 0
    flags = jax.tree.leaves(network.trainable)
    for flag, before, after in zip(
        flags, jax.tree.leaves(network), jax.tree.leaves(run.final), strict=True
    ):
        assert bool(jnp.any(before != after)) == flag
    if simulator != "stochastic":
        np.testing.assert_allclose(run.loss[-1], spectral(run.final, views), rtol=1e-5)


@pytest.mark.parametrize("name", NAMES)
def test_the_closed_form_of_the_loss_is_the_mean_over_views(name):
    """Within five standard errors; or there is none, and the error asks for views."""
    network = make(name)
    try:
        exact = float(spectral(network, PROBLEM))
    except ValueError as error:
        assert "want Views of it" in str(error)  # noqa: PT017
        return
    batches = jax.vmap(lambda key: spectral(network, PROBLEM.sample_pairs(key, 500)))(
        jax.random.split(KEY, 64)
    )
    assert abs(float(batches.mean()) - exact) <= 5 * float(batches.std()) / 8


@pytest.mark.parametrize("name", NAMES)
def test_exact_weights_are_what_an_estimate_tends_to(name, monkeypatch):
    """Within five of its standard errors, for inputs that are features."""
    network = make(name)
    if network.exact_weights(PROBLEM.features) is None:
        return
    exact = measure.feature_weights(network, PROBLEM)
    monkeypatch.setattr(type(network), "exact_weights", lambda *_: None)
    estimate = measure.feature_weights(network, PROBLEM, key=KEY, samples=256 * measure.GROUPS)
    assert exact.square.shape == estimate.square.shape
    assert bool((jnp.abs(exact.square - estimate.square) <= 5 * estimate.error + 1e-6).all())
    np.testing.assert_allclose(exact.readout, estimate.readout, atol=0.05)


@pytest.mark.parametrize("name", LINEAR)
def test_written_out_gradients_of_a_linear_network_are_the_automatic_ones(name):
    network, moments = make(name), PROBLEM.moments()
    trained, frozen = eqx.partition(network, network.trainable)
    want = jax.grad(lambda t: spectral(eqx.combine(t, frozen), moments))(trained)
    found = trained_gradient(network, moments)
    for a, b in zip(jax.tree.leaves(found), jax.tree.leaves(want), strict=True):
        np.testing.assert_allclose(a, b, atol=1e-5)
    x = jax.random.normal(KEY, (5, 3))
    for shown, product in zip(network.representations(x), network.products(), strict=True):
        np.testing.assert_allclose(shown, x @ product.T, atol=1e-5)


@pytest.mark.parametrize(
    "branches", [[], [[1.0, 2.0]], [np.zeros((2, 2)), np.zeros((3, 3))], [np.zeros((2, 3))]]
)
def test_branches_that_do_not_fit_are_named(branches, untyped):
    with pytest.raises(ValueError, match=r"^branches: got "):
        pt.networks.ResidualLinear(branches)

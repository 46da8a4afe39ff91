"""Inspection of linear networks that were trained without the library."""

import jax.numpy as jnp
import numpy as np
import pytest
from scipy.linalg import fractional_matrix_power

import projhead_theory as pt
from projhead_theory.theory.balance import imbalance_bound

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]

STRENGTH, NOISE = np.array([1.6, 1.1, 0.7, 0.9]), np.array([1.1, 0.2, 0.15, 0.5])
PAIRS, DEPTH = 600, 2


def views(seed=0):
    """Both views, the features, and the directions in which they lie: a random rotation."""
    rng = np.random.default_rng(seed)
    turn = np.linalg.qr(rng.normal(size=(4, 4)))[0]
    u = rng.choice([-1.0, 1.0], (PAIRS, 4)) * STRENGTH
    x1, x2 = ((u + rng.normal(size=u.shape) * NOISE) @ turn.T for _ in range(2))
    return x1, x2, u, turn


def descend(x1, x2, layers, rate=0.01, steps=6000):
    """Plain gradient descent on the spectral contrastive loss, in NumPy."""
    n = len(x1)
    cross = (x1.T @ x2 + x2.T @ x1) / (2 * n)
    second = (x1.T @ x1 + x2.T @ x2) / (2 * n)
    one, two = layers
    for _ in range(steps):
        w = two @ one
        slope = 4 * (w @ second @ w.T @ w @ second - w @ cross)
        one, two = one - rate * two.T @ slope, two - rate * slope @ one.T
    return [one, two]


@pytest.fixture(scope="module")
def data():
    return views()


@pytest.fixture(scope="module")
def trained(data):
    """From a balanced start: both layers half of a rotation."""
    rng = np.random.default_rng(1)
    a, b, c = (np.linalg.qr(rng.normal(size=(4, 4)))[0] for _ in range(3))
    return descend(data[0], data[1], [0.5 * b @ a, 0.5 * c @ b.T])


@pytest.fixture(scope="module")
def reports(data, trained):
    """With the sign of each feature as label."""
    x1, x2, u, turn = data
    return [pt.inspect(x1, x2, trained, labels=u[:, j] > 0, directions=turn) for j in range(4)]


def test_weights_are_those_of_the_matrices_and_of_the_closed_form(data, trained, reports):
    """Exactly those of the matrices; the last layer to 1e-6 the closed form, the first within the
    bound for its imbalance.
    """
    x1, x2, _, turn = data
    one, two = trained
    for report in reports:
        np.testing.assert_allclose(
            report.weights,
            [np.linalg.norm(one @ turn, axis=0), np.linalg.norm(two @ one @ turn, axis=0)],
            rtol=1e-12,
        )
        assert not report.weights_error.any()
    law = pt.layerwise(pt.Moments.from_views(x1, x2), DEPTH, directions=jnp.asarray(turn))
    np.testing.assert_allclose(reports[0].weights[1], law.weights[1], rtol=1e-6)
    squares = np.abs(reports[0].weights[0] ** 2 - np.asarray(law.weights[0]) ** 2)
    bound = imbalance_bound(law.grams, jnp.asarray(reports[0].imbalance))
    assert squares.max() < float(bound[0])


def test_coordinates_are_weighed_if_no_directions_are_given(data, trained):
    report = pt.inspect(data[0], data[1], trained)
    np.testing.assert_allclose(report.weights[0], np.linalg.norm(trained[0], axis=0))
    assert report.features[0] == "input 1"


def test_features_known_by_their_values_are_weighed_within_their_errors(data, trained, reports):
    report = pt.inspect(data[0], data[1], trained, features=data[2])
    assert (report.weights_error > 0).all()
    off = np.abs(report.weights - reports[0].weights) / report.weights_error
    assert off.max() < 4.5


def test_imbalance_law_and_spread_are_those_of_the_matrices(trained, reports):
    one, two = trained
    report, product = reports[0], two @ one
    np.testing.assert_allclose(report.imbalance, [np.linalg.norm(two.T @ two - one @ one.T)])
    root = fractional_matrix_power(product.T @ product, 0.5)
    gap = np.linalg.norm(one.T @ one - root) / np.linalg.norm(root)
    np.testing.assert_allclose(report.law_gap, [gap, 0], rtol=1e-6)
    np.testing.assert_allclose(
        report.spread, report.weights.max(axis=1) / report.weights.min(axis=1), rtol=1e-12
    )
    grams = jnp.stack([jnp.asarray(w.T @ w) for w in (one, product)])
    np.testing.assert_allclose(
        report.effective_rank, pt.theory.layers.effective_rank(grams), rtol=1e-12
    )
    np.testing.assert_allclose(report.exponents, [0.5, 1], atol=0.02)


def test_the_recommended_layer_is_the_best_one_of_the_closed_form(data, reports):
    """For every feature as label, though the closed form has not seen the network."""
    x1, x2, _, turn = data
    moments = pt.Moments.from_views(x1, x2)
    spread = turn @ np.diag(STRENGTH**2 + NOISE**2) @ turn.T
    for j, report in enumerate(reports):
        task = pt.problems.Downstream(spread, turn[:, j] / STRENGTH[j])
        best = pt.best_layer(moments, task, DEPTH)
        assert report.recommended == int(best.layer)
        # The least and the largest weight tell the layers apart.
        assert report.sure > 0.95 or j in (1, 3)


def test_every_hypothesis_holds_on_a_network_that_the_theory_is_about(reports):
    for report in reports:
        assert {"balanced", "layer-wise law", "minimum of the spectral loss"} <= set(
            report.hypotheses
        )
        assert all(h.holds for name, h in report.hypotheses.items() if name != "labels kept")


def test_a_start_out_of_balance_and_a_network_not_trained_are_told(data):
    """The encoder started much larger than the head: the lower layer is nearly even."""
    x1, x2, *_ = data
    rng = np.random.default_rng(2)
    start = [1.5 * np.linalg.qr(rng.normal(size=(4, 4)))[0], 0.1 * rng.normal(size=(4, 4))]
    for layers, failing in (
        (descend(x1, x2, start, rate=0.003), {"balanced", "layer-wise law"}),
        (start, {"balanced", "minimum of the spectral loss"}),
    ):
        report = pt.inspect(x1, x2, layers)
        assert failing <= {name for name, h in report.hypotheses.items() if not h.holds}


def test_a_network_of_the_library_and_a_single_layer_are_taken(data, trained):
    x1, x2, *_ = data
    network = pt.DeepLinear([jnp.asarray(w) for w in trained])
    assert pt.inspect(x1, x2, network).to_dict() == pt.inspect(x1, x2, trained).to_dict()
    report = pt.inspect(x1, x2, trained[:1])
    assert (report.recommended, report.sure) == (1, 1.0)
    assert len(report.imbalance) == 0

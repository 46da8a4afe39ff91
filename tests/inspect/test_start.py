"""The start law in inspections of networks trained without the library, from unbalanced starts."""

import json

import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.report import inspection_html, inspection_table, start_line

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]

DIM, HIDDEN, OUTPUTS, PAIRS = 4, 12, 3, 400
A0, B0 = 2.0, 0.3


def regression(seed=0):
    """Inputs whose last coordinate never varies, and a linear teacher of all of them."""
    rng = np.random.default_rng(seed)
    x = rng.normal(size=(PAIRS, DIM)) * [1.5, 1.0, 0.7, 0.0]
    return x, rng.normal(size=(OUTPUTS, DIM))


def isotropic(rng, encoder=A0, head=B0):
    frame = np.linalg.qr(rng.normal(size=(HIDDEN, DIM + OUTPUTS)))[0]
    return [encoder**0.5 * frame[:, :DIM], head**0.5 * frame[:, DIM:].T]


def like_pytorch(rng, hidden):
    """Entries uniform in plus or minus one over the root of the inputs."""
    uniform = lambda p, n: rng.uniform(-1, 1, (p, n)) / n**0.5
    return [uniform(hidden, DIM), uniform(OUTPUTS, hidden)]


def flow(layers, second, teacher, step=0.02, until=60.0):
    """Gradient flow on the squared error, by the classic Runge-Kutta rule, in NumPy."""
    one, two = layers

    def slope(one, two):
        residual = (two @ one - teacher) @ second
        return -two.T @ residual, -residual @ one.T

    for _ in range(round(until / step)):
        k1 = slope(one, two)
        k2 = slope(one + step / 2 * k1[0], two + step / 2 * k1[1])
        k3 = slope(one + step / 2 * k2[0], two + step / 2 * k2[1])
        k4 = slope(one + step * k3[0], two + step * k3[1])
        one, two = (
            w + step / 6 * (a + 2 * b + 2 * c + d)
            for w, a, b, c, d in zip((one, two), k1, k2, k3, k4, strict=True)
        )
    return [one, two]


def pairs(x, rng):
    return [x + rng.normal(size=x.shape) * [0.3, 0.3, 0.3, 0.0] for _ in range(2)]


@pytest.fixture(scope="module")
def trained():
    x, teacher = regression()
    rng = np.random.default_rng(1)
    second = x.T @ x / PAIRS
    layers = flow(isotropic(rng), second, teacher)
    seen = teacher * [1, 1, 1, 0]
    return x, seen, layers, pairs(x, rng)


@pytest.fixture(scope="module")
def report(trained):
    x, _, layers, views = trained
    return pt.inspect(*views, layers, labels=x[:, 0] > 0)


def test_the_fitted_scales_are_those_of_the_start(report):
    """To the error of the integration, about the fourth power of the step."""
    np.testing.assert_allclose(report.start_scales, [A0, B0], rtol=1e-6)
    assert report.start_gap.max() < 1e-6
    assert not report.start_gap_error.any()
    assert not report.start_scales_error.any()


def test_weights_of_every_layer_are_those_of_the_closed_form(trained, report):
    """The unseen coordinate keeps the scale of the encoder, and the head drops it."""
    _, seen, _, _ = trained
    last = seen.T @ seen
    law = pt.theory.starts.start_law(jnp.asarray(last), encoder=A0, head=B0)
    wanted = np.sqrt([np.diag(law), np.diag(last)])
    np.testing.assert_allclose(report.weights, wanted, atol=1e-6)
    np.testing.assert_allclose(report.start_weights, report.weights, atol=1e-6)
    assert report.weights[0, 3] == pytest.approx(A0**0.5, abs=1e-6)


def test_the_imbalance_is_that_of_the_start(report):
    frame = np.zeros((2, HIDDEN))
    frame[0, :OUTPUTS], frame[1, OUTPUTS : OUTPUTS + DIM] = B0, A0
    assert report.imbalance[0] == pytest.approx(np.linalg.norm(frame), rel=1e-6)


def test_the_start_law_holds_and_the_layerwise_law_fails(report):
    assert report.hypotheses["start law"].holds
    assert not report.hypotheses["layer-wise law"].holds
    assert report.law_gap[0] > 0.1 > 1e4 * report.start_gap[0]


def test_the_best_layer_is_that_of_the_closed_form(trained, report):
    """The label is the sign of the first coordinate; fewer labels, by the exact indicator."""
    x, _, layers, views = trained
    grams = [layers[0].T @ layers[0], report.weights[1] * 0]
    product = layers[1] @ layers[0]
    grams[1] = product.T @ product
    second = np.cov(np.concatenate(views).T)
    beta = np.linalg.pinv(second) @ np.cov(np.concatenate([x, x]).T)[:, 0]
    cost = [np.trace(g @ second) * beta @ np.linalg.pinv(g) @ beta for g in grams]
    assert report.recommended == int(np.argmin(cost)) + 1


def test_a_wide_start_like_pytorchs_is_recovered_up_to_its_randomness():
    """Random Grams deviate by about the root of (d + p) / h."""
    x, teacher = regression()
    rng, hidden = np.random.default_rng(2), 512
    layers = flow(like_pytorch(rng, hidden), x.T @ x / PAIRS, teacher, step=0.005, until=0.2)
    report = pt.inspect(*pairs(x, rng), layers)
    own = pt.theory.starts.Start.torch((DIM, hidden, OUTPUTS))
    deviation = 3 * ((DIM + OUTPUTS) / hidden) ** 0.5
    assert report.start_scales[0] == pytest.approx(float(own.encoder), rel=deviation)
    assert report.start_gap[0] < deviation
    assert report.law_gap[0] > 1


def test_a_balanced_network_has_no_scale_at_the_start():
    layer = np.diag([1.2, 0.9, 0.6, 0.4]) ** 0.5
    rng = np.random.default_rng(3)
    report = pt.inspect(*rng.normal(size=(2, 50, 4)), [layer, layer])
    # A scale below the root of the rounding cannot be told from none.
    np.testing.assert_allclose(report.start_scales, 0, atol=1e-7)
    assert report.start_gap.max() < 1e-7


def test_outputs_beside_their_inputs_have_the_same_law(trained, report):
    """Of a linear network, the best linear prediction is the network: without sampling error."""
    _, _, (one, two), (x1, x2) = trained
    outputs = [(x1 @ one.T, x2 @ one.T), (x1 @ one.T @ two.T, x2 @ one.T @ two.T)]
    other = pt.inspect(x1, x2, representations=outputs)
    np.testing.assert_allclose(other.start_scales, [A0, B0], rtol=1e-5)
    assert other.start_gap.max() < 1e-5
    assert other.hypotheses["start law"].holds


def test_outputs_that_are_not_linear_have_standard_errors(trained):
    _, _, (one, two), (x1, x2) = trained
    functions = [lambda x: np.maximum(x @ one.T, 0), lambda x: x @ two.T]
    other = pt.inspect(x1, x2, functions=functions)
    assert (other.start_scales_error > 0).any()
    assert other.start_gap_error[0] > 0
    assert np.isfinite(other.start_scales).all()


def test_other_depths_have_no_start_law(trained):
    _, _, (one, two), views = trained
    report = pt.inspect(*views, [one, np.eye(HIDDEN), two])
    assert report.start_scales is report.start_gap is report.start_weights is None
    assert "start law" not in report.hypotheses
    assert start_line(report) is None
    assert report.to_dict()["start"] is None


def test_the_start_law_is_in_every_form_of_the_report(report):
    plain = json.loads(report.to_json())
    assert plain["start"]["encoder"] == pytest.approx(A0)
    assert plain["layers"][0]["start_gap"] == report.start_gap[0]
    data = report.to_xarray()
    assert float(data.start_scales.sel(part="head")) == pytest.approx(B0)
    assert data.start_weights.dims == ("layer", "feature")
    assert "start gap" in [column.header for column in inspection_table(report).columns]
    assert start_line(report) in inspection_html(report)
    crosses = [line for line in report.plot().axes[0].lines if line.get_marker() == "x"]
    assert len(crosses) == report.kept.sum()

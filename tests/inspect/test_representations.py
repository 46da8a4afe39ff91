"""Inspection of representations and functions: numbers with errors, on networks of any kind."""

import itertools
import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import projhead_theory as pt

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


def digits(count, seed=0):
    """Both views of handwritten digits by noise, and the labels."""
    from sklearn.datasets import load_digits

    x, y = load_digits(return_X_y=True)
    rng = np.random.default_rng(seed)
    rows = rng.permutation(len(x))[:count]
    x = x[rows] / 16
    return *(x + 0.2 * rng.normal(size=x.shape) for _ in range(2)), y[rows]


def relu_layers(seed, widths=(64, 32, 16, 8)):
    """Random features: ReLU layers of Gaussian weights."""
    rng = np.random.default_rng(seed)
    weights = [rng.normal(size=(p, d)) * (2 / d) ** 0.5 for d, p in itertools.pairwise(widths)]
    return [lambda x, w=w: np.maximum(x @ w.T, 0) for w in weights]


def represented(functions, *views):
    """Both views of each layer."""
    layers = []
    for function in functions:
        views = tuple(function(x) for x in views)
        layers.append(views)
    return layers


def finite(data):
    """No infinite number, NaN or undecided entry anywhere."""
    text = json.dumps(data, allow_nan=False)
    return "undecid" not in text.lower()


@pytest.fixture(scope="module")
def relu():
    x1, x2, y = digits(400)
    return x1, x2, y, relu_layers(0)


@pytest.fixture(scope="module")
def report(relu):
    x1, x2, y, functions = relu
    return pt.inspect(x1, x2, functions=functions, labels=y)


SCHEMA = {"layers", "exponents", "start", "recommended_layer", "reason", "hypotheses"}
LAYER = {
    "layer",
    "weights",
    "spread",
    "effective_rank",
    "imbalance",
    "law_gap",
    "start_gap",
    "accuracy",
    "indicator",
}


def test_the_report_is_finite_and_has_the_documented_schema(report, tmp_path):
    data = report.to_dict()
    assert finite(data)
    assert set(data) == SCHEMA
    assert all(set(row) == LAYER for row in data["layers"])
    assert [row["layer"] for row in data["layers"]] == [1, 2, 3]
    assert len(data["exponents"]) == 3
    for hypothesis in data["hypotheses"].values():
        assert set(hypothesis) == {"holds", "value", "sentence"}
    assert json.loads(report.to_json(tmp_path / "report.json")) == data
    assert json.loads((tmp_path / "report.json").read_text()) == data
    numbers = report.to_xarray()
    assert all(np.isfinite(v.values).all() for v in numbers.data_vars.values())
    assert {"ridge", "logistic", "few-shot"} == set(numbers.probe.values)
    assert (numbers.accuracy_error > 0).all()


def test_functions_and_their_representations_are_inspected_alike(relu, report):
    x1, x2, _, functions = relu
    layers = represented(functions, x1, x2)
    one = pt.inspect(x1, x2, representations=layers)
    assert one.to_dict() == pt.inspect(x1, x2, functions=functions).to_dict()
    # Labels change nothing of what the layers weight.
    np.testing.assert_allclose(one.weights, report.weights)


def test_without_inputs_the_first_layer_is_followed(relu):
    """Its own weights are one, and its exponent zero.

    The directions are those of the sample itself, so the estimate free of bias is a little off.
    """
    layers = represented(relu[3], relu[0], relu[1])
    report = pt.inspect(representations=layers)
    assert finite(report.to_dict())
    np.testing.assert_allclose(report.weights[0], 1, rtol=0.01)
    assert report.shares.tolist() == [0, 0.5, 1]
    assert not report.accuracy


@settings(max_examples=6)
@given(seed=st.integers(0, 2**16), scale=st.floats(1e-2, 1e2))
def test_rotations_and_a_common_scale_change_nothing(seed, scale):
    x1, x2, y = digits(160)
    layers = represented(relu_layers(1), x1, x2)
    rng = np.random.default_rng(seed)
    turned = []
    for r1, r2 in layers:
        q = scale * np.linalg.qr(rng.normal(size=(r1.shape[1],) * 2))[0]
        turned.append((r1 @ q, r2 @ q))
    settings = {"labels": y > 4, "draws": 4}
    one = pt.inspect(x1, x2, representations=layers, **settings)
    two = pt.inspect(x1, x2, representations=turned, **settings)
    assert two.recommended == one.recommended
    np.testing.assert_allclose(two.weights, scale * one.weights, rtol=1e-6)
    for name in ("signal", "effective_rank", "spread", "exponents", "law_gap", "indicator"):
        np.testing.assert_allclose(getattr(two, name), getattr(one, name), rtol=1e-6, atol=1e-9)
    for name, accuracy in one.accuracy.items():
        # A row whose two classes score alike to rounding may change sides.
        np.testing.assert_allclose(two.accuracy[name], accuracy, atol=1.5 / 160)


def few_shot(layers, y, shots, draws, seed):
    """Accuracies `(R, L)` of nearest class means on a few labels, in NumPy."""
    rng, result = np.random.default_rng(seed), []
    for _ in range(draws):
        rows = np.concatenate(
            [rng.choice(np.flatnonzero(y == k), shots, replace=False) for k in np.unique(y)]
        )
        rest = np.setdiff1d(np.arange(len(y)), rows)
        result.append([])
        for r, _ in layers:
            means = np.stack([r[rows][y[rows] == k].mean(axis=0) for k in np.unique(y)])
            nearest = ((r[rest, None] - means) ** 2).sum(axis=2).argmin(axis=1)
            result[-1].append((np.unique(y)[nearest] == y[rest]).mean())
    return np.asarray(result)


def within_interval(accuracy, layer):
    """The layer's accuracy is not below the best one's, by the paired error over draws."""
    top = accuracy.mean(axis=0).argmax()
    ahead = accuracy[:, top] - accuracy[:, layer - 1]
    return ahead.mean() <= 1.96 * ahead.std(ddof=1) / len(ahead) ** 0.5 + 1e-12


def test_the_recommended_layer_reads_best_from_few_labels(relu, report):
    x1, x2, y, functions = relu
    accuracy = few_shot(represented(functions, x1, x2), y, 5, 20, seed=7)
    assert within_interval(accuracy, report.recommended)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(8))
def test_the_recommended_layer_reads_best_for_other_networks_too(seed):
    """Layers of one width, whose order is no foregone conclusion."""
    x1, x2, y = digits(700, seed)
    functions = relu_layers(seed + 10, (64, 64, 64, 16))
    report = pt.inspect(x1, x2, functions=functions, labels=y)
    assert finite(report.to_dict())
    accuracy = few_shot(represented(functions, x1, x2), y, 5, 50, seed=seed + 100)
    assert within_interval(accuracy, report.recommended)


def test_standard_errors_are_those_of_repeated_samples():
    """Scatter of weights, signal and indicator over 60 samples against the errors they state.

    A ratio of standard deviations from 60 samples and 19 degrees of freedom each has a standard
    error of about 0.1.
    """
    rng = np.random.default_rng(5)
    w = np.array([[1.0, 0.4], [0.0, 0.6], [0.3, 0.1]])
    values, errors = [], []
    for _ in range(60):
        u = rng.normal(size=(150, 2))
        first, second = (np.tanh((u + 0.4 * rng.normal(size=u.shape)) @ w.T) for _ in range(2))
        report = pt.inspect(representations=[(first, second)], features=u)
        values.append([*report.weights[0], report.signal[0], np.log(report.indicator[0])])
        errors.append(
            [
                *report.weights_error[0],
                report.signal_error[0],
                report.indicator_error[0] / report.indicator[0],
            ]
        )
    ratio = np.std(values, axis=0, ddof=1) / np.sqrt(np.mean(np.square(errors), axis=0))
    assert (np.abs(np.log(ratio)) < 0.45).all()


def test_the_jackknife_removes_the_bias_of_a_small_sample():
    """The squared weight of a feature that the layer does not see is zero on average, and it is
    not counted as kept.
    """
    rng = np.random.default_rng(6)
    kept = []
    for _ in range(20):
        u = rng.normal(size=(60, 2))
        r = np.stack([u[:, 0], rng.normal(size=60), rng.normal(size=60)], axis=1)
        kept.append(pt.inspect(representations=[(r, r)], features=u).kept)
    counts = np.sum(kept, axis=0)
    assert counts[0] == 20
    # Two standard errors of a one-sided test leave some 3 per cent; eight of 20 never.
    assert counts[1] < 8


def test_a_layer_of_one_value_and_two_rows_have_numbers(relu):
    x1, x2, y, _ = relu
    flat = pt.inspect(
        x1, x2, functions=[lambda x: x[:, :8], lambda x: np.ones((len(x), 3))], labels=y
    )
    assert finite(flat.to_dict())
    assert flat.recommended == 1
    tiny = np.array([[1.0, 0.0], [0.0, 2.0]])
    assert finite(pt.inspect(tiny, tiny + 0.1, [np.eye(2)]).to_dict())
    four = np.repeat(tiny, 2, axis=0) + 0.01 * np.arange(8).reshape(4, 2)
    least = pt.inspect(four, four + 0.1, [np.eye(2), np.eye(2)], labels=["a", "a", "b", "b"])
    assert finite(least.to_dict())

"""The option `--start` of `predict` and `simulate`."""

import json

import numpy as np
import pytest
from helpers.cli import run

from projhead_theory.theory.starts import Start, weights_before_head

pytestmark = pytest.mark.x64

PROBLEM = ("--strength", "2,1,0.5", "--noise", "1,0.2,0.3")
WEIGHTS = np.array([0.4, 1 / 1.04, 0.5 / 0.34])


@pytest.mark.parametrize(
    ("options", "start"),
    [
        (("--start", "2,0.5"), Start(2.0, 0.5)),
        (("--start", "torch", "--hidden", "512"), Start.torch((3, 512, 3))),
        (("--start", "flax", "--hidden", "512"), Start.flax((3, 512, 3))),
    ],
)
def test_predict_from_a_start(capsys, options, start):
    code, out, _ = run(capsys, "predict", *PROBLEM, *options, "--target", "1", "--json", "-")
    data = json.loads(out)
    assert code == 0
    scales = {"encoder": float(start.encoder), "head": float(start.head)}
    assert data["start"] == pytest.approx(scales)
    before = weights_before_head(WEIGHTS, **scales)
    np.testing.assert_allclose(data["weights"], [before, WEIGHTS], rtol=1e-12)
    phi = np.array([2.0, 1.0, 0.5])
    indicator = np.sum((before / before[0]) ** 2 * (phi / phi[0]) ** 2)
    assert data["downstream"]["sample_complexity"][0] == pytest.approx(float(indicator))


def test_predict_says_the_scales(capsys):
    _, out, _ = run(capsys, "predict", *PROBLEM, "--start", "2,0.5")
    assert "From a start of scales 2 (encoder) and 0.5 (head)." in out
    _, out, _ = run(capsys, "predict", *PROBLEM, "--json", "-")
    assert json.loads(out)["start"] is None


def test_simulate_from_exact_scales(capsys):
    """The trained network ends at the weights of the start law."""
    code, out, _ = run(capsys, "simulate", *PROBLEM, "--start", "1,0.25", "--json", "-")
    data = json.loads(out)
    assert code == 0
    assert data["start"] == {"encoder": 1.0, "head": 0.25}
    assert data["verdict"] is None
    np.testing.assert_allclose(data["measured"], data["predicted"], rtol=1e-7)


def test_simulate_from_the_default_of_a_framework(capsys):
    """Near the law, by about the root of inputs and outputs over the hidden width."""
    options = ("--start", "torch", "--hidden", "512", "--t1", "0.5")
    code, out, _ = run(capsys, "simulate", *PROBLEM, *options, "--json", "-")
    data = json.loads(out)
    assert code == 0
    before, predicted = (np.asarray(data[name])[0] for name in ("measured", "predicted"))
    assert 1e-6 < np.abs(before / predicted - 1).max() < 2 * (6 / 512) ** 0.5


@pytest.mark.parametrize(
    ("command", "options", "message"),
    [
        ("predict", ("--start", "1"), "start: got '1'; want ENCODER,HEAD"),
        ("predict", ("--start", "1,2,3"), "start: got '1,2,3'; want ENCODER,HEAD"),
        ("predict", ("--start", "-1,2"), "encoder: got -1.0; want non-negative"),
        ("predict", ("--start", "torch"), "hidden: got none; want --hidden N"),
        ("predict", ("--start", "1,2", "--depth", "3"), "depth: got 3; want 2 with a start"),
        ("simulate", ("--start", "1,2", "--hidden", "4"), "width: got 4; want at least 6"),
        ("simulate", ("--start", "1,2", "--depth", "3"), "depth: got 3; want 2 with a start"),
        ("simulate", ("--start", "flax"), "hidden: got none; want --hidden N"),
    ],
)
def test_bad_usage(capsys, command, options, message):
    code, _, err = run(capsys, command, *PROBLEM, *options)
    assert code == 2
    assert message in err

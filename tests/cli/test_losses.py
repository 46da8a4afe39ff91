"""Losses on the command line: predictions, runs beside them, and what is refused."""

import json

import numpy as np
import pytest
from helpers.cli import run

PROBLEM = ("--strength", "2,1", "--noise", "1,0.5")
C, Q = np.array([4.0, 1.0]), np.array([5.0, 1.25])
LAMBDA = C / Q

pytestmark = pytest.mark.x64


def predicted(capsys, *arguments):
    code, out, _ = run(capsys, "predict", *arguments, "--json", "-")
    assert code == 0
    return json.loads(out)


@pytest.mark.parametrize(
    ("loss", "arguments", "squares"),
    [
        ("spectral", (), LAMBDA / Q),
        ("vicreg", ("--beta", "1.5"), (1 - 1.5 * (1 - LAMBDA)) / Q),
        ("whitening", (), 1 / Q),
        ("infonce", ("--temperature", "0.5"), 0.5 * LAMBDA / Q),
        (
            "infonce-distance",
            ("--temperature", "0.5"),
            0.5 * (2 / (np.sqrt(9 - 8 * LAMBDA) - 1) - 1) / Q,
        ),
        ("barlow-twins", (), 1 / C),
    ],
)
def test_predict_with_a_loss(capsys, loss, arguments, squares):
    report = predicted(capsys, *PROBLEM, "--loss", loss, *arguments)
    assert report["loss_function"] == loss
    np.testing.assert_allclose(report["weights"], [squares**0.25, squares**0.5], rtol=1e-12)
    assert report["kept"] == [0, 1]


def test_predict_with_sign_flips(capsys):
    given = ("--strength", "2,1", "--flip", "0.1,0.2", "--loss", "infonce-rademacher")
    squares = np.arctanh([0.64, 0.36]) / [4, 1]
    np.testing.assert_allclose(predicted(capsys, *given)["weights"][-1], squares**0.5, rtol=1e-12)


def test_a_narrow_barlow_twins_network_is_said_to_have_many_minimisers(capsys):
    given = (*PROBLEM, "--loss", "barlow-twins", "--width", "1")
    report = predicted(capsys, *given)
    assert report["kept"] == [0]
    np.testing.assert_allclose(report["weights"][-1], [0.5, 0])
    assert report["loss"] == pytest.approx(0)
    _, out, _ = run(capsys, "predict", *given)
    assert "Many minimisers" in out


@pytest.mark.parametrize(
    ("loss", "views", "judged"),
    [
        ("infonce", PROBLEM, True),
        ("infonce-rademacher", ("--strength", "2,1", "--flip", "0.1,0.2"), False),
    ],
)
def test_simulate_with_a_loss(capsys, loss, views, judged):
    """The run ends at the prediction; there is a verdict where the loss equals a spectral one."""
    given = ("simulate", *views, "--loss", loss, "--temperature", "0.5", "--json", "-")
    code, out, _ = run(capsys, *given)
    report = json.loads(out)
    assert code == 0
    assert report["loss_function"] == loss
    np.testing.assert_allclose(report["measured"], report["predicted"], rtol=1e-8)
    assert report["loss"] == pytest.approx(report["predicted_loss"], rel=1e-10)
    assert (report["verdict"] is not None) == judged
    assert not judged or report["verdict"]["outcome"] == "holds"


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("predict", "--loss", "hinge"), "loss: got 'hinge'; want one of spectral, vicreg"),
        (("predict", "--beta", "2"), "beta: got 2 for spectral; want it for vicreg alone"),
        (
            ("predict", "--loss", "vicreg", "--temperature", "2"),
            "temperature: got 2 for vicreg; want it for infonce",
        ),
        (("predict", "--loss", "vicreg", "--beta", "0"), "beta: got 0.0; want positive"),
        (("predict", "--loss", "infonce", "--temperature", "-1"), "temperature: got -1.0"),
        (
            ("predict", "--loss", "infonce-rademacher"),
            "noise: got '1,0.5'; want none: infonce-rademacher needs Rademacher features",
        ),
        (
            ("predict", "--loss", "infonce", "--mask", "0.1,0"),
            "mask: got '0.1,0'; want none: infonce needs Gaussian views",
        ),
        (("predict", "--loss", "vicreg", "--target", "1"), "loss: got 'vicreg' beside --target"),
        (("simulate", "--loss", "whitening"), "loss: got 'whitening', which is a constraint"),
        (
            ("simulate", "--loss", "infonce", "--distribution", "laplace"),
            "distribution: got 'laplace'; want gaussian: infonce needs Gaussian views",
        ),
    ],
)
def test_bad_usage_is_one_clear_line(capsys, arguments, says):
    command, *rest = arguments
    code, _, err = run(capsys, command, *PROBLEM, *rest)
    assert code == 2
    assert says in err, err
    assert err.count("\n") == 1

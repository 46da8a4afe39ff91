"""`projhead simulate`: every method, seeds, and runs that do not end well."""

import json
import re

import numpy as np
import pytest
from helpers.cli import PROBLEM, run
from helpers.draws import some

pytestmark = pytest.mark.x64


@pytest.mark.parametrize("method", some(["flow", "descent", "stochastic"], 0, kind="slow"))
def test_simulate(capsys, tmp_path, method):
    """Each method trains, agrees with the prediction, and leaves a JSON file and a figure."""
    out_file, figure = tmp_path / "s.json", tmp_path / "s.png"
    extra = {
        "flow": [],
        "descent": ["--steps", "20000", "--learning-rate", "0.005"],
        "stochastic": ["--steps", "6000", "--learning-rate", "0.003"],
    }[method]
    code, out, _ = run(
        capsys,
        "simulate",
        *PROBLEM,
        "--method",
        method,
        "--scale",
        "0.7",
        *extra,
        "--json",
        str(out_file),
        "--plot",
        str(figure),
    )
    data = json.loads(out_file.read_text())
    assert code == 0
    assert data["verdict"]["outcome"] == "holds", data["verdict"]
    assert "predicted" in out
    assert figure.stat().st_size > 1000
    if method == "flow":
        np.testing.assert_allclose(data["measured"], data["predicted"], rtol=1e-6)
        assert data["ended"] == "converged"


def test_simulate_reproduces_from_its_seed(capsys):
    arguments = ("simulate", *PROBLEM, "--method", "descent", "--steps", "50", "--json", "-")
    first, again, other = (
        json.loads(run(capsys, *arguments, "--seed", s)[1]) for s in ("3", "3", "4")
    )
    assert first["measured"] == again["measured"] != other["measured"]


def test_simulate_does_not_call_a_saddle_a_violation(capsys):
    """The weak feature has not been learned when the gradient of the strong one, ten thousand times
    stronger, has vanished.
    """
    strengths = ("--strength", "100,0.01", "--noise", "100,0.01")
    method = ("--method", "descent", "--steps", "500", "--learning-rate", "1e-5", "--scale", "0.01")
    code, out, _ = run(
        capsys,
        "simulate",
        *strengths,
        *method,
        "--depth",
        "1",
        "--precision",
        "float32",
        "--json",
        "-",
    )
    data = json.loads(out)
    assert (code, data["ended"]) == (0, "converged")
    assert data["measured"][-1][0] == pytest.approx(0.005, rel=1e-4)
    assert data["verdict"]["outcome"] == "not_converged", data["verdict"]


def test_simulate_divergence_is_exit_2_without_nan(capsys):
    """The step it happened at, the last finite state, and no NaN anywhere."""
    code, out, err = run(
        capsys,
        "simulate",
        *PROBLEM,
        "--method",
        "descent",
        "--learning-rate",
        "5",
        "--scale",
        "1",
        "--json",
        "-",
    )
    assert code == 2
    assert re.search(
        r"diverged: it is not finite after step \d+; the last finite state recorded has loss", err
    )
    assert "nan" not in (out + err).lower()
    assert json.loads(out)["ended"] == "diverged"

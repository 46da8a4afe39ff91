"""The command line on layers: `predict --target`, and `phase`."""

import json

import numpy as np
import pytest
from helpers.cli import run

pytestmark = pytest.mark.x64

PROBLEM = ["--strength", "1.5,1,0.6", "--noise", "1,0.2,0.3"]
PLANE = [*PROBLEM, "--target", "2", "--x", "noise:0:1.5", "--y", "strength:0.2:2", "--points", "16"]


def test_predict_says_which_layer_reads_the_target_with_fewest_labels(capsys):
    code, out, _ = run(capsys, "predict", *PROBLEM, "--depth", "3", "--target", "1", "--json", "-")
    report = json.loads(out)["downstream"]
    weights = np.array([1.5, 1, 0.6]) / (np.square([1.5, 1, 0.6]) + np.square([1, 0.2, 0.3]))
    tau = np.arange(1, 4)[:, None] / 3
    want = ((weights / weights[0]) ** (2 * tau) * np.square([1.5, 1, 0.6]) / 1.5**2).sum(axis=1)
    assert code == 0
    np.testing.assert_allclose(report["sample_complexity"], want, rtol=1e-12)
    assert report["best_layer"] == 1
    assert report["pre_beats_post"] is True
    assert report["margin"] == pytest.approx(np.log(want[2] / want[1]))
    code, out, _ = run(capsys, "predict", *PROBLEM, "--depth", "3", "--target", "1")
    assert "Pre-projection (layer 2) beats post-projection (layer 3)." in out
    assert max(map(len, out.splitlines())) <= 80


def test_predict_says_that_a_target_is_lost(capsys):
    code, out, _ = run(capsys, "predict", *PROBLEM, "--width", "1", "--target", "1", "--json", "-")
    report = json.loads(out)["downstream"]
    assert code == 0
    assert report["lost"] is True
    assert report["sample_complexity"] == [None, None]
    assert report["best_layer"] is report["pre_beats_post"] is report["margin"] is None
    assert (
        "No layer keeps the target"
        in run(capsys, "predict", *PROBLEM, "--width", "1", "--target", "1")[1]
    )


def test_predict_takes_downstream_strengths_and_a_head_of_more_layers(capsys):
    report = lambda *more: json.loads(
        run(capsys, "predict", *PROBLEM, "--depth", "4", "--target", "2", *more, "--json", "-")[1]
    )
    same, other, deep = report(), report("--downstream", "9,1,0.1"), report("--head-depth", "3")
    assert same["downstream"]["sample_complexity"] != other["downstream"]["sample_complexity"]
    complexity = deep["downstream"]["sample_complexity"]
    assert deep["downstream"]["margin"] == pytest.approx(np.log(complexity[3] / complexity[0]))


def test_phase_writes_the_grid_its_boundary_and_a_figure(capsys, tmp_path):
    data, figure = tmp_path / "phase.json", tmp_path / "phase.svg"
    code, out, _ = run(capsys, "phase", *PLANE, "--json", str(data), "--plot", str(figure))
    report = json.loads(data.read_text())
    assert code == 0
    assert "pre-projection is better" in out
    assert np.shape(report["margin"]) == np.shape(report["best_layer"]) == (16, 16)
    assert report["x"]["name"] == "noise of feature 2"
    assert report["target"] == 1, "an index, as in the arrays"
    assert report["simulated"] is None
    sigma, phi = np.array(report["boundary"]).T
    weights = phi / (phi**2 + sigma**2)
    np.testing.assert_allclose(weights, weights[0], rtol=1e-10)
    assert figure.read_text().lstrip().startswith("<?xml")


@pytest.mark.slow
def test_phase_trains_networks_on_the_plane(capsys, tmp_path):
    data = tmp_path / "phase.json"
    code, out, _ = run(
        capsys,
        "phase",
        *PLANE,
        "--simulate",
        "5",
        "--json",
        str(data),
        "--plot",
        str(tmp_path / "phase.png"),
    )
    simulated = json.loads(data.read_text())["simulated"]
    assert code == 0
    assert "trained networks" in out
    assert len(simulated["measured"]) == 5
    assert all(simulated["agrees"])
    assert not any(simulated["misclassified"])


@pytest.mark.slow
def test_phase_exit_1_if_a_trained_network_is_on_the_other_side(capsys, monkeypatch):
    import equinox as eqx

    from projhead_theory import theorems

    right = theorems.check_phase
    monkeypatch.setattr(
        theorems,
        "check_phase",
        lambda *a: eqx.tree_at(lambda c: c.measured, right(*a), replace_fn=lambda m: -m),
    )
    assert run(capsys, "phase", *PLANE, "--simulate", "4")[0] == 1


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (
            ["predict", *PROBLEM, "--target", "4"],
            "target: got 4; want the number of a feature, from 1",
        ),
        (
            ["predict", *PROBLEM, "--target", "0"],
            "target: got 0; want the number of a feature, from 1",
        ),
        (["predict", *PROBLEM, "--target", "1", "--head-depth", "3"], "head_depth: got 3; want"),
        (["predict", *PROBLEM, "--downstream", "1,1,1"], "downstream: got"),
        (
            ["predict", *PROBLEM, "--target", "1", "--downstream", "1,1"],
            "downstream: got 2 numbers",
        ),
        (
            ["predict", "--strength", "1,1", "--noise", "0.1,0.1", "--width", "1", "--target", "1"],
            "width: got 1, which cuts between the tied signal fractions",
        ),
        (["phase", *PLANE, "--x", "noise:0"], "x: got 'noise:0'; want"),
        (["phase", *PLANE, "--x", "noise:1:0"], "x: got 'noise:1:0'; want"),
        (["phase", *PLANE, "--x", "colour:0:1"], "x: got 'colour:0:1'; want"),
        (
            ["phase", *PLANE, "--x", "noise@4:0:1"],
            "x: got 'noise@4:0:1'; want a feature from 1 to 3",
        ),
        (
            ["phase", *PLANE, "--x", "noise@0:0:1"],
            "x: got 'noise@0:0:1'; want a feature from 1 to 3",
        ),
        (["phase", *PLANE, "--x", "flip:0:1.1"], "flip: got 1.1"),
        (["phase", *PLANE, "--x", "strength:0.1:1"], "y: got 'strength:0.2:2'; want"),
        (["phase", *PLANE, "--points", "1"], "points: got 1; want"),
        (["phase", *PLANE, "--simulate", "-1"], "simulate: got -1; want"),
        (["phase", *PLANE, "--simulate", "2", "--width", "2"], "width: got 2; want"),
        (["phase", *PLANE, "--plot", "figure.xyz"], "plot: got"),
        (["phase", *PLANE, "--json", "/nowhere/phase.json"], "json: got"),
    ],
)
def test_bad_arguments_are_one_clear_line(capsys, arguments, says):
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert err.strip().startswith(f"projhead: {says}")
    assert len(err.strip().splitlines()) == 1

"""`projhead experiment`: the experiments of the library from the command line."""

import json

import pytest
from helpers.cli import run

from projhead_theory.cli._experiment import EXPERIMENTS

pytestmark = pytest.mark.x64

# Small: what is tested is the command, not the experiments.
SMALL = {
    "feature-sweep": ["--strength", "0.2,1", "--flip", "0"],
    "connected-sweep": ["--strength", "0.4", "--flip", "0.5", "--seeds", "2"],
    "shift-accuracy": ["--times", "1", "--correlation", "0.9", "--seeds", "2"],
    "subclass-accuracy": ["--times", "1,10", "--seeds", "2"],
    "cosine-gap": ["--temperature", "1", "--features", "4,6"],
}
COLUMNS = {
    "feature-sweep": "strength\tflip\tlayer 1\tclosed form\tlayer 2\tclosed form",
    "connected-sweep": "strength\tflip\tlayer\tshare\tlow\thigh\tverdict\tdiagonal",
    "shift-accuracy": "correlation\tthreshold\treadout\ttime\tlayer\taverage\tworst group",
    "subclass-accuracy": "width\tlayer\ttime\taccuracy\terror\tclosed form",
    "cosine-gap": "features\ttemperature\tcosines\t± cosines\tproducts\t± products",
}
ROWS = {
    "feature-sweep": 2,
    "connected-sweep": 2,
    "shift-accuracy": 4,
    "subclass-accuracy": 4,
    "cosine-gap": 2,
}


@pytest.mark.parametrize(
    "name",
    [
        "feature-sweep",
        pytest.param("connected-sweep", marks=pytest.mark.slow),
        pytest.param("shift-accuracy", marks=pytest.mark.slow),
        pytest.param("subclass-accuracy", marks=pytest.mark.slow),
        pytest.param("cosine-gap", marks=pytest.mark.slow),
    ],
)
def test_every_experiment_has_a_table_a_figure_and_json(name, capsys, tmp_path):
    data, figure = tmp_path / "out.json", tmp_path / "out.svg"
    command = ["experiment", name, "--quick", *SMALL[name]]
    code, out, _ = run(capsys, *command, "--json", str(data), "--plot", str(figure))
    lines = out.splitlines()
    assert code == 0
    assert lines[0].startswith("# ")
    assert lines[1].startswith(COLUMNS[name])
    assert len(lines) == 2 + ROWS[name]
    assert json.loads(data.read_text())["experiment"] == name
    assert figure.read_text().startswith("<?xml")


def test_every_experiment_is_tested_here():
    assert set(EXPERIMENTS) == set(SMALL)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["nothing"], "NAME: got 'nothing'; want one of feature-sweep, connected-sweep"),
        (["feature-sweep", "--seed", "1"], "seed: got 1; want an option of feature-sweep, which"),
        (["shift-accuracy", "--width", "2"], "width: got '2'; want an option of shift-accuracy"),
        (["connected-sweep", "--depth", "3"], "depth: got 3; want an option of connected-sweep"),
        (["subclass-accuracy", "--width", "2.5"], "width: got 2.5; want whole numbers"),
        (["cosine-gap", "--features", "2.5"], "features: got 2.5; want whole numbers"),
        (["subclass-accuracy", "--loss", "hinge"], "loss: got 'hinge'; want contrastive or regr"),
        (["feature-sweep", "--strength", "a"], "strength: got 'a'; want numbers separated"),
        (["feature-sweep", "--strength", "-1"], "strength: got -1.0 at index 0; want positive"),
        (["feature-sweep", "--plot", "a.txt"], "a file ending in .png, .svg or .pdf"),
        (["feature-sweep", "--json", "no/such/a.json"], "a folder that can be written to"),
    ],
)
def test_bad_input_is_one_line(arguments, message, capsys):
    code, _, err = run(capsys, "experiment", *arguments)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1

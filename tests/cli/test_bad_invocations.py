"""Bad invocations of every command: exit 2, nothing printed, and one line within two seconds.

The line names the argument, what came and what is wanted.
"""

import time

import pytest
from helpers.cli import run

pytestmark = pytest.mark.x64

MODEL = "--strength 2,1 --noise 1,0.2"
PREDICT, SIMULATE, CONVERGENCE = (
    f"{name} {MODEL}" for name in ("predict", "simulate", "convergence")
)
PHASE = f"phase {MODEL} --target 1 --x noise:0:1 --y strength:0.1:2"
FIGURE = "figures layerwise-law --out made"

BAD = {
    # Names.
    "conquer": "No such command 'conquer'",
    "predict --depths 2 --strength 1": "No such option: --depths",
    "verify layerwise": "claim: got 'layerwise', which is unknown; did you mean 'layerwise-law'?",
    "figures layerwise": "figure: got 'layerwise', which is unknown; did you mean",
    "claims show layerwise": "claim: got 'layerwise', which is unknown; did you mean",
    "experiment sweep": "NAME: got 'sweep'; want one of feature-sweep,",
    "images cats": "name: got 'cats'; want one of coarse-to-fine,",
    # What is missing, or too much.
    "predict": "Missing option '--strength'",
    "explore": "Missing option '--out'",
    "figures layerwise-law": "out: got nothing; want --out DIR, or --list",
    "sweep bad.toml": "out: got nothing; want --out DIR.zarr, or --dry-run",
    f"{PREDICT} more": "Got unexpected extra argument",
    # Numbers.
    "predict --strength 2,x": "strength: got '2,x'; want numbers separated by commas",
    "predict --strength 2,-1": "strength: got -1.0 at index 1; want positive",
    f"{PREDICT},3": "noise: got 3 numbers (1,0.2,3); want 2, as many as there are strengths",
    f"{PREDICT} --depth 1.5": "--depth: got '1.5'; want a whole number",
    f"{SIMULATE} --t1=soon": "--t1: got 'soon'; want a number",
    f"{PREDICT} --depth 0": "depth: got 0; want a whole number >= 1",
    f"{PREDICT} --target 3": "target: got 3; want the number of a feature, from 1 to 2",
    f"{PREDICT} --start 1": "start: got '1'; want ENCODER,HEAD",
    f"{PREDICT} --start 1,2 --depth 3": "depth: got 3; want 2 with a start",
    f"{SIMULATE} --scale -1": "scale: got -1.0; want non-negative",
    f"{SIMULATE} --method descent --learning-rate 0": "learning_rate: got 0.0; want positive",
    f"{PHASE} --x noise:0": "x: got 'noise:0'; want NUMBER[@FEATURE]:LOW:HIGH",
    f"{PHASE} --points 1": "points: got 1; want at least two",
    f"{PHASE} --head-depth 5": "head_depth: got 5; want at most the depth, 2",
    f"{CONVERGENCE} --seeds 1": "seeds: got 1; want a whole number >= 2",
    f"{CONVERGENCE} --confidence 1.5": "confidence: got 1.5; want a number between 0 and 1",
    "explore --out page.html --strength 2": "strength: got 1 features; want 2 to 5",
    "images shift --seeds 0": "seeds: got 0; want a whole number >= 1",
    "experiment connected-sweep --seeds 0": "seeds: got 0; want a whole number >= 2",
    "verify --workers 0": "workers: got 0; want at least one thread",
    "verify --fuzz 0": "fuzz: got 0; want at least one problem",
    "sweep bad.toml --out made --shard 5": "shard: got '5'; want I/N",
    "sweep bad.toml --out made --max-memory lots": "max-memory: got 'lots'; want bytes",
    f"{FIGURE} --set depth=x": "depth: got 'x'; want a whole number",
    f"{FIGURE} --set depth": "set: got 'depth'; want NAME=VALUE",
    f"{FIGURE} --width wide": "width: got 'wide'; want single, double, or inches",
    # Choices.
    f"{PREDICT} --loss hinge": "loss: got 'hinge'; want one of spectral,",
    f"{PREDICT} --precision half": "precision: got 'half'; want float64 or float32",
    f"{SIMULATE} --method magic": "method: got 'magic'; want one of flow, descent, stochastic",
    f"{SIMULATE} --start zero": "start: got 'zero'; want one of gaussian,",
    f"{CONVERGENCE} --knob depth": "knob: got 'depth'; want one of step,",
    "experiment subclass-accuracy --loss hinge": "loss: got 'hinge'; want contrastive or",
    f"{FIGURE} --format gif": "format: got 'gif'; want one or more of pdf, svg, png",
    f"{FIGURE} --style neon": "style: got 'neon'; want one of paper, slides, dark",
    # Options that do not apply.
    f"{SIMULATE} --steps 5": "steps: got 5 for flow; want it for descent, stochastic alone",
    f"{SIMULATE} --method descent --t1 5": "t1: got 5.0 for descent; want it for flow alone",
    f"{SIMULATE} --method descent --batch-size 5": "batch_size: got 5 for descent; want it for",
    f"{SIMULATE} --hidden 5": "hidden: got 5; want --start of two layers beside it",
    f"{PREDICT} --temperature 1": "temperature: got 1 for spectral; want it for infonce,",
    f"{PREDICT} --head-depth 1": "head_depth: got 1; want --target J beside it",
    f"{PREDICT} --downstream 1,1": "downstream: got '1,1'; want --target J beside it",
    "verify --depth 3": "depth: got 3; want --views FILE.npz beside it",
    "verify --fuzz 3 --quick": "fuzz: got --html, --markdown, --quick, --views or --workers",
    "experiment feature-sweep --seeds 3": "seeds: got 3; want an option of feature-sweep, which",
    f"{FIGURE} --redraw made.nc": "redraw: got names or settings beside it; want data files",
    # Files.
    "inspect none.npz": "file: got none.npz, which does not exist; want an npz file,",
    "inspect bad.npz": "file: got bad.npz, which is no npz file; want an npz file,",
    "verify --views bad.npz": "views: got bad.npz, which cannot be read",
    "sweep none.toml --out made": "specification: got none.toml (No such file",
    "sweep bad.toml --out made": "specification: got bad.toml (Expected ']'",
    "figures --redraw none.nc --out made": "redraw: got none.nc",
    "images shift --data none": "data: got 'none'; want a folder",
    # Outputs that cannot be written.
    f"{PREDICT} --json none/x.json": "json: got none/x.json (No such file or directory); want",
    f"{SIMULATE} --plot none/x.png": "plot: got 'none/x.png'; want a file in a folder that",
    f"{SIMULATE} --plot x.doc": "plot: got 'x.doc'; want a file ending in .png, .svg or .pdf",
    f"{PHASE} --csv none/x.csv": "csv: got 'none/x.csv'; want a file in a folder that",
    "inspect bad.npz --html none/x.html": "html: got 'none/x.html'; want a file in a folder",
    "claims list --csv none/x.csv": "csv: got 'none/x.csv'; want a file in a folder that",
    "explore --out none/x.html": "out: got 'none/x.html'; want a file in a folder that",
    "images shift --out bad.toml/x": "out: got bad.toml/x (Not a directory); want a folder that",
    "info --json none/x.json": "json: got none/x.json (No such file or directory); want",
}


@pytest.fixture(scope="module", autouse=True)
def loaded():
    """Loading is slow under the checks of types that the tests alone have."""
    import projhead_theory as pt

    assert pt.gallery.find("layerwise-law").name in pt.gallery.names()
    assert callable(pt.report.explorer_html)
    assert callable(pt.images.shift)


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch):
    """A folder with two files that cannot be read as what they should be."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "bad.npz").write_bytes(b"no archive")
    (tmp_path / "bad.toml").write_text("[problem\n")
    (tmp_path / "made").mkdir()
    return tmp_path


@pytest.mark.parametrize("line", BAD)
def test_a_bad_invocation_is_one_line(capsys, folder, line):
    before = sorted(folder.rglob("*"))
    begin = time.process_time()
    code, out, err = run(capsys, *line.split())
    seconds = time.process_time() - begin
    assert (code, out) == (2, "")
    assert err.startswith(f"projhead: {BAD[line]}"), err
    assert err.count("\n") == 1
    assert seconds < 2
    assert sorted(folder.rglob("*")) == before, "something was written"


def test_every_command_is_among_them():
    from projhead_theory.cli import app

    commands = {info.name or info.callback.__name__ for info in app.registered_commands}
    commands |= {group.name for group in app.registered_groups}
    assert {line.split()[0] for line in BAD} >= commands
    assert len(BAD) > 40

"""Bad usage is one clear line, and help is quick."""

import subprocess
import sys
import time

import pytest
from helpers.cli import run

pytestmark = pytest.mark.x64


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (["predict"], "Missing option '--strength'"),
        (["predict", "--strength", ""], "strength: got ''"),
        (["predict", "--strength", "2,x"], "strength: got '2,x'"),
        (["predict", "--strength", "0,1"], "strength: got 0.0 at index 0; want positive"),
        (["predict", "--strength", "1,-2"], "strength: got -2.0 at index 1"),
        (["predict", "--strength", "nan,1"], "strength: got nan"),
        (["predict", "--strength", "1,inf"], "strength: got inf"),
        (["predict", "--strength", "2,1", "--noise", "1"], "noise: got 1 numbers (1); want 2"),
        (
            ["predict", "--strength", "2,1", "--noise", "1,-1"],
            "noise: got -1.0 at index 1; want non-negative",
        ),
        (
            ["predict", "--strength", "2,1", "--flip", "0.1,1.5"],
            "flip: got 1.5 at index 1; want probabilities in [0, 1]",
        ),
        (["predict", "--strength", "2,1", "--mask", "-0.1,0"], "mask: got -0.1"),
        (["predict", "--strength", "2,1", "--depth", "0"], "depth: got 0"),
        (["predict", "--strength", "2,1", "--depth", "two"], "--depth"),
        (["predict", "--strength", "2,1", "--width", "0"], "width: got 0"),
        (
            ["predict", "--strength", "2,1", "--json", "/nonexistent/x.json"],
            "json: got /nonexistent/x.json",
        ),
        (["predict", "--strength", "2,1", "--precision", "half"], "precision: got 'half'"),
        (
            ["simulate", "--strength", "2,1", "--method", "magic"],
            "method: got 'magic'; want one of flow, descent, stochastic",
        ),
        (
            ["simulate", "--strength", "2,1", "--distribution", "cauchy"],
            "distribution: got 'cauchy'",
        ),
        (["simulate", "--strength", "2,1", "--start", "zero"], "start: got 'zero'"),
        (
            ["simulate", "--strength", "2,1", "--learning-rate", "-1", "--method", "descent"],
            "learning_rate: got -1.0",
        ),
        (["simulate", "--strength", "2,1", "--plot", "x.doc"], "plot: got 'x.doc'"),
        (
            ["simulate", "--strength", "2,1", "--method", "descent", "--optimiser", "lion"],
            "optimiser: got 'lion'",
        ),
        (["verify", "layerwise"], "did you mean 'layerwise-law'?"),
        (["verify", "layerwise-law", "--views", "x.npz"], "NAME: got layerwise-law"),
        (["verify", "--list", "layerwise"], "did you mean 'layerwise-law'?"),
        (["verify", "--fuzz", "0"], "fuzz: got 0; want at least one problem"),
        (["verify", "--fuzz", "-3"], "fuzz: got -3"),
        (["verify", "--fuzz", "many"], "--fuzz"),
        (
            ["verify", "--fuzz", "3", "--quick"],
            "fuzz: got --html, --markdown, --quick, --views or --workers beside it",
        ),
        (
            ["verify", "--fuzz", "3", "--workers", "2"],
            "fuzz: got --html, --markdown, --quick, --views or --workers beside it",
        ),
        (["verify", "--workers", "0"], "workers: got 0; want at least one thread"),
        (["verify", "--fuzz", "3", "--html", "x.html"], "want --fuzz with --json alone"),
        (["verify", "--fuzz", "3", "--markdown", "x.md"], "want --fuzz with --json alone"),
        (["verify", "--fuzz", "3", "--views", "x.npz"], "want --fuzz with --json alone"),
        (["verify", "--resume"], "want --resume with --json FILE"),
        (["verify", "--resume", "--json", "-"], "want --resume with --json FILE"),
        (["verify", "--resume", "--json", "x", "--html", "y"], "want --resume with --json FILE"),
        (["verify", "--precision", "half"], "precision: got 'half'"),
        (["verify", "--seed", "x"], "--seed"),
        (["conquer"], "No such command 'conquer'"),
        (["verify", "--sed", "1"], "No such option"),
    ],
)
def test_bad_usage_is_one_clear_line(capsys, arguments, says):
    """Exit 2 and one line, whatever is wrong; never a traceback."""
    code, _, err = run(capsys, *arguments)
    assert code == 2
    assert says in err, err
    assert err.count("\n") == 1
    assert "Traceback" not in err


def test_help_and_version_do_not_import_jax():
    """`--help` is quick because nothing heavy is imported for it."""
    program = (
        "import sys; from projhead_theory.cli import main\n"
        "try:\n    main([sys.argv[1]])\nexcept SystemExit: pass\n"
        "assert 'jax' not in sys.modules"
    )
    for flag in ("--help", "--version"):
        begin = time.perf_counter()
        subprocess.run([sys.executable, "-c", program, flag], check=True, capture_output=True)
        # Told to take a second on an idle machine; tests may share the machine with others.
        assert time.perf_counter() - begin < 5

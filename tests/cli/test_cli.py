"""The command line as a user meets it: exit status, one-line errors, JSON, files."""

import dataclasses
import json
import os
import pickle
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cli import run
from helpers.draws import some
from helpers.schema import validate
from helpers.toys import CUBED, IDLE, toy

from projhead_theory.theorems import CLAIMS

pytestmark = pytest.mark.x64


PROBLEM = ("--strength", "2,1,0.5", "--noise", "1,0.2,0.3")


def test_predict_json(capsys):
    """The documented schema, with the closed form's numbers: w = phi / (phi^2 + sigma^2), layer l
    to the power l / L.
    """
    code, out, _ = run(capsys, "predict", *PROBLEM, "--depth", "3", "--json", "-")
    data = json.loads(out)
    assert code == 0
    assert set(data) == {
        "depth",
        "weights",
        "loss",
        "signal_fraction",
        "kept",
        "unique",
        "unresolved",
        "start",
        "loss_function",
    }
    phi, sigma = np.array([2, 1, 0.5]), np.array([1, 0.2, 0.3])
    weights = phi / (phi**2 + sigma**2)
    fraction = phi**2 / (phi**2 + sigma**2)
    np.testing.assert_allclose(
        data["weights"], [weights ** (level / 3) for level in (1, 2, 3)], rtol=1e-12
    )
    np.testing.assert_allclose(data["signal_fraction"], fraction, rtol=1e-12)
    assert data["loss"] == pytest.approx(-(fraction**2).sum(), rel=1e-12)
    assert (data["kept"], data["unique"], data["depth"]) == ([0, 1, 2], True, 3)


def test_predict_keeps_the_largest_signal_fractions(capsys):
    _, out, _ = run(capsys, "predict", *PROBLEM, "--width", "1", "--json", "-")
    assert json.loads(out)["kept"] == [1]


def test_predict_flip_and_mask(capsys):
    """Sign flips and masks enter through c and q; a fully disrupted feature has weight zero."""
    _, out, _ = run(
        capsys,
        "predict",
        "--strength",
        "2,1",
        "--flip",
        "0.25,0.5",
        "--mask",
        "0.5,0",
        "--json",
        "-",
    )
    data = json.loads(out)
    np.testing.assert_allclose(
        data["weights"][-1], [np.sqrt(4 * 0.25 * 0.25) / (4 * 0.5), 0], atol=1e-12
    )
    assert data["kept"] == [0]


def test_predict_tie_is_flagged(capsys):
    """A width that cuts a tie gives no arbitrary answer: undetermined weights are null, and the
    table says so.
    """
    code, out, _ = run(
        capsys,
        "predict",
        "--strength",
        "2,1,1",
        "--noise",
        "1,0.1,0.1",
        "--width",
        "1",
        "--json",
        "-",
    )
    data = json.loads(out)
    assert (code, data["unique"], data["kept"]) == (0, False, [])
    assert data["weights"][-1] == [0.0, None, None]
    _, out, _ = run(
        capsys, "predict", "--strength", "2,1,1", "--noise", "1,0.1,0.1", "--width", "1"
    )
    assert "Not unique" in out
    assert "nan" not in out.lower()


@pytest.mark.parametrize(
    ("arguments", "strength", "noise"),
    [
        (("--precision", "float32"), (1, 1), (2000, 0.1)),
        ((), (1, 1), (1e9, 0.1)),
        ((), (1e-150, 1e150), (1e-150, 1e-150)),
    ],
)
def test_predict_shows_a_weak_feature_beside_a_strong_one(capsys, arguments, strength, noise):
    """Its weight is neither zero nor that of rounding, at any layer, and it is kept."""
    given = [
        word
        for name, values in (("--strength", strength), ("--noise", noise))
        for word in (name, ",".join(map(str, values)))
    ]
    code, out, _ = run(capsys, "predict", *given, "--depth", "4", *arguments, "--json", "-")
    data = json.loads(out)
    phi, sigma = np.array(strength, float), np.array(noise, float)
    eps = np.finfo(np.float32 if arguments else float).eps
    # Some roundings, and that of the exponent times ln w < 350.
    want = [(phi / (phi**2 + sigma**2)) ** (level / 4) for level in (1, 2, 3, 4)]
    np.testing.assert_allclose(data["weights"], want, rtol=512 * eps)
    assert (code, data["kept"]) == (0, [0, 1])
    _, out, _ = run(capsys, "predict", *given, "--depth", "4", *arguments)
    assert out.count("\tyes\t") == 2


def test_predict_writes_a_file_and_a_table(capsys, tmp_path):
    path = tmp_path / "p.json"
    code, out, _ = run(capsys, "predict", *PROBLEM, "--json", str(path))
    assert code == 0
    assert "layer 2" in out
    assert json.loads(path.read_text())["depth"] == 2
    assert list(tmp_path.iterdir()) == [path]


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


def test_verify_list(capsys, tmp_path):
    """Every claim with its statement; nothing is run. As JSON with formulas, hypotheses and
    controls, alone on standard output.
    """
    code, out, _ = run(capsys, "verify", "--list")
    assert code == 0
    for name in CLAIMS:
        assert f"{name}:" in out
    code, out, _ = run(capsys, "verify", "--list", "--json", "-")
    data = json.loads(out)
    assert code == 0
    assert set(data) == {"schema", "claims"}
    assert [c["name"] for c in data["claims"]] == list(CLAIMS)
    for item in data["claims"]:
        claim = CLAIMS[item["name"]]
        assert set(item) == {"name", "statement", "latex", "hypotheses", "source", "controls"}
        assert (item["statement"], item["latex"], item["source"]) == (
            claim.statement,
            claim.latex,
            claim.source,
        )
        assert item["hypotheses"] == list(claim.hypotheses)
        assert item["controls"] == [
            {"name": c.name, "breaks": c.breaks, "expects": c.expects} for c in claim.controls
        ]
    path = tmp_path / "list.json"
    code, out, _ = run(capsys, "verify", "--list", "min-norm", "--json", str(path))
    assert (code, out.count("\n")) == (0, out.rstrip().count("\n") + 1)
    assert out.startswith("min-norm:")
    assert [c["name"] for c in json.loads(path.read_text())["claims"]] == ["min-norm"]


def test_verify_writes_every_kind_of_report(capsys, tmp_path, monkeypatch):
    """A quick run of a claim of the library and of one beside it: a table on the terminal, the same
    results in three files, exit 0.
    """
    monkeypatch.setitem(CLAIMS, "toy", toy(CUBED, dataclasses.replace(CUBED, name="cubed again")))
    paths = {kind: tmp_path / f"report.{kind}" for kind in ("json", "html", "markdown")}
    files = [word for kind, path in paths.items() for word in (f"--{kind}", str(path))]
    code, out, _ = run(
        capsys, "verify", "weight-decay-minimiser", "toy", "--quick", "--seed", "5", *files
    )
    assert code == 0
    assert sorted(tmp_path.iterdir()) == sorted(paths.values())
    data = json.loads(paths["json"].read_text())
    validate(data)
    assert (data["all_hold"], data["environment"]["seed"], data["environment"]["quick"]) == (
        True,
        5,
        True,
    )
    assert data["environment"]["float"] == "float64"
    assert [c["name"] for c in data["claims"]] == ["weight-decay-minimiser", "toy"]
    for claim in data["claims"]:
        assert len(claim["verdicts"]) == CLAIMS[claim["name"]].quick
        assert len(claim["controls"]) >= 2
        assert 0 <= claim["discrepancy"] <= claim["tolerance"]
        assert claim["seconds"] > 0
        for text in (out, paths["html"].read_text(), paths["markdown"].read_text()):
            assert claim["name"] in text
            assert all(c["name"] in text for c in claim["controls"])
    assert "Every claim holds and every control is caught. (" in out
    assert "seed 5)" in out


@pytest.fixture
def library(monkeypatch):
    """Claims that take no time in place of the library's; a claim is added by the function that
    this gives.
    """
    for name in list(CLAIMS):
        monkeypatch.delitem(CLAIMS, name)

    def add(name, *controls, **fields):
        monkeypatch.setitem(CLAIMS, name, toy(*controls, name=name, **fields))

    return add


def test_verify_json_is_alone_on_standard_output(capsys, library):
    library("right", CUBED)
    code, out, _ = run(capsys, "verify", "--json", "-")
    data = json.loads(out)
    validate(data)
    assert (code, data["all_hold"], data["environment"]["quick"], data["environment"]["seed"]) == (
        0,
        True,
        False,
        0,
    )
    assert len(data["claims"][0]["verdicts"]) == 4


def test_claims_are_printed_one_below_another_in_the_same_columns(capsys, library):
    """Under one header, although each is printed as soon as it is decided."""
    library("right", CUBED)
    library("of-a-name-that-is-longer-than-the-header", IDLE)
    _, out, _ = run(capsys, "verify", "--workers", "1")
    rows = out.splitlines()
    (header,) = (row for row in rows if "discrepancy" in row)
    found = [row for row in rows if row.startswith(("right", "of-a-name", "  - "))]
    assert len(found) == 4
    place = header.index("outcome")
    assert all(row[place - 1] == " " and row[place] != " " for row in found)


def test_verify_takes_its_precision_from_the_option(capsys, library):
    library("right", CUBED)
    for precision in ("float32", "float64"):
        _, out, _ = run(capsys, "verify", "--json", "-", "--precision", precision)
        assert json.loads(out)["environment"]["float"] == precision


def test_verify_exit_1_if_a_control_is_not_caught(capsys, library):
    """A claim is not verified if one of its controls slips through."""
    library("right", CUBED)
    library("idle", CUBED, IDLE)
    code, out, _ = run(capsys, "verify")
    assert code == 1
    assert "not caught" in out
    assert "Not verified: idle. (" in out
    assert run(capsys, "verify", "right")[0] == 0


def test_verify_exit_1_if_a_claim_is_violated(capsys, library, tmp_path):
    """With the smallest counterexample in a sentence; and in the report."""
    library("right", CUBED)
    library("wrong", CUBED, predict=lambda p: jnp.where(p.value == 2, 4.0, 7.0)[None])
    path = tmp_path / "report.json"
    code, out, _ = run(capsys, "verify", "--json", str(path))
    assert code == 1
    assert "violated" in out
    assert "Not verified: wrong. (" in out
    assert re.search(r"^wrong: the number \d: violated: ", out, flags=re.MULTILINE)
    data = json.loads(path.read_text())
    validate(data)
    assert data["all_hold"] is False
    assert data["claims"][1]["counterexample"]["numbers"]["value"] in range(1, 10)


def test_verify_exit_1_if_a_claim_has_no_controls(capsys, library):
    library("bare")
    code, out, _ = run(capsys, "verify")
    assert code == 1
    assert "Not verified: bare." in out


def test_verify_fuzz(capsys, library, tmp_path):
    """A search alone: counts for each claim, exit 1 if one is refuted; the same in JSON."""
    library("right")
    library("wrong", predict=lambda p: jnp.zeros(1))
    path = tmp_path / "search.json"
    code, out, _ = run(capsys, "verify", "--fuzz", "3", "--seed", "2", "--json", str(path))
    assert code == 1
    assert re.search(r"right +│ +3 │ 3 holds +│ none", out), out
    assert "seed 2: refuted: wrong" in out
    data = json.loads(path.read_text())
    assert (data["all_survive"], data["partial"], data["environment"]["seed"]) == (False, False, 2)
    assert [(s["name"], s["survived"], s["tried"]) for s in data["search"]] == [
        ("right", True, 3),
        ("wrong", False, 1),
    ]
    code, out, _ = run(capsys, "verify", "right", "--fuzz", "3")
    assert (code, "seed 0: no counterexample found" in out) == (0, True)


@pytest.mark.slow
def test_verify_fuzzes_a_claim_of_the_library(capsys, monkeypatch):
    """On one of its shapes."""
    claim = CLAIMS["min-norm"]
    monkeypatch.setitem(CLAIMS, "min-norm", dataclasses.replace(claim, search=claim.search[:1]))
    code, out, _ = run(capsys, "verify", "--fuzz", "4", "min-norm", "--json", "-")
    data = json.loads(out)
    assert (code, data["all_survive"]) == (0, True)
    (found,) = data["search"]
    assert (found["name"], found["tried"], found["counterexample"]) == ("min-norm", 4, None)


def explode(problem):
    raise AssertionError("a run was begun")


@pytest.mark.parametrize("kind", ["json", "html", "markdown"])
def test_a_file_that_cannot_be_written_is_refused_before_any_run(capsys, library, tmp_path, kind):
    """No folder, a folder in its place, a folder that is closed: exit 2 and one line, and the
    claim's measurement is never called.
    """
    library("right", CUBED, measure=explode)
    closed = tmp_path / "closed"
    closed.mkdir(mode=0o500)
    places = [tmp_path / "nowhere" / "x", tmp_path]
    if not os.access(closed, os.W_OK):
        places.append(closed / "x")
    for place in places:
        code, out, err = run(capsys, "verify", f"--{kind}", str(place))
        assert (code, out) == (2, "")
        assert (
            err == f"projhead: {kind}: got {str(place)!r}; "
            "want a file in a folder that can be written to\n"
        )


SLOW = """
import pathlib, signal, sys, time
# What runs in the background of a shell ignores it, and so do its children.
signal.signal(signal.SIGINT, signal.default_int_handler)
sys.path.insert(0, {tests!r})
from helpers.toys import CUBED, toy
from projhead_theory.theorems import CLAIMS
from projhead_theory.cli import main

def wait(problem):
    pathlib.Path("begun").touch()
    time.sleep(600)

CLAIMS.clear()
for name, fields in (("first", {{}}), ("second", {{"measure": wait}}), ("third", {{}})):
    CLAIMS[name] = toy(CUBED, name=name, **fields)
main({arguments!r})
"""


def interrupted(folder, *arguments, after):
    """What a command leaves that is interrupted, as by Ctrl-C, in the middle of its second claim,
    after the row of another one.
    """
    program = SLOW.format(tests=str(Path(__file__).parents[1]), arguments=["verify", *arguments])
    process = subprocess.Popen(
        [sys.executable, "-c", program],
        cwd=folder,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    try:
        for _ in range(1200):
            if (folder / "begun").exists() or process.poll() is not None:
                break
            time.sleep(0.1)
        before = ""
        while after not in before and (line := process.stdout.readline()):
            before += line
        # In the sleep itself, not between the file and it.
        time.sleep(0.2)
        process.send_signal(signal.SIGINT)
        out, err = process.communicate(timeout=60)
    finally:
        process.kill()
        process.wait()
    return process.returncode, before + out, err


def test_an_interrupted_run_is_reported_as_partial(tmp_path):
    """Exit 130; what was finished is in every file asked for, with what was not run listed; and
    nothing says that all hold.
    """
    files = [word for kind in ("json", "html", "markdown") for word in (f"--{kind}", kind)]
    code, out, err = interrupted(tmp_path, *files, "--workers", "1", after="first")
    assert code == 130, err
    data = json.loads((tmp_path / "json").read_text())
    validate(data)
    assert [c["name"] for c in data["claims"]] == ["first"]
    assert (data["partial"], data["missing"], data["all_hold"]) == (
        True,
        ["second", "third"],
        False,
    )
    assert data["claims"][0]["verified"] is True
    sentence = "Partial: interrupted before second, third."
    assert sentence in out
    assert sentence in (tmp_path / "html").read_text()
    assert f"**{sentence}**" in (tmp_path / "markdown").read_text()
    assert "*" not in out
    assert err.rstrip().endswith(
        "projhead: interrupted; what was done is reported, and says that it is partial"
    )
    assert "Traceback" not in err


def test_what_other_threads_finished_is_reported(tmp_path):
    """Nobody waits for the one that is interrupted; the results come in the order of the claims."""
    code, out, err = interrupted(tmp_path, "--json", "json", "--workers", "2", after="third")
    assert code == 130, err
    data = json.loads((tmp_path / "json").read_text())
    assert [c["name"] for c in data["claims"]] == ["first", "third"]
    assert (data["partial"], data["missing"], data["all_hold"]) == (True, ["second"], False)
    assert "interrupted before second" in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_an_interrupted_search_is_reported_as_partial(tmp_path):
    code, _, err = interrupted(tmp_path, "--fuzz", "2", "--json", "json", after="")
    assert code == 130, err
    data = json.loads((tmp_path / "json").read_text())
    assert [s["name"] for s in data["search"]] == ["first"]
    assert (data["partial"], data["missing"], data["all_survive"]) == (
        True,
        ["second", "third"],
        False,
    )


@pytest.fixture
def views(tmp_path):
    rng = np.random.default_rng(0)
    base = rng.standard_normal((500, 4)) * [2, 1.5, 1, 0.7]
    path = tmp_path / "views.npz"
    np.savez(
        path,
        x1=base + 0.5 * rng.standard_normal(base.shape),
        x2=base + 0.5 * rng.standard_normal(base.shape),
    )
    return path


@pytest.mark.slow
def test_verify_views(capsys, views):
    code, out, _ = run(
        capsys, "verify", "--views", str(views), "--depth", "2", "--width", "2", "--json", "-"
    )
    data = json.loads(out)
    assert code == 0
    assert data["all_hold"] is True
    assert [c["name"] for c in data["claims"]] == ["views"]


def save(path, **arrays):
    np.savez(path, **arrays)
    return path


class Trap:
    """Unpickling this would leave a file behind."""

    def __reduce__(self):
        return Path.touch, (Path("unpickled"),)


@pytest.mark.parametrize(
    ("make", "says"),
    [
        (lambda p: p, "does not exist"),
        (lambda p: p.write_bytes(b"not a zip") and p, "cannot be read"),
        (lambda p: save(p, x1=np.zeros((3, 2))), "without an array x2"),
        (lambda p: save(p, x1=np.zeros((3, 2)), x2=np.zeros((4, 2))), "want equal shapes"),
        (
            lambda p: save(p, x1=np.zeros((1, 2)), x2=np.zeros((1, 2))),
            "got 1 rows; want at least two rows",
        ),
        (
            lambda p: save(p, x1=np.zeros((0, 2)), x2=np.zeros((0, 2))),
            "got 0 rows; want at least two rows",
        ),
        (lambda p: save(p, x1=np.zeros(3), x2=np.zeros(3)), "of shape"),
        (lambda p: save(p, x1=np.full((3, 2), np.nan), x2=np.zeros((3, 2))), "non-finite entry"),
        (
            lambda p: save(p, x1=np.array([["a"]] * 3), x2=np.array([["a"]] * 3)),
            "want real numbers",
        ),
        (lambda p: save(p, x1=np.zeros((3, 2)), x2=np.zeros((3, 2))), "the zero matrix"),
        (
            lambda p: save(p, x1=np.array([[Trap()]] * 3, object), x2=np.zeros((3, 1))),
            "pickled objects, which are never loaded",
        ),
    ],
)
def test_bad_views_are_one_clear_line(capsys, tmp_path, monkeypatch, make, says):
    """Exit 2, one line that names the argument, nothing unpickled."""
    monkeypatch.chdir(tmp_path)
    path = make(tmp_path / "bad.npz")
    code, out, err = run(capsys, "verify", "--views", str(path))
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not Path("unpickled").exists()


def test_truncated_views_are_refused(capsys, views):
    views.write_bytes(views.read_bytes()[:-3000])
    code, _, err = run(capsys, "verify", "--views", str(views))
    assert code == 2
    assert err.startswith("projhead: views: got ")


def test_corrupt_array_inside_the_file_is_refused(capsys, tmp_path):
    import zipfile

    with zipfile.ZipFile(tmp_path / "c.npz", "w") as archive:
        archive.writestr("x1.npy", b"\x93NUMPY\x01\x00 rubbish")
        archive.writestr("x2.npy", pickle.dumps([1]))
    code, _, err = run(capsys, "verify", "--views", str(tmp_path / "c.npz"))
    assert code == 2
    assert "corrupt" in err


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

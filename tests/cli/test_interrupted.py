"""`projhead verify` interrupted: what is decided is reported, and a later run goes on with it."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.cli import run
from helpers.schema import validate
from helpers.toys import CUBED

pytestmark = pytest.mark.x64


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


def interrupted(folder, *arguments, after, by=signal.SIGINT):
    """What a command leaves that is interrupted, as by Ctrl-C, in the middle of its second claim,
    after the rows of others.
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
        while not all(a in before for a in after) and (line := process.stdout.readline()):
            before += line
        # In the sleep itself, not between the file and it.
        time.sleep(0.2)
        process.send_signal(by)
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
    code, out, err = interrupted(tmp_path, *files, "--workers", "1", after=("first",))
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
    code, out, err = interrupted(
        tmp_path, "--json", "json", "--workers", "2", after=("first", "third")
    )
    assert code == 130, err
    data = json.loads((tmp_path / "json").read_text())
    assert [c["name"] for c in data["claims"]] == ["first", "third"]
    assert (data["partial"], data["missing"], data["all_hold"]) == (True, ["second"], False)
    assert "interrupted before second" in out
    assert "Traceback" not in err


@pytest.mark.slow
def test_an_interrupted_search_is_reported_as_partial(tmp_path):
    code, _, err = interrupted(tmp_path, "--fuzz", "2", "--json", "json", after=())
    assert code == 130, err
    data = json.loads((tmp_path / "json").read_text())
    assert [s["name"] for s in data["search"]] == ["first"]
    assert (data["partial"], data["missing"], data["all_survive"]) == (
        True,
        ["second", "third"],
        False,
    )


def without_times(path):
    data = json.loads(path.read_text())
    for claim in data["claims"]:
        del claim["seconds"]
    return data


def test_a_killed_run_is_resumed(capsys, library, tmp_path):
    """Every decided claim is in the file, and is not decided again; the rest is added, and the
    report is that of a run that nothing stopped.
    """
    path, whole = tmp_path / "json", tmp_path / "whole"
    files = ("--json", "json", "--workers", "1")
    code, out, err = interrupted(tmp_path, *files, after=("first",), by=signal.SIGKILL)
    assert code == -signal.SIGKILL, err
    data = json.loads(path.read_text())
    validate(data)
    assert ([c["name"] for c in data["claims"]], data["missing"]) == (
        ["first"],
        ["second", "third"],
    )
    assert (data["partial"], data["all_hold"]) == (True, False)
    for name in ("first", "second", "third"):
        library(name, CUBED)
    assert run(capsys, "verify", "--json", str(whole))[0] == 0
    library("first", CUBED, measure=explode)
    for had in ("has 1 of 3 claims.", "has 3 of 3 claims."):
        code, out, _ = run(capsys, "verify", "--json", str(path), "--resume")
        assert code == 0
        assert had in "".join(out.splitlines())
        assert "Every claim holds and every control is caught." in out
        assert without_times(path) == without_times(whole)


def explode(problem):
    raise AssertionError("a run was begun")


def edited(**changes):
    """A function that puts other values into the environment of a report."""

    def edit(path):
        data = json.loads(path.read_text())
        data["environment"] |= changes
        path.write_text(json.dumps(data))

    return edit


SAME = ("right", "wrong", "--seed", "3")


@pytest.mark.parametrize(
    ("edit", "arguments", "says"),
    [
        (None, ("right", "wrong"), "begun with seed 3; now 0"),
        (None, (*SAME, "--quick"), "begun with quick False; now True"),
        (None, (*SAME, "--precision", "float32"), "begun with float float64; now float32"),
        (None, ("right", "--seed", "3"), "begun with the claim wrong; now without it"),
        (None, ("--seed", "3"), "begun without the claim new; now with it"),
        (edited(jax="0.1"), SAME, "begun with jax 0.1; now "),
        (edited(projhead_theory="0.0"), SAME, "begun with projhead_theory 0.0; now "),
        (lambda path: path.write_text("{}"), SAME, "which is no report of claims"),
        (lambda path: path.write_bytes(b"\xff"), SAME, "which is no report of claims"),
        (lambda path: path.write_text('{"search": []}'), SAME, "which is no report of claims"),
    ],
)
def test_another_run_is_not_resumed(capsys, library, tmp_path, edit, arguments, says):
    """Exit 2, one line with the difference, and the file as it was."""
    path = tmp_path / "json"
    library("right", CUBED)
    library("wrong", CUBED, predict=lambda p: p.value[None])
    assert run(capsys, "verify", *SAME, "--json", str(path))[0] == 1
    library("new", CUBED)
    if edit is not None:
        edit(path)
    before = path.read_bytes()
    code, out, err = run(capsys, "verify", *arguments, "--json", str(path), "--resume")
    assert (code, out) == (2, "")
    assert err.startswith(f"projhead: resume: got {path}, ")
    assert says in err
    assert err.count("\n") == 1
    assert path.read_bytes() == before

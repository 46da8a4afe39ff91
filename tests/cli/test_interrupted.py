"""`projhead verify` interrupted: finished claims are reported, and the rest listed."""

import json
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
from helpers.schema import validate

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

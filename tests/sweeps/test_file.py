"""`projhead sweep`: specification files, their errors, and sweeps that are killed."""

import contextlib
import json
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import run
from helpers.sweeps import SPEC, arrays

from projhead_theory.sweeps import load_plan, open_sweep


def edited(spec, old, new):
    assert old in SPEC
    spec.write_text(SPEC.replace(old, new))
    return spec


def test_toml_and_json_say_the_same(spec, tmp_path):
    import tomllib

    other = tmp_path / "spec.json"
    other.write_text(json.dumps(tomllib.loads(SPEC)))
    plans = [load_plan(path) for path in (spec, other)]
    assert plans[0].specification.document == plans[1].specification.document
    assert plans[0].layout.runs == 128
    axis = plans[0].specification.axes["noise[0]"]
    np.testing.assert_allclose(axis, np.linspace(0.1, 2, 8), rtol=1e-6)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("strength =", "strenth =", "problem: got 'strenth'; .*did you mean 'strength'"),
        ("noise = [", "noise = ['a', ", "problem.noise: got"),
        ("[train]", "[trian]", "specification: got 'trian'; .*did you mean 'train'"),
        ('"noise[0]" = {', '"nose[0]" = {', r"axes: got 'nose\[0\]'; .*did you mean 'noise'"),
        ("count = 8", "count = 0", r"axes.noise\[0\].count: got 0"),
        ("count = 8, ", "", r"axes.noise\[0\]: got no count"),
        ('"linear"', '"log"', r"axes.noise\[0\].spacing: got 'log'; want one of linear, geometric"),
        ('from = 0.1, to = 2.0, count = 8, spacing = "linear"', "", "got no from"),
        ("seed = 16", "seed = 0", "axes.seed: got 0"),
        ("seed = 16", "seed = 125_000_000_000", "axes: got 1,000,000,000,000 runs"),
        ('"descent"', '"flow"', "train.learning_rate: got it beside method 'flow'"),
        ("steps = 40", "steps = 0", "steps: got 0"),
        ('"loss"]', '"los"]', "measure.quantities: got 'los'; .*did you mean 'loss'"),
        ("strength = [2.0, 1.0]", "", "problem: got no or both"),
        ("strength = [2.0, 1.0]", "function = 'nowhere:f'", "the function alone"),
        ("[problem]", "[problem", "specification: got .*want a file in TOML"),
    ],
)
def test_errors_of_a_file_are_named(spec, old, new, message):
    with pytest.raises(ValueError, match=message):
        load_plan(edited(spec, old, new))


def test_every_error_has_its_line(spec, capsys):
    edited(spec, "strength =", "strenth =")
    spec.write_text(spec.read_text().replace("[train]", "[trian]"))
    code, out, err = run(capsys, "sweep", str(spec), "--dry-run")
    assert (code, out) == (2, "")
    lines = err.splitlines()
    assert len(lines) == 3
    assert all(line.startswith("projhead: ") for line in lines)


@pytest.mark.x64
def test_dry_run_run_and_resume(spec, tmp_path, capsys):
    """What is announced is done; done once, it is not done again."""
    code, out, _ = run(capsys, "sweep", str(spec), "--dry-run", "--json", "-")
    said = json.loads(out)
    assert code == 0
    assert (said["runs"], said["programs"], said["chunks"]) == (128, 2, 1)
    assert said["about_seconds"] >= 0
    folder = tmp_path / "out.zarr"
    command = ("sweep", str(spec), "--out", str(folder), "--json", "-", "--chunk-size", "64")
    code, out, err = run(capsys, *command, "--shard", "1/2")
    report = json.loads(out)
    assert code == 0
    assert (report["complete"], report["here"], report["ended"]["missing"]) == (False, 64, 64)
    assert "64 of 64 runs" in err
    for here in (64, 0):
        code, out, _ = run(capsys, *command)
        report = json.loads(out)
        assert (report["complete"], report["here"]) == (True, here)
    assert sum(report["ended"].values()) == 128
    stored = sum(x.nbytes for x in open_sweep(folder).dataset.data_vars.values())
    assert stored == said["bytes"] + 2
    code, _, err = run(capsys, *command, "--precision", "float32")
    assert code == 2
    assert "precision: 'float64' in the store, 'float32' now" in err


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ((), "out: got nothing"),
        (("--dry-run", "--max-memory", "2X"), "max-memory: got '2X'"),
        (("--dry-run", "--max-memory", "1K"), "max_memory: got 1024 bytes; want at least"),
        (("--dry-run", "--shard", "half"), "shard: got 'half'"),
        (("--out", "x", "--workers", "0"), "workers: got 0"),
    ],
)
def test_bad_options_are_named(spec, capsys, options, message):
    code, _, err = run(capsys, "sweep", str(spec), *options)
    assert code == 2
    assert message in err


def process(spec, folder, *options):
    command = [sys.executable, "-m", "projhead_theory.cli", "sweep", str(spec)]
    command += ["--out", str(folder), "--chunk-size", "64", *options]
    return subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True)


def workers_of(pid):
    """Spawned processes of a process, but the one that tracks shared memory."""
    found = []
    for path in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            parent = int((path / "stat").read_text().rpartition(")")[2].split()[1])
            if parent == pid and b"spawn_main" in (path / "cmdline").read_bytes():
                found.append(int(path.name))
    return found


def finish(started):
    _, err = started.communicate(timeout=300)
    assert started.returncode == 0, err


@pytest.mark.slow
def test_a_killed_sweep_resumes_to_the_same_bytes(spec, tmp_path):
    """One worker of two is killed, which ends the other one with a line; then twice the whole
    sweep, some time after a chunk was written.
    """
    text = SPEC.replace("count = 8", "count = 40").replace("steps = 40", "steps = 20_000")
    spec.write_text(text)
    whole, killed = tmp_path / "whole.zarr", tmp_path / "killed.zarr"
    finish(process(spec, whole))
    started = process(spec, killed, "--workers", "2")
    for line in started.stderr:
        if " of " in line:  # after a chunk was written
            break
    os.kill(workers_of(started.pid)[0], signal.SIGKILL)
    _, err = started.communicate(timeout=300)
    assert started.returncode == 2
    assert err.splitlines()[-1].startswith("projhead: executor: got a worker process that died")
    assert not open_sweep(killed).complete
    rng = random.Random(0)
    for options in ((), ("--workers", "2")):
        started = process(spec, killed, *options)
        for line in started.stderr:
            if " of " in line:  # after a chunk was written
                break
        time.sleep(rng.uniform(0, 1.5))
        os.killpg(started.pid, signal.SIGKILL)
        started.wait()
        started.stderr.close()
    assert open_sweep(killed).dataset["ended"].shape == (40, 16)
    finish(process(spec, killed))
    assert open_sweep(killed).complete
    assert arrays(killed) == arrays(whole)


@pytest.mark.slow
def test_two_workers_and_shards_write_the_same_bytes(spec, tmp_path):
    whole, workers, parts = (tmp_path / f"{name}.zarr" for name in ("whole", "workers", "parts"))
    finish(process(spec, whole))
    finish(process(spec, workers, "--workers", "2"))
    for part in ("1/2", "0/2"):
        finish(process(spec, parts, "--shard", part))
    assert arrays(whole) == arrays(workers) == arrays(parts)

"""A full disk and a read-only folder: one line, and what was done is kept."""

import errno
import os
import subprocess

import numpy as np
import pytest
from helpers.cli import run
from helpers.sweeps import arrays

import projhead_theory as pt
from projhead_theory.sweeps import open_sweep

pytestmark = pytest.mark.x64


def swept(folder):
    model, train = pt.sweeps.FeatureModel([2.0, 1.0], 0.5), pt.sweeps.Descent(0.02, steps=4)
    axes = {"noise": np.linspace(0.1, 2, 12)}
    return pt.sweep(model, axes, seeds=16, train=train, out=folder, chunk_size=64)


@pytest.fixture
def disk(monkeypatch):
    """A function that lets no file be written any more: at once, or after the first chunk."""
    import zarr

    write = zarr.storage.LocalStore.set

    def break_it(code, after_a_chunk):
        broken = not after_a_chunk

        async def fail(self, key, value):
            nonlocal broken
            if broken:
                raise OSError(code, os.strerror(code))
            await write(self, key, value)
            broken = key.startswith("chunk_done/c")

        monkeypatch.setattr(zarr.storage.LocalStore, "set", fail)

    yield break_it
    monkeypatch.undo()


@pytest.mark.parametrize("code", [errno.ENOSPC, errno.EROFS])
def test_what_was_written_before_is_kept(disk, tmp_path, monkeypatch, code):
    whole, broken = tmp_path / "whole.zarr", tmp_path / "broken.zarr"
    swept(whole)
    disk(code, after_a_chunk=True)
    message = rf"^out: got .*broken.zarr \({os.strerror(code)}\); want room to write in$"
    with pytest.raises(ValueError, match=message):
        swept(broken)
    assert open_sweep(broken).dataset["chunk_done"].values.tolist() == [1, 0, 0]
    monkeypatch.undo()
    assert swept(broken).complete
    assert arrays(broken) == arrays(whole)


def test_a_store_that_cannot_be_begun_leaves_nothing(disk, tmp_path):
    disk(errno.ENOSPC, after_a_chunk=False)
    with pytest.raises(ValueError, match=r"^out: got .*\(No space left on device\); want a folder"):
        swept(tmp_path / "out.zarr")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def small(tmp_path):
    """A function that gives a file system of one folder its size and mode."""
    folder = tmp_path / "small"
    folder.mkdir()

    def mount(options):
        call = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
        return subprocess.run(call, capture_output=True, check=False).returncode == 0

    if not mount("size=300k"):
        pytest.skip("needs the right to mount a file system")
    yield folder, mount
    subprocess.run(["umount", str(folder)], check=True)


@pytest.mark.slow
def test_a_disk_that_is_full(small, spec, capsys):
    """And then read-only, and then large enough."""
    folder, mount = small
    command = ("sweep", str(spec), "--out", str(folder / "a.zarr"), "--chunk-size", "64")
    spec.write_text(spec.read_text().replace("count = 8", "count = 48"))
    for options, word in (("", "No space left on device"), ("remount,ro", "Read-only file system")):
        assert not options or mount(options)
        code, out, err = run(capsys, *command)
        assert (code, out) == (2, "")
        line = err.splitlines()[-1]
        assert line.startswith("projhead: out: got ")
        assert line.endswith(f"a.zarr ({word}); want room to write in")
    done = int(open_sweep(folder / "a.zarr").dataset["chunk_done"].sum())
    assert 0 < done < 12
    assert mount("remount,rw,size=4m")
    code, out, _ = run(capsys, *command)
    assert (code, "complete: True" in out, f"here: {768 - 64 * done}" in out) == (0, True, True)

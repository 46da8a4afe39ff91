"""`projhead verify --views`: pairs of views from a file, and files that are none."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
from helpers.cli import run

pytestmark = pytest.mark.x64


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

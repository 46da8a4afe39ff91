"""Inspection of files: the command, its outputs, and one clear line for what does not fit."""

import io
import json
import re
import tracemalloc

import numpy as np
import pytest
from helpers.cli import run
from rich.console import Console

import projhead_theory as pt
from projhead_theory.inspect import inspect_file

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion", "untyped")]

RNG = np.random.default_rng(0)
N, D = 60, 3
X = RNG.choice([-1.0, 1.0], (N, D)) * [2.0, 1.0, 0.5]
X1, X2 = (X + RNG.normal(size=X.shape) * [1.0, 0.2, 0.1] for _ in range(2))
W = np.diag([0.6, 1.0, 1.4])
LABELS = (X[:, 0] > 0).astype(int)
STACK = {"x1": X1, "x2": X2, "weights_1": W, "weights_2": W}
REPRESENTED = {
    f"layer_{level}_x{view}": np.tanh(level * x)
    for level in (1, 2)
    for view, x in ((1, X1), (2, X2))
}


@pytest.fixture
def file(tmp_path):
    def write(**arrays):
        path = tmp_path / "network.npz"
        np.savez(path, **arrays)
        return str(path)

    return write


def refused(path, message, **options):
    """One line that says what came and what is wanted."""
    with pytest.raises(ValueError, match=message) as caught:
        inspect_file(path, **options)
    assert "\n" not in str(caught.value)
    assert re.search(r": got .*; want ", str(caught.value))


def test_the_command_prints_a_table_of_80_columns_and_writes_all_formats(file, capsys, tmp_path):
    path = file(**STACK, y=LABELS)
    page, data = tmp_path / "report.html", tmp_path / "report.json"
    code, out, err = run(
        capsys, "inspect", path, "--labels", "y", "--html", str(page), "--json", str(data)
    )
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert max(len(line) for line in lines if "\t" not in line) <= 80
    assert [line for line in lines if line.startswith("layer\tsignal\t")]
    assert "Layer 1 of 2 reads" in out
    report = inspect_file(path, labels="y")
    assert json.loads(data.read_text()) == report.to_dict()
    html = page.read_text()
    assert html.count("<svg") == 1
    assert "http" not in re.sub(r'xmlns[:\w]*="[^"]*"|xlink:href="#[^"]*"', "", html)
    for name in report.hypotheses:
        assert name in html
    code, out, _ = run(capsys, "inspect", path, "--labels", "y", "--json", "-")
    assert json.loads(out) == report.to_dict()


def test_a_table_of_large_numbers_fits_80_columns():
    report = pt.inspect(X1, X2, [1e3 * W, 1e-4 * W + 3], labels=LABELS)
    file = io.StringIO()
    terminal = Console(width=80, file=file, force_terminal=True, color_system=None)
    pt.report.print_table(pt.report.inspection_table(report), terminal)
    lines = file.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    assert not [line for line in lines if "…" in line]


def test_a_file_is_read_as_the_arrays_are(file, tmp_path):
    """Also with layers numbered from 0, features, directions, and labels in a file of their own."""
    np.save(tmp_path / "labels.npy", LABELS)
    stack = pt.inspect(X1, X2, [W, W], labels=LABELS, directions=np.eye(D))
    path = file(**STACK, directions=np.eye(D))
    assert inspect_file(path, labels=str(tmp_path / "labels.npy")).to_dict() == stack.to_dict()
    pairs = [tuple(REPRESENTED[f"layer_{i}_x{v}"] for v in (1, 2)) for i in (1, 2)]
    known = pt.inspect(X1, X2, representations=pairs, features=X)
    for inputs in ({"x1": X1, "x2": X2}, {"layer_0_x1": X1, "layer_0_x2": X2}):
        path = file(**inputs, **REPRESENTED, features=X)
        assert inspect_file(path).to_dict() == known.to_dict()
    assert inspect_file(file(**REPRESENTED)).to_dict() == (
        pt.inspect(representations=pairs).to_dict()
    )


def folder(path, arrays):
    path.mkdir()
    for name, array in arrays.items():
        np.save(path / f"{name}.npy", array)
    return path


def test_a_folder_is_read_as_a_file_is(file, tmp_path):
    arrays = {**REPRESENTED, "x1": X1, "x2": X2, "labels": LABELS}
    both = inspect_file(folder(tmp_path / "rows", arrays)), inspect_file(file(**arrays))
    assert both[0].to_dict() == both[1].to_dict()
    with pytest.raises(ValueError, match="with no layer"):
        inspect_file(folder(tmp_path / "empty", {}))
    pickled = {**REPRESENTED, "layer_1_x2": np.array([{}, {}])}
    with pytest.raises(ValueError, match="pickled objects, which are never loaded"):
        inspect_file(folder(tmp_path / "pickled", pickled))


def test_representations_of_a_folder_need_less_memory_than_they_have(tmp_path):
    """A layer of eight directions in 512 units: the peak is below the size of its two views."""
    rng = np.random.default_rng(0)
    mixing = rng.normal(size=(8, 512)).astype(np.float32)
    rows = [rng.normal(size=(16_000, 8)).astype(np.float32) @ mixing for _ in range(2)]
    path = folder(tmp_path / "large", {"layer_1_x1": rows[0], "layer_1_x2": rows[1]})
    size = sum(view.nbytes for view in rows)
    del rows
    inspect_file(folder(tmp_path / "small", {"layer_1_x1": X1, "layer_1_x2": X2}))
    tracemalloc.start()
    report = inspect_file(path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert report.pairs == 16_000
    assert peak < size


def without(arrays, *names):
    return {name: value for name, value in arrays.items() if name not in names}


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        (without(STACK, "x2"), "x2: got nothing; want the other view of x1"),
        (without(REPRESENTED, "layer_2_x1"), "layer_2_x1: got nothing; want the other view"),
        (STACK | {"x2": X2[:-1]}, r"x2: got shape \(59, 3\); want the shape of x1, \(60, 3\)"),
        (STACK | {"weights_2": np.ones((2, 4))}, r"weights_2: got shape \(2, 4\); want \(p, 3\)"),
        (STACK | {"weights_1": np.ones(3)}, r"weights_1: got shape \(3,\)"),
        (without(STACK, "weights_1"), "got no weights_1"),
        (
            REPRESENTED | {f"layer_2_x{v}": np.ones((50, 2)) for v in (1, 2)},
            "layer_2_x1: got 50 rows; want 60",
        ),
        (STACK | {"labels": LABELS[:-1]}, r"labels: got shape \(59,\); want \(60,\)"),
        (STACK | {"labels": np.ones(N, int)}, "labels: got only the label 1; want at least two"),
        (STACK | {"labels": X[:, 0] + 0.1}, "labels: got numbers that are not whole"),
        (STACK | {"labels": np.arange(N)}, "labels: got one row of class 0"),
        ({"x1": X1[:1], "x2": X2[:1], "weights_1": W}, "x1: got 1 rows; want at least two rows"),
        (STACK | {"x1": np.where(X1 > 0, X1, np.nan)}, r"x1: got nan at \(.*\); want finite"),
        (STACK | {"weights_1": np.full((3, 3), np.inf)}, r"weights_1: got inf at"),
        (STACK | {"speed": X1}, "got unknown arrays speed; want x1, x2 and weights_1"),
        (STACK | REPRESENTED, "got both weights_ and layer_ arrays"),
        ({"x1": X1, "x2": X2}, "with no layer"),
        (STACK | {"features": X[:-1]}, "features: got 59 rows; want 60"),
        (STACK | {"features": np.ones((N, 1))}, "features: got a constant column 0"),
        (STACK | {"features": X[:, [0, 0]]}, "features: got columns that depend"),
        (STACK | {"directions": np.eye(2)}, "directions: got 2 rows; want 3"),
        (REPRESENTED | {"directions": np.eye(3)}, "directions: got directions without inputs"),
        (STACK | {"weights_1": W + 1j}, "weights_1: got shape .* dtype complex128"),
    ],
)
def test_what_does_not_fit_is_named_in_one_line(file, arrays, message):
    refused(file(**arrays), message)


def test_pickled_objects_are_never_loaded(file, tmp_path):
    pickled = np.empty(2, object)
    pickled[:] = [{}, []]
    refused(file(**STACK | {"weights_1": pickled}), "weights_1: got pickled objects")
    np.save(tmp_path / "objects.npy", pickled, allow_pickle=True)
    refused(str(tmp_path / "objects.npy"), "which is no npz file")
    refused(file(**STACK), "labels: got", labels=str(tmp_path / "objects.npy"))


def test_missing_and_corrupt_files_are_named(file, tmp_path, capsys):
    refused(str(tmp_path / "none.npz"), "which does not exist")
    (tmp_path / "text.npz").write_text("no archive")
    refused(str(tmp_path / "text.npz"), "which is no npz file")
    np.save(tmp_path / "array.npy", X1)
    refused(str(tmp_path / "array.npy"), "which is no npz file")
    refused(file(**STACK), "labels: got 'z'; want an array of", labels="z")
    whole = (tmp_path / "network.npz").read_bytes()
    (tmp_path / "short.npz").write_bytes(whole[: len(whole) // 2])
    refused(str(tmp_path / "short.npz"), "which is no npz file")
    code, out, err = run(capsys, "inspect", str(tmp_path / "none.npz"))
    assert (code, out) == (2, "")
    assert err.startswith("projhead: file: got ")
    assert err.count("\n") == 1


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({}, "layers: got none; want one of weights, representations and functions"),
        ({"weights": [W], "functions": [np.tanh]}, "layers: got weights and functions"),
        ({"weights": []}, "weights: got an empty list"),
        ({"functions": [np.tanh, 3]}, "functions: got int as number 2"),
        ({"functions": [lambda x: x[:2]]}, "functions: got 2 rows from function 1; want 60"),
        ({"representations": [X1]}, "representations: got ndarray as layer 1; want a pair"),
        ({"weights": [W], "shots": 0}, "shots: got 0"),
        ({"weights": [W], "features": X, "directions": np.eye(3)}, "both features and directions"),
        ({"weights": [object()]}, "weights_1: got shape"),
    ],
)
def test_arguments_are_checked(arguments, message):
    with pytest.raises(ValueError, match=message):
        pt.inspect(X1, X2, **arguments)


def test_tensors_of_torch_are_taken():
    torch = pytest.importorskip("torch")
    first, second, weight = (torch.tensor(a) for a in (X1, X2, W))
    assert pt.inspect(first, second, [weight]).to_dict() == pt.inspect(X1, X2, [W]).to_dict()


def test_the_package_is_a_function_however_it_is_imported():
    import importlib

    module = importlib.import_module("projhead_theory.inspect")
    assert module(X1, X2, [W]).to_dict() == pt.inspect.inspect(X1, X2, [W]).to_dict()

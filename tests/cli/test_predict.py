"""`projhead predict`: numbers, ties, files."""

import json

import numpy as np
import pytest
from helpers.cli import PROBLEM, run

pytestmark = pytest.mark.x64


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

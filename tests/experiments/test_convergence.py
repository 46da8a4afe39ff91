"""Measured orders of convergence: each beside the predicted one, and with wrong ones excluded."""

import functools
import json

import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.cli import run

import projhead_theory as pt
from projhead_theory.experiments import Convergence
from projhead_theory.theorems._common.tasks import replace

pytestmark = pytest.mark.x64

SEEDS = 3
OPTIONS = ["--strength", "1.5,1", "--noise", "2,2"]


def problem(scale=1.0):
    features = pt.Features(scale * np.array([1.5, 1.0]), "gaussian")
    return pt.ContrastiveProblem(features, pt.AdditiveNoise(scale * np.array([2.0, 2.0])))


@functools.cache
def found(knob):
    return pt.convergence(problem(), knob, seeds=SEEDS)


ORDERS = {"step": 1.0, "start": 2.0, "samples": -0.5, "width": -0.5, "negatives": -1.0}
KNOBS = [
    "step",
    "negatives",
    pytest.param("start", marks=pytest.mark.slow),
    pytest.param("samples", marks=pytest.mark.slow),
    pytest.param("width", marks=pytest.mark.slow),
]


@pytest.mark.parametrize("knob", KNOBS)
def test_the_predicted_order_is_in_the_interval_and_its_neighbours_are_not(knob):
    """The neighbours, half an order away, are the control."""
    result = found(knob)
    assert result.order == ORDERS[knob]
    assert result.verdict == "agrees"
    for wrong in (result.order - 0.5, result.order + 0.5):
        assert replace(result, order=wrong).verdict == "disagrees"


def test_a_run_that_did_not_converge_leaves_no_verdict():
    result = found("step")
    stopped = replace(result, converged=result.converged.at[0, 0].set(False))
    assert stopped.verdict == "not converged"


def test_the_order_does_not_depend_on_the_unit_of_the_inputs():
    other = pt.convergence(problem(10.0), "step", seeds=SEEDS)
    np.testing.assert_allclose(other.values, found("step").values / 10, rtol=1e-6)
    np.testing.assert_allclose(other.errors, found("step").errors, rtol=1e-3)
    assert other.slope == pytest.approx(found("step").slope, abs=1e-4)


def synthetic(order, next_order=0.0, noise=0.0, seeds=400, seed=0):
    """Errors of a known order, with a next order and noise in their logarithms."""
    rng = np.random.default_rng(seed)
    values = 0.1 * 0.5 ** np.arange(5)
    bend = 1 + next_order * values
    errors = values**order * bend * np.exp(noise * rng.standard_normal((seeds, 5)))
    return Convergence(
        jnp.asarray(values),
        jnp.asarray(errors),
        jnp.ones((seeds, 5), bool),
        order,
        0.95,
        "step",
        "step size",
    )


@pytest.mark.parametrize("order", [-1.0, 0.5, 2.0])
def test_the_fit_finds_the_order_of_powers(order):
    result = synthetic(order, noise=1e-9, seeds=4)
    assert result.slope == pytest.approx(order, abs=1e-7)
    np.testing.assert_allclose(result.line, np.asarray(result.errors).mean(axis=0), rtol=1e-6)


def test_the_interval_covers_as_often_as_it_says():
    """Of 400 experiments of four seeds a share of 95 per cent, within five standard errors."""
    noisy = [synthetic(1.0, noise=0.3, seeds=4, seed=seed) for seed in range(400)]
    covered = np.mean([result.verdict == "agrees" for result in noisy])
    assert covered >= 0.95 - 5 * (0.95 * 0.05 / 400) ** 0.5


def test_the_next_order_widens_the_interval():
    result = synthetic(1.0, next_order=0.5, noise=1e-6, seeds=8)
    assert result.sampling < abs(result.slope - 1) < result.truncation
    assert result.verdict == "agrees"


def test_results_go_to_xarray_json_and_a_figure():
    result = found("step")
    data = result.to_xarray()
    assert data.error.dims == ("seed", "value")
    assert data.attrs["verdict"] == "agrees"
    plain = json.loads(json.dumps(result.to_dict(), allow_nan=False))
    assert plain["predicted"] == 1.0
    assert plain["interval"][0] <= plain["slope"] <= plain["interval"][1]
    ax = result.plot()
    points, fitted, predicted = ax.lines[0], ax.lines[-2], ax.lines[-1]
    np.testing.assert_allclose(
        points.get_ydata(), np.exp(np.log(np.asarray(result.errors)).mean(axis=0)), rtol=1e-6
    )
    slope = lambda line: np.polyfit(np.log(line.get_xdata()), np.log(line.get_ydata()), 1)[0]
    assert slope(fitted) == pytest.approx(result.slope)
    assert slope(predicted) == pytest.approx(1.0)
    plt.close(ax.figure)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"knob": "depth"}, "knob: got 'depth'; want one of step, start, samples"),
        ({"seeds": 1}, "seeds: got 1; want a whole number >= 2"),
        ({"confidence": 1.0}, "confidence: got 1.0; want a number between 0 and 1"),
        ({"noise": [2.0, 30.0]}, "problem: got a signal fraction of 0.00111; want at least 0.02"),
        ({"noise": 0.5, "knob": "negatives"}, "problem: got a signal fraction of 0.9; want at mos"),
    ],
)
def test_bad_input_is_named(change, message):
    options = {"seeds": SEEDS, **change}
    noise = options.pop("noise", 2.0)
    given = pt.ContrastiveProblem(pt.Features([1.5, 1.0]), pt.AdditiveNoise(noise))
    with pytest.raises(ValueError) as error:
        pt.convergence(given, **options)
    assert message in str(error.value)


def test_float32_is_refused():
    features = pt.Features(jnp.asarray([1.5, 1.0], jnp.float32))
    noise = pt.AdditiveNoise(jnp.asarray(1.0, jnp.float32))
    with pytest.raises(ValueError, match="problem: got dtype float32; want float64"):
        pt.convergence(pt.ContrastiveProblem(features, noise))


def test_the_command_prints_what_the_function_finds(capsys, tmp_path):
    figure, data = tmp_path / "step.svg", tmp_path / "step.json"
    command = ["convergence", *OPTIONS, "--seeds", str(SEEDS)]
    code, out, _ = run(capsys, *command, "--plot", str(figure), "--json", str(data))
    report = json.loads(data.read_text())
    result = pt.convergence(problem(), seeds=SEEDS, key=jax.random.key(0))
    assert code == 0
    assert figure.stat().st_size > 0
    np.testing.assert_allclose(report["errors"], result.errors, rtol=1e-6)
    assert f"# Order {result.slope:.4f}" in out
    assert max(map(len, out.splitlines()[1:])) <= 80


@pytest.mark.parametrize(
    ("more", "message"),
    [
        (["--knob", "depth"], "knob: got 'depth'"),
        (["--plot", "step.txt"], "a file ending in .png, .svg or .pdf"),
        (["--json", "no/such/folder.json"], "a folder that can be written to"),
    ],
)
def test_the_command_refuses_before_it_runs(capsys, more, message):
    code, _, err = run(capsys, "convergence", *OPTIONS, *more)
    assert code == 2
    assert message in err
    assert len(err.splitlines()) == 1

"""Trained layers held against the law: agreement, near misses, and runs that have not ended."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory._core.linalg import psd_power
from projhead_theory.problems import random_moments
from projhead_theory.theorems._common.law import judge_layers
from projhead_theory.theorems._common.training import flow
from projhead_theory.theorems.layers.progressive_weighting import judge_spread

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


FRACTIONS = np.array([0.9, 0.7, 0.5, 0.3])


@pytest.fixture(scope="module")
def both():
    """A prediction and a run that agrees with it, at two tolerances: depth 2, width below the
    dimension, balanced start.
    """
    moments = random_moments(jax.random.key(0), FRACTIONS)
    network = pt.DeepLinear.balanced(jax.random.key(1), (4, 3, 3), scale=0.5)
    return pt.theory.layers.layerwise(moments, 2, width=3), flow(network, moments, save_at=16)


@pytest.fixture(scope="module")
def run(both):
    return both[0], both[1].fine


def near_miss(prediction):
    """The prediction with the power l / (L + 1)."""
    last, depth = prediction.grams[-1], prediction.depth
    powers = [
        psd_power(last, level / (depth + 1), prediction.minimiser.kept)
        for level in range(1, depth + 1)
    ]
    return eqx.tree_at(lambda p: p.grams, prediction, jnp.stack(powers))


def test_agreement_holds_and_a_near_miss_does_not(run):
    """The true exponent holds within a tolerance thousands of times smaller than the near miss's
    discrepancy.
    """
    prediction, trajectory = run
    good, bad = pt.compare(prediction, trajectory), pt.compare(near_miss(prediction), trajectory)
    assert good.name == "holds"
    assert bad.name == "violated"
    assert float(bad.discrepancy.min()) > 1e3 * float(good.tolerance.max())


@pytest.mark.parametrize("factor", [1 + 1e-4, 1 - 1e-4])
def test_a_small_wrong_factor_is_caught(run, factor):
    """A prediction wrong by one part in ten thousand is a violation."""
    prediction, trajectory = run
    wrong = eqx.tree_at(lambda p: p.grams, prediction, prediction.grams * factor)
    assert pt.compare(wrong, trajectory).name == "violated"


def test_unconverged_run_is_not_a_refutation(run):
    """A run stopped early is either within its honest stationarity tolerance or called not
    converged, never violated.
    """
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(2), (4, 3, 3), scale=0.05)
    for t1 in (0.1, 1.0, 10.0):
        v = pt.compare(
            prediction,
            pt.simulation.gradient_flow(network, prediction.moments, t1=t1, save_at=16),
        )
        assert v.name in ("not_converged", "undecidable"), str(v)


def test_stationarity_tolerance_covers_a_loose_stop(run):
    """Stopped at a loose gradient, the discrepancy grows and the derived tolerance covers it,
    without hiding much more.
    """
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(2), (4, 3, 3), scale=0.5)
    for stationarity in (1e-3, 1e-5, 1e-7):
        trajectory = pt.simulation.gradient_flow(
            network, prediction.moments, stationarity=stationarity, save_at=16
        )
        v = pt.compare(prediction, trajectory)
        assert v.name == "holds", str(v)
        assert float(v.tolerance[-1]) < 20 * float(v.discrepancy[-1])


def test_a_run_at_a_saddle_has_not_converged(run):
    """A saddle has no residual, so nothing is granted to it; but the loss still falls from there,
    and no run says that it ends there.
    """
    prediction, trajectory = run
    minimiser = prediction.minimiser
    modes = minimiser.modes[:, jnp.array([0, 1, 3])]
    root = jnp.sqrt(minimiser.signal_fraction[jnp.array([0, 1, 3])])
    gram = (modes * root**2) @ modes.T
    values, vectors = jnp.linalg.eigh(gram)
    saddle = pt.DeepLinear.aligned(vectors[:, 1:], jnp.sqrt(values[1:]), (4, 3, 3))
    count = len(trajectory.times)
    stuck = eqx.tree_at(
        lambda t: t.networks, trajectory, jax.tree.map(lambda w: jnp.stack([w] * count), saddle)
    )
    verdict = pt.compare(prediction, stuck)
    assert verdict.name == "not_converged"
    assert float(verdict.discrepancy[-1]) > 100 * float(verdict.tolerance[-1])


def test_unbalanced_start_is_a_failed_premise_and_a_violation_without_it(both):
    """What the start has is granted by `compare`; a claim about balanced starts grants nothing. It
    says that its premise fails, and with the premise waived, as for a control, that the law does.
    """
    prediction, _ = both
    network = pt.DeepLinear.unbalanced(jax.random.key(3), (4, 3, 3), [1.0, 0.2])
    lopsided = flow(network, prediction.moments, save_at=16)
    default = pt.compare(prediction, lopsided.fine)
    assert default.name in ("holds", "undecidable")
    assert float(default.parts["start"][0]) > 1e-2
    v = judge_layers(prediction, lopsided)
    assert (v.name, v.failed) == ("premise_failed", ("balanced start",))
    assert v.waived.name == "violated"


def test_equal_weights_cannot_tell_layers_apart():
    """Where all weights are one, every exponent predicts the same: undecidable, not a success."""
    moments = pt.Moments(jnp.eye(3), jnp.eye(3))
    network = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.5)
    v = pt.compare(
        pt.theory.layers.layerwise(moments, 2),
        pt.simulation.gradient_flow(network, moments, save_at=16),
    )
    assert v.name == "undecidable"


def test_tied_cut_fails_a_premise():
    moments = pt.Moments(0.5 * jnp.eye(4), jnp.eye(4))
    network = pt.DeepLinear.balanced(jax.random.key(0), (4, 3, 3), scale=0.5)
    prediction = pt.theory.layers.layerwise(moments, 2, width=3, throw=False)
    v = pt.compare(prediction, pt.simulation.gradient_flow(network, moments, save_at=16))
    assert (v.name, v.failed) == ("premise_failed", ("unique minimiser",))


def test_diverged_run_is_said(run):
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(0), (4, 3, 3), scale=0.5)
    trajectory = pt.simulation.gradient_descent(
        network, prediction.moments, learning_rate=10.0, steps=100, save_at=16
    )
    assert pt.compare(prediction, trajectory).name == "diverged"


def test_compare_checks_shapes(run):
    prediction, trajectory = run
    with pytest.raises(
        ValueError, match=r"^trajectory: got depth 2; want the prediction's depth 3"
    ):
        pt.compare(pt.theory.layers.layerwise(prediction.moments, 3), trajectory)
    with pytest.raises(ValueError, match=r"^trajectory: got inputs of dimension 4"):
        pt.compare(pt.theory.layers.layerwise(pt.Moments(jnp.eye(2), jnp.eye(2)), 2), trajectory)


def test_verdict_reports(run, tmp_path):
    """A verdict prints its parts, plots, and exports without a NaN."""
    v = pt.compare(*run)
    assert str(v).startswith("holds: ")
    assert "stationarity" in str(v)
    axes = v.plot()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["layer 1", "layer 2"]
    for ending in ("png", "svg", "pdf"):
        pt.figures.save(v.plot(), tmp_path / f"v.{ending}")
        assert (tmp_path / f"v.{ending}").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"^plot: got "):
        pt.figures.save(v.plot(), tmp_path / "v.xyz")
    data = v.to_xarray()
    assert dict(data.sizes) == {"row": 2, "source": 5, "direction": 4}
    np.testing.assert_allclose(data.part.sum("source"), v.tolerance)
    axes = pt.figures.plot_trajectory(run[1], run[0])
    assert len(axes.lines) == 2 * 2 * 4


def test_spread_is_held_against_the_predicted_layers(both):
    """The spread compared is that of the theory's own Grams, so a theory with a wrong exponent is
    caught by it.
    """
    prediction, trajectories = both
    assert judge_spread(prediction, trajectories).name == "holds"
    assert judge_spread(near_miss(prediction), trajectories).name == "violated"


def test_progressive_weighting_is_seen(run):
    """The measured condition number itself grows from layer to layer: the paper's observation,
    without any formula.
    """
    spectrum = jnp.linalg.eigvalsh(run[1].grams[-1])[:, 1:]
    spread = spectrum[:, -1] / spectrum[:, 0]
    assert float(spread[1]) > float(spread[0]) > 1


def test_matrices_trained_elsewhere_are_sent_to_the_inspection(run, untyped):
    with pytest.raises(ValueError, match=r"trajectory: got list; want a run .*pt\.inspect"):
        pt.compare(run[0], [np.eye(4), np.eye(4)])

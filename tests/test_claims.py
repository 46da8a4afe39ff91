"""Verdicts and claims: that they hold where they should, and that every way of being wrong has its own outcome."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.claims import CLAIMS, check, find, judge, views_claim
from projhead_theory.claims._layers import judge_layers, judge_spread, near_miss
from projhead_theory.problems import random_moments

pytestmark = pytest.mark.x64

FRACTIONS = np.array([0.9, 0.7, 0.5, 0.3])


@pytest.fixture(autouse=True)
def _standard_promotion():
    """Optax's own Adam mixes dtypes, which the suite's strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture(scope="module")
def run():
    """A prediction and a run that agrees with it: depth 2, width below the dimension, balanced start."""
    moments = random_moments(jax.random.key(0), FRACTIONS)
    network = pt.DeepLinear.balanced(jax.random.key(1), (4, 3, 3), scale=0.5)
    return pt.theory.layerwise(moments, 2, width=3), pt.simulation.gradient_flow(network, moments, record=8)


def outcome(discrepancy, tolerance, effect, **premises):
    item = judge(jnp.array([discrepancy]), {"part": jnp.array([tolerance])}, jnp.array([effect]), **premises)
    names = ("holds", "violated", "premise_failed", "undecidable", "not_converged", "diverged")
    return next(n for n in names if bool(item == getattr(pt.Outcome, n)))


def test_every_outcome_is_reachable():
    """Six outcomes, one for each thing that can be the matter; a NaN is never a success."""
    assert outcome(0.1, 0.2, 1.0) == "holds"
    assert outcome(0.3, 0.2, 1.0) == "violated"
    assert outcome(0.1, 0.2, 0.15) == "undecidable"
    assert outcome(0.3, 0.2, 1.0, settled=False) == "not_converged"
    assert outcome(0.1, 0.2, 1.0, premise=False) == "premise_failed"
    assert outcome(0.1, 0.2, 1.0, finite=False) == "diverged"
    assert outcome(np.nan, 0.2, 1.0) == "diverged"
    assert outcome(0.1, np.nan, 1.0) == "violated"


def test_agreement_holds_and_a_near_miss_does_not(run):
    """The true exponent holds within a tolerance thousands of times smaller than the near miss's discrepancy."""
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
    """A run stopped early is either within its honest stationarity tolerance or called not converged, never violated."""
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(2), (4, 3, 3), scale=0.05)
    for until in (0.1, 1.0, 10.0):
        verdict = pt.compare(prediction, pt.simulation.gradient_flow(network, prediction.moments, until=until, record=4))
        assert verdict.name in ("not_converged", "undecidable"), str(verdict)


def test_stationarity_tolerance_covers_a_loose_stop(run):
    """Stopped at a loose gradient, the discrepancy grows and the derived tolerance covers it, without hiding much more."""
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(2), (4, 3, 3), scale=0.5)
    for stationarity in (1e-3, 1e-5, 1e-7):
        trajectory = pt.simulation.gradient_flow(network, prediction.moments, stationarity=stationarity, record=4)
        verdict = pt.compare(prediction, trajectory)
        assert verdict.name == "holds", str(verdict)
        assert float(verdict.tolerance[-1]) < 20 * float(verdict.discrepancy[-1])


def test_other_stationary_point_is_violated(run):
    """A saddle has no residual, so nothing is granted to it: keeping the wrong modes is a violation, not an undecided run."""
    prediction, trajectory = run
    minimiser = prediction.minimiser
    modes = minimiser.modes[:, jnp.array([0, 1, 3])]
    root = jnp.sqrt(minimiser.signal_fraction[jnp.array([0, 1, 3])])
    gram = (modes * root**2) @ modes.T
    values, vectors = jnp.linalg.eigh(gram)
    saddle = pt.DeepLinear.aligned(vectors[:, 1:], jnp.sqrt(values[1:]), (4, 3, 3))
    stuck = eqx.tree_at(lambda t: t.networks, trajectory, jax.tree.map(lambda w: jnp.stack([w] * 8), saddle))
    assert pt.compare(prediction, stuck).name == "violated"


def test_unbalanced_start_widens_the_tolerance_and_is_caught_when_not_granted(run):
    """What the start has is granted by default; a claim about balanced starts grants nothing."""
    prediction, reference = run
    network = pt.DeepLinear.unbalanced(jax.random.key(3), (4, 3, 3), [1.0, 0.2])
    trajectory = pt.simulation.gradient_flow(network, prediction.moments, record=4)
    default = pt.compare(prediction, trajectory)
    assert default.name in ("holds", "undecidable")
    assert float(default.parts["start"][0]) > 1e-2
    assert judge_layers(prediction, trajectory, reference).name == "violated"


def test_equal_weights_cannot_tell_layers_apart():
    """Where all weights are one, every exponent predicts the same: undecidable, not a success."""
    moments = pt.Moments(jnp.eye(3), jnp.eye(3))
    network = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.5)
    verdict = pt.compare(pt.theory.layerwise(moments, 2), pt.simulation.gradient_flow(network, moments, record=4))
    assert verdict.name == "undecidable"


def test_tied_cut_fails_a_premise():
    moments = pt.Moments(0.5 * jnp.eye(3), jnp.eye(3))
    network = pt.DeepLinear.balanced(jax.random.key(0), (3, 2, 2), scale=0.5)
    prediction = pt.theory.layerwise(moments, 2, width=2, throw=False)
    assert pt.compare(prediction, pt.simulation.gradient_flow(network, moments, record=4)).name == "premise_failed"


def test_diverged_run_is_said(run):
    prediction, _ = run
    network = pt.DeepLinear.balanced(jax.random.key(0), (4, 3, 3), scale=0.5)
    trajectory = pt.simulation.gradient_descent(network, prediction.moments, step=10.0, steps=100, record=4)
    assert pt.compare(prediction, trajectory).name == "diverged"


def test_compare_checks_shapes(run):
    prediction, trajectory = run
    with pytest.raises(ValueError, match=r"^trajectory: got depth 2; want the prediction's depth 3"):
        pt.compare(pt.theory.layerwise(prediction.moments, 3), trajectory)
    with pytest.raises(ValueError, match=r"^trajectory: got inputs of dimension 4"):
        pt.compare(pt.theory.layerwise(pt.Moments(jnp.eye(2), jnp.eye(2)), 2), trajectory)


def test_verdict_reports(run, tmp_path):
    """A verdict prints its parts, plots, and exports without a NaN."""
    verdict = pt.compare(*run)
    assert str(verdict).startswith("holds: ")
    assert "stationarity" in str(verdict)
    axes = verdict.plot()
    assert [t.get_text() for t in axes.get_xticklabels()] == ["layer 1", "layer 2"]
    for ending in ("png", "svg", "pdf"):
        pt.figures.save(verdict.plot(), tmp_path / f"v.{ending}")
        assert (tmp_path / f"v.{ending}").stat().st_size > 1000
    with pytest.raises(ValueError, match=r"^plot: got "):
        pt.figures.save(verdict.plot(), tmp_path / "v.xyz")
    data = verdict.to_xarray()
    assert dict(data.sizes) == {"row": 2, "source": 5, "direction": 4}
    np.testing.assert_allclose(data.part.sum("source"), verdict.tolerance)
    axes = pt.figures.plot_trajectory(run[1], run[0])
    assert len(axes.lines) == 2 * 2 * 4


@pytest.mark.parametrize("name", list(CLAIMS))
@pytest.mark.parametrize("seed", [0, 1])
def test_claim_holds_and_its_controls_are_caught(name, seed):
    """Every claim, on problems drawn from the seed; at least two controls each, all of which must fail the claim's own check."""
    result = check(CLAIMS[name], seed)
    assert len(result.controls) >= 2
    assert result.holds, "\n".join(map(str, result.verdicts))
    for control in result.controls:
        assert control.caught, f"{control.control.name}: {control.verdict}"


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(2, 10))
def test_claims_hold_for_other_seeds(seed):
    for result in pt.verify(seed=seed):
        assert result.verified, f"{result.claim.name}: {result.worst}, {[(c.control.name, str(c.verdict)) for c in result.controls]}"


def test_unknown_claim_suggests_the_nearest():
    with pytest.raises(ValueError, match=r"^claim: got 'layerwise-lwa', which is unknown; did you mean 'layerwise-law'\?"):
        find(["layerwise-lwa"])
    assert [c.name for c in find(["balancedness", "balancedness"])] == ["balancedness"]
    assert len(find()) == len(CLAIMS)


def test_claim_on_views():
    """Correlated views of a sample: the law holds on their moments, whose cross moment need not be positive, and controls are caught."""
    rng = np.random.default_rng(0)
    mix = rng.standard_normal((5, 5))
    signal = rng.standard_normal((400, 3)) * [2.0, 1.5, 1.0]
    views = [np.pad(signal, ((0, 0), (0, 2))) @ mix + 0.7 * rng.standard_normal((400, 5)) for _ in range(2)]
    moments = pt.Moments.from_views(*views)
    for depth in (1, 2):
        result = check(views_claim(moments, depth, width=2))
        assert result.verified, f"{result.worst}, {[(c.control.name, str(c.verdict)) for c in result.controls]}"


def test_claim_on_views_of_deficient_rank():
    """Pixels that never vary are left out: the problem is restricted to the range of the second moment."""
    rng = np.random.default_rng(1)
    base = rng.standard_normal((300, 3))
    frame = rng.standard_normal((3, 6))
    views = [(base + 0.5 * rng.standard_normal((300, 3))) @ frame for _ in range(2)]
    assert check(views_claim(pt.Moments.from_views(*views), 2, width=2)).verified


def test_spread_is_held_against_the_predicted_layers(run):
    """The spread compared is that of the theory's own Grams, so a theory with a wrong exponent is caught by it."""
    prediction, trajectory = run
    assert judge_spread(prediction, trajectory).name == "holds"
    assert judge_spread(near_miss(prediction), trajectory).name == "violated"


def test_progressive_weighting_is_seen(run):
    """The measured condition number itself grows from layer to layer: the paper's observation, without any formula."""
    spectrum = jnp.linalg.eigvalsh(run[1].grams[-1])[:, 1:]
    spread = spectrum[:, -1] / spectrum[:, 0]
    assert float(spread[1]) > float(spread[0]) > 1

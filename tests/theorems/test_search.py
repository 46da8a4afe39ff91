"""The random search against the library's claims: true ones survive, false ones are refuted by
small problems.
"""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import some
from helpers.measured import side
from helpers.toys import refuted

import projhead_theory as pt
from projhead_theory.claims import (
    Claim,
    Trial,
    numbers,
    search,
    search_exact,
    shrink,
)
from projhead_theory.claims._search import EXACT, attempts, rounder
from projhead_theory.moments import Moments, TargetMoments
from projhead_theory.theorems import CLAIMS, FAMILIES
from projhead_theory.theorems._common.exact import run_of
from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems._common.tasks import ModeTask, Task, aligned, harder
from projhead_theory.theorems._common.training import RECORDS, local_error
from projhead_theory.theorems.balance.min_norm import with_power
from projhead_theory.theorems.decay.feature_extinction import Extinction
from projhead_theory.theorems.supervised.sl_minimiser import RegressionTask

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]


# Networks that need no training


@pytest.mark.parametrize(
    ("name", "x64"),
    [
        ("layerwise-law", True),
        pytest.param("layerwise-law", False, marks=pytest.mark.slow),
        *(
            pytest.param(name, x64, marks=pytest.mark.deep)
            for name, claim in CLAIMS.items()
            for x64 in (True, False)
            if claim.exact and name != "layerwise-law"
        ),
    ],
)
def test_networks_of_the_closed_form_hold_and_those_with_a_weight_off_do_not(name, x64):
    """One batch of one shape: no false alarm and none missed, in either dtype."""
    with jax.enable_x64(x64):
        found = search_exact(CLAIMS[name], EXACT, draws=CLAIMS[name].search[:1])
    assert found.survived, found.to_dict()
    assert found.tried == EXACT
    assert found.outcomes["holds"] >= EXACT / 4
    assert set(found.off) == {"violated"}


# Shrinking


@pytest.mark.parametrize("seed", some(range(6), 0, 1))
def test_shrunk_moments_are_moments(seed):
    """0 <= C <= S on the way and at the end, where rounding would break it, and the network still
    fits: a counterexample that is no problem at all refutes nothing.
    """
    problem = harder(jax.random.key(seed), (4, 3, 3, 3))
    claim, asked = refuted(problem)
    trial = shrink(claim, Trial(problem, claim.judge(problem)))
    for p in asked:
        # Validated as if new, and to rounding.
        Moments(p.moments.cross, p.moments.second)
        assert p.sizes[0] == p.moments.dim
        assert min(p.sizes) >= 1
    assert trial.verdict.name == "violated"
    assert trial.problem.sizes == (1, 1)


@pytest.mark.parametrize("seed", some(range(3), 0))
def test_shrunk_features_are_features(seed):
    draw = CLAIMS["flow-times"].search[2]
    problem = draw(jax.random.key(seed))
    claim, asked = refuted(problem)
    trial = shrink(claim, Trial(problem, claim.judge(problem)))
    assert len(asked) > 3
    for p in asked:
        assert np.all((np.asarray(p.cross) >= 0) & (p.cross <= p.second))
    assert (trial.problem.depth, trial.problem.cross.shape) == (1, (1,))


def test_rounding_that_breaks_the_moments_is_passed_over():
    """C <= S here only in the third digit: one and two digits are no moments, and are never
    tried.
    """
    cross, second = jnp.array([[1.0, 0.5], [0.5, 1.0]]), jnp.array([[1.004, 0.496], [0.496, 1.004]])
    with pytest.raises(ValueError):
        Moments(rounder(cross, 2), rounder(second, 2) - 1e-3 * jnp.eye(2))
    problem = Task(Moments(cross * 0.999, second), jax.random.key(0), jnp.asarray(0.5), (2, 2))
    claim, asked = refuted(problem)
    shrink(claim, Trial(problem, claim.judge(problem)))
    for p in asked:
        Moments(p.moments.cross, p.moments.second)


@pytest.mark.parametrize("name", some(["discrete-balancedness", "balancedness"], 0))
def test_shrunk_problems_of_training_have_moments(name):
    """The same for problems that are offered with rounder numbers only."""
    for seed in range(5):
        problem = CLAIMS[name].search[0](jax.random.key(seed))
        claim, asked = refuted(problem)
        shrink(claim, Trial(problem, claim.judge(problem)))
        for p in asked:
            Moments(p.data.cross, p.data.second)


# The library's claims


def is_round(x):
    """Whether every entry has one digit."""
    return np.allclose(x, np.vectorize(lambda v: float(f"{v:.1g}"))(np.asarray(x)), rtol=1e-12)


def narrowed(name, shape=0):
    """The claim, searched on one of its shapes."""
    claim = CLAIMS[name]
    return dataclasses.replace(claim, search=claim.search[shape : shape + 1])


@pytest.mark.slow
def test_least_norm_is_searched_batch_and_problem_alike():
    """A few random factorisations over decades: all hold, judged together as judged one by one."""
    claim = narrowed("min-norm")
    pairs = [(claim.judge(p).name, name) for p, name in attempts(claim, 3, 0)]
    assert pairs == [("holds", "holds")] * 3


@pytest.mark.parametrize(
    "name", ["discrete-balancedness", pytest.param("vanishing-features", marks=pytest.mark.slow)]
)
def test_a_small_search_finds_nothing(name):
    result = search(narrowed(name), 4)
    assert result.survived, str(result.counterexample.verdict)
    assert result.tried == 4
    assert result.outcomes.get("holds", 0) > 0


def test_a_wrong_power_of_the_singular_values_is_refuted():
    """A false theory of the library's own problems: found at once, and shrunk to two layers with
    round numbers.
    """
    claim = narrowed("min-norm")
    power = with_power(lambda depth: 2 / (depth + 1))
    false = dataclasses.replace(claim, predict=lambda p: power(p, claim.predict(p)))
    found = search(false, 3).counterexample
    assert found.verdict.name == "violated"
    assert false.judge(found.problem).name == "violated"
    assert found.problem.network.depth == 2
    assert all(is_round(w) for w in found.problem.network.layers)


@pytest.mark.slow
def test_a_wrong_exponent_of_the_law_is_refuted():
    """By a network that is smaller than the one first found; the same one from the same seed."""
    claim = CLAIMS["layerwise-law"]
    exponent = with_exponents(lambda level, layers: level / (layers + 1))
    false = dataclasses.replace(
        claim,
        predict=lambda p: exponent(p, claim.predict(p)),
        search=(lambda key: harder(key, (3, 2, 2)),),
    )
    found = search(false, 10).counterexample
    assert found.verdict.name == "violated"
    assert sum(found.problem.sizes) < 7
    assert eqx.tree_equal(found.problem, search(false, 10).counterexample.problem)


@pytest.mark.deep
@pytest.mark.parametrize("name", list(CLAIMS))
def test_search_finds_nothing_against_any_claim(name):
    with jax.numpy_dtype_promotion("standard"):
        result = search(CLAIMS[name], 50)
    assert result.survived, (
        f"{result.counterexample.verdict}, {numbers(result.counterexample.problem)}"
    )
    assert result.tried == 50
    assert result.outcomes.get("holds", 0) >= 10, result.outcomes


@pytest.mark.slow
def test_a_false_conjecture_of_a_user_is_refuted():
    """A claim of trained networks without draws of its own: searched problem by problem, and its
    numbers rounded.
    """
    sizes = (2, 2, 2)

    def draw(key):
        strength, noise = jax.random.uniform(key, (2, 2), minval=0.3, maxval=2.0)
        yield pt.ContrastiveProblem(pt.Features(strength), pt.AdditiveNoise(noise))

    def train(problem):
        start = pt.DeepLinear.balanced(jax.random.key(0), sizes, scale=0.7)
        return pt.theorems.trained(
            start, problem.moments(), lambda network: pt.measure.layer_weights(network)[-1]
        )

    def fraction(problem):
        moments = problem.moments()
        return jnp.diag(moments.cross) / jnp.diag(moments.second)

    claim = Claim("fractions", "Weights are signal fractions.", draw, fraction, train)
    found = search(claim, 5).counterexample
    assert is_round(found.problem.features.strength)


def test_a_network_of_strengths_far_apart_is_not_violated_by_its_own_rounding():
    """A second moment whose least eigenvalue is below the rounding of its entries: the strong
    inputs magnify that of the network.
    """
    cross = [
        [924.3695582596235, 1230169.039472142, 796093.622390638, 1133082.8162211226],
        [1230169.039472142, 1637132954.423534, 1059456921.9366083, 1507928714.676001],
        [796093.622390638, 1059456921.9366083, 685618700.9164665, 975843476.9966562],
        [1133082.8162211226, 1507928714.676001, 975843476.9966562, 1388921408.2463388],
    ]
    second = [
        [1229.0307053377462, 1635618.0368463318, 1058476.5556764991, 1506533.355974308],
        [1635618.0368463318, 2176712389.152206, 1408641247.8114893, 2004923977.814242],
        [1058476.5556764991, 1408641247.8114893, 911590421.8327911, 1297469811.790536],
        [1506533.355974308, 2004923977.814242, 1297469811.790536, 1846693287.0171742],
    ]
    problem = Task(
        Moments(jnp.asarray(cross), jnp.asarray(second)),
        jax.random.key(0),
        jnp.asarray(1.0),
        (4, 4),
    )
    verdict, _, _ = CLAIMS["spectral-minimiser"].exact(problem)
    assert float(verdict.discrepancy[1]) > float(verdict.effect[1])
    assert verdict.name == "undecidable"


@pytest.mark.slow
def test_a_condition_number_beyond_rounding_is_undecidable():
    """The least weight of a layer is below the rounding of the largest: its logarithm is known to
    no precision.
    """
    fractions, strengths = (
        jnp.asarray([0.654, 0.881, 0.844, 0.65]),
        jnp.asarray([0.81, 2.91, 0.26, 1.4e-16]),
    )
    moments = Moments(jnp.diag(fractions * strengths), jnp.diag(strengths))
    claim = CLAIMS["progressive-weighting"]
    for seed in range(5):
        verdict, _, _ = claim.exact(
            Task(moments, jax.random.key(seed), jnp.asarray(1.0), (4, 5, 5))
        )
        assert verdict.name == "undecidable"


def test_a_weight_that_rounding_may_have_lost_refutes_no_condition_number():
    """The logarithm of the least weight has no bound where the error of its Gram reaches it."""
    strengths = jnp.asarray([2.0, 1.0, 1e17])
    moments = Moments(jnp.diag(strengths / 2), jnp.diag(strengths))
    claim, sizes = CLAIMS["progressive-weighting"], (3, 3, 3)
    prediction = claim.predict(Task(moments, jax.random.key(0), jnp.asarray(1.0), sizes))
    weights = jnp.sqrt(jnp.diagonal(prediction.grams[-1]))
    lost = aligned(weights.at[jnp.argmin(weights)].set(0), 2)
    verdict = claim.compare(prediction, run_of(lost, lost, moments))
    assert verdict.name == "undecidable"


def test_a_column_of_the_map_that_is_small_beside_the_others_keeps_its_digits():
    """In float32, a singular vector by the plain decomposition has an error as large as the column
    of the strong input.
    """
    target = [
        [-0.0067769531, 15437.053711, -0.0012663528],
        [0.0109022642, 5954.0610352, -0.0007432569],
        [-0.078196347, 5770.0161133, 0.0022553941],
        [0.046714079, 3397.8215332, 7.5587828e-5],
    ]
    second = [[0.0128111364, 0.0, 0.0], [0.0, 308954080.0, 0.0], [0.0, 0.0, 1.07689222e-5]]
    with jax.enable_x64(False):
        problem = RegressionTask(
            TargetMoments(target, second, 3.2445), jax.random.key(0), jnp.asarray(1.0), (3, 4)
        )
        verdict, _, _ = CLAIMS["sl-minimiser"].exact(problem)
    assert verdict.name == "holds"


@pytest.mark.slow
def test_targets_that_vary_with_an_input_of_unseen_variance_are_no_counterexample():
    """A moment of the target along a direction in which the second moment shows nothing: the loss
    moves with it, the map does not.
    """
    moments = TargetMoments(
        [[0.5, 0.0, 1e-9], [0.0, 0.3, -1e-9]], jnp.diag(jnp.asarray([1.0, 1.0, 0.0]))
    )
    claim = CLAIMS["sl-minimiser"]
    assert (
        claim.judge(RegressionTask(moments, jax.random.key(0), jnp.asarray(0.5), (3, 2))).name
        == "holds"
    )


def test_errors_of_steps_that_save_times_force_add_up():
    """Two runs of the same steps agree to the last digit, and are both off by more than a step."""
    times = jnp.geomspace(0.3403512621442559, 6807.0252428865115, RECORDS)
    target = jnp.asarray([0.0039057245930940584, 0.0036142981631783807, 0.001468056539324532])
    second = jnp.asarray([0.003928659851290462, 0.018169059651275545, 0.0029381410067342434])
    start = jnp.asarray([0.15937861701626002, 0.16028978294176116, 0.6505901171265265])
    verdict = CLAIMS["sl-times"].judge(ModeTask(target, second, start, times, jnp.asarray(0.0), 1))
    assert verdict.name == "holds"
    assert float(jnp.max(verdict.discrepancy)) > local_error(times.dtype, 1)


@pytest.mark.slow
def test_a_vanishing_weight_that_has_not_quite_vanished_moves_the_jump():
    """The objective of the lower minimum is not yet zero when its run stops."""
    number = lambda x: jnp.asarray(x, jnp.result_type(float))
    problem = Extinction(number(960.0), number(24000.0), number(0.0014), number(0.54), 3)
    verdict = CLAIMS["feature-extinction"].judge(problem)
    assert verdict.name == "holds"
    assert float(verdict.discrepancy[0]) > float(verdict.parts["bisection"][0])


@pytest.mark.parametrize(
    "name",
    [
        *("scl-minimiser", "sl-minimiser", "coarse-to-fine"),
        *(pytest.param(name, marks=pytest.mark.slow) for name in FAMILIES["heads"]),
    ],
)
def test_simpler_problems_hold_as_well(name):
    """What a shrinking search would offer is a problem of the same kind; moments that are none are
    passed over.
    """
    problem, _ = side(name, 0)
    *_, offer = problem.shrinks()
    assert CLAIMS[name].judge(offer()).name == "holds"

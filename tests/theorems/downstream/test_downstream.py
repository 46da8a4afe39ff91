"""Which layer is best, held against trained networks: claims and their controls, many problems at
once, phase diagrams.
"""

import json

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import DeepLinear, measure
from projhead_theory.problems import Downstream
from projhead_theory.theorems import check_phase
from projhead_theory.theorems.downstream import optimal_layer
from projhead_theory.theorems.downstream._probing import judge_logarithms, train_probing
from projhead_theory.theory import FeaturePlane, Knob, phase_diagram, sample_complexity


def cast(x):
    return jnp.asarray(x, jnp.result_type(float))


@pytest.mark.slow
@pytest.mark.x64
def test_trained_networks_choose_the_predicted_side_of_the_head_in_two_hundred_problems():
    """From 2 to 32 features and 2 to 5 layers; the indicator is measured on the layers themselves,
    by their singular values.
    """
    decided = 0
    for number, (d, depth) in enumerate(
        [(2, 2), (3, 5), (5, 3), (8, 4), (12, 2), (16, 3), (24, 2), (32, 2)]
    ):
        sizes = (d,) * (depth + 1)

        def one(key, sizes=sizes):
            problem = optimal_layer.featured(key, sizes)
            prediction, run = optimal_layer.predict(problem), train_probing(problem)
            budget = judge_logarithms(prediction.layers, run, problem.downstream)
            predicted, measured = jnp.log(prediction.complexity), budget.measured[:, 0]
            band = budget.tolerance[-1] + budget.tolerance[-2]
            return predicted[-1] - predicted[-2], measured[-1] - measured[-2], band, budget.settled

        keys = jax.random.split(jax.random.key(number), 25)
        # One after the other: nothing is gained by a batch in which all wait for the slowest.
        predicted, measured, band, settled = (
            np.asarray(x) for x in eqx.filter_jit(lambda k, one=one: jax.lax.map(one, k))(keys)
        )
        assert settled.all(), (d, depth)
        assert (np.abs(measured - predicted) <= band).all(), (d, depth)
        clear = np.abs(predicted) > band
        assert (np.sign(measured) == np.sign(predicted))[clear].all(), (d, depth)
        decided += clear.sum()
    assert decided >= 195


@pytest.mark.parametrize("sizes", [(1, 1), (3, 4, 3), (5, 5, 6, 7)])
def test_measured_indicator_is_that_of_the_grams(sizes, eps):
    """Singular values of a layer on the one side, the pseudo-inverse of its Gram on the other."""
    k1, k2, k3 = jax.random.split(jax.random.key(len(sizes)), 3)
    network = DeepLinear.orthogonal(k1, sizes, 1.3)
    root = jax.random.normal(k2, (sizes[0], sizes[0]))
    downstream = Downstream(root @ root.T, jax.random.normal(k3, sizes[:1]))
    want = sample_complexity(measure.layer_grams(network), downstream)
    np.testing.assert_allclose(measure.sample_complexity(network, downstream), want, rtol=1e4 * eps)


def test_a_layer_without_the_target_has_no_separator():
    dropped = DeepLinear([jnp.diag(cast([1.0, 2.0, 0.0])), jnp.diag(cast([0.0, 2.0, 0.0]))])
    for j, lost in enumerate([[False, True], [False, False], [True, True]]):
        downstream = Downstream(jnp.eye(3, dtype=cast(1.0).dtype), cast(np.eye(3)[j]))
        seen = measure.sample_complexity(dropped, downstream)
        assert np.isinf(np.asarray(seen)).tolist() == lost
        assert (
            np.isinf(
                np.asarray(sample_complexity(measure.layer_grams(dropped), downstream))
            ).tolist()
            == lost
        )
    with pytest.raises(ValueError, match=r"^downstream: got .*; want "):
        measure.sample_complexity(dropped, Downstream(np.eye(2), [1.0, 0.0]))


def test_where_inputs_do_not_vary_the_separator_is_free():
    network = DeepLinear([cast([[1.0, 0.5], [0.5, 1.0]])])
    downstream = Downstream(jnp.diag(cast([1.0, 0.0])), cast([1.0, 0.0]))
    # The shortest v with (W^T v)_1 = 1 has squared norm 1 / (1 + 1/4); the radius is that of the
    # first column.
    assert float(measure.sample_complexity(network, downstream)[0]) == pytest.approx(1.25 / 1.25)


def diagram(**options):
    plane = FeaturePlane(
        Knob("noise", 1),
        Knob("strength", 1),
        1,
        cast([1.5, 1.0, 0.6]),
        cast([1.0, 0.2, 0.3]),
        **options,
    )
    return phase_diagram(plane, jnp.linspace(0, 1.5, 24), jnp.linspace(0.2, 2, 24), 2)


@pytest.mark.x64
def test_the_boundary_separates_networks_trained_on_both_sides_of_it():
    result = check_phase(diagram(), 32, jax.random.key(0))
    assert bool(result.settled.all() & result.agrees.all())
    assert int(result.decided.sum()) >= 31
    assert not bool(result.misclassified.any())
    assert {bool(s) for s in result.measured > 0} == {True, False}


@pytest.mark.x64
def test_a_boundary_that_is_off_is_caught():
    """The same networks, against margins that are off by a third."""
    right = check_phase(diagram(), 32, jax.random.key(0))
    shifted = eqx.tree_at(lambda c: c.predicted, right, right.predicted + 0.3)
    assert bool(shifted.misclassified.any())
    assert bool(shifted.violated.all())


@pytest.mark.slow
def test_points_beyond_the_boundary_of_what_is_kept_are_not_compared():
    plane = FeaturePlane(Knob("flip", 0), Knob("noise", 1), 0, cast([1.0, 1.0]), cast([0.3, 0.3]))
    lost = phase_diagram(plane, cast([0.5]), cast([0.1, 0.5]), 2)
    result = check_phase(lost, 2, jax.random.key(0))
    assert not bool(
        result.kept.any() | result.agrees.any() | result.misclassified.any() | result.violated.any()
    )
    assert json.dumps(result.to_dict(), allow_nan=False)
    assert result.to_xarray()["kept"].shape == (2,)


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: check_phase(diagram(), 0, jax.random.key(0)), "simulate"),
        (lambda: check_phase(diagram(width=2), 4, jax.random.key(0)), "width"),
        (
            lambda: check_phase(
                phase_diagram(diagram().plane, [0.1], [1.0], 2, 2), 4, jax.random.key(0)
            ),
            "head",
        ),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(ValueError, match=f"^{names}: got .*; want "):
        call()

"""A run against a prediction: exact networks over many decades, two dtypes, arguments that do not
fit, and the row that decides.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.runs import closed, problem, still

import projhead_theory as pt
from projhead_theory.claims import compare_values

X64 = jnp.result_type(float) == jnp.float64
APART = [(jnp.float32, 2e3), (jnp.float32, 1e4), (jnp.float32, 1e8)] + X64 * [
    (jnp.float64, 5e7),
    (jnp.float64, 1e12),
]


@pytest.mark.parametrize("depth", [1, 3])
@pytest.mark.parametrize(("dtype", "ratio"), APART)
def test_the_closed_form_holds_at_strengths_decades_apart(dtype, ratio, depth):
    """The weakest feature has the largest weight, and ten tolerances more of it are a violation."""
    strength = [ratio**0.5, 1.0, ratio**-0.5]
    prediction = pt.theory.layers.layerwise(problem(strength, dtype), depth)
    verdict = pt.compare(prediction, still(closed(strength, depth, dtype)))
    assert verdict.name == "holds", str(verdict)
    tolerance = float(verdict.tolerance[-1])
    # Of eight roundings a feature, of the condition of S scaled to unit diagonal, which is one
    # here.
    assert tolerance < 1e3 * depth * jnp.finfo(dtype).eps
    assert (
        pt.compare(prediction, still(closed(strength, depth, dtype, 1 + 10 * tolerance))).name
        == "violated"
    )


@pytest.mark.parametrize(("dtype", "ratio"), APART)
def test_a_weak_direction_that_is_not_learned_is_no_end_of_a_run(dtype, ratio):
    """Whatever the run says of its gradient, which is small in the units of the strongest
    feature.
    """
    strength = [ratio**0.5, ratio**-0.5]
    prediction = pt.theory.layers.layerwise(problem(strength, dtype), 2)
    for factor in (0.0, 1e-6, 0.1):
        verdict = pt.compare(prediction, still(closed(strength, 2, dtype, factor)))
        assert verdict.name == "not_converged", str(verdict)


@pytest.mark.parametrize(
    ("angle", "converged"), [(0.0, True), (0.1, False), (np.pi / 2 - 0.1, False)]
)
def test_between_nearly_tied_modes_no_run_has_converged(angle, converged):
    """A gap of 1/500 of the last kept fraction, though far above the fractions after the tie: a
    residual does not say which is near.
    """
    fractions = jnp.asarray([0.5, 0.499, 1e-4, 1e-4])
    prediction = pt.theory.layers.layerwise(pt.Moments(jnp.diag(fractions), jnp.eye(4)), 1, width=1)
    mode = jnp.asarray([[np.cos(angle), np.sin(angle), 0.0, 0.0]])
    run = still(pt.DeepLinear([jnp.sqrt(fractions[0]) * mode]))
    # A run that reports no gradient is taken at its word: this one reports all there is.
    run = dataclasses.replace(run, gradient_norm=jnp.full_like(run.gradient_norm, jnp.inf))
    assert bool(pt.compare(prediction, run).converged) is converged


@pytest.mark.x64
@pytest.mark.parametrize(
    ("ours", "theirs"), [(jnp.float32, jnp.float64), (jnp.float64, jnp.float32)]
)
def test_a_prediction_and_a_network_of_two_dtypes(ours, theirs):
    """They are compared in the finer dtype, to the rounding of the coarser."""
    strength, coarse = [2.0, 1.0, 0.5], float(jnp.finfo(jnp.float32).eps)
    rounding = {}
    for own, other in ((ours, theirs), (jnp.float32, jnp.float32), (jnp.float64, jnp.float64)):
        verdict = pt.compare(
            pt.theory.layers.layerwise(problem(strength, own), 2), still(closed(strength, 2, other))
        )
        assert verdict.name == "holds", str(verdict)
        rounding[own, other] = float(verdict.parts["rounding"][-1])
    assert coarse < rounding[ours, theirs] <= rounding[jnp.float32, jnp.float32]
    assert rounding[jnp.float64, jnp.float64] < 1e-6 * rounding[ours, theirs]


@pytest.mark.x64
@pytest.mark.parametrize(
    ("ours", "theirs"), [(jnp.float32, jnp.float64), (jnp.float64, jnp.float32)]
)
def test_a_network_is_trained_in_its_own_dtype(ours, theirs):
    """On moments of another one."""
    moments = problem([1.0, 0.8], ours)
    start = pt.DeepLinear.balanced(jax.random.key(0), (2, 2, 2), scale=0.7, dtype=theirs)
    run = pt.simulation.gradient_descent(start, moments, learning_rate=0.05, steps=400, save_at=2)
    assert run.final.layers[0].dtype == run.loss.dtype == theirs
    best = -float(jnp.sum((jnp.diagonal(moments.cross) / jnp.diagonal(moments.second)) ** 2))
    assert float(run.loss[-1]) == pytest.approx(best, rel=1e-3)


@pytest.mark.parametrize(
    ("width", "sizes"), [(3, (3, 2, 3)), (3, (3, 1, 4)), (2, (3, 3, 3)), (1, (3, 2, 2))]
)
def test_a_prediction_of_another_width_is_refused(width, sizes):
    prediction = pt.theory.layers.layerwise(
        problem([2.0, 1.0, 0.5], jnp.result_type(float)), 2, width=width
    )
    run = still(pt.DeepLinear.balanced(jax.random.key(0), sizes))
    shown = "-".join(map(str, sizes))
    with pytest.raises(
        ValueError,
        match=rf"^trajectory: got a network {shown}, of width {min(sizes)}; "
        f"want the prediction's width {width}",
    ):
        pt.compare(prediction, run)


def test_a_width_beyond_the_dimension_is_the_dimension():
    """Of a prediction and of a network alike."""
    moments = problem([2.0, 1.0], jnp.result_type(float))
    for width, sizes in ((None, (2, 4, 5)), (7, (2, 2, 2)), (7, (2, 3, 9))):
        run = still(pt.DeepLinear.balanced(jax.random.key(0), sizes))
        assert pt.compare(
            pt.theory.layers.layerwise(moments, 2, width=width), run
        ).discrepancy.shape == (2,)


@pytest.mark.parametrize(
    ("measured", "errors", "effect", "row"),
    [
        ([1.0, 1.0], [0.0, 0.0], [0.0, 0.0], 0),
        ([1.0, 1.0], [0.1, 0.2], [1.0, 0.0], 1),
        ([1.0, 1.5], [0.0, 0.0], None, 1),
        ([1.0, np.nan], [0.1, 0.0], None, 1),
        ([1.0, 1.0], [np.inf, 0.0], None, 0),
    ],
)
def test_the_row_that_decides_is_found_without_a_warning(measured, errors, effect, row):
    """Where nothing is granted, nothing must be seen, or a number is not finite. Warnings are
    errors here.
    """
    verdict = compare_values(
        np.ones(2),
        np.array(measured),
        {"error": np.array(errors)},
        effect=None if effect is None else np.array(effect),
    )
    assert verdict.worst == row
    assert verdict.labels[row] in str(verdict)

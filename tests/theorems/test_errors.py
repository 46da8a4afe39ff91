"""Errors that a judge is handed: each is granted once and in full, and no run counts as ended that
is not.
"""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.runs import still

import projhead_theory as pt
from projhead_theory._core.linalg import whiten
from projhead_theory.simulation import Ended
from projhead_theory.theorems._common import training
from projhead_theory.theorems._common.training import Run
from projhead_theory.theorems.heads.head_equivalence import Ends
from projhead_theory.theorems.heads.kappa_emulation import Alike, Both, judge_alike
from projhead_theory.theorems.supervised import shift
from projhead_theory.theorems.supervised.sl_minimiser import distance_to_minimum, judge_least
from projhead_theory.theory.supervised import regression_minimiser

# A fixed head in place of a trained one

FACTOR = 1.5
LOWER = np.diag([0.8, 0.4])


def both(*, miss=1.0, force=0.0, fixed=True, pair=True):
    """Two features whose Gram below a trained head is `LOWER`, and that under the fixed head, with
    both decays, `miss` times what it is to be. Each end has a layer of norm 5 and an inverse of its
    curvature of norm 2, or 6 at the smaller decay.
    """
    run = still(pt.DeepLinear([jnp.asarray(np.sqrt(LOWER))] * 2))
    run = dataclasses.replace(
        run, ended=Ended.where(jnp.asarray(pair), Ended.converged, Ended.limit)
    )
    twice = lambda x: jnp.stack([jnp.asarray(x, run.loss.dtype)] * 2)
    gram = twice(miss * FACTOR**2 * LOWER)
    inverse = twice(np.eye(4)) * jnp.asarray([1.0, 3.0], gram.dtype)[:, None, None]
    layer, step = twice([[3.0, 0.0], [0.0, 4.0]]), twice(np.zeros((2, 2)))
    ends = Ends(
        gram,
        gram,
        gram,
        twice(0.0),
        layer,
        step,
        inverse,
        twice(force),
        jnp.asarray(fixed),
        jnp.asarray(True),
    )
    moments = pt.Moments(jnp.asarray(LOWER**2), jnp.eye(2))
    return Alike(pt.theory.layers.layerwise(moments, 2), jnp.asarray(FACTOR)), Both(
        ends, Run(run, run), jnp.asarray(LOWER)
    )


@pytest.mark.parametrize("fixed", [False, True])
@pytest.mark.parametrize("pair", [False, True])
def test_weights_under_two_heads_differ_only_if_both_runs_have_ended(fixed, pair):
    """Else the one that has not may still get there."""
    verdict = judge_alike(*both(miss=1.1, fixed=fixed, pair=pair))
    assert verdict.name == ("violated" if fixed and pair else "not_converged")


@pytest.mark.parametrize("scale", [0, 100])
def test_rounding_of_both_trainings_is_granted_to_both_rows(scale, eps):
    """That of the network, which is the comparison's own; and of the fixed head that of both
    decays, as their continuation counts them.
    """
    prediction, seen = both(force=scale * eps)
    own = float(pt.compare(prediction.layers, seen.pair.fine).parts["rounding"][0])
    assert eps < own < 1e3 * eps
    # A force moves a layer by itself times the inverse, and a Gram by twice the layer times that: 2
    # x 5 x 2 and 2 x 5 x 6.
    continued = (20 / 3 + 60 * 4 / 3) * scale * eps / (FACTOR**2 * np.linalg.norm(LOWER))
    verdict = judge_alike(prediction, seen)
    assert verdict.name == "holds"
    np.testing.assert_allclose(verdict.parts["rounding"], [continued + own] * 2, rtol=64 * eps)


# Readouts


@pytest.mark.parametrize(("kind", "granted"), [("single", 0.032), ("regression", 0.0)])
def test_a_residual_gradient_is_granted_to_a_read_out_once(kind, granted, eps):
    """Of a single output, which is trained to its end: a gradient of a thousandth, over the least
    curvature, a quarter; twice that of a Gram; and of a readout four times as much, at a noise of
    a half. Others are read on their way, where the gradient is no error.
    """
    groups = pt.problems.Groups(
        [0.5, 0.5], jnp.asarray([[-1.0, 0.0], [1.0, 0.0]]), [1.0, 0.5], [0, 1]
    )
    number = jnp.asarray(0.5)
    task = shift.ProbeTask(
        groups, (groups, groups), groups, number, number, number[None], jax.random.key(0), kind, 2
    )
    run = still(pt.DeepLinear([jnp.eye(2), jnp.eye(2)[:1] if kind == "single" else jnp.eye(2)]))
    run = dataclasses.replace(run, gradient_norm=jnp.asarray([1.0, 1e-3]))
    half = jnp.full((2, 1, 2), 0.5)
    verdict = shift.judge(shift.Accuracies(half, half, jnp.asarray(True)), (task, Run(run, run)))
    np.testing.assert_allclose(verdict.parts["stationarity"], np.full(8, granted), rtol=16 * eps)


# Regression


@pytest.mark.parametrize("width", [1, 2])
@pytest.mark.parametrize(("share", "learned"), [(1e-3, False), (0.49, False), (0.51, True)])
def test_a_mode_that_is_less_than_half_learned_still_grows(share, learned, width):
    """However far above rounding it is: a run that reports its end there has not converged, and is
    no counterexample.
    """
    second = jnp.diag(jnp.asarray([4.0, 0.25]))
    best = jnp.diag(jnp.asarray([0.9, 0.4]))
    moments = pt.moments.TargetMoments(best @ jnp.sqrt(second), second, jnp.asarray(10.0))
    # The last mode that the width allows is learned to this share of its singular value.
    kept = jnp.asarray([share, 0.0] if width == 1 else [1.0, share])
    matrix = kept[:, None] * moments.target @ jnp.linalg.inv(second)
    *_, saddle = distance_to_minimum(moments, whiten(second), matrix, width)
    assert bool(saddle) is not learned
    run = still(pt.DeepLinear([jnp.sqrt(matrix)[:width], jnp.sqrt(matrix)[:, :width]]))
    verdict = judge_least(regression_minimiser(moments, 2, width), Run(run, run))
    assert verdict.name == ("violated" if learned else "not_converged")


# A claim of one's own


@pytest.mark.parametrize("apart", [0.0, 1e-6])
def test_two_runs_that_agree_are_granted_the_error_of_a_step(apart, monkeypatch, eps):
    """Besides what parts them: in each of two layers, of a row of length 5, and of one that is
    zero.
    """
    ends = [
        pt.DeepLinear([jnp.eye(2), jnp.asarray([[3.0, 4.0 + off], [0.0, off]])])
        for off in (0.0, apart)
    ]
    monkeypatch.setattr(training, "flow", lambda *_: Run(*map(still, ends)))
    moments = pt.Moments(jnp.eye(2), jnp.eye(2))
    measured = training.trained(ends[0], moments, lambda network: network.layers[1])
    np.testing.assert_array_equal(measured.value, ends[0].layers[1])
    row, empty = np.asarray(ends[1].layers[1] - ends[0].layers[1])[:, 1]
    np.testing.assert_allclose(
        measured.errors["integration"], [row + 2 * 5 * eps**0.75, empty], rtol=16 * eps
    )

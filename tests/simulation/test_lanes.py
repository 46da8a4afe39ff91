"""Lanes: every run is as it would be alone, whatever runs beside it."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.many import KEYS, SCALES, one, problems, start
from hypothesis import given, settings
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory._core.tolerance import solver_tolerance
from projhead_theory.moments import Moments
from projhead_theory.networks import DiagonalHead
from projhead_theory.simulation import Ended, gradient_flows

TIMES = (0.0, 0.5, 2.0)

pytestmark = pytest.mark.x64


def alone(starts, data, i, **options):
    return pt.gradient_flow(one(starts, i), one(data, i), save_at=jnp.asarray(TIMES), **options)


@settings(max_examples=8)
@given(scales=SCALES, lanes=st.sampled_from([1, 5]))
def test_every_run_is_as_if_alone(scales, lanes):
    """At rest from the start, converged, stopped at the step limit, or diverged; for any number of
    lanes and any order.
    """
    starts, data = problems(jnp.asarray(scales))
    options = {"max_steps": 60, "rtol": 1e-6}
    runs = gradient_flows(starts, data, save_at=jnp.asarray(TIMES), lanes=lanes, **options)
    for i in range(6):
        own = alone(starts, data, i, **options)
        each = one(runs, i)
        assert Ended[each.ended] == Ended[own.ended]
        assert int(each.steps) == int(own.steps)
        np.testing.assert_allclose(each.times, own.times, rtol=1e-9)
        np.testing.assert_allclose(each.loss, own.loss, rtol=1e-7)
        for w, v in zip(each.networks.layers, own.networks.layers, strict=True):
            np.testing.assert_allclose(w, v, rtol=1e-6, atol=1e-7)


def test_the_kinds_of_ends_are_all_met():
    """Else the test above would show less than it says."""
    starts, data = problems(jnp.asarray([0.0, 0.5, 0.5, 0.5, 0.5, 1e200]))
    runs = gradient_flows(starts, data, lanes=4, rtol=1e-6, max_steps=60)
    ends = [Ended[item] for item in (one(runs.ended, i) for i in range(6))]
    assert ends[0] == Ended[Ended.converged]
    assert int(runs.steps[0]) == 0
    assert ends[5] == Ended[Ended.diverged]
    assert Ended[Ended.converged] in ends[1:5]


def test_data_and_decay_may_be_shared_or_differ():
    starts, data = problems(jnp.full(6, 0.5))
    decays = jnp.linspace(0.0, 0.2, 6)
    runs = gradient_flows(
        starts, one(data, 2), data_axis=None, weight_decay=decays, save_at=jnp.asarray(TIMES)
    )
    for i in (0, 5):
        own = pt.gradient_flow(
            one(starts, i), one(data, 2), weight_decay=decays[i], save_at=jnp.asarray(TIMES)
        )
        np.testing.assert_allclose(
            runs.loss[i], own.loss, rtol=100 * solver_tolerance(own.loss.dtype)
        )


def test_only_the_trained_part_moves():
    """Each problem under a head of its own, which stays as it is."""
    heads = jnp.asarray([[1.0, 0.5], [2.0, 1.0]])
    networks = jax.vmap(lambda k, h: pt.Headed(start(k, 0.5), DiagonalHead(h)))(KEYS[:2], heads)
    data = Moments(jnp.diag(jnp.asarray([1.0, 0.5])), jnp.eye(2))
    runs = gradient_flows(networks, data, data_axis=None, lanes=2)
    np.testing.assert_array_equal(runs.final.head.weights, heads)
    assert all(Ended[one(runs.ended, i)] == Ended[Ended.converged] for i in range(2))


def test_other_numbers_compile_nothing():
    from helpers.compiling import compiling

    run = lambda scale: gradient_flows(
        *problems(jnp.full(6, scale)), lanes=1, max_steps=60, save_at=jnp.asarray(TIMES)
    )
    run(0.4)
    _, names = compiling(lambda: run(0.6))
    assert names == []


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"lanes": 0}, "lanes: got 0; want"),
        ({"weight_decay": jnp.zeros(3)}, r"weight_decay: got shape \(3,\); want one number"),
        ({"data": Moments(jnp.eye(2), jnp.eye(2))}, "data: got a leading axis of 2; want 6"),
        ({"networks": start(KEYS[0], 0.5)}, "data: got a leading axis of 6; want 2"),
        ({"rtol": -1.0}, "rtol: got"),
    ],
)
def test_bad_arguments_are_named(change, message):
    networks, data = problems(jnp.full(6, 0.5))
    arguments = {"networks": networks, "data": data} | change
    with pytest.raises(ValueError, match=message):
        gradient_flows(arguments.pop("networks"), arguments.pop("data"), **arguments)

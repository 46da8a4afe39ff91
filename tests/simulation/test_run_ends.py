"""Ends of runs and closed forms, on inputs made by hand."""

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.losses import spectral
from projhead_theory.simulation import Ended, gradient_descent, gradient_flow, implicit
from projhead_theory.simulation._descent import finish
from projhead_theory.simulation._objective import Objective
from projhead_theory.simulation._trajectory import standing

MOMENTS = pt.Moments(jnp.diag(jnp.asarray([0.5, 0.2])), jnp.eye(2))


def everything_trained(network, weight_decay=0.0):
    """Objective of a network without frozen parts."""
    nothing = eqx.filter(network, False)
    return Objective(nothing, spectral, MOMENTS, jnp.asarray(weight_decay))


@pytest.mark.parametrize("lost", ["loss", "gradient"])
def test_a_run_ends_before_the_first_record_whose_loss_or_gradient_is_not_finite(lost):
    """It has diverged, and repeats the last record that is finite."""
    records = pt.DeepLinear([jnp.arange(3.0)[:, None, None]])
    values, norms = jnp.asarray([3.0, 2.0, 1.0]), jnp.asarray([1.0, 1.0, 1.0])
    if lost == "loss":
        values = values.at[2].set(jnp.inf)
    else:
        norms = norms.at[2].set(jnp.inf)
    run = finish(
        everything_trained(records),
        jnp.arange(3),
        records,
        values,
        norms,
        jnp.zeros(2),
        jnp.asarray(True),
        jnp.asarray(2),
        jnp.asarray(0.1),
    )
    assert run.ended == Ended.diverged
    np.testing.assert_array_equal(run.loss, [3.0, 2.0, 2.0])
    np.testing.assert_array_equal(run.networks.layers[0][:, 0, 0], [0.0, 1.0, 1.0])


def test_the_drift_of_a_flow_is_the_local_error_of_its_steps_times_twice_its_layers():
    """Which is at most the absolute and the relative tolerance of the largest number, for each of
    the numbers: two layers of four.
    """
    network = pt.DeepLinear([jnp.diag(jnp.asarray([2.0, 1.0])), jnp.eye(2)])
    run = gradient_flow(
        network, MOMENTS, t1=1e-3, save_at=2, rtol=1e-3, atol=1e-2, stationarity=0.0
    )
    layers = run.networks.layers
    size = max(float(jnp.sqrt(jnp.sum(w**2, axis=(1, 2))).max()) for w in layers)
    largest = max(float(jnp.abs(w).max()) for w in layers)
    local = 8**0.5 * (1e-2 + 1e-3 * largest)
    np.testing.assert_allclose(run.drift, [2 * 2**0.5 * int(run.steps) * size * local], rtol=1e-5)


def test_the_drift_of_a_descent_is_what_both_neighbours_moved():
    """Of each pair of layers, from their squared updates."""
    records = pt.DeepLinear([jnp.ones((2, 1, 1))] * 3)
    ones = jnp.ones(2)
    run = finish(
        everything_trained(records),
        jnp.arange(2),
        records,
        ones,
        ones,
        jnp.asarray([1.0, 2.0, 4.0]),
        jnp.asarray(True),
        jnp.asarray(1),
        jnp.asarray(0.1),
    )
    np.testing.assert_array_equal(run.drift, [3.0, 6.0])


def test_a_penalty_is_added_to_the_loss():
    """Half of the decay times the squares of all weights, 4 + 9 + 1."""
    network = pt.DeepLinear([jnp.asarray([[2.0, 3.0]]), jnp.asarray([[1.0]])])
    np.testing.assert_allclose(
        everything_trained(network, 0.5).value(network) - spectral(network, MOMENTS),
        0.25 * 14,
        rtol=1e-5,
    )


@pytest.mark.parametrize(("gradient", "ended"), [(0.9e-4, Ended.converged), (1.1e-4, Ended.limit)])
def test_a_run_converges_where_a_ten_thousandth_of_its_gradient_is_left(gradient, ended):
    """A saddle it has not left has about that of the start, however small the gradient is beside
    the loss.
    """
    one = jnp.asarray(1.0)
    assert standing(jnp.asarray(gradient), one, one, one, one, jnp.asarray(0.1)) == ended


def test_a_residual_network_at_the_identity_is_at_no_saddle():
    """Its parameters are zero, its layers are not: a gradient times their size is left."""
    start = pt.networks.ResidualLinear([jnp.zeros((2, 2)), jnp.zeros((2, 2))])
    run = gradient_descent(start, MOMENTS, learning_rate=1e-3, steps=1, save_at=2)
    assert run.ended == Ended.limit


def test_a_stationarity_below_the_errors_of_explicit_steps_is_warned_of():
    """It is reached with an implicit solver, and not asked for if it is zero."""
    network = pt.DeepLinear([jnp.eye(2)])
    run = lambda **options: gradient_flow(network, MOMENTS, t1=1.0, rtol=1e-4, **options)
    with pytest.warns(UserWarning, match=r"stationarity: got 1\.0e-05, below rtol = 1\.0e-04"):
        run(stationarity=1e-5)
    run(stationarity=1e-4)
    run(stationarity=0.0)
    run(stationarity=1e-5, solver=implicit())

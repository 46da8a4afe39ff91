"""The Runge-Kutta-Chebyshev method: its order, its interval of stability, and its ends."""

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.moments import Moments
from projhead_theory.problems import random_moments
from projhead_theory.simulation import Ended, stabilised
from projhead_theory.simulation._chebyshev import Carried, Chebyshev

pytestmark = pytest.mark.x64

STAGES = st.integers(3, 40)


def decay(rates):
    """A linear equation with these rates of decay."""
    return diffrax.ODETerm(lambda t, y, args: -rates * y)


@eqx.filter_jit
def one_step(solver, rates, h, y):
    """One step; the direction of the fastest mode is known."""
    term = decay(rates)
    fastest = jnp.zeros_like(y).at[jnp.argmax(rates)].set(1.0)
    carried = Carried(-rates * y, fastest)
    return solver.step(term, jnp.zeros(()), h, y, None, carried, False)


@settings(max_examples=20)
@given(stages=STAGES, share=st.floats(0.1, 0.99))
def test_every_mode_shrinks_inside_the_interval_of_stability(stages, share):
    """For any number of stages up to the most, at any place in the interval."""
    z = share * 0.65 * (stages**2 - 1) / 1.1
    rates = jnp.linspace(0.0, 1.0, 200)
    y, _, _, _, _ = one_step(Chebyshev(40), rates, jnp.asarray(z), jnp.ones(200))
    assert jnp.all(jnp.abs(y) <= 1 + 1e-12)
    # Beyond the first valley of the polynomial the damping takes four per cent or more.
    assert jnp.all(jnp.abs(y[z * rates > 1.7]) <= 0.96)
    # A polynomial of the second order is close to the exponential where the mode is slow.
    slow = z * rates < 1e-3
    np.testing.assert_allclose(y[slow], jnp.exp(-z * rates[slow]), rtol=0, atol=1e-8)


@given(stages=STAGES)
@settings(max_examples=20)
def test_each_method_is_of_the_second_order(stages):
    """On a mode that is slow beside the fastest, half the step has an eighth of the error."""
    z = 0.6 * (stages**2 - 1) / 1.1

    def error(shrink):
        # The fastest mode keeps the number of stages; the slow one has the step length alone.
        rates = jnp.asarray([z / shrink, 1.0])
        y, _, _, _, _ = one_step(Chebyshev(40), rates, jnp.asarray(shrink), jnp.asarray([0.0, 1.0]))
        return abs(float(y[1]) - np.exp(-shrink))

    assert error(0.02) / error(0.01) == pytest.approx(8, rel=0.05)


def test_a_step_beyond_the_most_stages_is_refused():
    """Its error is of the size of the state, whatever the tolerance."""
    _, error, _, _, _ = one_step(Chebyshev(4), jnp.asarray([1.0]), jnp.asarray(1e6), jnp.ones(1))
    assert float(error[0]) >= 1


@settings(max_examples=10)
@given(seed=st.integers(0, 10**6), depth=st.integers(1, 3))
def test_runs_end_where_accurate_runs_end(seed, depth):
    """Gaussian starts at the closed form of the minimiser, as nearly as the gradient says."""
    key = jax.random.key(seed)
    moments = random_moments(key, jnp.asarray([0.9, 0.4]))
    start = pt.DeepLinear.init(key, (2,) * (depth + 1), scale=0.7)
    run = pt.gradient_flow(start, moments, solver=stabilised())
    assert Ended[run.ended] == Ended[Ended.converged]
    wanted = pt.layerwise(moments, depth).grams[-1]
    end = run.final.matrix
    np.testing.assert_allclose(end.T @ end, wanted, rtol=0, atol=1e-5)


def test_the_tolerance_bounds_the_change_of_the_imbalance():
    """A tenth of the tolerance, about a tenth of the change of what gradient flow conserves."""
    moments = Moments(jnp.diag(jnp.asarray([0.8, 0.3])), jnp.eye(2))
    start = pt.DeepLinear.init(jax.random.key(3), (2, 2, 2), scale=0.5)

    def change(rtol):
        run = pt.gradient_flow(start, moments, solver=stabilised(), rtol=rtol, t1=30.0)
        differences = [w.T @ w - v @ v.T for v, w in (run.start.layers, run.final.layers)]
        assert float(jnp.linalg.norm(differences[1] - differences[0])) <= float(run.drift[0])
        return float(jnp.linalg.norm(differences[1] - differences[0]))

    assert change(1e-6) < 0.4 * change(1e-5)


def test_fewer_steps_than_an_explicit_method_at_a_saddle():
    """A strong feature is learned at once, and a weak one from a small start long after."""
    moments = Moments(jnp.diag(jnp.asarray([1.0, 0.1])), jnp.eye(2))
    start = pt.DeepLinear([1e-2 * jnp.eye(2), 1e-2 * jnp.eye(2)])
    options = {"rtol": 1e-6, "stationarity": 1e-6, "max_steps": 5_000}
    run = pt.gradient_flow(start, moments, solver=stabilised(), **options)
    assert Ended[run.ended] == Ended[Ended.converged]
    np.testing.assert_allclose(run.final.matrix, jnp.diag(jnp.sqrt(jnp.asarray([1.0, 0.1]))))
    explicit = pt.gradient_flow(start, moments, **options)
    assert Ended[explicit.ended] == Ended[Ended.solver_failed]
    assert float(explicit.ended_at) < float(run.ended_at) / 4


def test_a_start_at_rest_stays():
    moments = Moments(jnp.eye(2), jnp.eye(2))
    start = pt.DeepLinear([jnp.zeros((2, 2)), jnp.zeros((2, 2))])
    run = pt.gradient_flow(start, moments, solver=stabilised())
    assert int(run.steps) <= 1
    assert jnp.all(run.final.matrix == 0)


@pytest.mark.parametrize("stages", [1, 0])
def test_the_number_of_stages_is_checked(stages):
    with pytest.raises(ValueError, match="stages: got"):
        stabilised(stages)

"""Many problems at once: each result is as it would be alone."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
from helpers.many import KEYS, SCALES, one, problems
from hypothesis import given, settings
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory._core import cores
from projhead_theory.simulation import Ended, gradient_descents, gradient_flows, in_batches

pytestmark = pytest.mark.x64

OPTIONS = {"learning_rate": 0.05, "stationarity": 1e-6}


@settings(max_examples=8)
@given(scales=SCALES, lanes=st.sampled_from([1, 4]), steps=st.sampled_from([0, 100, 2_000]))
def test_every_descent_is_as_if_alone(scales, lanes, steps):
    """At rest from the start, converged, at its last step, or diverged."""
    starts, data = problems(jnp.asarray(scales))
    runs = gradient_descents(starts, data, steps=steps, lanes=lanes, **OPTIONS)
    for i in range(6):
        each = one(runs, i)
        own = pt.gradient_descent(
            one(starts, i), one(data, i), steps=max(int(each.steps), 1), save_at=2, **OPTIONS
        )
        if int(each.steps) == 0:
            np.testing.assert_array_equal(each.final.matrix, one(starts, i).matrix)
            continue
        assert Ended[each.ended] == Ended[own.ended]
        np.testing.assert_allclose(each.loss, own.loss, rtol=1e-12)
        np.testing.assert_allclose(each.final.matrix, own.final.matrix, rtol=1e-9, atol=1e-9)
        np.testing.assert_allclose(each.drift, own.drift, rtol=1e-9)
        assert (
            int(each.steps) % 64 == 0 or int(each.steps) == steps or each.ended_at == own.ended_at
        )


def test_a_descent_ends_at_the_first_look_at_which_its_gradient_has_vanished():
    starts, data = problems(jnp.full(6, 0.5))
    runs = gradient_descents(starts, data, steps=5_000, lanes=4, **OPTIONS)
    converged = [i for i in range(6) if Ended[one(runs.ended, i)] == Ended[Ended.converged]]
    assert len(converged) >= 5
    for i in converged:
        before = int(runs.steps[i]) - 64
        own = pt.gradient_descent(one(starts, i), one(data, i), steps=before, save_at=2, **OPTIONS)
        assert Ended[own.ended] == Ended[Ended.limit]


@pytest.mark.usefixtures("standard_promotion")
def test_rate_and_decay_may_differ_and_the_optimiser_keeps_its_state():
    starts, data = problems(jnp.full(6, 0.5))
    rates, decays = jnp.linspace(0.01, 0.02, 6), jnp.linspace(0.0, 0.2, 6)
    runs = gradient_descents(
        starts,
        one(data, 1),
        data_axis=None,
        learning_rate=rates,
        weight_decay=decays,
        optimiser=optax.adam,
        steps=130,
        stationarity=0.0,
        lanes=5,
    )
    for i in (0, 5):
        own = pt.gradient_descent(
            one(starts, i),
            one(data, 1),
            learning_rate=rates[i],
            weight_decay=decays[i],
            optimiser=optax.adam,
            steps=130,
        )
        np.testing.assert_allclose(one(runs, i).final.matrix, own.final.matrix, rtol=1e-9)


@pytest.mark.parametrize("count", [1, 2, 5, 6])
@pytest.mark.parametrize("size", [1, 2, 4, 6])
def test_pieces_join_to_the_whole(count, size):
    """Also where the last piece overlaps the one before it."""
    numbers = jnp.arange(count, dtype=float)
    double = lambda x: {"twice": 2 * x, "pair": jnp.stack([x, -x], axis=-1)}
    result = cores.in_pieces(double, numbers, count, min(size, count))
    np.testing.assert_array_equal(result["twice"], 2 * numbers)
    np.testing.assert_array_equal(result["pair"], jnp.stack([numbers, -numbers], axis=1))


@pytest.mark.parametrize("workers", [1, 3])
def test_results_do_not_depend_on_the_number_of_cores(monkeypatch, workers):
    starts, data = problems(jnp.full(6, 0.5))
    monkeypatch.setattr("projhead_theory.simulation._lanes.cores", lambda: workers)
    runs = gradient_flows(starts, data, lanes=2, rtol=1e-6, save_at=2)
    own = pt.gradient_flow(one(starts, 4), one(data, 4), rtol=1e-6, save_at=2)
    assert int(runs.steps[4]) == int(own.steps)
    np.testing.assert_allclose(runs.loss[4], own.loss, rtol=1e-9)


def test_settings_of_this_thread_hold_in_the_others():
    """In single precision, and where JAX may not mix types."""

    def double(x):
        return 2.0 * x

    with jax.enable_x64(False), jax.numpy_dtype_promotion("strict"):
        result = in_batches(double, jnp.arange(5, dtype=jnp.float32), batch_size=2)
    assert result.dtype == jnp.float32
    np.testing.assert_array_equal(result, [0, 2, 4, 6, 8])


def test_batches_take_keys_and_may_be_compiled():
    draw = lambda key: jax.random.normal(key)
    alone = jax.vmap(draw)(KEYS)
    np.testing.assert_allclose(in_batches(draw, KEYS, batch_size=4), alone)
    compiled = jax.jit(lambda keys: in_batches(draw, keys, batch_size=4))
    np.testing.assert_allclose(compiled(KEYS), alone)


def test_traced_values_in_the_function_or_the_settings_stay_in_their_thread():
    """Under `jit`, `grad` and `vmap`, with problems that are known."""
    total = lambda c: jnp.sum(in_batches(lambda x: c * x, jnp.arange(5.0), batch_size=2))
    assert float(jax.jit(total)(2.0)) == 20
    assert float(jax.grad(total)(2.0)) == 10
    np.testing.assert_array_equal(jax.vmap(total)(jnp.asarray([1.0, 3.0])), [10, 30])
    starts, data = problems(jnp.full(6, 0.5))
    flows = lambda t1: gradient_flows(starts, data, t1=t1, lanes=2, rtol=1e-6, save_at=2).loss
    np.testing.assert_allclose(jax.jit(flows)(1.0), flows(1.0), rtol=1e-9)
    descents = lambda tol: gradient_descents(starts, data, stationarity=tol, steps=128, lanes=2)
    compiled = jax.jit(lambda tol: descents(tol).loss)(1e-6)
    np.testing.assert_allclose(compiled, descents(1e-6).loss, rtol=1e-9)


def test_an_error_in_any_batch_reaches_the_caller():
    def fail(x):
        raise RuntimeError("no")

    with pytest.raises(RuntimeError, match="no"):
        in_batches(fail, jnp.arange(5.0), batch_size=2)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"steps": -1}, "steps: got -1"),
        ({"learning_rate": 0.0}, "learning_rate: got 0.0"),
        ({"learning_rate": jnp.ones(3)}, r"learning_rate: got shape \(3,\)"),
        ({"lanes": 0}, "lanes: got 0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    starts, data = problems(jnp.full(6, 0.5))
    with pytest.raises(ValueError, match=message):
        gradient_descents(starts, data, **change)


def test_batches_of_different_lengths_are_refused():
    with pytest.raises(ValueError, match="arguments: got leading axes of"):
        in_batches(lambda x, y: x + y, jnp.ones(3), jnp.ones(4))

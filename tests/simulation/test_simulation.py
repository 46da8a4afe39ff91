"""The simulators: what they conserve, how they end, what they record, and that nothing recompiles
for a changed number.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest

import projhead_theory as pt
from projhead_theory.problems import random_moments
from projhead_theory.simulation import (
    Ended,
    gradient_descent,
    gradient_flow,
    implicit,
    layer_gradients,
    stochastic,
)
from projhead_theory.theory.balance import discrete_imbalance, unbalanced_grams

FRACTIONS = np.array([0.9, 0.7, 0.5, 0.3])


@pytest.fixture(autouse=True)
def _standard_promotion():
    """Optax's own Adam mixes dtypes, which the suite's strict promotion forbids."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def moments():
    return random_moments(jax.random.key(0), FRACTIONS)


@pytest.fixture
def network():
    return pt.DeepLinear.init(jax.random.key(1), (4, 3, 3), scale=0.7)


def numpy_descent(network, moments, learning_rate, steps, weight_decay=0.0):
    """Gradient descent with the gradient written out by hand."""
    c, s = np.asarray(moments.cross), np.asarray(moments.second)
    w1, w2 = (np.asarray(w) for w in network.layers)
    for _ in range(steps):
        w = w2 @ w1
        g = 4 * (w @ s @ w.T @ w @ s - w @ c)
        w1, w2 = (
            w1 - learning_rate * (w2.T @ g + weight_decay * w1),
            w2 - learning_rate * (g @ w1.T + weight_decay * w2),
        )
    return w1, w2


def test_descent_is_gradient_descent(network, moments):
    """Every step equals one written out by hand, decay included, up to rounding times steps."""
    trajectory = gradient_descent(network, moments, learning_rate=0.02, steps=200, weight_decay=0.1)
    eps = float(jnp.finfo(network.layers[0].dtype).eps)
    for mine, theirs in zip(
        trajectory.final.layers, numpy_descent(network, moments, 0.02, 200, 0.1), strict=True
    ):
        np.testing.assert_allclose(mine, theirs, atol=200 * 16 * eps)


def test_flow_is_the_limit_of_descent(network, moments):
    """At a fixed time, descent differs from the flow in proportion to its step."""
    flow = gradient_flow(network, moments, t1=1.0, save_at=[0.5, 1.0]).final.matrix
    gaps = []
    for steps in (400, 800):
        end = gradient_descent(
            network, moments, learning_rate=1 / steps, steps=steps, save_at=2
        ).final.matrix
        gaps.append(float(jnp.linalg.norm(end - flow)))
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.05)


@pytest.mark.x64
def test_discrete_law_over_many_steps(network, moments):
    """Over 10^4 steps the imbalance follows its exact law to 1e-12, from the run's gradients
    alone.
    """
    steps, step, weight_decay = 10_000, 0.01, 0.003
    trajectory = gradient_descent(
        network,
        moments,
        learning_rate=step,
        steps=steps,
        weight_decay=weight_decay,
        save_at=np.arange(steps + 1),
    )

    @jax.jit
    def worst(networks):
        before = jax.tree.map(lambda w: w[:-1], networks)
        gradients = jax.lax.map(lambda n: layer_gradients(n, moments), before)
        measured = jax.vmap(pt.measure.imbalance)(networks)

        def follow(d, now):
            g, seen = now
            d = discrete_imbalance(d, g, step, weight_decay)
            return d, jnp.max(jnp.abs(d[0] - seen[0]))

        return jnp.max(
            jax.lax.scan(
                follow, tuple(d[0] for d in measured), (gradients, tuple(d[1:] for d in measured))
            )[1]
        )

    assert float(worst(trajectory.networks)) <= 1e-12


@pytest.mark.x64
def test_gap_of_descent_is_predicted(moments):
    """From a balanced start, descent misses the law by O(step), and the imbalance it makes predicts
    the gap to second order.
    """
    start = pt.DeepLinear.balanced(jax.random.key(2), (4, 4, 4), scale=0.7)
    gaps, errors = [], []
    for step in (0.02, 0.01):
        trajectory = gradient_descent(
            start, moments, learning_rate=step, steps=int(200 / step), save_at=2
        )
        assert bool(trajectory.ended == Ended.converged)
        end = trajectory.final
        grams = trajectory.grams[-1]
        first = end.layers[0]
        predicted = unbalanced_grams(grams[-1], [first.T @ pt.measure.imbalance(end)[0] @ first])
        law = unbalanced_grams(grams[-1], [jnp.zeros((4, 4))])
        gaps.append(float(jnp.linalg.norm(grams[0] - law[0])))
        errors.append(float(jnp.linalg.norm(grams[0] - predicted[0])))
    assert gaps[0] / gaps[1] == pytest.approx(2, rel=0.1)
    assert errors[0] / errors[1] == pytest.approx(4, rel=0.2)
    assert errors[1] < gaps[1] / 20


def test_drift_of_descent_is_bounded_by_its_squared_updates(network, moments):
    """The reported drift bounds the change of the imbalance for plain descent, and is not
    vacuous.
    """
    trajectory = gradient_descent(network, moments, learning_rate=0.05, steps=500)
    change = pt.measure.imbalance(trajectory.final)[0] - pt.measure.imbalance(network)[0]
    eps = float(jnp.finfo(network.layers[0].dtype).eps)
    assert float(jnp.linalg.norm(change)) <= float(trajectory.drift[0]) + 500 * 16 * eps
    assert float(jnp.linalg.norm(change)) >= float(trajectory.drift[0]) / 100


@pytest.mark.parametrize("solver", [None, "implicit"])
def test_flow_conserves_the_imbalance(network, moments, solver):
    """Within the drift that the run itself reports, and within ten times its local tolerance a
    step.
    """
    trajectory = gradient_flow(
        network, moments, t1=50.0, solver=None if solver is None else implicit()
    )
    moved = jnp.abs(trajectory.imbalance - trajectory.imbalance[0])
    assert float(moved.max()) <= float(trajectory.drift[0])


def test_flow_stops_when_stationary(network, moments):
    """It says that it converged, long before the time limit, and the gradient is small there."""
    trajectory = gradient_flow(network, moments)
    assert bool(trajectory.ended == Ended.converged)
    assert float(trajectory.ended_at) < 1e4
    assert float(trajectory.gradient_norm[-1]) < 1e-3 * float(trajectory.gradient_norm[0])
    assert bool(jnp.isfinite(trajectory.loss).all())


def test_flow_does_not_stop_at_a_saddle(moments):
    """A start with one mode tiny waits at a saddle where the gradient almost vanishes, and goes
    on.
    """
    end = pt.theory.layers.spectral(moments)
    vectors = jnp.linalg.eigh(end.gram)[1]
    start = pt.DeepLinear.aligned(vectors, [0.01, 0.5, 0.5, 0.5], (4, 4, 4))
    trajectory = gradient_flow(start, moments)
    assert float(trajectory.loss[-1]) == pytest.approx(float(end.loss), abs=1e-5)


def test_time_limit_is_said(network, moments):
    trajectory = gradient_flow(network, moments, t1=0.1)
    assert bool(trajectory.ended == Ended.limit)
    assert float(trajectory.ended_at) == pytest.approx(0.1)


def test_solver_failure_is_said(network, moments):
    trajectory = gradient_flow(network, moments, max_steps=80, save_at=[0.0, 1.0])
    assert bool(trajectory.ended == Ended.solver_failed)
    assert bool(jnp.isfinite(trajectory.loss).all())


def test_divergence_reports_the_last_finite_state(network, moments):
    """The step at which it happened, and a record without a NaN that repeats the last finite
    state.
    """
    trajectory = gradient_descent(network, moments, learning_rate=5.0, steps=100, save_at=101)
    assert bool(trajectory.ended == Ended.diverged)
    last = int(trajectory.ended_at)
    assert 0 < last < 100
    for leaf in (trajectory.loss, *trajectory.networks.layers, trajectory.gradient_norm):
        assert bool(jnp.isfinite(leaf).all())
    w1, _ = numpy_descent(network, moments, 5.0, int(trajectory.times[-1]))
    np.testing.assert_allclose(trajectory.final.layers[0], w1, rtol=1e-3)


def test_flow_whose_end_is_lost_falls_back_on_its_last_record():
    """A weight that grows at rate 1 from 1/2, whose loss is lost beyond 3."""

    class Cliff(pt.losses.AbstractPopulationLoss):
        def population(self, matrix, moments):
            return -jnp.trace(matrix) + jnp.where(jnp.trace(matrix) > 3, jnp.nan, 0.0)

    one = jnp.ones((1, 1))
    trajectory = gradient_flow(
        pt.DeepLinear([one / 2]), pt.Moments(one, one), loss=Cliff(), t1=3.0, save_at=[1.0, 2.0]
    )
    assert bool(trajectory.ended == Ended.diverged)
    assert float(trajectory.ended_at) == 2
    np.testing.assert_array_equal(trajectory.times, [1, 2, 2])
    np.testing.assert_allclose(trajectory.networks.layers[0][:, 0, 0], [1.5, 2.5, 2.5], rtol=1e-6)
    np.testing.assert_allclose(trajectory.loss, [-1.5, -2.5, -2.5], rtol=1e-6)


def test_zero_steps_is_the_start(network, moments):
    trajectory = gradient_descent(network, moments, steps=0, save_at=[0])
    np.testing.assert_array_equal(trajectory.final.layers[0], network.layers[0])


def test_depth_one_has_no_imbalance(moments):
    network = pt.DeepLinear.init(jax.random.key(0), (4, 3))
    trajectory = gradient_descent(network, moments, steps=10, save_at=2)
    assert trajectory.imbalance.shape == (2, 0)
    assert trajectory.grams.shape == (2, 1, 4, 4)


def test_records_at_chosen_steps(network, moments):
    """A record at chosen steps equals a run that ends there; the end is always recorded."""
    trajectory = gradient_descent(network, moments, steps=50, save_at=[7, 20])
    np.testing.assert_array_equal(trajectory.times, [7, 20, 50])
    short = gradient_descent(network, moments, steps=20, save_at=2)
    np.testing.assert_allclose(trajectory.networks.layers[0][1], short.final.layers[0], rtol=1e-6)


def test_records_at_chosen_times(network, moments):
    trajectory = gradient_flow(network, moments, t1=3.0, save_at=[0.5, 2.0])
    np.testing.assert_allclose(trajectory.times, [0.5, 2.0, 3.0])


@pytest.mark.parametrize(
    "optimiser", [optax.sgd, optax.adam, jax.tree_util.Partial(optax.sgd, momentum=0.9)]
)
def test_any_optimiser_descends(network, moments, optimiser):
    trajectory = gradient_descent(
        network, moments, optimiser=optimiser, learning_rate=1e-2, steps=500, save_at=2
    )
    assert float(trajectory.loss[-1]) < float(trajectory.loss[0])


@pytest.mark.slow
def test_stochastic_approaches_the_minimum():
    """Fresh views with a small step reach the population minimum up to the fluctuations that the
    run reports.
    """
    problem = pt.ContrastiveProblem(pt.Features([1.5, 1.0, 0.7]), pt.AdditiveNoise([0.5, 0.2, 0.3]))
    network = pt.DeepLinear.balanced(jax.random.key(0), (3, 3, 3), scale=0.7)
    trajectory = stochastic(
        network, problem, key=jax.random.key(1), learning_rate=2e-3, steps=8_000, batch_size=128
    )
    verdict = pt.compare(pt.theory.layers.layerwise(problem.moments(), 2), trajectory)
    assert verdict.name == "holds", str(verdict)
    assert float(trajectory.noise) > 0


def test_stochastic_is_reproducible_and_seeded(network):
    """One key gives one run; another key another."""
    problem = pt.ContrastiveProblem(pt.Features([1.0] * 4), pt.AdditiveNoise(0.3))
    run = lambda seed: (
        stochastic(
            network, problem, key=jax.random.key(seed), steps=20, batch_size=8, save_at=2
        ).final.matrix
    )
    np.testing.assert_array_equal(run(0), run(0))
    assert not np.array_equal(run(0), run(1))


def test_stochastic_on_a_finite_sample(network):
    """Views are a problem of their own: their rows are drawn."""
    views = pt.ContrastiveProblem(pt.Features([1.0] * 4), pt.AdditiveNoise(0.3)).sample_pairs(
        jax.random.key(0), 64
    )
    trajectory = stochastic(
        network, views, key=jax.random.key(1), steps=50, batch_size=16, save_at=2
    )
    assert float(trajectory.loss[-1]) < float(trajectory.loss[0])


def test_batch_flow_runs_on_views(network):
    """A fixed batch is a loss like any other: its flow goes down and conserves the imbalance."""
    views = pt.ContrastiveProblem(
        pt.Features([1.0] * 4, "gaussian"), pt.AdditiveNoise(0.3)
    ).sample_pairs(jax.random.key(0), 64)
    trajectory = gradient_flow(network, views, t1=5.0)
    assert float(trajectory.loss[-1]) < float(trajectory.loss[0])
    assert float(jnp.abs(trajectory.imbalance[-1] - trajectory.imbalance[0]).max()) <= float(
        trajectory.drift[0]
    )


def test_changed_numbers_do_not_recompile(moments):
    """Other steps, decays, tolerances, starts and problems of the same shape reuse the compiled
    loop.
    """
    traces = {"now": 0}

    class Counted(type(pt.losses.spectral)):
        def population(self, matrix, moments):
            traces["now"] += 1
            return super().population(matrix, moments)

    loss = Counted()
    start = lambda k: pt.DeepLinear.init(jax.random.key(k), (4, 3, 3), scale=0.5)
    gradient_descent(start(0), moments, loss=loss, learning_rate=0.01, steps=20, save_at=4)
    gradient_flow(start(0), moments, loss=loss, t1=1.0, save_at=4)
    before = traces["now"]
    other = random_moments(jax.random.key(9), FRACTIONS / 2)
    gradient_descent(
        start(1),
        other,
        loss=loss,
        learning_rate=0.02,
        steps=30,
        weight_decay=0.1,
        save_at=4,
        stationarity=1e-3,
    )
    gradient_flow(
        start(1), other, loss=loss, t1=2.0, save_at=4, rtol=1e-7, atol=1e-9, weight_decay=0.1
    )
    assert traces["now"] == before


def test_runs_batch_with_vmap(moments):
    """A batch of starts under vmap equals one run after another."""
    keys = jax.random.split(jax.random.key(0), 3)
    networks = jax.vmap(lambda k: pt.DeepLinear.init(k, (4, 3, 3), scale=0.5))(keys)
    batched = eqx.filter_vmap(
        lambda n: gradient_descent(n, moments, steps=30, save_at=2).final.matrix
    )(networks)
    alone = [
        gradient_descent(
            jax.tree.map(lambda w, i=i: w[i], networks), moments, steps=30, save_at=2
        ).final.matrix
        for i in range(3)
    ]
    np.testing.assert_allclose(batched, jnp.stack(alone), rtol=1e-5, atol=1e-6)


def test_to_xarray_is_labelled(network, moments, tmp_path):
    data = gradient_descent(network, moments, steps=10, save_at=3).to_xarray()
    assert dict(data.sizes) == {
        "time": 3,
        "layer": 2,
        "direction": 4,
        "input": 4,
        "input_": 4,
        "joint": 1,
    }
    assert "step limit" in data.attrs["ended"]


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"learning_rate": 0.0}, "learning_rate"),
        ({"learning_rate": float("nan")}, "learning_rate"),
        ({"steps": -1}, "steps"),
        ({"weight_decay": -0.1}, "weight_decay"),
        ({"save_at": 1}, "save_at"),
        ({"save_at": [5, 2]}, "save_at"),
        ({"save_at": [0, 20_000]}, "save_at"),
    ],
)
def test_descent_names_the_bad_argument(network, moments, arguments, name):
    with pytest.raises(ValueError, match=f"^{name}: got "):
        gradient_descent(network, moments, **arguments)


@pytest.mark.parametrize(
    ("arguments", "name"),
    [
        ({"t1": 0.0}, "t1"),
        ({"t1": float("inf")}, "t1"),
        ({"rtol": -1.0}, "rtol"),
        ({"save_at": [2.0, 1.0]}, "save_at"),
        ({"save_at": [1e9]}, "save_at"),
    ],
)
def test_flow_names_the_bad_argument(network, moments, arguments, name):
    with pytest.raises(ValueError, match=f"^{name}: got "):
        gradient_flow(network, moments, **arguments)


def test_loss_without_a_population_form_says_so(network, moments):
    class BatchOnly(pt.losses.AbstractBatchLoss):
        def batch(self, y1, y2):
            return jnp.sum(y1 * y2)

    with pytest.raises(ValueError, match=r"^data: got Moments, for BatchOnly; want Views"):
        gradient_flow(network, moments, loss=BatchOnly())


def test_batched_trajectory_measures_like_a_single_one(moments):
    """Under vmap the batch stays in front of everything that a trajectory measures."""
    networks = jax.vmap(lambda k: pt.DeepLinear.init(k, (4, 3, 3), scale=0.5))(
        jax.random.split(jax.random.key(0), 2)
    )
    batched = jax.vmap(lambda n: gradient_descent(n, moments, steps=30, save_at=3))(networks)
    alone = gradient_descent(jax.tree.map(lambda w: w[1], networks), moments, steps=30, save_at=3)
    close = {"rtol": 1e-4, "atol": 1e-5}
    np.testing.assert_allclose(batched.final.layers[0][1], alone.final.layers[0], **close)
    np.testing.assert_allclose(batched.start.layers[0][1], alone.start.layers[0], **close)
    np.testing.assert_allclose(batched.grams[1], alone.grams, **close)
    np.testing.assert_allclose(batched.weights()[1], alone.weights(), **close)
    np.testing.assert_allclose(batched.imbalance[1], alone.imbalance, **close)

"""Fixed heads: the rows are what they say, mistakes are named, and every simulator trains the
encoder and nothing else.
"""

import dataclasses
import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import mpmath
import numpy as np
import optax
import pytest
from helpers.draws import some
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory import measure
from projhead_theory.losses import mse, spectral
from projhead_theory.networks import (
    DeepLinear,
    DiagonalHead,
    Headed,
    ReweightingHead,
    TruncationHead,
    participation_ratio,
)
from projhead_theory.problems import Labelled, Views, random_moments
from projhead_theory.simulation import (
    gradient_descent,
    gradient_flow,
    layer_gradients,
    minibatch,
    stochastic,
)

FRACTIONS = np.array([0.9, 0.7, 0.5, 0.3])
SIZES = (4, 3, 3)


@pytest.fixture(scope="module")
def moments():
    return random_moments(jax.random.key(0), FRACTIONS)


@pytest.fixture(scope="module")
def encoder():
    return DeepLinear.init(jax.random.key(1), SIZES, scale=0.7)


def arrays(network):
    return [np.asarray(w) for w in network.layers]


# The heads


@given(st.floats(0.2, 5.0), st.integers(1, 8))
def test_rows_of_the_reweighting_head_are_powers(kappa, p):
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    rows = ReweightingHead(kappa).diagonal(p)
    # The logarithm of a power is off by its size times eps.
    np.testing.assert_allclose(rows, [kappa**-i for i in range(p)], rtol=32 * p * eps)


def test_no_head_keeps_all_rows_and_truncation_is_the_limit_of_heads():
    np.testing.assert_array_equal(ReweightingHead(1).diagonal(5), np.ones(5))
    np.testing.assert_array_equal(TruncationHead(2).diagonal(4), [1, 1, 0, 0])
    np.testing.assert_array_equal(TruncationHead(4).diagonal(4), np.ones(4))
    falling = DiagonalHead([1.0, 1.0, 1e-12, 0.0]).diagonal(4)
    np.testing.assert_allclose(falling, TruncationHead(2).diagonal(4), atol=2e-12)


def test_kappa_below_one_lists_the_rows_backwards(eps):
    rows, reversed_ = ReweightingHead(0.5).diagonal(4), ReweightingHead(2.0).diagonal(4)[::-1]
    np.testing.assert_allclose(rows, reversed_ * 0.5**-3, rtol=32 * eps)


@pytest.mark.parametrize("dtype", [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.x64)])
@pytest.mark.parametrize(
    "head", [ReweightingHead(1.5), DiagonalHead([1.0, 0.5, 0.0]), TruncationHead(2)]
)
def test_rows_come_in_the_dtype_asked_for(head, dtype):
    assert head.diagonal(3, dtype).dtype == dtype
    network = DeepLinear.init(jax.random.key(0), (4, 3), dtype=dtype)
    headed = Headed(network, head)
    assert headed.matrix.dtype == headed.head.weights.dtype == dtype
    assert headed(jnp.ones((5, 4), dtype)).dtype == dtype


@pytest.mark.parametrize(("kappa", "p"), [(1.05, 2048), (0.95, 2048), (1e30, 3), (1e-30, 3)])
def test_rows_beyond_the_dtype_are_errors_that_say_what_would_do(kappa, p):
    """The width and kappa that the message names do pass, and one more row does not."""
    head, word = ReweightingHead(kappa), "underflows" if kappa > 1 else "overflows"
    with pytest.raises(
        ValueError, match=rf"^kappa: got .* at width {p}, .* {word} float32; want at (most|least) "
    ) as error:
        head.diagonal(p, jnp.float32)
    _, _, wanted = str(error.value).partition("want at ")
    bound, widest = float(wanted.split()[1]), int(wanted.split()[-1])
    limits = jnp.finfo(jnp.float32)
    rows = np.asarray(head.diagonal(widest, jnp.float32))
    assert (rows >= limits.tiny).all()
    assert np.isfinite(rows).all()
    with pytest.raises(ValueError, match=r"^kappa"):
        head.diagonal(widest + 1, jnp.float32)
    if 0.5 < bound < 2:
        ReweightingHead(bound).diagonal(p, jnp.float32)
    with pytest.raises(ValueError, match=r"^kappa"):
        Headed(DeepLinear.init(jax.random.key(0), (1, p), dtype=jnp.float32), head)


@pytest.mark.x64
def test_what_underflows_float32_may_do_in_float64():
    assert float(ReweightingHead(1.05).diagonal(2048, jnp.float64)[-1]) == pytest.approx(
        1.05**-2047, rel=1e-11
    )


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: ReweightingHead(0.0), r"^kappa: got 0.0; want positive finite numbers"),
        (lambda: ReweightingHead(-2.0), r"^kappa: got -2.0; want positive"),
        (lambda: ReweightingHead(np.nan), r"^kappa: got nan; want positive"),
        (lambda: ReweightingHead(np.inf), r"^kappa: got inf; want positive"),
        (lambda: ReweightingHead(np.ones(2)), r"^kappa: got shape \(2,\); want one number"),
        (lambda: ReweightingHead(1.5).diagonal(0), r"^p: got 0; want a whole number >= 1"),
        (lambda: DiagonalHead([1.0, -1.0]), r"^weights: got -1.0 at index 1; want non-negative"),
        (lambda: DiagonalHead([np.nan]), r"^weights: got nan"),
        (lambda: DiagonalHead([np.inf]), r"^weights: got inf"),
        (
            lambda: DiagonalHead([0.0, 0.0]),
            r"^weights: got zeros alone; want at least one positive weight",
        ),
        (lambda: DiagonalHead(1.0), r"^weights: got shape \(\); want one weight for each row"),
        (
            lambda: DiagonalHead([1.0, 2.0]).diagonal(3),
            r"^weights: got 2 weights; want 3, the width of the encoder",
        ),
        (lambda: TruncationHead(0), r"^keep: got 0; want a whole number >= 1"),
        (
            lambda: TruncationHead(4).diagonal(3),
            r"^keep: got 4; want at most 3, the width of the encoder",
        ),
        (
            lambda: Headed(DeepLinear.init(jax.random.key(0), SIZES), DiagonalHead([1.0])),
            r"^weights: got 1 weights; want 3",
        ),
        (lambda: ReweightingHead(2.0).participation_ratio(0), r"^p: got 0; want"),
        (
            lambda: participation_ratio(jnp.zeros(3)),
            r"^weights: got 0.0.*want at least one positive weight",
        ),
    ],
)
def test_mistakes_are_named(call, message, untyped):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.x64
def test_positive_weights_that_underflow_a_dtype_are_errors_zeros_are_not():
    DiagonalHead([1.0, 0.0]).diagonal(2, jnp.float32)
    for weight in (1e-60, 1e60):
        with pytest.raises(
            ValueError,
            match=rf"^weights: got {weight:.6g}, which leaves the range of float32".replace(
                "+", r"\+"
            ),
        ):
            DiagonalHead([1.0, weight]).diagonal(2, jnp.float32)


@pytest.mark.parametrize("kappa", [0.3, 0.999, 1.0, 1.0001, 1.5, 40.0])
@pytest.mark.parametrize("p", [1, 2, 7, 100])
def test_participation_ratio_is_the_closed_form(kappa, p, eps):
    """Against fifty digits; for many rows coth(ln kappa); where no row underflows, also from the
    rows.
    """
    with mpmath.workdps(50):
        squares = [mpmath.mpf(kappa) ** (-2 * i) for i in range(p)]
        want = float(sum(squares) ** 2 / sum(s**2 for s in squares))
    # kappa, rounded, is off by an eps, which is more of its logarithm the closer it is to one.
    slope = max(1, 1 / abs(np.log(kappa))) if kappa != 1 else 1
    assert float(ReweightingHead(kappa).participation_ratio(p)) == pytest.approx(
        want, rel=64 * slope * eps
    )
    if p <= 7:
        assert float(participation_ratio(ReweightingHead(kappa).diagonal(p))) == pytest.approx(
            want, rel=1e3 * eps
        )


def test_participation_ratio_at_its_limits(eps):
    ratio = ReweightingHead(1.05).participation_ratio(10**6)
    assert float(ratio) == pytest.approx((1.05**2 + 1) / (1.05**2 - 1), rel=100 * eps)
    assert float(participation_ratio(TruncationHead(3).diagonal(8))) == 3
    assert float(participation_ratio(DiagonalHead([1e-30, 0.0]).weights)) == 1
    slope = jax.grad(lambda k: ReweightingHead(k).participation_ratio(5))
    assert float(slope(1.0)) == 0
    if jnp.result_type(float) == jnp.float64:
        around = [float(ReweightingHead(1.5 + h).participation_ratio(5)) for h in (-1e-5, 1e-5)]
        assert float(slope(1.5)) == pytest.approx((around[1] - around[0]) / 2e-5, rel=1e-7)


# The network


def test_a_headed_network_is_its_encoder_and_the_rows(encoder, moments, eps):
    headed = Headed(encoder, ReweightingHead(2.0))
    below = np.asarray(encoder.matrix)
    np.testing.assert_allclose(headed.matrix, np.diag([1, 0.5, 0.25]) @ below, atol=8 * eps)
    assert [w.shape for w in headed.products()] == [(3, 4)] * 3
    assert (headed.depth, headed.sizes, headed.width) == (2, SIZES, 3)
    x = jax.random.normal(jax.random.key(2), (5, 4), below.dtype)
    np.testing.assert_allclose(
        headed(x), np.asarray(x) @ np.asarray(headed.matrix).T, atol=64 * eps
    )
    grams = measure.layer_grams(headed)
    np.testing.assert_allclose(grams[:2], measure.layer_grams(encoder), atol=8 * eps)
    np.testing.assert_allclose(
        grams[2], np.asarray(headed.matrix).T @ np.asarray(headed.matrix), atol=8 * eps
    )
    for mine, theirs in zip(measure.imbalance(headed), measure.imbalance(encoder), strict=True):
        np.testing.assert_array_equal(mine, theirs)
    assert float(spectral(headed, moments)) == pytest.approx(
        float(spectral(DeepLinear([*encoder.layers, jnp.diag(headed.head.weights)]), moments))
    )


def test_a_head_keeps_its_diagonal_alone(encoder):
    """So that a run under a head of another kind needs no other program."""
    heads = (ReweightingHead(2.0), DiagonalHead([1.0, 0.5, 0.0]), TruncationHead(2))
    networks = [Headed(encoder, head) for head in heads]
    assert len({jax.tree.structure(network) for network in networks}) == 1
    for network, head in zip(networks, heads, strict=True):
        np.testing.assert_array_equal(network.head.weights, head.diagonal(3))


# Training


def frozen(encoder, head):
    """The same network with the head as a further layer, for a gradient step that leaves that layer
    alone, in NumPy.
    """
    return [*arrays(encoder), np.diag(np.asarray(head.diagonal(encoder.sizes[-1])))]


def test_descent_trains_the_encoder_and_leaves_the_head(encoder, moments, eps):
    """Every step is one of gradient descent on the first two of three layers, written out by hand,
    decay on those two alone.
    """
    head, step, weight_decay = ReweightingHead(1.5), 0.02, 0.1
    trajectory = gradient_descent(
        Headed(encoder, head),
        moments,
        learning_rate=step,
        steps=100,
        weight_decay=weight_decay,
        save_at=5,
    )
    c, s = np.asarray(moments.cross), np.asarray(moments.second)
    w1, w2, h = frozen(encoder, head)
    for _ in range(100):
        w = h @ w2 @ w1
        g = h.T @ (4 * (w @ s @ w.T @ w @ s - w @ c))
        w1, w2 = (
            w1 - step * (w2.T @ g + weight_decay * w1),
            w2 - step * (g @ w1.T + weight_decay * w2),
        )
    for mine, theirs in zip(trajectory.final.layers, (w1, w2), strict=True):
        np.testing.assert_allclose(mine, theirs, atol=100 * 16 * eps)
    np.testing.assert_allclose(trajectory.final.matrix, h @ w2 @ w1, atol=100 * 64 * eps)
    # The penalty, and the gradient norm, are those of the encoder.
    final = trajectory.final
    penalty = weight_decay / 2 * sum((w**2).sum() for w in (w1, w2))
    assert float(trajectory.loss[-1]) == pytest.approx(
        float(spectral(final, moments)) + penalty, rel=1e-5
    )
    g = [
        g + weight_decay * w
        for g, w in zip(layer_gradients(final, moments), final.layers, strict=True)
    ]
    assert float(trajectory.gradient_norm[-1]) == pytest.approx(
        float(np.sqrt(sum((x**2).sum() for x in map(np.asarray, g)))), rel=1e-4
    )


def test_layer_gradients_are_those_of_the_whole(encoder, moments, eps):
    """Against automatic differentiation of the loss of the headed network."""
    headed = Headed(encoder, ReweightingHead(1.5))
    whole = jax.grad(lambda layers: spectral(Headed(DeepLinear(layers), headed.head), moments))(
        encoder.layers
    )
    for mine, theirs in zip(layer_gradients(headed, moments), whole, strict=True):
        np.testing.assert_allclose(mine, theirs, atol=1e3 * eps)


def test_the_record_of_a_headed_run_is_whole(encoder, moments, eps):
    """Weights, Grams, imbalance, ends and the labelled data set: one Gram more than trained layers,
    imbalance of those alone.
    """
    headed = Headed(encoder, ReweightingHead(1.5))
    run = gradient_flow(headed, moments, t1=2.0, save_at=5)
    assert isinstance(run.networks, Headed)
    assert run.networks.head.weights.shape == (*run.times.shape, 3)
    assert isinstance(run.final, Headed)
    np.testing.assert_array_equal(run.start.matrix, headed.matrix)
    assert (run.weights().shape, run.grams.shape, run.imbalance.shape) == (
        (6, 3, 4),
        (6, 3, 4, 4),
        (6, 1),
    )
    np.testing.assert_allclose(
        run.grams[-1][-1], run.final.matrix.T @ run.final.matrix, atol=64 * eps
    )
    # The trained layers conserve their imbalance under the head as under none.
    np.testing.assert_allclose(run.imbalance[:, 0], run.imbalance[0, 0], atol=float(run.drift[0]))
    data = run.to_xarray()
    assert list(data.layer.values) == [1, 2, 3]
    assert data.imbalance.shape == (6, 1)


@pytest.mark.parametrize(
    "head", [ReweightingHead(1.0), DiagonalHead([1.0, 1.0, 1.0]), TruncationHead(3)]
)
def test_a_head_of_ones_is_no_head(head, encoder, moments):
    plain, headed = (
        gradient_descent(n, moments, steps=20, save_at=3) for n in (encoder, Headed(encoder, head))
    )
    for mine, theirs in zip(headed.networks.layers, plain.networks.layers, strict=True):
        np.testing.assert_array_equal(mine, theirs)


def test_hidden_rows_never_move_by_flow_and_decay_away(moments, eps):
    encoder = DeepLinear.init(jax.random.key(1), (4, 3))
    headed = Headed(encoder, TruncationHead(2))
    free, decayed = (
        gradient_flow(
            headed, moments, t1=1.0, weight_decay=weight_decay, save_at=[1.0]
        ).final.layers[0]
        for weight_decay in (0.0, 0.5)
    )
    np.testing.assert_array_equal(free[2], encoder.layers[0][2])
    np.testing.assert_allclose(decayed[2], encoder.layers[0][2] * np.exp(-0.5), rtol=eps**0.6)


def test_batches_and_labels_train_under_a_head_too(eps):
    """Full-batch and minibatch descent on views and on labels, against the head as a layer that is
    put back after every step.
    """
    dtype = jnp.result_type(float)
    encoder, head = DeepLinear.init(jax.random.key(1), (4, 3), scale=0.3), ReweightingHead(2.0)
    x1, x2 = jax.random.normal(jax.random.key(2), (2, 32, 4), dtype)
    views, labelled = (
        Views(x1, x2),
        Labelled(x1, jax.random.normal(jax.random.key(3), (32, 3), dtype)),
    )
    headed, key = Headed(encoder, head), jax.random.key(4)
    for loss, data in ((spectral, views), (mse, labelled)):
        slope = jax.jit(
            jax.grad(lambda w, batch, loss=loss: loss(Headed(DeepLinear([w]), head), batch))
        )
        full = gradient_descent(
            headed, data, loss=loss, learning_rate=0.01, steps=3, save_at=2
        ).final.layers[0]
        few = stochastic(
            headed, data, key=key, loss=loss, learning_rate=0.01, steps=3, batch_size=8, save_at=2
        ).final.layers[0]
        for seen, batches in (
            (full, [data] * 3),
            (few, [minibatch(data, key, i, 8) for i in range(3)]),
        ):
            w = encoder.layers[0]
            for batch in batches:
                w = w - 0.01 * slope(w, batch)
            np.testing.assert_allclose(seen, w, atol=1e3 * eps)


@pytest.mark.parametrize("train", some(["flow", "descent", "stochastic"], 0, kind="slow"))
def test_another_kappa_or_another_head_compiles_nothing(train, encoder, moments):
    """Counted on the loss, which is traced whenever a simulator is compiled."""
    traces = {"now": 0}

    class Counted(type(spectral)):
        def population(self, matrix, moments):
            traces["now"] += 1
            return super().population(matrix, moments)

        def batch(self, y1, y2):
            traces["now"] += 1
            return super().batch(y1, y2)

    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0, 0.5, 0.3]), pt.AdditiveNoise(0.3))
    run = {
        "flow": lambda n: gradient_flow(n, moments, loss=Counted(), t1=0.5, save_at=3),
        "descent": lambda n: gradient_descent(n, moments, loss=Counted(), steps=4, save_at=2),
        "stochastic": lambda n: stochastic(
            n, problem, key=jax.random.key(0), loss=Counted(), steps=4, batch_size=8, save_at=2
        ),
    }[train]
    ends, counts = [], []
    for head in (
        ReweightingHead(1.5),
        ReweightingHead(2.5),
        DiagonalHead([1.0, 0.3, 0.2]),
        TruncationHead(2),
    ):
        ends.append(np.asarray(run(Headed(encoder, head)).final.encoder.matrix))
        counts.append(traces["now"])
    assert counts[0] > 0
    assert counts == [counts[0]] * 4
    assert all(np.abs(a - b).max() > 1e-6 for a, b in itertools.pairwise(ends))


def test_a_sweep_of_kappas_is_a_vmap(encoder, moments, eps):
    kappas = jnp.asarray([1.0, 1.5, 2.0], jnp.result_type(float))

    def run(kappa):
        return gradient_flow(Headed(encoder, ReweightingHead(kappa)), moments, t1=2.0, save_at=4)

    batch = eqx.filter_vmap(run)(kappas)
    assert batch.weights().shape == (3, 5, 3, 4)
    assert batch.grams.shape == (3, 5, 3, 4, 4)
    np.testing.assert_allclose(batch.final.head.weights[:, 1], 1 / kappas, rtol=4 * eps)
    for i, kappa in enumerate(kappas):
        np.testing.assert_allclose(batch.grams[i], run(kappa).grams, atol=1e4 * eps**0.75)


def test_an_optimiser_with_a_memory_sees_the_encoder_alone(encoder, moments):
    start = Headed(encoder, ReweightingHead(1.5))
    with jax.numpy_dtype_promotion("standard"):
        run = gradient_descent(start, moments, optimiser=optax.adam, steps=10, save_at=2)
    np.testing.assert_array_equal(run.final.head.weights, start.head.weights)
    assert float(run.loss[-1]) < float(run.loss[0])


def test_compare_refuses_a_network_under_a_fixed_head(encoder, moments):
    run = gradient_descent(Headed(encoder, ReweightingHead(1.5)), moments, steps=1, save_at=2)
    with pytest.raises(
        ValueError,
        match=r"^trajectory: got a network with frozen parts, such as a fixed head; "
        "want one whose layers are all trained",
    ):
        pt.compare(pt.theory.layers.layerwise(moments, 2, width=3), run)


def test_replacing_fields_keeps_a_headed_network_whole(encoder):
    headed = Headed(encoder, ReweightingHead(1.5))
    other = dataclasses.replace(headed, head=ReweightingHead(3.0))
    assert float(other.head.weights[1]) == pytest.approx(1 / 3)

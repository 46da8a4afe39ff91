"""Training by each loss, and the minibatches that training draws."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import some
from helpers.loss_cases import (
    CASES,
    outputs,
)

from projhead_theory import (
    ContrastiveProblem,
    DeepLinear,
    Features,
    Labelled,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    Views,
)
from projhead_theory.losses import (
    cross_entropy,
    info_nce,
    mse,
    vicreg,
)
from projhead_theory.problems import Groups, Mask
from projhead_theory.simulation import (
    Ended,
    gradient_descent,
    gradient_flow,
    layer_gradients,
    minibatch,
    stochastic,
)


def some_data(case, n=24, d=4, p=3):
    x = np.random.default_rng(5).standard_normal((n, d))
    if case.data == "views":
        return Views(x, x + 0.3 * np.random.default_rng(6).standard_normal((n, d)))
    return Labelled(x, case.targets(n, p))


@pytest.mark.parametrize(
    "name",
    ["info_nce", "barlow_twins", "vicreg", "supcon", "supervised_spectral", "mse", "cross_entropy"],
)
def test_descent_lowers_every_loss(name):
    """With a step small enough, at every record."""
    network = DeepLinear.init(jax.random.key(0), (4, 3, 3), scale=0.7)
    trajectory = gradient_descent(
        network,
        some_data(CASES[name]),
        loss=CASES[name].loss,
        learning_rate=1e-3,
        steps=60,
        save_at=4,
    )
    assert (np.diff(trajectory.loss) < 0).all()


@pytest.mark.parametrize("name", some(["cross_entropy", "supcon"], 0, kind="slow"))
def test_flow_lowers_supervised_losses_and_conserves_the_imbalance(name):
    """On the loss of fixed rows the flow is a gradient flow like any other."""
    network = DeepLinear.init(jax.random.key(0), (4, 3, 3), scale=0.7)
    trajectory = gradient_flow(
        network, some_data(CASES[name]), loss=CASES[name].loss, t1=2.0, save_at=4
    )
    assert (np.diff(trajectory.loss[:-1]) < 0).all()
    assert float(jnp.abs(trajectory.imbalance[-1] - trajectory.imbalance[0]).max()) <= float(
        trajectory.drift[0]
    )


@pytest.mark.x64
def test_flow_on_squared_error_ends_at_least_squares():
    data = some_data(CASES["mse"])
    end = gradient_flow(DeepLinear.init(jax.random.key(0), (4, 3)), data, loss=mse)
    assert end.ended == Ended.converged
    want = np.linalg.lstsq(np.asarray(data.inputs), np.asarray(data.targets))[0].T
    np.testing.assert_allclose(end.final.matrix, want, atol=1e-8)


def test_a_label_without_an_output_ends_a_run_as_diverged_at_once():
    data = Labelled(np.arange(6.0).reshape(3, 2), [0, 1, 2])
    trajectory = gradient_descent(
        DeepLinear([np.eye(2)]), data, loss=cross_entropy, steps=5, save_at=2
    )
    assert trajectory.ended == Ended.diverged
    assert trajectory.ended_at == 0


SOURCES = {
    "problem": (
        ContrastiveProblem(Features([0.5, 1.0, 1.5], "gaussian"), Mask([0.1, 0.3, 0.0])),
        info_nce,
    ),
    "views": (Views(*outputs(9, 3)), vicreg),
    "labelled": (Labelled(outputs(9, 3)[0], np.arange(9) % 2), cross_entropy),
    "pairs of a class": (
        SupervisedContrastiveProblem(Groups.signs([1.0, 0.7, 0.5], 0.3, [0.5, 0.0])),
        info_nce,
    ),
    "classes": (SupervisedProblem(Groups.signs([1.0, 0.7, 0.5], 0.3, [0.5, 0.0])), mse),
}


@pytest.mark.parametrize(
    ("problem", "loss"), some(SOURCES.values(), 0, 2, kind="slow"), ids=SOURCES.keys()
)
def test_minibatch_draws_the_batch_of_a_step_again(problem, loss, eps):
    """Three steps by hand on `minibatch(i)` are the three steps of the run; on those of another
    step they are not.
    """
    network, key, step, batch = (
        DeepLinear.init(jax.random.key(0), (3, 3, 2), scale=0.7),
        jax.random.key(7),
        0.01,
        6,
    )
    run = stochastic(
        network,
        problem,
        key=key,
        loss=loss,
        learning_rate=step,
        steps=3,
        batch_size=batch,
        save_at=[0, 1, 2, 3],
    )

    @jax.jit
    def descend(layers, i):
        gradients = layer_gradients(DeepLinear(layers), minibatch(problem, key, i, batch), loss)
        return tuple(w - step * g for w, g in zip(layers, gradients, strict=True))

    def by_hand(first):
        layers = network.layers
        for i in range(first, first + 3):
            yield (layers := descend(layers, jnp.asarray(i)))

    for i, layers in enumerate(by_hand(0), 1):
        for mine, theirs in zip(layers, run.networks.layers, strict=True):
            np.testing.assert_allclose(mine, theirs[i], atol=1024 * eps)
    assert all(
        jnp.abs(layers[0] - run.networks.layers[0][i]).max() > 1e-5
        for i, layers in enumerate(by_hand(1), 1)
    )


def test_minibatch_is_what_it_says_under_jit_and_out_of_it():
    """Rows drawn by an index are the same to the bit, and the step number may be traced."""
    data, key = SOURCES["labelled"][0], jax.random.key(1)
    inside = jax.jit(lambda i: minibatch(data, key, i, 5))(jnp.asarray(2))
    outside = minibatch(data, key, 2, 5)
    np.testing.assert_array_equal(inside.inputs, outside.inputs)
    np.testing.assert_array_equal(inside.targets, outside.targets)
    assert not np.array_equal(minibatch(data, key, 3, 5).inputs, outside.inputs)

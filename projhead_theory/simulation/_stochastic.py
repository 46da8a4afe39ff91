"""Stochastic gradient descent on fresh minibatches, drawn on the device at every step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from .._core import checks
from .._core.linalg import frobenius
from ..losses import AbstractLoss, spectral
from ..networks import AbstractNetwork
from ..problems import (
    ContrastiveProblem,
    Labelled,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    Views,
)
from ._descent import Optimiser, run
from ._driver import marks
from ._objective import Objective
from ._trajectory import Trajectory

# Sources of minibatches.
Source = ContrastiveProblem | SupervisedContrastiveProblem | SupervisedProblem | Views | Labelled


def minibatch(
    problem: Source, key: PRNGKeyArray, step_number: int | Array, batch_size: int
) -> Views | Labelled:
    """Minibatch that one step of `stochastic` trained on.

    **Arguments:**

    - `problem`, `key`, `batch_size`: as given to `stochastic`.
    - `step_number`: counted from 0, so that step `i` leads from the network recorded at `i` to
      the network recorded at `i + 1`.

    **Returns:** `Views` for a problem of pairs or for `Views`; `Labelled` for a
    `SupervisedProblem` or for rows of `Labelled`.
    """
    return _draw(problem, jax.random.fold_in(jax.random.split(key)[0], step_number), batch_size)


def _draw(problem: Source, key: PRNGKeyArray, n: int) -> Views | Labelled:
    return (
        problem.sample(key, n)
        if isinstance(problem, Labelled | SupervisedProblem)
        else problem.sample_pairs(key, n)
    )


def stochastic(
    network: AbstractNetwork,
    problem: Source,
    *,
    key: PRNGKeyArray,
    loss: AbstractLoss = spectral,
    learning_rate: checks.Scalar = 1e-3,
    steps: int = 10_000,
    batch_size: int = 256,
    optimiser: Optimiser = optax.sgd,
    weight_decay: checks.Scalar = 0.0,
    save_at: int | Any = 64,
) -> Trajectory:
    r"""Train on minibatches: every step draws `batch_size` fresh positive pairs, or labelled rows.

    **Arguments:**

    - `network`, `loss`, `learning_rate`, `steps`, `optimiser`, `weight_decay`, `save_at`: as in
      `gradient_descent`.
    - `problem`: a problem to draw pairs or labelled inputs from, or `Views` or `Labelled` to draw
      rows of, with replacement.
    - `key`: the seed of every draw.
    - `batch_size`: the number of pairs, or rows, in a step. `minibatch` draws the batch of a step
      again.

    **Returns:** a `Trajectory`. Its `loss` and `gradient_norm` are measured on one held-out batch
    of 16 times the size, the same at every record. The run never counts as converged, since
    minibatch noise keeps it moving; `noise` is the size of this motion.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> run = pt.simulation.stochastic(
        ...     pt.DeepLinear([jnp.eye(2)]), problem, key=jax.random.key(0), steps=500, save_at=2
        ... )
        >>> np.round(run.weights()[-1, -1], 2)
        Array([0.4 , 0.96], dtype=float64)

        ```
    """
    dtype = network.dtype
    rate, penalty = (
        checks.positive("learning_rate", learning_rate).astype(dtype),
        checks.nonnegative("weight_decay", weight_decay).astype(dtype),
    )
    at = marks(save_at, checks.count("steps", steps, 0))
    batch_size = checks.count("batch_size", batch_size, 2)
    trained, frozen = eqx.partition(network, network.trainable)
    return _stochastic(
        trained, frozen, problem, key, loss, rate, penalty, optimiser, at, batch_size
    )


@eqx.filter_jit
def _stochastic(
    trained, frozen, problem, key, loss, learning_rate, weight_decay, optimiser, at, batch_size
):
    transformation = optimiser(learning_rate)
    on = lambda data: Objective(frozen, loss, data, weight_decay)

    def take(trained, state, i):
        slope = on(minibatch(problem, key, i, batch_size)).gradient(trained)
        return transformation.update(slope, state, trained)

    drawn = checks.in_dtype(
        _draw(problem, jax.random.split(key)[1], 16 * batch_size), learning_rate.dtype
    )
    held = on(drawn)
    state, never = transformation.init(trained), jnp.zeros_like(learning_rate)
    trajectory = run(take, held, trained, state, at, never)
    inputs = drawn.inputs if isinstance(drawn, Labelled) else drawn.first
    grams = jax.vmap(lambda network: network.gram(inputs))(trajectory.networks)
    tail = grams[at.size // 2 :]
    fluctuation = jnp.sqrt(jnp.mean(frobenius(tail - jnp.mean(tail, axis=0)) ** 2))
    return eqx.tree_at(lambda t: t.noise, trajectory, fluctuation)

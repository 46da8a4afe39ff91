"""Stochastic gradient descent on fresh minibatches, drawn on the device at every step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from .._core import checks
from .._core.linalg import frobenius, matmul
from ..losses import AbstractLoss, FixedPartLoss, spectral
from ..networks import DeepLinear, Network
from ..problems import (
    ContrastiveProblem,
    Labelled,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    Views,
)
from ._absorb import Trained, absorb, restore
from ._descent import Optimiser, finish
from ._driver import drive, marks
from ._objective import gradient, value_and_gradient
from ._trajectory import Trajectory, norm

# Sources of minibatches.
Source = ContrastiveProblem | SupervisedContrastiveProblem | SupervisedProblem | Views | Labelled


def minibatch(
    problem: Source, key: PRNGKeyArray, step_number: int | Array, batch: int
) -> Views | Labelled:
    """Minibatch that one step of `stochastic` trained on.

    **Arguments:**

    - `problem`, `key`, `batch`: as given to `stochastic`.
    - `step_number`: counted from 0, so that step `i` leads from the network recorded at `i` to
      the network recorded at `i + 1`.

    **Returns:** `Views` for a problem of pairs or for `Views`; `Labelled` for a
    `SupervisedProblem` or for rows of `Labelled`.
    """
    return _draw(problem, jax.random.fold_in(jax.random.split(key)[0], step_number), batch)


def _draw(problem: Source, key: PRNGKeyArray, n: int) -> Views | Labelled:
    return (
        problem.sample(key, n)
        if isinstance(problem, Labelled | SupervisedProblem)
        else problem.sample_pairs(key, n)
    )


def stochastic(
    network: Network,
    problem: Source,
    *,
    key: PRNGKeyArray,
    loss: AbstractLoss = spectral,
    step: checks.Scalar = 1e-3,
    steps: int = 10_000,
    batch: int = 256,
    optimiser: Optimiser = optax.sgd,
    decay: checks.Scalar = 0.0,
    record: int | Any = 64,
) -> Trajectory:
    r"""Train on minibatches: every step draws `batch` fresh positive pairs, or labelled rows.

    **Arguments:**

    - `network`, `loss`, `step`, `steps`, `optimiser`, `decay`, `record`: as in
      `gradient_descent`.
    - `problem`: a problem to draw pairs or labelled inputs from, or `Views` or `Labelled` to draw
      rows of, with replacement.
    - `key`: the seed of every draw.
    - `batch`: the number of pairs, or rows, in a step. `minibatch` draws the batch of a step
      again.

    **Returns:** a `Trajectory`. Its `loss` and `gradient_norm` are measured on one held-out batch
    of 16 times the size, the same at every record. The run never counts as converged, since
    minibatch noise keeps it moving; `noise` is the size of this motion.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> run = pt.simulation.stochastic(
        ...     pt.DeepLinear([jnp.eye(2)]), problem, key=jax.random.key(0), steps=500, record=2
        ... )
        >>> np.round(run.weights()[-1, -1], 2)
        Array([0.4 , 0.96], dtype=float64)

        ```
    """
    dtype = network.layers[0].dtype
    rate, penalty = (
        checks.positive("step", step).astype(dtype),
        checks.nonnegative("decay", decay).astype(dtype),
    )
    at = marks(record, checks.count("steps", steps, 0))
    batch = checks.count("batch", batch, 2)
    encoder, whole = absorb(network, loss)
    return restore(
        network, _stochastic(encoder, problem, key, whole, rate, penalty, optimiser, at, batch)
    )


@eqx.filter_jit
def _stochastic(network, problem, key, loss, step, decay, optimiser, at, batch):
    transformation = optimiser(step)

    def take(network, state, i):
        return transformation.update(
            gradient(network, loss, minibatch(problem, key, i, batch), decay), state, network
        )

    networks, energy, alive, last = drive(take, network, transformation.init(network), at)
    held = checks.in_dtype(_draw(problem, jax.random.split(key)[1], 16 * batch), step.dtype)
    values, gradients = jax.lax.map(lambda y: value_and_gradient(y, loss, held, decay), networks)
    trajectory = finish(
        at, networks, values, jax.vmap(norm)(gradients), energy, alive, last, jnp.zeros_like(step)
    )
    grams = jax.vmap(lambda y: _gram(y, loss, held))(trajectory.networks)
    tail = grams[at.size // 2 :]
    fluctuation = jnp.sqrt(jnp.mean(frobenius(tail - jnp.mean(tail, axis=0)) ** 2))
    return eqx.tree_at(lambda t: t.noise, trajectory, fluctuation)


def _gram(network: Trained, loss: AbstractLoss, held: Views | Labelled) -> Array:
    """Matrix whose fluctuations are the `noise` of a run.

    The Gram of a linear network, or the second moment of the outputs on the held-out batch.
    """
    if isinstance(network, DeepLinear):
        return matmul(network.matrix.T, network.matrix)
    x = held.inputs if isinstance(held, Labelled) else held.first
    outputs = eqx.combine(network, loss.fixed)(x) if isinstance(loss, FixedPartLoss) else network(x)
    return matmul(outputs.T, outputs) / len(x)

"""Stochastic gradient descent on fresh views, drawn on the device at every step."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import PRNGKeyArray

from .. import _checks
from .._spectra import frobenius, matmul
from ..losses import AbstractLoss, spectral
from ..networks import DeepLinear
from ..problems import ContrastiveProblem, Views
from ._descent import Optimiser, finish
from ._driver import drive, marks
from ._objective import gradient, value_and_gradient
from ._trajectory import Trajectory, norm


def stochastic(
    network: DeepLinear,
    problem: ContrastiveProblem | Views,
    *,
    key: PRNGKeyArray,
    loss: AbstractLoss = spectral,
    step: float = 1e-3,
    steps: int = 10_000,
    batch: int = 256,
    optimiser: Optimiser = optax.sgd,
    decay: float = 0.0,
    record: int | Any = 64,
) -> Trajectory:
    r"""Train on minibatches: every step draws `batch` fresh positive pairs.

    **Arguments:** as in `gradient_descent`; `problem`: anything with `sample_pairs(key, n)`: a `ContrastiveProblem`, or
    `Views` to draw rows of; `key`: the seed of every draw; `batch`: pairs a step.

    **Returns:** a `Trajectory`; `loss` and `gradient_norm` are of one held-out batch of 16 times the size, the same at
    every record. The run never counts as converged, since minibatch noise keeps it moving: `noise` says by how much.

    **Raises:** `ValueError` for arguments out of range.
    """
    dtype = network.layers[0].dtype
    rate, penalty = _checks.positive("step", step).astype(dtype), _checks.nonnegative("decay", decay).astype(dtype)
    at = marks(record, _checks.count("steps", steps, 0))
    batch = _checks.count("batch", batch, 2)
    return _stochastic(network, problem, key, loss, rate, penalty, optimiser, at, batch)


@eqx.filter_jit
def _stochastic(network, problem, key, loss, step, decay, optimiser, at, batch):
    transformation = optimiser(step)
    train, hold = jax.random.split(key)

    def take(network, state, i):
        views = problem.sample_pairs(jax.random.fold_in(train, i), batch)
        return transformation.update(gradient(network, loss, views, decay), state, network)

    networks, energy, alive, last = drive(take, network, transformation.init(network), at)
    held = problem.sample_pairs(hold, 16 * batch)
    values, gradients = jax.lax.map(lambda y: value_and_gradient(y, loss, held, decay), networks)
    trajectory = finish(at, networks, values, jax.vmap(norm)(gradients), energy, alive, last, jnp.zeros_like(step))
    grams = jax.vmap(lambda y: matmul(y.matrix.T, y.matrix))(trajectory.networks)
    tail = grams[at.size // 2 :]
    fluctuation = jnp.sqrt(jnp.mean(frobenius(tail - jnp.mean(tail, axis=0)) ** 2))
    return eqx.tree_at(lambda t: t.noise, trajectory, fluctuation)

"""Aligned networks on feature models under the contrastive loss."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...networks import DeepLinear
from ...simulation import Trajectory
from ...theory import dynamics
from .._common.rounding import DEVIATIONS
from .._common.tasks import FeatureTask
from .._common.training import RECORDS, Run, flow, local_error

DIM = 3

SMALLEST = {1: 1e-3, 2: 1e-2, 3: 2e-2, 4: 3e-2, 5: 5e-2}
"""Start weight at each depth.

The network waits several times as long as it then learns, but not for the whole run.
"""


def train(problem: FeatureTask, start: DeepLinear | None = None) -> Run:
    """Gradient flow to the last save time, recorded at all save times."""
    return flow(
        problem.start() if start is None else start,
        problem.moments,
        until=problem.times[-1],
        record=problem.times,
        decay=problem.decay,
        stationarity=0.0,
    )


@eqx.filter_jit
def paths(problem: FeatureTask) -> Float[Array, "T L d"]:
    """Predicted weight of every feature at every layer and time."""
    p = problem
    one = lambda t: dynamics.layer_weights(t, p.start_weight, p.cross, p.second, p.depth).T
    return jax.vmap(one)(p.times)


@eqx.filter_jit
def _weights(trajectory: Trajectory) -> Float[Array, "T L d"]:
    return trajectory.weights()[:-1]


def log_weights(run: Run) -> tuple[Array, Array]:
    r"""Logarithms of the weights, and their integration errors.

    Save times may force the same steps on both runs, which then have the same errors. Steps
    between geometric save times grow by a ratio $\rho$, and the error of a step by $\rho^8$, the
    order of the solver, until the weight has converged and errors fall at least as fast: together
    at most $2 / (1 - \rho^{-8})$ times the tolerance of a step.
    """
    times, depth = run.fine.times[:-1], run.fine.networks.depth
    floor = jnp.finfo(times.dtype).tiny
    log = lambda t: jnp.log(jnp.maximum(_weights(t), floor))
    apart = jnp.abs(log(run.fine) - log(run.coarse))
    growth = (times[-1] / times[0]) ** (8 / (times.size - 1))
    return log(run.fine), apart + 2 / (1 - 1 / growth) * local_error(apart.dtype, depth)


def log_rounding(run: Run) -> Array:
    """Rounding of the logarithm of a weight, relative to the logarithm and its growth.

    A rounded weight is learned a little earlier or later. Over many steps, roundings of random
    sign add up as the root of their number.
    """
    weights = run.fine.networks.layers[0]
    steps = jnp.sqrt(run.fine.steps.astype(weights.dtype))
    return (64 + DEVIATIONS * steps) * run.fine.networks.depth * jnp.finfo(weights.dtype).eps


def features(key: PRNGKeyArray, depth: int, index: int = 0) -> FeatureTask:
    """Three features with cross moments a factor two or three apart.

    Their final weights need not be in the order of the cross moments.
    """
    return _features(key, depth, jnp.asarray(index))


@eqx.filter_jit
def _features(key: PRNGKeyArray, depth: int, index: Array) -> FeatureTask:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 7000 + index))
    dtype = jnp.result_type(float)
    cross = jnp.asarray([1.0, 0.5, 0.2], dtype) * jax.random.uniform(k1, (DIM,), dtype, 0.8, 1.2)
    second = cross / jax.random.uniform(k2, (DIM,), dtype, 0.3, 0.95)
    return _watched(cross, second, depth, jnp.asarray(SMALLEST[depth], dtype))


def _watched(cross: Array, second: Array, depth: int, start: Array) -> FeatureTask:
    """Feature task whose save times span the learning of all features.

    They begin at the first changes of the fastest feature, and end after the slowest has been
    learned.
    """
    onset = dynamics.onset_time(start, cross, depth)
    settling = 3 / (depth * cross * (jnp.sqrt(cross) / second) ** (2 - 2 / depth))
    times = jnp.geomspace(
        jnp.min(onset) / 20, 2 * jnp.max(onset) + jnp.max(settling), RECORDS, dtype=cross.dtype
    )
    return FeatureTask(
        cross,
        second,
        jnp.broadcast_to(start, cross.shape),
        times,
        jnp.zeros((), cross.dtype),
        depth,
    )


@eqx.filter_jit
def opposed(depth: int) -> FeatureTask:
    """Features that are learned in the opposite order of their final weights.

    The strongest carry the most noise: they are learned first, and end with the smallest weights.
    """
    dtype = jnp.result_type(float)
    strength = jnp.asarray([2.0, 1.0, 0.6], dtype)
    second = strength**2 + jnp.asarray([3.0, 0.5, 0.05], dtype) ** 2
    return _watched(strength**2, second, depth, jnp.asarray(SMALLEST[depth], dtype))


def harder_features(depth: int, largest: float = 100.0) -> Callable[[PRNGKeyArray], FeatureTask]:
    """Draws for a random search.

    Signal fractions range up to one, with ties. Starts range from tiny to beyond the final weight.
    """

    def draw(key: PRNGKeyArray) -> FeatureTask:
        k = jax.random.split(key, 6)
        dtype = jnp.result_type(float)
        unit = 10.0 ** jax.random.uniform(k[0], (), dtype, -3, 3)
        cross = unit * 10.0 ** jax.random.uniform(k[1], (DIM,), dtype, -1, 0)
        fractions = jax.random.uniform(k[2], (DIM,), dtype, 0.02, 1.0)
        fractions = jnp.where(
            jax.random.bernoulli(k[3], 0.3), fractions.at[1].set(fractions[0]), fractions
        )
        cross = jnp.where(jax.random.bernoulli(k[4], 0.3), cross.at[1].set(cross[0]), cross)
        second = cross / fractions
        final = jnp.sqrt(cross) / second
        start = final * SMALLEST[depth] * largest ** jax.random.uniform(k[5], (DIM,), dtype, 0, 1)
        rate = jnp.min(depth * cross * final ** (2 - 2 / depth))
        times = jnp.geomspace(0.001 / rate, 20 / rate, RECORDS, dtype=dtype)
        return FeatureTask(
            cross, second, start, times, jnp.zeros((), dtype), depth, max_steps=10_000
        )

    return draw

"""Aligned networks under the squared error."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import losses
from ...moments import TargetMoments
from ...networks import DeepLinear
from ...theory.dynamics import regression
from .._common.tasks import aligned
from .._common.training import RECORDS, Run, flow

DIM = 3

SMALLEST = {1: 1e-3, 2: 1e-3, 3: 1e-2, 4: 2e-2, 5: 3e-2}
"""Start weight at each depth: the network waits, but not for the whole run."""


class ModeTask(eqx.Module):
    """Aligned modes and a balanced network that regresses a target on them.

    - `target`: the moment $a_i$ of target and input for each mode.
    - `second`: the second moment $q_i$ of each mode.
    - `start_weight`: the product weight of each mode at the start.
    - `times`: the save times.
    - `depth`: the number of layers.
    """

    target: Float[Array, " d"]
    second: Float[Array, " d"]
    start_weight: Float[Array, " d"]
    times: Float[Array, " T"]
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.target.shape[0]} modes"

    @property
    def moments(self) -> TargetMoments:
        return _moments(self.target, self.second)

    def start(self) -> DeepLinear:
        return aligned(self.start_weight, self.depth)


@eqx.filter_jit
def _moments(target: Array, second: Array) -> TargetMoments:
    return TargetMoments(jnp.diag(target), jnp.diag(second))


def train(problem: ModeTask, start: DeepLinear | None = None) -> Run:
    """Gradient flow of the squared error to the last save time, recorded at all save times."""
    p = problem
    return flow(
        p.start() if start is None else start,
        p.moments,
        loss=losses.mse,
        until=p.times[-1],
        record=p.times,
        stationarity=0.0,
    )


@eqx.filter_jit
def paths(problem: ModeTask, depth: int | None = None) -> Float[Array, "T L d"]:
    """Predicted weight of every mode at every layer and time.

    With `depth`, the path of a network of that depth, read at the problem's own layers.
    """
    p = problem
    last = jax.vmap(
        lambda t: regression.weight_at_time(t, p.start_weight, p.target, p.second, depth or p.depth)
    )(p.times)
    return last[:, None, :] ** (jnp.arange(1, p.depth + 1, dtype=last.dtype) / p.depth)[:, None]


def modes(key: PRNGKeyArray, depth: int, index: int = 0) -> ModeTask:
    """Three modes with targets a factor of two or so apart.

    The save times span the course from the first changes until after the slowest mode has been
    learned.
    """
    return _modes(key, depth, jnp.asarray(index))


@eqx.filter_jit
def _modes(key: PRNGKeyArray, depth: int, index: Array) -> ModeTask:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 15_000 + index))
    dtype = jnp.result_type(float)
    target = jnp.asarray([1.0, 0.6, 0.3], dtype) * jax.random.uniform(k1, (DIM,), dtype, 0.8, 1.2)
    second = target * jax.random.uniform(k2, (DIM,), dtype, 0.5, 1.5)
    start = jnp.full(DIM, SMALLEST[depth], dtype)
    end = regression.time_to_weight(0.95 * target / second, start, target, second, depth)
    times = jnp.geomspace(jnp.min(end) / 50, 1.5 * jnp.max(end), RECORDS, dtype=dtype)
    return ModeTask(target, second, start, times, depth)

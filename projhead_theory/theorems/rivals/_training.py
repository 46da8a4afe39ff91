"""Training by self-prediction with a stopped gradient."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, Moments, losses
from ..._core import named
from ...claims import Offers, rounded
from .._common import (
    RECORDS,
    Run,
    aligned,
    drawn,
    fewer,
    flow_through,
    scaled,
    uniform,
    valid,
)

DIM = 3


class PredictionTask(eqx.Module):
    """Aligned features, an encoder of `depth` layers and a linear predictor.

    - `cross`, `second`: cross moment $c_i$ and second moment $q_i$ of each feature.
    - `start_factor`: what every layer and the predictor give each feature at the start.
    - `times`: the save times.
    - `weight_decay`: the weight decay of all layers and the predictor.
    """

    cross: Float[Array, " d"]
    second: Float[Array, " d"]
    start_factor: Float[Array, " d"]
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]
    depth: int = eqx.field(static=True)

    @property
    def moments(self) -> Moments:
        return Moments(jnp.diag(self.cross), jnp.diag(self.second))

    @property
    def label(self) -> str:
        return f"encoder of depth {self.depth}, {self.cross.shape[0]} features"

    def start(self) -> DeepLinear:
        return aligned(self.start_factor ** (self.depth + 1), self.depth + 1)

    def shrinks(self) -> Offers:
        """One feature less, rounder numbers."""
        yield from fewer(self, "cross", "second", "start_factor")
        yield from rounded(lambda r: valid(r(self)))


def other_predictor(problem: PredictionTask) -> DeepLinear:
    """The start with a predictor half as large again as the layers of the encoder."""
    return scaled(problem.start(), np.asarray([1.0] * problem.depth + [1.5], problem.cross.dtype))


def train(
    p: PredictionTask,
    start: DeepLinear | None = None,
    loss: losses.SelfPrediction = losses.self_prediction,
) -> Run:
    """Flow to the last save time, recorded at all save times."""
    return flow_through(
        p.start() if start is None else start,
        p.moments,
        p.times,
        loss=loss,
        weight_decay=p.weight_decay,
    )


@drawn
def features(key: PRNGKeyArray, depth: int, *, index: Array | int = 0) -> PredictionTask:
    """Three features from one small start, recorded until the slowest is learned."""
    k1, k2 = jax.random.split(named(key, "self-predicted features", index))
    cross = jnp.asarray([1.0, 0.7, 0.5], jnp.result_type(float)) * uniform(k1, 0.9, 1.1, (DIM,))
    second = cross / uniform(k2, 0.6, 0.95, (DIM,))
    return watched(cross, second, jnp.full_like(cross, 0.25), depth)


@eqx.filter_jit
def watched(cross: Array, second: Array, start: Array, depth: int) -> PredictionTask:
    """The task with save times until the slowest feature is learned."""
    rate = cross * (cross / second) ** (2 * depth - 1)
    wait = 1 / (cross * start ** (2 * depth - 1))
    times = jnp.geomspace(0.01 * jnp.min(1 / rate), jnp.max(wait + 10 / rate), RECORDS)
    return PredictionTask(cross, second, start, times, jnp.zeros_like(rate[0]), depth)

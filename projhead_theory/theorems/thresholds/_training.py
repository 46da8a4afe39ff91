"""Diagonal networks with thresholds, and orbits of the amplitudes of one feature."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import ContrastiveProblem, Features, SignFlip, ThresholdedDiagonal, theory
from ..._core import CHAIN, epsilons, named
from ...claims import Offers, Rows, rounded
from .._common import Run, drawn, flow_through, left_out, local_error, replace

DIM, RECORDS = 4, 64


class ThresholdTask(eqx.Module):
    """Features with sign flips, the start of a diagonal network with thresholds, and save times."""

    strength: Float[Array, " d"]
    flips: Float[Array, " d"]
    weights: Float[Array, "L d"]
    thresholds: Float[Array, "L d"]
    times: Float[Array, " T"]

    @property
    def depth(self) -> int:
        return self.weights.shape[-2]

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.strength.shape[-1]} features"

    @property
    def rho(self) -> Float[Array, " d"]:
        return (1 - 2 * self.flips) ** 2

    @property
    def given(self) -> tuple[Array, Array, Array]:
        """Weights, thresholds and strengths, as closed forms take them."""
        return self.weights, self.thresholds, self.strength

    @property
    def contrastive(self) -> ContrastiveProblem:
        return ContrastiveProblem(Features(self.strength), SignFlip(self.flips))

    def start(self) -> ThresholdedDiagonal:
        return ThresholdedDiagonal(self.weights, self.thresholds)

    def shrinks(self) -> Offers:
        """Simpler problems: one feature less, rounder numbers."""
        names = ("strength", "flips", "weights", "thresholds")
        for keep in left_out(self.strength.size):
            fewer = {name: getattr(self, name)[..., keep] for name in names}
            yield lambda fewer=fewer: replace(self, **fewer)
        yield from rounded(lambda r: r(self))


class Orbits(eqx.Module):
    """Predicted amplitudes of the features from the start of a problem, in all layers.

    - `limit`: the amplitudes in the end.
    - `assumed`: the problem whose law the amplitudes are compared with: the same, unless a control
      replaces it.
    - `law`: the amplitudes of all layers as a function of the last.
    - `time`: the time at which the last amplitude has a given value.
    """

    problem: ThresholdTask
    limit: Float[Array, "L d"]
    assumed: ThresholdTask
    law: Callable[..., Array] = eqx.field(static=True, default=theory.thresholds.threshold_law)
    time: Callable[..., Array] = eqx.field(static=True, default=theory.thresholds.threshold_time)


@eqx.filter_jit
def predict(problem: ThresholdTask) -> Orbits:
    return Orbits(problem, theory.thresholds.threshold_limit(*problem.given, problem.rho), problem)


def train(p: ThresholdTask) -> Run:
    """Gradient flow of the exact population loss to the last save time, recorded at all of them."""
    return flow_through(p.start(), p.contrastive, p.times)


def amplitudes_of(run: Run, strength: Array) -> tuple[Array, Array]:
    """Amplitudes of every layer at every save time, in the fine and the coarse run."""
    fine, coarse = (t.each(lambda n: n.amplitudes(strength))[:-1] for t in (run.fine, run.coarse))
    return fine, coarse


def time_row(orbits: Orbits, run: Run) -> Rows:
    """Row of the largest relative error of the predicted times.

    The time of a record is predicted from its last amplitude. Close to its limit an amplitude says
    little about the time: records within a thousandth of the limit are left out.
    """
    p, times = orbits.problem, run.fine.times[:-1, None]
    fine, coarse = (a[:, -1] for a in amplitudes_of(run, p.strength))
    moving = (jnp.abs(fine**2 - p.rho) > 2e-3 * p.rho) & (times > times[-1] * 1e-6)

    def when(last: Array) -> Array:
        # An amplitude that the flow never reaches counts as an error of the whole time.
        time = orbits.time(last, *p.given, p.rho)
        return jnp.where(jnp.isnan(time), 0, time)

    worst = lambda x: jnp.max(jnp.where(moving, jnp.abs(x) / jnp.where(moving, times, 1), 0))
    integration = worst(when(fine) - when(coarse)) + 1e3 * local_error(fine.dtype, 1)
    # Effect: times twice as late.
    return Rows(
        ("time",),
        worst(when(fine) - times),
        {"integration": integration, "rounding": 1e3 * orbit_rounding(orbits, run)},
        0.5,
    )


def orbit_rounding(orbits: Orbits, run: Run) -> Array:
    """Relative rounding of the amplitudes, and of the law solved for them.

    An amplitude is the difference of a larger one and a threshold, which magnifies its rounding.
    """
    inside = jnp.max(orbits.problem.thresholds, axis=0) / jnp.min(orbits.limit[:-1], axis=0)
    steps = jnp.sqrt(run.fine.steps.astype(inside.dtype))
    return epsilons(CHAIN, inside.dtype) * (1 + steps) * (1 + jnp.max(inside))


@drawn
def task(key: PRNGKeyArray, depth: int, *, index: Array | int) -> ThresholdTask:
    """A random problem with active features of unequal weights in all layers.

    Only the first two layers and the last have thresholds.
    """
    k = jax.random.split(named(key, "thresholds", index), 4)
    strength = jax.random.uniform(k[0], (DIM,), float, 0.7, 2.0)
    thresholds = jax.random.uniform(k[2], (depth, DIM), float, 0.05, 0.3)
    thresholds = thresholds.at[2:-1].set(0) if depth > 3 else thresholds
    # Each layer leaves a share between 0.4 and 0.9 of the strength, the last less than its limit.
    shares = jax.random.uniform(k[3], (depth, DIM), float, 0.4, 0.9)
    amplitudes = jnp.concatenate([jnp.ones((1, DIM)), shares[:-1], shares[-1:] / 3]) * jnp.where(
        jnp.arange(depth + 1)[:, None] < depth, strength, 1
    )
    return ThresholdTask(
        strength,
        jax.random.uniform(k[1], (DIM,), float, 0.0, 0.25),
        (amplitudes[1:] + thresholds) / amplitudes[:-1],
        thresholds,
        jnp.geomspace(1e-3, 40.0, RECORDS),
    )


@eqx.filter_jit
def equal_weights(p: ThresholdTask) -> ThresholdTask:
    """A start of equal weights, the first raised to make up for its threshold."""
    return replace(p, weights=jnp.ones_like(p.weights).at[0].add(p.thresholds[0] / p.strength))


@eqx.filter_jit
def with_thresholds(p: ThresholdTask, thresholds: Array) -> ThresholdTask:
    """Other thresholds, and weights that give the same amplitudes in the first layer."""
    weights = p.weights.at[0].add((thresholds - p.thresholds)[0] / p.strength)
    return replace(p, weights=weights, thresholds=thresholds)

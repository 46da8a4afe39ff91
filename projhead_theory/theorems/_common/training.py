"""Training by gradient flow at two tolerances, and the errors of runs."""

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, Integer

from ... import losses, measure
from ..._core import CHAIN, epsilons, frobenius, solver_tolerance
from ...claims import Measured
from ...networks import AbstractNetwork
from ...problems import Data
from ...simulation import Ended, Trajectory, gradient_flow, implicit

# Rounding alone exceeds 6.4 standard deviations, either way, with probability below 1e-8.
DEVIATIONS = 6.4


def largest(networks: AbstractNetwork) -> Array:
    r"""Largest $\|W_l\|_F^2$ over the layers and, if the networks are stacked, over the stack."""
    return jnp.max(jnp.stack([jnp.max(jnp.sum(w * w, axis=(-1, -2))) for w in networks.layers]))


def imbalance_rounding(networks: AbstractNetwork) -> Array:
    """Rounding of an imbalance: a few epsilon, times inner dimension, times squared norm."""
    size = largest(networks)
    return epsilons(8 * max(networks.sizes), size.dtype) * size


def flow_rounding(trajectory: Trajectory) -> Array:
    """Relative rounding of the weights of a flow.

    Over many steps, roundings of random sign add up as the root of their number.
    """
    weights = trajectory.networks.layers[0]
    steps = jnp.sqrt(trajectory.steps.astype(weights.dtype))
    return (CHAIN + DEVIATIONS * steps) * epsilons(trajectory.networks.depth, weights.dtype)


def accumulated(each: Array) -> Array:
    r"""Bound on the sum of rounding errors of these sizes, of random signs.

    It is within $6.4 \sqrt{\sum_t e_t^2}$ (Higham and Mary 2019), and never beyond $\sum_t e_t$.
    """
    return jnp.minimum(jnp.sum(each), DEVIATIONS * jnp.sqrt(jnp.sum(each**2)))


def rounding_of_steps(
    networks: AbstractNetwork, gradients: Sequence[Array], learning_rate: Array
) -> Array:
    r"""Rounding of an imbalance over all the steps of a run.

    Step `t` rounds every weight by half an epsilon of its size, and its gradient by $p$ times as
    much. An imbalance then moves by at most
    $e_t = 2 \epsilon \max_l (\|W_l\|_F + \eta \|G_l\|_F)(\|W_l\|_F + p\, \eta \|G_l\|_F)$.
    This holds for decays with $|1 - \eta\gamma| \le 1$; beyond, old errors grow as well.
    """
    norm = lambda w: jnp.sqrt(jnp.sum(w * w, axis=(-1, -2)))
    width = max(networks.sizes)
    pairs = [
        (norm(w)[:-1], learning_rate * norm(g))
        for w, g in zip(networks.layers, gradients, strict=True)
    ]
    each = 2 * jnp.max(jnp.stack([(w + g) * (w + width * g) for w, g in pairs]), axis=0)
    return accumulated(epsilons(1, each.dtype) * each) + imbalance_rounding(networks)


RECORDS = 192
"""Number of save times of a flow whose whole course is compared."""

COARSER = 32


class Run(eqx.Module):
    """A run and the same run at a tolerance `COARSER` times as wide.

    The integration error of an adaptive method is proportional to its tolerance. The difference
    of the two runs is therefore about the error of the coarse run, and many times the error of
    the fine one: a measured bound, without worst-case sums over steps.
    """

    fine: Trajectory
    coarse: Trajectory

    def error(self, quantity: Callable[[Trajectory], Array]) -> Array:
        """Difference of the two runs in any quantity, entry by entry."""
        return jnp.abs(quantity(self.fine) - quantity(self.coarse))

    @property
    def drift(self) -> Float[Array, " J"]:
        r"""Integration error of each imbalance.

        It is the largest $\|D_l - D_l'\|_F$ of the record, plus rounding.
        """
        runs = (jax.vmap(measure.imbalance)(t.networks) for t in (self.fine, self.coarse))
        apart = [jnp.max(frobenius(a - b)) for a, b in zip(*runs, strict=True)]
        rounding = imbalance_rounding(self.fine.networks)
        return jnp.asarray([a + rounding for a in apart], rounding.dtype)

    def forced_error(self, depth: int) -> Float[Array, ""]:
        """`local_error` if both runs took the same number of steps, else zero.

        They do if the records are so dense that they determine the steps.
        """
        dtype = self.fine.times.dtype
        return jnp.where(
            self.fine.steps > self.coarse.steps, 0, jnp.asarray(local_error(dtype, depth), dtype)
        )

    @property
    def converged(self) -> Bool[Array, ""]:
        return self.fine.ended == Ended.converged

    @property
    def reached(self) -> Bool[Array, ""]:
        """True if both runs reached their end, stationary or not."""
        return ~(
            (self.fine.ended == Ended.solver_failed) | (self.coarse.ended == Ended.solver_failed)
        )

    @property
    def finite(self) -> Bool[Array, ""]:
        return ~((self.fine.ended == Ended.diverged) | (self.coarse.ended == Ended.diverged))


def flow_through(
    start: AbstractNetwork, data: Data, times: Float[Array, " T"], **options: Any
) -> Run:
    """Train by `flow` to the last of these times, stationary or not, and record all of them."""
    return flow(start, data, t1=times[-1], save_at=times, stationarity=0.0, **options)


def local_error(dtype: Any, depth: int) -> float:
    """Relative error that a single step of a flow may leave in a weight.

    It is the solver's tolerance, in every layer. Two runs may agree better by chance.
    """
    return depth * solver_tolerance(dtype)


def last_change(trajectory: Trajectory, quantity: Callable[[Any], Array]) -> Float[Array, "..."]:
    """Change of a quantity over the last fifth of a run, or since the save time before.

    An exponential approach that has come down by many powers of ten has less than that left.
    """
    at = lambda i: quantity(jax.tree.map(lambda w: w[i], trajectory.networks))
    return jnp.abs(at(-1) - at(jnp.sum(trajectory.times < 0.8 * trajectory.ended_at) - 1))


def step_numbers(times: Array, learning_rate: float) -> Integer[np.ndarray, " T"]:
    """Numbers of the steps of size `learning_rate` that are nearest to the times.

    Early times that fall on one step get consecutive steps.
    """
    at = np.round(np.asarray(times, float) / learning_rate).astype(int)
    order = np.arange(len(at))
    return np.maximum.accumulate(at - order) + order


def even_steps(steps: int, records: int) -> Integer[np.ndarray, " T"]:
    """Numbers of the start and of `records` evenly spaced steps, up to the last one."""
    return np.round(np.linspace(0, steps, records + 1)).astype(int)


@eqx.filter_jit
def in_place_of(own: Run, trajectory: Trajectory) -> Run:
    """Put a run with the same records in place of the claim's own.

    It is allowed the integration error of the claim's own run, and no more.
    """
    names = ("networks", "loss", "gradient_norm", "ended")
    fine = dataclasses.replace(own.fine, **{name: getattr(trajectory, name) for name in names})
    nearby = jax.tree.map(
        lambda new, a, b: new + (b - a), trajectory.networks, own.fine.networks, own.coarse.networks
    )
    return Run(fine, dataclasses.replace(fine, networks=nearby))


def flow(
    network: AbstractNetwork,
    data: Data,
    *,
    loss: losses.AbstractLoss = losses.spectral,
    t1: Any = 1e6,
    weight_decay: Any = 0.0,
    save_at: Any = 16,
    stationarity: float | None = None,
    stiff: bool = False,
    max_steps: int | None = None,
) -> Run:
    """Gradient flow at the default tolerance and at a coarser one.

    Arguments are as in `simulation.gradient_flow`; `stiff` selects the implicit solver.
    """
    dtype = network.layers[0].dtype
    # The implicit solver is of lower order: a finer tolerance would take it too many steps.
    rtol = epsilons(1, dtype) ** 0.5 if stiff else solver_tolerance(dtype)

    def run(factor: float) -> Trajectory:
        return gradient_flow(
            network,
            data,
            loss=loss,
            t1=t1,
            weight_decay=weight_decay,
            save_at=save_at,
            solver=implicit() if stiff else None,
            rtol=factor * rtol,
            stationarity=None if stationarity is None else factor * stationarity,
            max_steps=max_steps or (4_000 if stiff else 100_000),
        )

    return Run(run(1), run(COARSER))


def trained(
    network: AbstractNetwork, data: Data, quantity: Callable[[AbstractNetwork], Any], **options: Any
) -> Measured:
    """Train to stationarity by gradient flow, and measure a quantity: `measure` of a user's claim.

    **Arguments:**

    - `network`: the start.
    - `data`: the training data.
    - `quantity`: network -> `(k,)` or `(k, m)`.
    - `options`: `loss`, `t1`, `weight_decay`, `save_at`, `stationarity` and `max_steps` of
      `simulation.gradient_flow`, and `stiff` for an implicit solver.

    **Returns:** a `Measured`. Its *integration* error, stationarity included, is the change of
    the quantity when every tolerance is 32 times as wide, plus the tolerance of a single step.
    Its *rounding* is the rounding error of a product of so many layers in the dtype.
    """
    run = flow(network, data, **options)
    fine, coarse = (jnp.asarray(quantity(t.final)) for t in (run.fine, run.coarse))
    rows = lambda x: jnp.sqrt(jnp.sum(x.reshape(x.shape[0], -1) ** 2, axis=1))
    return Measured(
        fine,
        {
            "integration": rows(fine - coarse)
            + (local_error(fine.dtype, network.depth) * rows(fine)),
            "rounding": epsilons(CHAIN * network.depth * max(network.sizes), fine.dtype)
            * rows(fine),
        },
        converged=run.converged,
        finite=run.finite,
    )

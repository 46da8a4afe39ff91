"""homogeneity: the conserved quantity of units that are homogeneous in weights and thresholds."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ... import losses, measure
from ...claims import Claim, Control
from ...losses import AbstractLoss
from ...networks import AbstractNetwork, AbstractNonlinearNetwork, ThresholdedDiagonal
from ...problems import ContrastiveProblem, Data, Features, SignFlip
from ...simulation import gradient_descent
from .._common.training import Run, even_steps, flow, in_place_of
from ._training import judge_kept

DIM, WIDTH, RECORDS = 3, 4, 16

Quantity = Callable[[AbstractNetwork], tuple[Array, ...]]

TIMES = np.append(np.geomspace(1e-3, 1, RECORDS)[:-1], 1)


class Training(eqx.Module):
    """Loss, data, and the network that is trained on them by gradient flow."""

    loss: AbstractLoss
    data: Data
    start: AbstractNonlinearNetwork
    until: Float[Array, ""]
    decay: Float[Array, ""]

    @property
    def label(self) -> str:
        return (
            f"{type(self.start).__name__}, {type(self.loss).__name__}, widths "
            f"{'-'.join(map(str, self.start.sizes))}"
        )

    @property
    def times(self) -> Float[Array, " T"]:
        return jnp.asarray(TIMES, self.until.dtype) * self.until


def _columns(network: AbstractNetwork) -> tuple[Float[Array, "p 1"], ...]:
    return tuple(x[:, None] for x in measure.homogeneity(network))


@eqx.filter_jit
def constant(problem: Training, quantity: Quantity = _columns) -> tuple[Array, ...]:
    """Conserved quantity of the start, at all times."""
    return tuple(jnp.broadcast_to(x, (RECORDS + 1, *x.shape)) for x in quantity(problem.start))


def train(problem: Training, decay: Any = None) -> Run:
    p = problem
    decay = p.decay if decay is None else decay
    return flow(
        p.start, p.data, loss=p.loss, until=p.until, decay=decay, record=p.times, stationarity=0.0
    )


def _steps(optimiser: Callable, step: float) -> Callable[[Training, Run], Run]:
    def run(problem: Training, own: Run) -> Run:
        p, steps = problem, 1_000
        at = even_steps(steps, RECORDS)
        return in_place_of(
            own,
            gradient_descent(
                p.start, p.data, loss=p.loss, optimiser=optimiser, step=step, steps=steps, record=at
            ),
        )

    return run


@eqx.filter_jit
def _diagonal(key: PRNGKeyArray, depth: int, index: Array) -> Training:
    """Trained thresholds; the third feature is not active."""
    k = jax.random.split(jax.random.fold_in(key, 13_000 + index), 2)
    dtype = jnp.result_type(float)
    weights = jax.random.uniform(k[0], (depth, DIM), dtype, 0.7, 1.4).at[1, -1].set(0.01)
    thresholds = jax.random.uniform(k[1], (depth, DIM), dtype, 0.05, 0.2)
    problem = ContrastiveProblem(
        Features(jnp.asarray([1.0, 1.6, 0.8], dtype)), SignFlip(jnp.asarray([0.1, 0.0, 0.2], dtype))
    )
    start = ThresholdedDiagonal(weights, thresholds, trained=True)
    return Training(losses.spectral, problem, start, jnp.asarray(10.0, dtype), jnp.zeros((), dtype))


def _problems(key: PRNGKeyArray) -> Iterator[Training]:
    # Fully connected networks on views have a kink wherever a view meets a unit's threshold, and
    # the flow slides along it. The claim discrete-homogeneity covers them, in finite steps.
    for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0)):
        yield _diagonal(key, depth, jnp.asarray(index))


def _with_fixed(problem: Training, own: Run) -> Run:
    """Train with fixed thresholds, in steps too small to move the quantity by themselves."""
    p = problem
    start = dataclasses.replace(p.start, trained=False)
    steps = 1_000
    at = even_steps(steps, RECORDS)
    trajectory = gradient_descent(start, p.data, loss=p.loss, step=1e-3, steps=steps, record=at)
    # As networks of the claim's own kind, so that the quantity includes the thresholds.
    leaves, kind = jax.tree.leaves(trajectory.networks), jax.tree.structure(own.fine.networks)
    return in_place_of(
        own, dataclasses.replace(trajectory, networks=jax.tree.unflatten(kind, leaves))
    )


def conserves(quantity: Quantity = _columns) -> Claim:
    """Claim that gradient flow conserves `measure.homogeneity`, or another quantity."""
    return Claim(
        name="homogeneity",
        statement="Under gradient flow every unit that is homogeneous in its weights and its "
        "threshold together conserves the squared norm of what goes in, the threshold included, "
        "less that of what goes out: w_l^2 + b_l^2 - w_(l+1)^2 in a diagonal network.",
        latex=r"\frac{d}{dt}\left(\|v_k\|^2 + b_k^2 - \|u_k\|^2\right) = 0; \qquad "
        r"\frac{d}{dt}\left(w_l^2 + b_l^2 - w_{l+1}^2\right) = 0",
        hypotheses=(
            "homogeneous units: thresholds are trained as well",
            "gradient flow",
            "no weight decay",
        ),
        source="beyond the paper; Du et al. 2018 for ReLU units",
        problems=_problems,
        predict=functools.partial(constant, quantity=quantity),
        measure=train,
        compare=functools.partial(judge_kept, quantity=quantity),
        sharpness={
            "layers #, #": (9e-12, 0.01),
        },
        controls=(
            Control(
                "weight-decay",
                "trains with weight decay",
                measure=lambda problem, own: train(problem, problem.decay + 0.05),
            ),
            Control("fixed-thresholds", "trains the weights alone", measure=_with_fixed),
            Control("adam", "trains with Adam", measure=_steps(optax.adam, 1e-3)),
            Control(
                "finite-step",
                "trains by gradient descent with a large step",
                measure=_steps(optax.sgd, 2e-2),
            ),
        ),
        quick=1,
    )


CLAIM = conserves()

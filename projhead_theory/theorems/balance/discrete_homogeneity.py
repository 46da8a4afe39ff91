"""discrete-homogeneity: the conserved quantity of homogeneous units after finite steps."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, PRNGKeyArray

from ... import AdditiveNoise, ContrastiveProblem, Features, measure, simulation
from ..._core import epsilons, named
from ...claims import numbered
from ...networks import AbstractNonlinearNetwork, ShallowReLU, ShallowThresholded
from .._common import accumulated, drawn
from .discrete_balancedness import (
    Descent,
    Steps,
    discrete_claim,
    each_step,
    shrunk,
)
from .homogeneity import DIM, WIDTH


def follow(
    kept: tuple[Array, ...], gradients: tuple[Array, ...], step: Array, weight_decay: Array
) -> tuple[Array, ...]:
    """Conserved quantity after one step, from the same quantity of the gradient."""
    before = shrunk(kept, gradients, step, weight_decay)
    return tuple(x + step**2 * g for x, g in zip(before, gradients, strict=True))


@eqx.filter_jit
def read(problem: Descent, networks: AbstractNonlinearNetwork) -> Steps:
    """Conserved quantity of every unit, and the same quantity of the gradient.

    Every step rounds weights and gradients by half an epsilon of their size, with random signs. The
    quantity of a unit is a sum of up to as many squares on either side as a layer has units. The
    unit of size is the sum of the squares of all weights and of all gradients times the step.
    """
    squares = lambda tree: sum(jnp.sum(x * x) for x in jax.tree.leaves(tree))

    def one(network: AbstractNonlinearNetwork, batch: Any) -> tuple[tuple[Array, ...], Array]:
        gradient = simulation.trained_gradient(network, batch)
        size = squares(network.layers) + problem.learning_rate**2 * squares(gradient)
        return measure.homogeneity(gradient), size

    gradients, sizes = each_step(problem, networks, one)
    kept = jax.vmap(measure.homogeneity)(networks)
    eps = epsilons(2, sizes.dtype)
    width, size = max(x.shape[1] for x in kept), jnp.max(sizes)
    return Steps(
        kept=kept,
        gradients=gradients,
        size=size,
        rounding=accumulated(eps * sizes) + width * eps * size,
        second=jnp.stack([jnp.max(jnp.abs(jnp.sum(g, axis=0))) for g in gradients])
        * problem.learning_rate**2,
        finite=jnp.ones((), bool),
    )


@drawn
def _descent(key: PRNGKeyArray, kind: str, *, index: Array | int = 0) -> Descent:
    """Network of leaky units or of units with trained thresholds, on unlike scales by layer."""
    k = jax.random.split(named(key, "homogeneous descent", index), 2)
    sizes, scales = (DIM, WIDTH, WIDTH, DIM), jnp.asarray([1.0, 0.6, 0.8])
    start = (
        ShallowReLU.init(k[0], sizes, scales, slope=0.2)
        if kind == "leaky"
        else ShallowThresholded.init(k[0], sizes, scales, 0.1, final=True, trained=True)
    )
    step, weight_decay = jnp.asarray([4e-3, 0.05], jnp.result_type(float))
    return Descent(
        ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, DIM)), AdditiveNoise(0.4)),
        start,
        k[1],
        step,
        weight_decay,
        batch=16,
    )


CLAIM = discrete_claim(
    read,
    follow,
    networks="homogeneous units",
    distance=lambda x: jnp.max(jnp.abs(x)),
    labels=lambda count: numbered("units of layer", count),
    what="discrete law of what a unit conserves",
    name="discrete-homogeneity",
    statement="At every step of gradient descent on minibatches, what a homogeneous unit "
    "conserves in continuous time is multiplied by (1 - step decay)^2, and the same quantity of "
    "its gradients, times step^2, is added, exactly.",
    latex=r"Q_k \leftarrow (1 - \eta\gamma)^2 Q_k "
    r"+ \eta^2 \left(\|g_{v_k}\|^2 + g_{b_k}^2 - \|g_{u_k}\|^2\right)",
    problems=lambda key: (
        _descent(key, kind, index=index) for index, kind in enumerate(("leaky", "cut", "leaky"))
    ),
    sharpness={
        "units of layer #": (5e-10, 0.003),
    },
    quick=1,
)

"""discrete-balancedness: the imbalance after finite steps."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import PRNGKeyArray

from ... import measure, simulation, theory
from ..._core import frobenius, named
from ...networks import AbstractLinearNetwork
from .._common import decades, joints, largest, over, rounding_of_steps, task
from ._descent import Descent, Steps, discrete_claim, each_step
from ._training import SIZES, gaussian_features, harder_training, unbalanced


@eqx.filter_jit
def read(problem: Descent, networks: AbstractLinearNetwork) -> Steps:
    """Imbalances and loss gradients of all layers."""
    gradients = each_step(problem, networks, simulation.layer_gradients)
    squares = jnp.stack([jnp.sum(g * g) for g in gradients]) * problem.learning_rate**2
    return Steps(
        kept=jax.vmap(measure.imbalance)(networks),
        gradients=gradients,
        size=largest(networks),
        rounding=rounding_of_steps(networks, gradients, problem.learning_rate),
        second=squares[1:] + squares[:-1],
        finite=jnp.ones((), bool),
    )


def _descents(key: PRNGKeyArray) -> Iterator[Descent]:
    moments = [task(key, SIZES, index=index).moments for index in range(3)]
    for data, step, weight_decay in (
        (moments[0], 5e-2, 0.05),
        (gaussian_features(), 2e-2, 0.05),
        (moments[1], 2e-2, 0.05),
        (moments[2], 5e-2, 0.0),
    ):
        yield Descent(
            data,
            unbalanced(key),
            named(key, "minibatches"),
            jnp.asarray(step, jnp.result_type(float)),
            jnp.asarray(weight_decay, jnp.result_type(float)),
        )


def _harder_descent(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Descent:
    k = jax.random.split(key, 3)
    training = harder_training(k[0], sizes, weight_decay=True)
    step = 0.1 * training.times[-1] * decades(k[1], -2, 0)
    return Descent(training.data, training.start, k[2], step, training.weight_decay, steps=100)


CLAIM = discrete_claim(
    read,
    theory.balance.discrete_imbalance,
    networks="linear network",
    distance=frobenius,
    labels=joints,
    what="discrete law of the imbalance",
    name="discrete-balancedness",
    statement="At every step of gradient descent, on the full batch or on minibatches, D_l becomes "
    "(1 - step decay)^2 D_l + step^2 (G_(l+1)^T G_(l+1) - G_l G_l^T), exactly.",
    latex=r"D_l \leftarrow (1 - \eta\gamma)^2 D_l "
    r"+ \eta^2 \left(G_{l+1}^\top G_{l+1} - G_l G_l^\top\right)",
    problems=_descents,
    sharpness={
        "layers #, #": (1e-10, 0.01),
    },
    search=over(_harder_descent, "sizes", ((3, 2, 4), (2, 3, 2, 2))),
)

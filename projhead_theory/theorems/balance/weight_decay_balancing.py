"""weight-decay-balancing: weight decay removes the imbalance."""

from collections.abc import Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, PRNGKeyArray

from ... import gradient_descent, losses, measure, theory
from ...claims import Claim, Control
from .._common import Run, in_place_of, over, replace, step_numbers, task
from .balancedness import (
    DEPTH,
    SIZES,
    Training,
    class_means,
    harder_training,
    judge_kept,
    steps,
    train,
    training_on,
)


@eqx.filter_jit
def decaying(problem: Training) -> tuple[Array, ...]:
    """Imbalances of the start, decaying exponentially."""
    times, start = jnp.append(problem.times, problem.times[-1]), measure.imbalance(problem.start)
    return jax.vmap(lambda t: theory.decay.decayed_imbalance(start, problem.weight_decay, t))(times)


def _decayed_problems(key: PRNGKeyArray) -> Iterator[Training]:
    for index, weight_decay in enumerate((0.05, 0.2, 0.01)):
        yield training_on(key, losses.spectral, task(key, SIZES, index=index).moments, weight_decay)
    yield training_on(key, losses.cross_entropy, class_means(key), 0.05)


def _uneven(learning_rate: Array) -> optax.GradientTransformation:
    """Plain gradient steps with weight decay of the first layer alone."""
    first = lambda network: eqx.tree_at(
        lambda n: n.layers, jax.tree.map(lambda _: False, network), (True,) + (False,) * (DEPTH - 1)
    )
    return optax.chain(optax.add_decayed_weights(0.05, first), optax.sgd(learning_rate))


def _uneven_decay(problem: Training, own: Run) -> Run:
    # The flow's save times, in steps; the flow records its last time twice.
    step, number = 1e-3, 20_000
    return in_place_of(
        own,
        gradient_descent(
            problem.start,
            problem.data,
            loss=problem.loss,
            optimiser=_uneven,
            learning_rate=step,
            steps=number + 1,
            save_at=np.append(step_numbers(problem.times, step), number + 1),
        ),
    )


CLAIM = Claim(
    name="weight-decay-balancing",
    statement="Under gradient flow with weight decay, every imbalance decays exponentially, at "
    "twice the rate of the decay: weight decay creates the layer-wise law from any start.",
    latex=r"D_l(t) = e^{-2\gamma t}\, D_l(0)",
    hypotheses=("linear network", "gradient flow", "the same weight decay in every layer"),
    source="beyond the paper",
    problems=_decayed_problems,
    predict=decaying,
    measure=train,
    compare=judge_kept,
    sharpness={
        "layers #, #": (9e-13, 0.005),
    },
    controls=(
        Control(
            "half-rate",
            "predicts decay at the rate of the weight decay, not twice that",
            predict=lambda problem, own: decaying(
                replace(problem, weight_decay=problem.weight_decay / 2)
            ),
        ),
        Control("uneven-decay", "lets the first layer alone decay", measure=_uneven_decay),
        Control("adam", "trains with Adam", measure=steps(optax.adam, 5e-3)),
    ),
    search=over(harder_training, "sizes", ((3, 2, 4), (2, 3, 2, 2)), weight_decay=True),
)

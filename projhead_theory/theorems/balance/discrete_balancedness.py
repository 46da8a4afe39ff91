"""discrete-balancedness: the imbalance after finite steps."""

import dataclasses
import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import measure
from ..._core.linalg import frobenius
from ...claims import Claim, Control, Verdict
from ...networks import DeepLinear, LinearNetwork
from ...problems import ContrastiveProblem, Data
from ...simulation import Ended, gradient_descent, layer_gradients, minibatch, stochastic
from ...theory import discrete_imbalance
from .._common.rounding import largest, rounding_of_steps
from .._common.tasks import gaussian, joints, rounded_data, task
from ._training import SCALES, SIZES, gaussian_features, harder_training


class Descent(eqx.Module):
    """Data, an unbalanced start and the steps, for the claim on imbalances in discrete time.

    `data` are moments for full-batch steps, or a problem for minibatches.
    """

    data: Data | ContrastiveProblem
    key: PRNGKeyArray
    scales: Float[Array, " L"]
    step: Float[Array, ""]
    decay: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)
    steps: int = eqx.field(static=True, default=300)
    batch: int = eqx.field(static=True, default=32)

    @property
    def label(self) -> str:
        kind = "minibatches" if isinstance(self.data, ContrastiveProblem) else "full batch"
        return f"{kind}, widths {'-'.join(map(str, self.sizes))}"

    def start(self) -> DeepLinear:
        return gaussian(self.key, self.sizes, self.scales)

    def shrinks(self) -> Iterator[Callable[[], "Descent"]]:
        return rounded_data(self)


class Law(eqx.Module):
    r"""Change of an imbalance in one step.

    It is multiplied by $(1 - \eta\gamma)^2$; then $\eta^2$ times the difference of the squared
    gradients is added, times `second`.
    """

    step: Float[Array, ""]
    decay: Float[Array, ""]
    second: Float[Array, ""]


class Steps(eqx.Module):
    """Network at every step, and the loss gradient that led from each to the next."""

    networks: LinearNetwork
    gradients: tuple[Array, ...]
    finite: Bool[Array, ""]


def law(problem: Descent) -> Law:
    return Law(problem.step, problem.decay, jnp.ones_like(problem.step))


def descend(problem: Descent, optimiser: Callable = optax.sgd) -> Steps:
    """Every step of a run, with the gradient on the data of that very step."""
    at = np.arange(problem.steps + 1)
    options: dict[str, Any] = {
        "optimiser": optimiser,
        "step": problem.step,
        "steps": problem.steps,
        "decay": problem.decay,
        "record": at,
    }
    if isinstance(problem.data, ContrastiveProblem):
        trajectory = stochastic(
            problem.start(), problem.data, key=problem.key, batch=problem.batch, **options
        )
    else:
        trajectory = gradient_descent(problem.start(), problem.data, **options)
    return Steps(
        trajectory.networks,
        _gradients(problem, trajectory.networks),
        ~(trajectory.ended == Ended.diverged),
    )


@eqx.filter_jit
def _gradients(problem: Descent, networks: LinearNetwork) -> tuple[Array, ...]:
    source = problem.data

    def one(item: tuple[Array, LinearNetwork]) -> tuple[Array, ...]:
        i, network = item
        data = (
            minibatch(source, problem.key, i, problem.batch)
            if isinstance(source, ContrastiveProblem)
            else source
        )
        return layer_gradients(network, data)

    return jax.lax.map(one, (jnp.arange(problem.steps), jax.tree.map(lambda w: w[:-1], networks)))


@eqx.filter_jit
def judge_discrete(prediction: Law, steps: Steps) -> Verdict:
    """Verdict on the imbalance at every step, followed by the law from the start.

    The law uses the run's gradients only.
    """
    seen = jax.vmap(measure.imbalance)(steps.networks)
    p = prediction

    def follow(predicted, now):
        g, measured = now
        exact = discrete_imbalance(predicted, g, p.step, p.decay)
        shrunk = tuple((1 - p.step * p.decay) ** 2 * d for d in predicted)
        following = tuple(s + p.second * (f - s) for f, s in zip(exact, shrunk, strict=True))
        return following, jnp.stack(
            [frobenius(f - s) for f, s in zip(following, measured, strict=True)]
        )

    _, error = jax.lax.scan(
        follow, tuple(d[0] for d in seen), (steps.gradients, tuple(d[1:] for d in seen))
    )
    size = largest(steps.networks)
    # The effect to detect: the whole second-order term.
    squares = jnp.stack([jnp.sum(g * g) for g in steps.gradients]) * p.step**2
    count = len(seen)
    return Verdict(
        discrepancy=jnp.max(error, axis=0) / size,
        parts={
            "rounding": jnp.full(
                count, rounding_of_steps(steps.networks, steps.gradients, p.step) / size
            )
        },
        effect=(squares[1:] + squares[:-1]) / size,
        predicted=jnp.zeros_like(error.T),
        measured=error.T / size,
        finite=steps.finite,
        labels=joints(count),
        what="discrete law of the imbalance",
    )


def _descents(key: PRNGKeyArray) -> Iterator[Descent]:
    number = functools.partial(jnp.asarray, dtype=jnp.result_type(float))
    start = jax.random.fold_in(key, 3000)
    for data, step in (
        (task(key, SIZES).moments, 5e-2),
        (gaussian_features(), 2e-2),
        (task(key, SIZES, index=1).moments, 2e-2),
    ):
        yield Descent(data, start, number(SCALES), number(step), number(0.05), SIZES)
    yield Descent(
        task(key, SIZES, index=2).moments, start, number(SCALES), number(5e-2), number(0.0), SIZES
    )


def _harder_descent(sizes: tuple[int, ...]) -> Callable[[PRNGKeyArray], Descent]:
    def draw(key: PRNGKeyArray) -> Descent:
        k = jax.random.split(key, 3)
        training = harder_training(sizes, decay=True)(k[0])
        step = (
            0.1 * training.until * 10.0 ** jax.random.uniform(k[1], (), training.until.dtype, -2, 0)
        )
        return Descent(training.data, k[2], training.scales, step, training.decay, sizes, steps=100)

    return draw


def _with(optimiser: Callable):
    return lambda problem, own: descend(problem, optimiser)


CLAIM = Claim(
    name="discrete-balancedness",
    statement="At every step of gradient descent, on the full batch or on minibatches, D_l becomes "
    "(1 - step decay)^2 D_l + step^2 (G_(l+1)^T G_(l+1) - G_l G_l^T), exactly.",
    latex=r"D_l \leftarrow (1 - \eta\gamma)^2 D_l "
    r"+ \eta^2 \left(G_{l+1}^\top G_{l+1} - G_l G_l^\top\right)",
    hypotheses=(
        "linear network",
        "gradient descent without momentum",
        "any step, any decay, any batch",
    ),
    source="beyond the paper",
    problems=_descents,
    predict=law,
    measure=descend,
    compare=judge_discrete,
    sharpness={
        "layers #, #": (1e-10, 0.01),
    },
    controls=(
        Control(
            "momentum",
            "trains with momentum 0.9",
            measure=_with(jax.tree_util.Partial(optax.sgd, momentum=0.9)),
        ),
        Control("adam", "trains with Adam", measure=_with(optax.adam)),
        Control(
            "first-order",
            "predicts with the second-order term left out",
            predict=lambda problem, own: dataclasses.replace(
                own, second=jnp.zeros_like(own.second)
            ),
        ),
    ),
    search=(_harder_descent((3, 2, 4)), _harder_descent((2, 3, 2, 2))),
)

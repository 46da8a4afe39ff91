"""discrete-homogeneity: the conserved quantity of homogeneous units after finite steps."""

import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import measure
from ...claims import Claim, Control, Verdict
from ...networks import AbstractNonlinearNetwork, ShallowReLU, ShallowThresholded
from ...problems import AdditiveNoise, ContrastiveProblem, Features
from ...simulation import Ended, minibatch, stochastic, trained_gradient
from .._common.rounding import DEVIATIONS
from .homogeneity import DIM, WIDTH


def _source() -> ContrastiveProblem:
    return ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, DIM)), AdditiveNoise(0.4))


def _network(key: PRNGKeyArray, kind: str) -> AbstractNonlinearNetwork:
    """Network of leaky units or of units with trained thresholds, on unlike scales by layer."""
    sizes, scales = (DIM, WIDTH, WIDTH, DIM), jnp.asarray([1.0, 0.6, 0.8])
    if kind == "leaky":
        return ShallowReLU.init(key, sizes, scales, slope=0.2)
    return ShallowThresholded.init(key, sizes, scales, 0.1, final=True, trained=True)


class Descent(eqx.Module):
    """Problem to draw minibatches from, a start, and the steps."""

    source: ContrastiveProblem
    start: AbstractNonlinearNetwork
    key: PRNGKeyArray
    step: Float[Array, ""]
    decay: Float[Array, ""]
    steps: int = eqx.field(static=True, default=300)
    batch: int = eqx.field(static=True, default=16)

    @property
    def label(self) -> str:
        return (
            f"{type(self.start).__name__}, minibatches of {self.batch}, widths "
            f"{'-'.join(map(str, self.start.sizes))}"
        )


class Law(eqx.Module):
    r"""Change of the conserved quantity in one step.

    It is multiplied by $(1 - \eta\gamma)^2$; then $\eta^2$ times the same quantity of the
    gradient is added, times `second`.
    """

    step: Float[Array, ""]
    decay: Float[Array, ""]
    second: Float[Array, ""]


class Steps(eqx.Module):
    """Conserved quantity of every unit along a run.

    - `kept`: the quantity at every step, one array a layer pair.
    - `gradients`: the same quantity of the gradient that led from each step to the next.
    - `sizes`: the sum of squares of all weights and of all gradients times the step.
    - `finite`: true if the run did not diverge.
    """

    kept: tuple[Float[Array, "T p"], ...]
    gradients: tuple[Float[Array, "t p"], ...]
    sizes: Float[Array, " t"]
    finite: Bool[Array, ""]


def law(problem: Descent) -> Law:
    return Law(problem.step, problem.decay, jnp.ones_like(problem.step))


def descend(problem: Descent, optimiser: Callable = optax.sgd) -> Steps:
    """Every step of a run, with the gradient on the minibatch of that very step."""
    p = problem
    at = np.arange(p.steps + 1)
    run = stochastic(
        p.start,
        p.source,
        key=p.key,
        step=p.step,
        steps=p.steps,
        batch=p.batch,
        optimiser=optimiser,
        decay=p.decay,
        record=at,
    )
    return _followed(p, run.networks, ~(run.ended == Ended.diverged))


@eqx.filter_jit
def _followed(problem: Descent, networks: AbstractNonlinearNetwork, finite: Array) -> Steps:
    p = problem
    squares = lambda tree: sum(jnp.sum(x * x) for x in jax.tree.leaves(tree))

    def one(item: tuple[Array, AbstractNonlinearNetwork]) -> tuple[tuple[Array, ...], Array]:
        i, network = item
        gradient = trained_gradient(network, minibatch(p.source, p.key, i, p.batch))
        return measure.homogeneity(gradient), squares(network.layers) + p.step**2 * squares(
            gradient
        )

    before = jax.tree.map(lambda x: x[:-1], networks)
    gradients, sizes = jax.lax.map(one, (jnp.arange(p.steps), before))
    return Steps(jax.vmap(measure.homogeneity)(networks), gradients, sizes, finite)


@eqx.filter_jit
def judge_steps(prediction: Law, steps: Steps) -> Verdict:
    """Verdict on the quantity of every unit at every step, followed by the law from the start.

    The law uses the run's gradients alone.
    """
    p = prediction
    shrink = (1 - p.step * p.decay) ** 2

    def follow(
        predicted: tuple[Array, ...], now: tuple[Any, Any]
    ) -> tuple[tuple[Array, ...], Array]:
        gradients, measured = now
        following = tuple(
            shrink * x + p.second * p.step**2 * g for x, g in zip(predicted, gradients, strict=True)
        )
        return following, jnp.stack(
            [jnp.max(jnp.abs(f - m)) for f, m in zip(following, measured, strict=True)]
        )

    first, rest = tuple(x[0] for x in steps.kept), tuple(x[1:] for x in steps.kept)
    _, error = jax.lax.scan(follow, first, (steps.gradients, rest))
    size, eps = jnp.max(steps.sizes), jnp.finfo(p.step.dtype).eps
    # Every step rounds weights and gradients by half an epsilon of their size, with random signs.
    # The quantity of a unit is a sum of up to `width` squares on either side.
    width = max(x.shape[1] for x in steps.kept)
    each = 2 * eps * steps.sizes
    rounding = (
        jnp.minimum(jnp.sum(each), DEVIATIONS * jnp.sqrt(jnp.sum(each**2))) + 2 * width * eps * size
    )
    # The effect to detect: the whole second-order term.
    moved = jnp.stack([jnp.max(jnp.abs(jnp.sum(g, axis=0))) for g in steps.gradients]) * p.step**2
    count = len(steps.kept)
    return Verdict(
        discrepancy=jnp.max(error, axis=0) / size,
        parts={"rounding": jnp.full(count, rounding / size)},
        effect=moved / size,
        predicted=jnp.zeros_like(error.T),
        measured=error.T / size,
        finite=steps.finite,
        labels=tuple(f"units of layer {i}" for i in range(1, count + 1)),
        what="discrete law of what a unit conserves",
    )


@eqx.filter_jit
def _descent(key: PRNGKeyArray, index: Array, kind: str) -> Descent:
    k = jax.random.split(jax.random.fold_in(key, 15_000 + index), 2)
    number = lambda x: jnp.asarray(x, jnp.result_type(float))
    return Descent(_source(), _network(k[0], kind), k[1], number(4e-3), number(0.05))


def _descents(key: PRNGKeyArray) -> Iterator[Descent]:
    for index, kind in enumerate(("leaky", "cut", "leaky")):
        yield _descent(key, jnp.asarray(index), kind)


CLAIM = Claim(
    name="discrete-homogeneity",
    statement="At every step of gradient descent on minibatches, what a homogeneous unit "
    "conserves in continuous time is multiplied by (1 - step decay)^2, and the same quantity of "
    "its gradients, times step^2, is added, exactly.",
    latex=r"Q_k \leftarrow (1 - \eta\gamma)^2 Q_k "
    r"+ \eta^2 \left(\|g_{v_k}\|^2 + g_{b_k}^2 - \|g_{u_k}\|^2\right)",
    hypotheses=(
        "homogeneous units",
        "gradient descent without momentum",
        "any step, any decay, any batch",
    ),
    source="beyond the paper",
    problems=_descents,
    predict=law,
    measure=descend,
    compare=judge_steps,
    sharpness={
        "units of layer #": (5e-10, 0.003),
    },
    controls=(
        Control(
            "momentum",
            "trains with momentum 0.9",
            measure=lambda problem, own: descend(
                problem, jax.tree_util.Partial(optax.sgd, momentum=0.9)
            ),
        ),
        Control(
            "adam", "trains with Adam", measure=lambda problem, own: descend(problem, optax.adam)
        ),
        Control(
            "first-order",
            "predicts with the second-order term left out",
            predict=lambda problem, own: dataclasses.replace(
                own, second=jnp.zeros_like(own.second)
            ),
        ),
    ),
    quick=1,
)

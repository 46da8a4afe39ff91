"""homogeneity and discrete-homogeneity: what every unit of a non-linear network conserves, and what a finite step does to it."""

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

from .. import losses, measure
from ..losses import AbstractLoss
from ..networks import Network, NonlinearNetwork, ShallowReLU, ShallowThresholded, ThresholdedDiagonal
from ..problems import AdditiveNoise, ContrastiveProblem, Data, Features, SignFlip
from ..simulation import Ended, gradient_descent, minibatch, stochastic, trained_gradient
from ._balance import judge_kept
from ._claim import Claim, Control
from ._rounding import DEVIATIONS
from ._runs import Run, even_steps, flow, in_place_of
from ._verdict import Verdict

DIM, WIDTH, RECORDS = 3, 4, 16
TIMES = np.append(np.geomspace(1e-3, 1, RECORDS)[:-1], 1)


class Training(eqx.Module):
    """A loss, data, and the network that is trained on them by gradient flow."""

    loss: AbstractLoss
    data: Data
    start: NonlinearNetwork
    until: Float[Array, ""]
    decay: Float[Array, ""]

    @property
    def label(self) -> str:
        return f"{type(self.start).__name__}, {type(self.loss).__name__}, widths {'-'.join(map(str, self.start.sizes))}"

    @property
    def times(self) -> Float[Array, " T"]:
        return jnp.asarray(TIMES, self.until.dtype) * self.until


def _columns(network: Network) -> tuple[Float[Array, "p 1"], ...]:
    return tuple(x[:, None] for x in measure.homogeneity(network))


Quantity = Callable[[Network], tuple[Array, ...]]


@eqx.filter_jit
def constant(problem: Training, quantity: Quantity = _columns) -> tuple[Array, ...]:
    """What the start has, at all times."""
    return tuple(jnp.broadcast_to(x, (RECORDS + 1, *x.shape)) for x in quantity(problem.start))


def train(problem: Training, decay: Any = None) -> Run:
    p = problem
    decay = p.decay if decay is None else decay
    return flow(p.start, p.data, loss=p.loss, until=p.until, decay=decay, record=p.times, stationarity=0.0)


def _steps(optimiser: Callable, step: float) -> Callable[[Training, Run], Run]:
    def run(problem: Training, own: Run) -> Run:
        p, steps = problem, 1_000
        at = even_steps(steps, RECORDS)
        return in_place_of(own, gradient_descent(p.start, p.data, loss=p.loss, optimiser=optimiser, step=step, steps=steps, record=at))

    return run


def _source() -> ContrastiveProblem:
    return ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, DIM)), AdditiveNoise(0.4))


@eqx.filter_jit
def _diagonal(key: PRNGKeyArray, depth: int, index: Array) -> Training:
    """Trained thresholds; the third feature is not active."""
    k = jax.random.split(jax.random.fold_in(key, 13_000 + index), 2)
    dtype = jnp.result_type(float)
    weights = jax.random.uniform(k[0], (depth, DIM), dtype, 0.7, 1.4).at[1, -1].set(0.01)
    thresholds = jax.random.uniform(k[1], (depth, DIM), dtype, 0.05, 0.2)
    problem = ContrastiveProblem(Features(jnp.asarray([1.0, 1.6, 0.8], dtype)), SignFlip(jnp.asarray([0.1, 0.0, 0.2], dtype)))
    start = ThresholdedDiagonal(weights, thresholds, trained=True)
    return Training(losses.spectral, problem, start, jnp.asarray(10.0, dtype), jnp.zeros((), dtype))


def _network(key: PRNGKeyArray, kind: str) -> NonlinearNetwork:
    """Leaky units, or units with trained thresholds, of unlike scales from layer to layer."""
    sizes, scales = (DIM, WIDTH, WIDTH, DIM), jnp.asarray([1.0, 0.6, 0.8])
    if kind == "leaky":
        return ShallowReLU.init(key, sizes, scales, slope=0.2)
    return ShallowThresholded.init(key, sizes, scales, 0.1, final=True, trained=True)


def _problems(key: PRNGKeyArray) -> Iterator[Training]:
    # Fully connected networks on views have a kink wherever a view meets a unit's threshold, along which the flow slides: in steps, below.
    for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0)):
        yield _diagonal(key, depth, jnp.asarray(index))


def _with_fixed(problem: Training, own: Run) -> Run:
    """Steps so small that they are not what moves it."""
    p = problem
    start = dataclasses.replace(p.start, trained=False)
    steps = 1_000
    at = even_steps(steps, RECORDS)
    trajectory = gradient_descent(start, p.data, loss=p.loss, step=1e-3, steps=steps, record=at)
    # As networks of the claim's own kind, so that the quantity is the one of trained thresholds.
    leaves, kind = jax.tree.leaves(trajectory.networks), jax.tree.structure(own.fine.networks)
    return in_place_of(own, dataclasses.replace(trajectory, networks=jax.tree.unflatten(kind, leaves)))


def conserves(quantity: Quantity = _columns) -> Claim:
    """The claim that gradient flow conserves `measure.homogeneity`, or another quantity of the network in its place."""
    return Claim(
        name="homogeneity",
        statement="Under gradient flow every unit that is homogeneous in its weights and its threshold together conserves the squared norm "
        "of what goes in, the threshold included, less that of what goes out: w_l^2 + b_l^2 - w_(l+1)^2 in a diagonal network.",
        latex=r"\frac{d}{dt}\left(\|v_k\|^2 + b_k^2 - \|u_k\|^2\right) = 0; \qquad \frac{d}{dt}\left(w_l^2 + b_l^2 - w_{l+1}^2\right) = 0",
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
            Control("weight-decay", "trains with weight decay", measure=lambda problem, own: train(problem, problem.decay + 0.05)),
            Control("fixed-thresholds", "trains the weights alone", measure=_with_fixed),
            Control("adam", "trains with Adam", measure=_steps(optax.adam, 1e-3)),
            Control("finite-step", "trains by gradient descent with a large step", measure=_steps(optax.sgd, 2e-2)),
        ),
        quick=1,
    )


CONSERVED = conserves()


class Descent(eqx.Module):
    """A problem that minibatches are drawn from, a start, and the steps."""

    source: ContrastiveProblem
    start: NonlinearNetwork
    key: PRNGKeyArray
    step: Float[Array, ""]
    decay: Float[Array, ""]
    steps: int = eqx.field(static=True, default=300)
    batch: int = eqx.field(static=True, default=16)

    @property
    def label(self) -> str:
        return f"{type(self.start).__name__}, minibatches of {self.batch}, widths {'-'.join(map(str, self.start.sizes))}"


class Law(eqx.Module):
    """What one step does: times (1 - step decay)^2, plus `second` times step^2 times the same quantity of the gradient."""

    step: Float[Array, ""]
    decay: Float[Array, ""]
    second: Float[Array, ""]


class Steps(eqx.Module):
    """What every unit has at every step, joint by joint; the same of the gradient that led from each step to the next; the squared sizes of
    all weights and gradients.
    """

    kept: tuple[Float[Array, "T p"], ...]
    gradients: tuple[Float[Array, "t p"], ...]
    sizes: Float[Array, " t"]
    finite: Bool[Array, ""]


def law(problem: Descent) -> Law:
    return Law(problem.step, problem.decay, jnp.ones_like(problem.step))


def descend(problem: Descent, optimiser: Callable = optax.sgd) -> Steps:
    """Every step of a run, with the gradient of the very minibatch it was taken on."""
    p = problem
    at = np.arange(p.steps + 1)
    run = stochastic(p.start, p.source, key=p.key, step=p.step, steps=p.steps, batch=p.batch, optimiser=optimiser, decay=p.decay, record=at)
    return _followed(p, run.networks, ~(run.ended == Ended.diverged))


@eqx.filter_jit
def _followed(problem: Descent, networks: NonlinearNetwork, finite: Array) -> Steps:
    p = problem
    squares = lambda tree: sum(jnp.sum(x * x) for x in jax.tree.leaves(tree))  # noqa: E731

    def one(item: tuple[Array, NonlinearNetwork]) -> tuple[tuple[Array, ...], Array]:
        i, network = item
        gradient = trained_gradient(network, minibatch(p.source, p.key, i, p.batch))
        return measure.homogeneity(gradient), squares(network.layers) + p.step**2 * squares(gradient)

    before = jax.tree.map(lambda x: x[:-1], networks)
    gradients, sizes = jax.lax.map(one, (jnp.arange(p.steps), before))
    return Steps(jax.vmap(measure.homogeneity)(networks), gradients, sizes, finite)


@eqx.filter_jit
def judge_steps(prediction: Law, steps: Steps) -> Verdict:
    """What every unit has, followed by the law from the start with the run's gradients alone, against what it has at every step."""
    p = prediction
    shrink = (1 - p.step * p.decay) ** 2

    def follow(predicted: tuple[Array, ...], now: tuple[Any, Any]) -> tuple[tuple[Array, ...], Array]:
        gradients, measured = now
        following = tuple(shrink * x + p.second * p.step**2 * g for x, g in zip(predicted, gradients, strict=True))
        return following, jnp.stack([jnp.max(jnp.abs(f - m)) for f, m in zip(following, measured, strict=True)])

    first, rest = tuple(x[0] for x in steps.kept), tuple(x[1:] for x in steps.kept)
    _, error = jax.lax.scan(follow, first, (steps.gradients, rest))
    size, eps = jnp.max(steps.sizes), jnp.finfo(p.step.dtype).eps
    # Every step rounds weights and gradients by half an epsilon of what they are, with random signs; and a unit's quantity is a sum of so
    # many squares.
    width = max(x.shape[1] for x in steps.kept)
    each = 2 * eps * steps.sizes
    rounding = jnp.minimum(jnp.sum(each), DEVIATIONS * jnp.sqrt(jnp.sum(each**2))) + 2 * width * eps * size
    # What the check must see: the whole second-order term.
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
    number = lambda x: jnp.asarray(x, jnp.result_type(float))  # noqa: E731
    return Descent(_source(), _network(k[0], kind), k[1], number(4e-3), number(0.05))


def _descents(key: PRNGKeyArray) -> Iterator[Descent]:
    for index, kind in enumerate(("leaky", "cut", "leaky")):
        yield _descent(key, jnp.asarray(index), kind)


DISCRETE = Claim(
    name="discrete-homogeneity",
    statement="At every step of gradient descent on minibatches, what a homogeneous unit conserves in continuous time is multiplied by "
    "(1 - step decay)^2, and the same quantity of its gradients, times step^2, is added, exactly.",
    latex=r"Q_k \leftarrow (1 - \eta\gamma)^2 Q_k + \eta^2 \left(\|g_{v_k}\|^2 + g_{b_k}^2 - \|g_{u_k}\|^2\right)",
    hypotheses=("homogeneous units", "gradient descent without momentum", "any step, any decay, any batch"),
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
            measure=lambda problem, own: descend(problem, jax.tree_util.Partial(optax.sgd, momentum=0.9)),
        ),
        Control("adam", "trains with Adam", measure=lambda problem, own: descend(problem, optax.adam)),
        Control(
            "first-order",
            "predicts with the second-order term left out",
            predict=lambda problem, own: dataclasses.replace(own, second=jnp.zeros_like(own.second)),
        ),
    ),
    quick=1,
)

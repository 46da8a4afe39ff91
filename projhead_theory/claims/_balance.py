"""balancedness, weight-decay-balancing, discrete-balancedness: what training does to the imbalance of neighbouring layers."""

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
from .._spectra import diagonal, frobenius, matmul
from ..losses import AbstractLoss
from ..networks import DeepLinear, LinearNetwork
from ..problems import AdditiveNoise, ContrastiveProblem, Data, Features, Labelled, Views
from ..simulation import Ended, gradient_descent, layer_gradients, minibatch, stochastic
from ..theory import decayed_imbalance, discrete_imbalance
from ._claim import Claim, Control
from ._rounding import imbalance_rounding, largest, rounding_of_steps
from ._runs import Run, even_steps, flow, in_place_of, step_numbers
from ._tasks import DIM, WIDTH, gaussian, harder, joints, rounded_data, task
from ._verdict import Verdict

DEPTH, PAIRS, CLASSES, RECORDS = 3, 64, WIDTH, 16
SIZES = (DIM, *(WIDTH,) * DEPTH)
SCALES = (1.0, 0.6, 0.8)


class Training(eqx.Module):
    """A loss, data, and an unbalanced start: what the claims on imbalances in continuous time are tried on."""

    loss: AbstractLoss
    data: Data
    key: PRNGKeyArray
    scales: Float[Array, " L"]
    until: Float[Array, ""]
    decay: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)
    max_steps: int = eqx.field(static=True, default=100_000)

    @property
    def label(self) -> str:
        return f"{type(self.loss).__name__} on {type(self.data).__name__}, widths {'-'.join(map(str, self.sizes))}"

    @property
    def times(self) -> Float[Array, " T"]:
        steps = jnp.geomspace(1e-3, 1, RECORDS, dtype=self.until.dtype)
        return jnp.minimum(steps, 1) * self.until

    def start(self) -> DeepLinear:
        return gaussian(self.key, self.sizes, self.scales)

    def shrinks(self) -> Iterator[Callable[[], "Training"]]:
        return rounded_data(self)


def train(problem: Training, decay: Any = None) -> Run:
    """Gradient flow up to the end, whether stationary or not."""
    decay = problem.decay if decay is None else decay
    return flow(problem.start(), problem.data, loss=problem.loss, until=problem.until, decay=decay, record=problem.times, stationarity=0.0)


Quantity = Callable[[Any], tuple[Array, ...]]


@eqx.filter_jit
def judge_kept(prediction: tuple[Array, ...], run: Run, quantity: Quantity = measure.imbalance) -> Verdict:
    """Each imbalance along the run, `(T + 1, p, p)`, against the predicted one, in units of the largest squared layer norm."""
    seen, coarse = (jax.vmap(quantity)(t.networks) for t in (run.fine, run.coarse))
    size = largest(run.fine.networks)
    apart = jnp.stack([frobenius(a - b) for a, b in zip(seen, prediction, strict=True)]) / size
    integration = jnp.stack([jnp.max(frobenius(a - b)) for a, b in zip(seen, coarse, strict=True)]) / size
    # What the check must see: the imbalance moving as far as the layers' own W W^T do, or as far as it is predicted to.
    squares = (jax.vmap(lambda w: matmul(w, w.T))(w) for w in run.fine.networks.layers)
    grown = jnp.stack([jnp.max(frobenius(s - s[:1])) for s in squares])
    moved = jnp.stack([jnp.max(frobenius(p - p[:1])) for p in prediction])
    return Verdict(
        discrepancy=jnp.max(apart, axis=1),
        parts={"integration": integration, "rounding": jnp.full_like(integration, imbalance_rounding(run.fine.networks) / size)},
        effect=jnp.where(moved > 0, moved, jnp.maximum(grown[1:], grown[:-1])) / size,
        predicted=jnp.stack([frobenius(p) for p in prediction]),
        measured=jnp.stack([frobenius(s) for s in seen]),
        settled=run.reached,
        finite=run.finite,
        labels=joints(len(prediction)),
        what="relative discrepancy of the imbalance",
    )


def constant(problem: Training, quantity: Quantity = measure.imbalance) -> tuple[Array, ...]:
    """The imbalances of the start, at all times."""
    return tuple(jnp.broadcast_to(d, (RECORDS + 1, *d.shape)) for d in quantity(problem.start()))


def decaying(problem: Training) -> tuple[Array, ...]:
    """The imbalances of the start, shrinking exponentially."""
    times, start = jnp.append(problem.times, problem.until), measure.imbalance(problem.start())
    return jax.vmap(lambda t: decayed_imbalance(start, problem.decay, t))(times)


def _training(key: PRNGKeyArray, loss: AbstractLoss, data: Data, decay: float = 0.0, until: float = 20.0) -> Training:
    number = functools.partial(jnp.asarray, dtype=jnp.result_type(float))
    return Training(loss, data, jax.random.fold_in(key, 3000), number(SCALES), number(until), number(decay), SIZES)


def _source() -> ContrastiveProblem:
    return ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, DIM), "gaussian"), AdditiveNoise(0.4))


def _views(key: PRNGKeyArray) -> Views:
    return _source().sample_pairs(jax.random.fold_in(key, 4000), PAIRS)


def _classes(key: PRNGKeyArray) -> Labelled:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 5000))
    labels = jnp.arange(PAIRS) % CLASSES
    centres = jax.random.normal(k1, (CLASSES, DIM), jnp.result_type(float))
    return Labelled(centres[labels] + 0.5 * jax.random.normal(k2, (PAIRS, DIM), centres.dtype), labels)


def _targets(key: PRNGKeyArray) -> Labelled:
    inputs = _classes(key).inputs
    teacher = jax.random.normal(jax.random.fold_in(key, 6000), (DIM, WIDTH), inputs.dtype)
    return Labelled(inputs, jnp.sin(inputs @ teacher))


def _losses(key: PRNGKeyArray) -> Iterator[Training]:
    yield _training(key, losses.spectral, task(key, SIZES).moments)
    views, classes = _views(key), _classes(key)
    yield _training(key, losses.info_nce, views)
    yield _training(key, losses.cross_entropy, classes)
    yield _training(key, losses.barlow_twins, views)
    # With the paper's target of 1 an output reaches the hinge, where the loss has a kink, and the flow then slides along it.
    yield _training(key, losses.VICReg(target=3.0), views)
    yield _training(key, losses.supervised_contrastive, classes)
    yield _training(key, losses.mse, _targets(key))
    yield _training(key, losses.supervised_spectral, classes)
    yield _training(key, losses.spectral, views)
    yield _training(key, losses.spectral, task(key, SIZES, 1).moments)


def _harder_training(sizes: tuple[int, ...], decay: bool = False) -> Callable[[PRNGKeyArray], Training]:
    """Draws for a random search: strengths over six decades, layers of unlike scales, any decay."""

    def draw(key: PRNGKeyArray) -> Training:
        k = jax.random.split(key, 4)
        dtype = jnp.result_type(float)
        moments = harder(sizes)(k[0]).moments
        reach = jnp.max(diagonal(moments.second))
        depth = len(sizes) - 1
        scales = 10.0 ** jax.random.uniform(k[1], (depth,), dtype, -2, 0.5)
        # Until the fastest mode has moved: there the imbalance has every chance to.
        pace = reach * jnp.maximum(1, reach * jnp.max(scales) ** (2 * depth))
        until = 10.0 ** jax.random.uniform(k[2], (), dtype, -1, 1) / pace
        rate = 10.0 ** jax.random.uniform(k[3], (), dtype, -2, 0) / until if decay else jnp.zeros((), dtype)
        return Training(losses.spectral, moments, k[1], scales, until, rate, sizes, max_steps=4_000)

    return draw


def _optimiser(optimiser: Callable, step: float):
    def run(problem: Training, own: Run) -> Run:
        steps = 2_000
        at = even_steps(steps, RECORDS)
        trajectory = gradient_descent(
            problem.start(), problem.data, loss=problem.loss, optimiser=optimiser, step=step, steps=steps, decay=problem.decay, record=at
        )
        return in_place_of(own, trajectory)

    return run


def conserves(quantity: Quantity = measure.imbalance) -> Claim:
    """The claim that gradient flow conserves the imbalances, or another quantity of the network in their place."""
    return Claim(
        name="balancedness",
        statement="Under gradient flow on any differentiable loss of the network's output, every imbalance "
        "D_l = W_(l+1)^T W_(l+1) - W_l W_l^T is constant in time.",
        latex=r"\frac{d}{dt}\left(W_{l+1}^\top W_{l+1} - W_l W_l^\top\right) = 0",
        hypotheses=("linear network", "gradient flow", "a differentiable loss of the output", "no weight decay"),
        source="paper section 3; Arora et al. 2018 for deep linear networks",
        problems=_losses,
        predict=functools.partial(constant, quantity=quantity),
        measure=train,
        compare=functools.partial(judge_kept, quantity=quantity),
        sharpness={
            "layers #, #": (3e-12, 0.01),
        },
        controls=(
            Control(
                "weight-decay",
                "trains with weight decay, under which every imbalance decays exponentially",
                measure=lambda problem, own: train(problem, 0.05),
            ),
            Control("adam", "trains with Adam", measure=_optimiser(optax.adam, 5e-3)),
            Control("finite-step", "trains by gradient descent with a large step", measure=_optimiser(optax.sgd, 3e-2)),
        ),
        search=(
            _harder_training((3, 2, 4)),
            _harder_training((2, 3, 2, 2)),
        ),
        quick=1,
    )


CONSERVED = conserves()


def _decayed_problems(key: PRNGKeyArray) -> Iterator[Training]:
    for index, decay in enumerate((0.05, 0.2, 0.01)):
        yield _training(key, losses.spectral, task(key, SIZES, index).moments, decay)
    yield _training(key, losses.cross_entropy, _classes(key), 0.05)


def _uneven(step: Array) -> optax.GradientTransformation:
    """Plain steps with a weight decay of the first layer alone."""
    first = lambda network: eqx.tree_at(lambda n: n.layers, jax.tree.map(lambda _: False, network), (True,) + (False,) * (DEPTH - 1))  # noqa: E731
    return optax.chain(optax.add_decayed_weights(0.05, first), optax.sgd(step))


def _uneven_decay(problem: Training, own: Run) -> Run:
    # The flow's own moments of time, in steps; the last is recorded twice there.
    step, steps = 1e-3, 20_000
    at = np.append(step_numbers(problem.times, step), steps + 1)
    trajectory = gradient_descent(
        problem.start(), problem.data, loss=problem.loss, optimiser=_uneven, step=step, steps=steps + 1, record=at
    )
    return in_place_of(own, trajectory)


BALANCING = Claim(
    name="weight-decay-balancing",
    statement="Under gradient flow with weight decay, every imbalance decays exponentially, at twice the rate of the decay: "
    "weight decay creates the layer-wise law from any start.",
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
            predict=lambda problem, own: decaying(dataclasses.replace(problem, decay=problem.decay / 2)),
        ),
        Control("uneven-decay", "lets the first layer alone decay", measure=_uneven_decay),
        Control("adam", "trains with Adam", measure=_optimiser(optax.adam, 5e-3)),
    ),
    search=(_harder_training((3, 2, 4), decay=True), _harder_training((2, 3, 2, 2), decay=True)),
)


class Descent(eqx.Module):
    """Moments for full-batch steps, or a problem for minibatches, and an unbalanced start: what discrete time is tried on."""

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
    """What one step does to an imbalance: times `shrink`, plus `second` times the difference of squared gradients."""

    step: Float[Array, ""]
    decay: Float[Array, ""]
    second: Float[Array, ""]


class Steps(eqx.Module):
    """The network at every step, and the gradient of the loss that led from each to the next."""

    networks: LinearNetwork
    gradients: tuple[Array, ...]
    finite: Bool[Array, ""]


def law(problem: Descent) -> Law:
    return Law(problem.step, problem.decay, jnp.ones_like(problem.step))


def descend(problem: Descent, optimiser: Callable = optax.sgd) -> Steps:
    """Every step of a run, with the gradient of the very data it was taken on."""
    at = np.arange(problem.steps + 1)
    options: dict[str, Any] = {
        "optimiser": optimiser,
        "step": problem.step,
        "steps": problem.steps,
        "decay": problem.decay,
        "record": at,
    }
    if isinstance(problem.data, ContrastiveProblem):
        trajectory = stochastic(problem.start(), problem.data, key=problem.key, batch=problem.batch, **options)
    else:
        trajectory = gradient_descent(problem.start(), problem.data, **options)
    return Steps(trajectory.networks, _gradients(problem, trajectory.networks), ~(trajectory.ended == Ended.diverged))


@eqx.filter_jit
def _gradients(problem: Descent, networks: LinearNetwork) -> tuple[Array, ...]:
    source = problem.data

    def one(item: tuple[Array, LinearNetwork]) -> tuple[Array, ...]:
        i, network = item
        data = minibatch(source, problem.key, i, problem.batch) if isinstance(source, ContrastiveProblem) else source
        return layer_gradients(network, data)

    return jax.lax.map(one, (jnp.arange(problem.steps), jax.tree.map(lambda w: w[:-1], networks)))


@eqx.filter_jit
def judge_discrete(prediction: Law, steps: Steps) -> Verdict:
    """The imbalance followed by the law from the start, with the run's gradients only, against the measured one at every step."""
    seen = jax.vmap(measure.imbalance)(steps.networks)
    p = prediction

    def follow(predicted, now):
        g, measured = now
        exact = discrete_imbalance(predicted, g, p.step, p.decay)
        shrunk = tuple((1 - p.step * p.decay) ** 2 * d for d in predicted)
        following = tuple(s + p.second * (f - s) for f, s in zip(exact, shrunk, strict=True))
        return following, jnp.stack([frobenius(f - s) for f, s in zip(following, measured, strict=True)])

    _, error = jax.lax.scan(follow, tuple(d[0] for d in seen), (steps.gradients, tuple(d[1:] for d in seen)))
    size = largest(steps.networks)
    # What the check must see: the whole second-order term.
    squares = jnp.stack([jnp.sum(g * g) for g in steps.gradients]) * p.step**2
    count = len(seen)
    return Verdict(
        discrepancy=jnp.max(error, axis=0) / size,
        parts={"rounding": jnp.full(count, rounding_of_steps(steps.networks, steps.gradients, p.step) / size)},
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
    for data, step in ((task(key, SIZES).moments, 5e-2), (_source(), 2e-2), (task(key, SIZES, 1).moments, 2e-2)):
        yield Descent(data, start, number(SCALES), number(step), number(0.05), SIZES)
    yield Descent(task(key, SIZES, 2).moments, start, number(SCALES), number(5e-2), number(0.0), SIZES)


def _harder_descent(sizes: tuple[int, ...]) -> Callable[[PRNGKeyArray], Descent]:
    def draw(key: PRNGKeyArray) -> Descent:
        k = jax.random.split(key, 3)
        training = _harder_training(sizes, decay=True)(k[0])
        step = 0.1 * training.until * 10.0 ** jax.random.uniform(k[1], (), training.until.dtype, -2, 0)
        return Descent(training.data, k[2], training.scales, step, training.decay, sizes, steps=100)

    return draw


def _with(optimiser: Callable):
    return lambda problem, own: descend(problem, optimiser)


DISCRETE = Claim(
    name="discrete-balancedness",
    statement="At every step of gradient descent, on the full batch or on minibatches, D_l becomes "
    "(1 - step decay)^2 D_l + step^2 (G_(l+1)^T G_(l+1) - G_l G_l^T), exactly.",
    latex=r"D_l \leftarrow (1 - \eta\gamma)^2 D_l + \eta^2 \left(G_{l+1}^\top G_{l+1} - G_l G_l^\top\right)",
    hypotheses=("linear network", "gradient descent without momentum", "any step, any decay, any batch"),
    source="beyond the paper",
    problems=_descents,
    predict=law,
    measure=descend,
    compare=judge_discrete,
    sharpness={
        "layers #, #": (1e-10, 0.01),
    },
    controls=(
        Control("momentum", "trains with momentum 0.9", measure=_with(jax.tree_util.Partial(optax.sgd, momentum=0.9))),
        Control("adam", "trains with Adam", measure=_with(optax.adam)),
        Control(
            "first-order",
            "predicts with the second-order term left out",
            predict=lambda problem, own: dataclasses.replace(own, second=jnp.zeros_like(own.second)),
        ),
    ),
    search=(_harder_descent((3, 2, 4)), _harder_descent((2, 3, 2, 2))),
)

"""balancedness: gradient flow conserves the imbalance of neighbouring layers."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from ... import (
    AdditiveNoise,
    ContrastiveProblem,
    DeepLinear,
    Features,
    Labelled,
    gradient_descent,
    losses,
    measure,
    problems,
)
from ..._core import diagonal, frobenius, matmul, named
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from .._common import (
    DIM,
    WIDTH,
    Run,
    decades,
    even_steps,
    flow_through,
    gaussian,
    harder,
    imbalance_rounding,
    in_place_of,
    joints,
    largest,
    over,
    replace,
    rounded_data,
    task,
    widths,
)

DEPTH, PAIRS, CLASSES, RECORDS = 3, 64, WIDTH, 16

SIZES = (DIM, *(WIDTH,) * DEPTH)

SCALES = (1.0, 0.6, 0.8)

Quantity = Callable[[Any], tuple[Array, ...]]


class Training(eqx.Module):
    """Loss, data and an unbalanced start, for the claims on gradient flow."""

    loss: losses.AbstractLoss
    data: problems.Data
    start: Any
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]

    @property
    def label(self) -> str:
        kinds = (type(x).__name__ for x in (self.loss, self.data))
        return f"{' on '.join(kinds)}, {widths(self.start.sizes)}"

    def shrinks(self) -> Offers:
        return rounded_data(self)


def train(problem: Training, weight_decay: Any = None) -> Run:
    """Gradient flow up to the last time, whether stationary or not."""
    return flow_through(
        problem.start,
        problem.data,
        problem.times,
        loss=problem.loss,
        weight_decay=problem.weight_decay if weight_decay is None else weight_decay,
    )


@eqx.filter_jit
def constant(problem: Training, quantity: Quantity = measure.imbalance) -> tuple[Array, ...]:
    """The imbalances of the start, or another quantity of a network, at all times."""
    return tuple(
        jnp.broadcast_to(d, (problem.times.size + 1, *d.shape)) for d in quantity(problem.start)
    )


@eqx.filter_jit
def judge_kept(
    prediction: tuple[Array, ...], run: Run, quantity: Quantity = measure.imbalance
) -> Verdict:
    """Verdict on each imbalance along a run, in units of the largest squared layer norm.

    `prediction` has `(T + 1, p, p)` for each layer pair. Another `quantity` of the network may
    take the imbalance's place.
    """
    seen, coarse = (jax.vmap(quantity)(t.networks) for t in (run.fine, run.coarse))
    size = largest(run.fine.networks)
    along = lambda a: jnp.stack([frobenius(x) for x in a])
    apart = lambda a, b: jnp.max(along(x - y for x, y in zip(a, b, strict=True)), axis=1) / size
    # The effect to detect: a change of the imbalance as large as predicted, or if none is predicted
    # as large as the change of the layers' own W W^T.
    squares = [jax.vmap(lambda w: matmul(w, w.T))(w) for w in run.fine.networks.layers]
    grown, moved = (apart(x, [y[:1] for y in x]) for x in (squares, prediction))
    return verdict_of(
        Rows(
            joints(len(prediction)),
            apart(seen, prediction),
            {
                "integration": apart(seen, coarse),
                "rounding": imbalance_rounding(run.fine.networks) / size,
            },
            effect=jnp.where(moved > 0, moved, jnp.maximum(grown[1:], grown[:-1])),
            predicted=along(prediction),
            measured=along(seen),
        ),
        what="relative discrepancy of the imbalance",
        converged=run.reached,
        finite=run.finite,
    )


def unbalanced(key: PRNGKeyArray) -> DeepLinear:
    """Gaussian start with layers of unlike scales."""
    return gaussian(
        named(key, "unbalanced start"), SIZES, np.asarray(SCALES, jnp.result_type(float))
    )


def training_on(
    key: PRNGKeyArray,
    loss: losses.AbstractLoss,
    data: problems.Data,
    weight_decay: float = 0.0,
    t1: Any = 20.0,
) -> Training:
    """Training of a deep linear network from an unbalanced start."""
    times = np.geomspace(1e-3, 1, RECORDS, dtype=jnp.result_type(float))
    return Training(
        loss,
        data,
        unbalanced(key),
        jnp.asarray(np.minimum(times, 1) * t1),
        jnp.asarray(weight_decay, times.dtype),
    )


def gaussian_features() -> ContrastiveProblem:
    return ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, DIM), "gaussian"), AdditiveNoise(0.4))


def class_means(key: PRNGKeyArray) -> Labelled:
    k1, k2 = jax.random.split(named(key, "class means"))
    labels = jnp.arange(PAIRS) % CLASSES
    centres = jax.random.normal(k1, (CLASSES, DIM), jnp.result_type(float))
    return Labelled(
        centres[labels] + 0.5 * jax.random.normal(k2, (PAIRS, DIM), centres.dtype), labels
    )


def harder_training(
    key: PRNGKeyArray, sizes: tuple[int, ...], weight_decay: bool = False
) -> Training:
    """Draws for a random search: strengths over six decades, layers of unlike scales, any decay."""
    k, depth = jax.random.split(key, 4), len(sizes) - 1
    moments = harder(k[0], sizes).moments
    reach = jnp.max(diagonal(moments.second))
    scales = decades(k[1], -2, 0.5, (depth,))
    # Until the fastest mode has moved, so that the imbalance could have moved as well.
    t1 = decades(k[2], -1, 1) / reach / jnp.maximum(1, reach * jnp.max(scales) ** (2 * depth))
    task = training_on(key, losses.spectral, moments, t1=t1)
    rate = decades(k[3], -2, 0) / t1 if weight_decay else task.weight_decay
    return replace(task, start=gaussian(k[1], sizes, scales), weight_decay=rate)


def steps(optimiser: Callable, step: float, number: int = 2_000) -> Callable[[Training, Run], Run]:
    """Training in so many steps of another optimiser, recorded at even steps."""

    def run(problem: Training, own: Run) -> Run:
        return in_place_of(
            own,
            gradient_descent(
                problem.start,
                problem.data,
                loss=problem.loss,
                optimiser=optimiser,
                learning_rate=step,
                steps=number,
                weight_decay=problem.weight_decay,
                save_at=even_steps(number, RECORDS),
            ),
        )

    return run


WEIGHT_DECAY = Control(
    "weight-decay",
    "trains with weight decay, under which every imbalance decays exponentially",
    measure=lambda problem, own: train(problem, 0.05),
)


def step_controls(adam: float, coarse: float, number: int) -> tuple[Control, Control]:
    """Controls that train in so many steps of Adam, or large steps, of these sizes."""
    return (
        Control("adam", "trains with Adam", measure=steps(optax.adam, adam, number)),
        Control(
            "finite-step",
            "trains by gradient descent with a large step",
            measure=steps(optax.sgd, coarse, number),
        ),
    )


def _targets(key: PRNGKeyArray) -> Labelled:
    inputs = class_means(key).inputs
    teacher = jax.random.normal(named(key, "teacher"), (DIM, WIDTH), inputs.dtype)
    return Labelled(inputs, jnp.sin(inputs @ teacher))


def _losses(key: PRNGKeyArray) -> Iterator[Training]:
    yield training_on(key, losses.spectral, task(key, SIZES).moments)
    views = gaussian_features().sample_pairs(named(key, "views"), PAIRS)
    classes = class_means(key)
    # Of cosines, an output may reach zero in finite time. The loss has no gradient there, and the
    # steps of the flow shrink without end.
    yield training_on(key, losses.InfoNCE(0.5, normalise=False), views)
    yield training_on(key, losses.cross_entropy, classes)
    yield training_on(key, losses.barlow_twins, views)
    # With the paper's target of 1 an output reaches the hinge. The loss has a kink there, and the
    # flow then slides along it.
    yield training_on(key, losses.VICReg(target=3.0), views)
    yield training_on(key, losses.supervised_contrastive, classes)
    yield training_on(key, losses.mse, _targets(key))
    yield training_on(key, losses.supervised_spectral, classes)
    yield training_on(key, losses.spectral, views)
    yield training_on(key, losses.spectral, task(key, SIZES, index=1).moments)


CLAIM = Claim(
    name="balancedness",
    statement="Under gradient flow on any differentiable loss of the network's output, every "
    "imbalance D_l = W_(l+1)^T W_(l+1) - W_l W_l^T is constant in time.",
    latex=r"\frac{d}{dt}\left(W_{l+1}^\top W_{l+1} - W_l W_l^\top\right) = 0",
    hypotheses=(
        "linear network",
        "gradient flow",
        "a differentiable loss of the output",
        "no weight decay",
    ),
    source="paper section 3; Arora et al. 2018 for deep linear networks",
    problems=_losses,
    predict=constant,
    measure=train,
    compare=judge_kept,
    sharpness={
        "layers #, #": (3e-12, 0.01),
    },
    controls=(WEIGHT_DECAY, *step_controls(adam=5e-3, coarse=3e-2, number=2_000)),
    search=over(harder_training, "sizes", ((3, 2, 4), (2, 3, 2, 2))),
    quick=1,
)

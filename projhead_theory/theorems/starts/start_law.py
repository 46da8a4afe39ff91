"""start-law: the Gram before the head, from the Gram after it and the scales of the start."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import AdditiveNoise, ContrastiveProblem, DeepLinear, Features, losses, problems, theory
from ..._core import diagonal, epsilons, frobenius, matmul, named
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from ...moments import TargetMoments
from .._common import (
    Run,
    decades,
    drawn,
    flow_through,
    harder,
    replace,
    rounded_data,
    uniform,
    widths,
)

SIZES = (4, 8, 3)
"""Inputs, hidden width and outputs: one unit more than inputs and outputs."""

RECORDS, PAIRS = 16, 64


class Isotropic(eqx.Module):
    """Loss, data and an exact isotropic start, or a later point of its flow.

    - `start`: the scales of both layers.
    - `product`: the product of the layers at the start of the run.
    """

    loss: losses.AbstractLoss
    data: problems.Data
    start: theory.starts.Start
    product: Float[Array, "p d"]
    key: PRNGKeyArray
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]
    sizes: tuple[int, int, int] = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{type(self.loss).__name__}, {widths(self.sizes)}"

    def shrinks(self) -> Offers:
        return rounded_data(self)

    def network(self, overlap: float = 0.0) -> DeepLinear:
        """The start; or layers of the same scales that overlap, without a product of their own."""
        return _network(self, jnp.asarray(overlap, self.product.dtype))

    def holds_for(self, network: DeepLinear) -> Bool[Array, ""]:
        """True if a network is on the set of the law."""
        return _is_isotropic(network, self.start)


@eqx.filter_jit
def _network(problem: Isotropic, overlap: Array) -> DeepLinear:
    """The head reads a share `overlap` of what the encoder writes, in place of an unused part."""
    a, b = problem.start.encoder, problem.start.head
    product = jnp.where(overlap > 0, 0, problem.product)
    start = DeepLinear.isotropic(
        problem.key, problem.sizes, a, b, product=product, dtype=product.dtype
    )
    first, second = start.layers
    written = first.T[: second.shape[0]] * jnp.sqrt(b / a)
    return DeepLinear([first, jnp.sqrt(1 - overlap**2) * second + overlap * written])


class Law(eqx.Module):
    """The start law at the save times of a run, the last of which is recorded twice.

    - `law`: Gram of a layer that starts at one scale, from the Gram of the product and both scales.
    """

    start: theory.starts.Start
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]
    law: Callable[..., Array] = eqx.field(static=True, default=theory.starts.start_law)

    def __call__(self, grams: Float[Array, "n k k"], *, of_head: bool) -> Float[Array, "n k k"]:
        """Grams of one of the layers, from the product's Grams on its side."""
        own, other = self.start.encoder, self.start.head
        encoder, head = (other, own) if of_head else (own, other)
        scales = {"encoder": encoder, "head": head, "weight_decay": self.weight_decay}
        return jax.vmap(lambda gram, time: self.law(gram, time=time, **scales))(
            grams, self.recorded
        )

    @property
    def recorded(self) -> Float[Array, " n"]:
        return jnp.append(self.times, self.times[-1])


def predict(problem: Isotropic) -> Law:
    """The law, from the scales of the start alone."""
    return Law(problem.start, problem.times, problem.weight_decay)


class Course(eqx.Module):
    """A run, and whether it began on the set of its law."""

    run: Run
    premise: Bool[Array, ""]


def train(problem: Any, start: DeepLinear | None = None) -> Course:
    """Gradient flow up to the last time, whether stationary or not.

    The problem has a `network()` to start from, and says of another whether its law `holds_for` it.
    """
    network = problem.network() if start is None else start
    run = flow_through(
        network,
        problem.data,
        problem.times,
        loss=problem.loss,
        weight_decay=problem.weight_decay,
    )
    return Course(run, problem.holds_for(network))


@eqx.filter_jit
def _is_isotropic(network: DeepLinear, start: theory.starts.Start) -> Bool[Array, ""]:
    """True if the three relations of the law hold, to rounding."""
    (first, second), a, b = network.layers, start.encoder, start.head
    gram, head, product = (
        matmul(*x) for x in ((first.T, first), (second, second.T), (second, first))
    )
    shifted = lambda x, by: x + by * jnp.eye(len(x), dtype=x.dtype)
    size = jnp.trace(gram) + jnp.trace(head)
    off = (
        matmul(shifted(gram, -a), shifted(gram, b)) - matmul(product.T, product),
        matmul(shifted(head, -b), shifted(head, a)) - matmul(product, product.T),
        matmul(head, product) - matmul(product, shifted(gram, b - a)),
    )
    slack = epsilons(8 * max(network.sizes), size.dtype) * size**2
    return jnp.all(jnp.stack([frobenius(x) for x in off]) <= slack)


@eqx.filter_jit
def judge_law(prediction: Law, course: Course) -> Verdict:
    """Verdict on the Grams of both layers along a run, in units of the largest of each.

    The law takes the Gram of the product from the run itself, and nothing else. It magnifies the
    rounding of that Gram by no more than one over the sum of the scales. The start is rounded by
    the size of both layers together.
    """
    run = course.run
    sides = [_sides(t.networks, prediction) for t in (run.fine, run.coarse)]
    start, eps = prediction.start, epsilons(8 * max(run.fine.networks.sizes), run.fine.times.dtype)
    faded = (start.encoder + start.head) * jnp.exp(
        -2 * prediction.weight_decay * prediction.recorded
    )
    norms = [jnp.sum(w * w, axis=(1, 2)) for w in run.fine.networks.layers]
    slope = norms[0] * norms[1] / jnp.where(faded > 0, faded, jnp.inf)
    rows = []
    for name, norm, (seen, law), (coarse, coarse_law) in zip(
        ("Gram before the head", "Gram of the head"), norms, *sides, strict=True
    ):
        size = jnp.max(frobenius(seen))
        rounding = (jnp.max(norm + slope) + norms[0][0] + norms[1][0]) * eps / size
        apart = frobenius(seen - law) / size
        integration = jnp.max(frobenius((seen - law) - (coarse - coarse_law))) / size
        rows.append(
            Rows(
                (name,),
                jnp.max(apart),
                {"integration": integration, "rounding": rounding},
                # The effect to detect: the change of the Gram since the start.
                effect=jnp.max(frobenius(seen - seen[0])) / size,
                predicted=frobenius(law)[None],
                measured=frobenius(seen)[None],
            )
        )
    return verdict_of(
        *rows,
        what="relative discrepancy of the Grams",
        premises={"isotropic start": course.premise},
        converged=run.reached,
        finite=run.finite,
    )


def _sides(networks: DeepLinear, law: Law) -> list[tuple[Array, Array]]:
    """Grams of the encoder and of the head along a run, each beside the law."""
    first, second = networks.layers
    gram = lambda w: matmul(jnp.swapaxes(w, 1, 2), w)
    product, turned = matmul(second, first), jnp.swapaxes(second, 1, 2)
    return [
        (gram(first), law(gram(product), of_head=False)),
        (gram(turned), law(gram(jnp.swapaxes(product, 1, 2)), of_head=True)),
    ]


def times_to(last: Array) -> Array:
    """Save times up to the last one, spaced geometrically."""
    return jnp.geomspace(1e-3, 1, RECORDS, dtype=last.dtype) * last


def of_teacher(teacher: PRNGKeyArray, spread: PRNGKeyArray, d: int, p: int) -> TargetMoments:
    """Moments of a random linear teacher with `p` outputs, on inputs in random position."""
    inputs = jax.random.normal(spread, (d, d), jnp.result_type(float)) / d**0.5
    second = matmul(inputs, inputs.T) + jnp.eye(d, dtype=inputs.dtype) / 4
    return TargetMoments(matmul(jax.random.normal(teacher, (p, d), inputs.dtype), second), second)


@drawn
def _contrastive(
    key: PRNGKeyArray, sizes: tuple[int, int, int], *, weight_decay: Any = 0.0, index: Any = 0
) -> Isotropic:
    """Spectral contrastive loss, from a small product: without any it is stationary."""
    place, rest = jax.random.split(named(key, "contrastive", index))
    moments = problems.random_moments(place, jnp.linspace(0.9, 0.3, sizes[0]), condition=5.0)
    return _from_start(rest, losses.spectral, moments, sizes, weight_decay, 0.05)


@drawn
def _regression(
    key: PRNGKeyArray, sizes: tuple[int, int, int], *, weight_decay: Any = 0.0, index: Any = 0
) -> Isotropic:
    """Regression on a linear teacher, from the start itself."""
    d, _, p = sizes
    teacher, spread, rest = jax.random.split(named(key, "start law regression", index), 3)
    return _from_start(
        rest, losses.mse, of_teacher(teacher, spread, d, p), sizes, weight_decay, 0.0
    )


def _from_start(
    key: PRNGKeyArray,
    loss: losses.AbstractLoss,
    data: problems.Data,
    sizes: tuple[int, int, int],
    weight_decay: Any,
    learned: float,
) -> Isotropic:
    """A problem from unlike scales, and a product of the size `learned`."""
    k = jax.random.split(key, 4)
    start = theory.starts.Start(uniform(k[0], 0.5, 1.0), uniform(k[1], 0.1, 0.4))
    product = learned * jax.random.normal(k[2], (sizes[2], sizes[0]), start.head.dtype)
    times = times_to(jnp.asarray(5.0, product.dtype))
    decay = jnp.asarray(weight_decay, product.dtype)
    return Isotropic(loss, data, start, product, k[3], times, decay, sizes)


def _on_views(key: PRNGKeyArray, loss: losses.AbstractLoss) -> Isotropic:
    strength = jnp.linspace(1.5, 0.7, SIZES[0])
    problem = ContrastiveProblem(Features(strength, "gaussian"), AdditiveNoise(0.4))
    views = problem.sample_pairs(named(key, "start law views"), PAIRS)
    return _from_start(named(key, "isotropic start"), loss, views, SIZES, 0.0, 0.3)


def _problems(key: PRNGKeyArray) -> Iterator[Isotropic]:
    yield _contrastive(key, SIZES, weight_decay=0.05)
    yield _regression(key, SIZES)
    yield _regression(key, SIZES, weight_decay=0.1, index=1)
    yield _contrastive(key, SIZES, index=1)
    # The loss of a batch is singular without any output.
    yield _on_views(key, losses.barlow_twins)
    yield _contrastive(key, (8, 24, 5), weight_decay=0.02, index=2)


def _harder(key: PRNGKeyArray) -> Isotropic:
    """Draw scales over four decades, strengths over twelve, and any decay."""
    k = jax.random.split(key, 6)
    moments = harder(k[0], (SIZES[0], SIZES[2])).moments
    reach = jnp.max(diagonal(moments.second))
    start = theory.starts.Start(decades(k[1], -3, 1), decades(k[2], -3, 1))
    product = decades(k[3], -3, 0) * jax.random.normal(k[4], SIZES[::-2], reach.dtype)
    size = jnp.maximum(1, reach * jnp.sum(product**2))
    # Until the fastest feature has been learned, so that the Grams have moved.
    last = decades(k[5], -1, 1) / (reach * size * (start.encoder + start.head + size / reach))
    decay = decades(k[5], -3, 0) / last
    return Isotropic(losses.spectral, moments, start, product, key, times_to(last), decay, SIZES)


def _with_scales(
    encoder: Callable[[theory.starts.Start], Any], head: Callable[[theory.starts.Start], Any]
) -> Callable:
    """Prediction from other scales, functions of the start's own."""
    return lambda problem, own: replace(
        own, start=theory.starts.Start(encoder(own.start), head(own.start))
    )


CLAIM = Claim(
    name="start-law",
    statement="From an isotropic start of two layers, of any scales a and b, gradient flow on any "
    "differentiable loss of the product keeps M_2 = (M_1 - a)(M_1 + b): the weights before the "
    "head follow from those after it and the two scales, at all times.",
    latex=r"M_1 = \tfrac12\left((a - b) I + \left((a + b)^2 I + 4 M_2\right)^{1/2}\right), \qquad "
    r"(a, b) = (a_0, b_0)\, e^{-2\gamma t}",
    hypotheses=(
        "linear network of two layers",
        "isotropic start",
        "gradient flow",
        "a differentiable loss of the output",
        "the same weight decay in both layers, or none",
    ),
    source="beyond the paper; special cases: Kunin et al. 2024, Dominé et al. 2025, Tu et al. 2024",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge_law,
    sharpness={
        "Gram before the head": (5e-12, 0.005),
        "Gram of the head": (5e-12, 0.002),
    },
    controls=(
        Control(
            "overlapping-layers",
            "starts with the same scales, but a product that is not zero",
            measure=lambda problem, own: train(problem, problem.network(overlap=0.6)),
        ),
        Control(
            "exchanged-scales",
            "predicts for the scale of the encoder in place of the head's, and vice versa",
            predict=_with_scales(lambda s: s.head, lambda s: s.encoder),
        ),
        Control(
            "balanced-law",
            "predicts the layer-wise law, as after a balanced start",
            predict=_with_scales(lambda s: 0 * s.encoder, lambda s: 0 * s.head),
        ),
    ),
    search=(_harder,),
    quick=1,
)

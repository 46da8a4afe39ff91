"""narrow-head: the features that four objectives keep in a network of bounded width."""

import dataclasses
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import AdditiveNoise, ContrastiveProblem, DeepLinear, Features, SignFlip, problems
from ..._core import CHAIN, checks, diagonal, epsilons, named
from ...claims import Claim, Control, Rows, Verdict, verdict_of
from ...theory import decay, responses
from .._common import (
    RECORDS,
    AbstractAlignedTask,
    FeatureTask,
    ModeTask,
    Run,
    aligned,
    drawn,
    flow,
    last_change,
    local_error,
    orthonormal,
    over,
    replace,
    uniform,
)
from ..dynamics.barlow_stepwise import BarlowTask

DIM, DEPTH = 3, 3

OBJECTIVES = ("joint embedding", "reconstruction", "unnormalised Barlow Twins", "PCA")
"""Objectives in the order of the rows."""

START = 0.75
"""End-to-end weight of the start in each of its directions, in the natural scale of an objective.

From a small weight, weight decay may remove a feature before it is learned. From a large one, the
gradient at the start is so large that next to it the gradient at a saddle seems to vanish.
"""

DECAY = 0.3
"""Weight decay in the training of Barlow Twins."""

MARGIN = 0.1
"""Relative distance from a boundary at which networks are trained on either side of it."""


class NarrowTask(eqx.Module):
    """Three features whose views are sign-flipped and noisy, and networks of `width` units.

    - `strength`, `noise`: of every feature.
    - `flip`: the probability of a sign flip.
    - `directions`: orthonormal directions of the start.
    - `weight_decay`: the weight decay that selects a minimiser of Barlow Twins.
    """

    strength: Float[Array, " d"]
    noise: Float[Array, " d"]
    flip: Float[Array, " d"]
    directions: Float[Array, "d d"]
    weight_decay: Float[Array, ""]
    width: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{DIM} features, width {self.width}"

    @property
    def problem(self) -> ContrastiveProblem:
        augmentation = problems.Compose(SignFlip(self.flip), AdditiveNoise(self.noise))
        return ContrastiveProblem(Features(self.strength), augmentation)

    def start(self, width: int, scale: Array) -> DeepLinear:
        """A balanced start of this rank and scale, in the given directions.

        Of the three units of each hidden layer, those beyond the width have no weights, and keep
        none: the network is one of so many units. All widths then share their programs.
        """
        ones = checks.array(np.where(np.arange(DIM) < width, np.asarray(START, scale.dtype), 0))
        return aligned(ones * scale, DEPTH, self.directions)


class Seen(eqx.Module):
    """Weights measured on the networks of the four objectives, with their errors.

    - `weights`, `integration`, `left`: `(4, d)`; the last two are errors, by integration and by
      incomplete training.
    """

    weights: Float[Array, "4 d"]
    integration: Float[Array, "4 d"]
    left: Float[Array, "4 d"]
    converged: Any
    finite: Any


@eqx.filter_jit
def _tasks(problem: NarrowTask) -> tuple[tuple[AbstractAlignedTask, Array], ...]:
    """The four objectives as moments, and the scales of their weights.

    The last two moments of PCA are the natural input's. Under the spectral loss the largest
    moments set the scale; the others ask for outputs as large as the features or their noise.
    """
    p, moments = problem, problem.problem.moments()
    cross, second, power = diagonal(moments.cross), diagonal(moments.second), p.strength**2
    explained = (1 - 2 * p.flip) * power
    times = jnp.geomspace(1e-2, 1e5, RECORDS, dtype=power.dtype)
    none, one = jnp.zeros_like(p.weight_decay), jnp.ones_like(p.weight_decay)
    rest = (power, times, none, DEPTH)
    return (
        (FeatureTask(cross, second, *rest), jnp.sqrt(jnp.max(cross) / jnp.max(second))),
        (ModeTask(explained, second, *rest), one),
        (BarlowTask(cross, second, power, times, p.weight_decay, DEPTH), one),
        (ModeTask(power, power, *rest), one),
    )


def train_narrow(problem: NarrowTask, width: int | None = None) -> Seen:
    """Train one network for each objective, of the problem's width or another."""
    width = problem.width if width is None else width
    runs = [
        flow(
            problem.start(width, scale),
            task.moments,
            loss=task.loss,
            t1=task.times[-1],
            save_at=task.times,
            weight_decay=task.weight_decay,
        )
        for task, scale in _tasks(problem)
    ]
    return _seen(runs)


@eqx.filter_jit
def _seen(runs: list[Run]) -> Seen:
    last = lambda network: jnp.sqrt(jnp.sum(network.matrix**2, axis=0))
    stacked = lambda get: jnp.stack([get(run) for run in runs])
    weights = stacked(lambda run: last(run.fine.final))
    return Seen(
        weights,
        stacked(lambda run: run.error(lambda t: last(t.final)))
        + local_error(weights.dtype, DEPTH) * weights,
        stacked(lambda run: last_change(run.fine, last)),
        jnp.all(stacked(lambda run: run.converged)),
        jnp.all(stacked(lambda run: run.finite)),
    )


@eqx.filter_jit
def predict_narrow(problem: NarrowTask) -> Float[Array, "4 d"]:
    """Predict the end-to-end weights of every feature, for each objective."""
    heads = responses.narrow_heads(problem.problem, problem.width)
    barlow = heads.unnormalised_barlow_twins
    decayed = decay.decayed_weight(barlow.score, barlow.score, problem.weight_decay, DEPTH)
    return jnp.stack(
        [
            heads.joint_embedding.weights,
            heads.reconstruction.weights,
            jnp.where(barlow.kept, decayed, 0),
            heads.principal_components.weights,
        ]
    )


@eqx.filter_jit
def judge_narrow(prediction: Float[Array, "4 d"], seen: Seen) -> Verdict:
    """Verdict on the weights of all features, for each objective, relative to their norm."""
    norm = lambda x: jnp.sqrt(jnp.sum(x**2, axis=1))
    size = norm(prediction)
    # The effect to detect: the least weight of a feature that is kept.
    least = jnp.min(jnp.where(prediction > 0, prediction, jnp.inf), axis=1)
    return verdict_of(
        Rows(
            OBJECTIVES,
            norm(seen.weights - prediction) / size,
            {
                "integration": norm(seen.integration) / size,
                "stationarity": norm(seen.left) / size,
                "rounding": epsilons(CHAIN * DEPTH, size.dtype),
            },
            least / size,
            prediction,
            seen.weights,
        ),
        what="relative discrepancy of the weights",
        converged=seen.converged,
        finite=seen.finite,
    )


@drawn
def _opposed(key: PRNGKeyArray, width: int, *, given: Any, index: Array | int = 0) -> NarrowTask:
    """Features near given ones, on which the objectives differ."""
    k1, k2 = jax.random.split(named(key, "narrow head", index))
    varied = uniform(k1, 0.97, 1.03, (2, DIM))
    strength, noise, flip = given.astype(varied.dtype)
    decay = jnp.asarray(DECAY, varied.dtype)
    return NarrowTask(
        strength * varied[0], noise * varied[1], flip, orthonormal(k2, DIM), decay, width
    )


def _apart(problem: NarrowTask) -> Array:
    """Least relative distance of two scores of one objective."""
    heads = responses.narrow_heads(problem.problem, DIM)
    scores = jnp.stack(
        [
            heads.joint_embedding.score,
            heads.reconstruction.score,
            heads.unnormalised_barlow_twins.score,
            heads.principal_components.score,
        ]
    )
    ordered = jnp.sort(scores, axis=1)
    return jnp.min(1 - ordered[:, :-1] / ordered[:, 1:])


def _harder(key: PRNGKeyArray, width: int) -> NarrowTask:
    """Draw features; of eight draws, the one whose scores are farthest from ties."""

    def draw(k: PRNGKeyArray) -> NarrowTask:
        k1, k2, k3, k4 = jax.random.split(k, 4)
        strength = uniform(k1, 0.6, 2.2, (DIM,))
        return NarrowTask(
            strength,
            strength * uniform(k2, 0.05, 2.0, (DIM,)),
            uniform(k3, 0.0, 0.25, (DIM,)),
            orthonormal(k4, DIM),
            jnp.asarray(DECAY, strength.dtype),
            width,
        )

    draws = jax.vmap(draw)(jax.random.split(key, 8))
    best = jnp.argmax(jax.vmap(_apart)(draws))
    return jax.tree.map(lambda x: x[best], draws)


@drawn
def _random(key: PRNGKeyArray, width: int, *, index: Array | int) -> NarrowTask:
    return _harder(named(key, "random features", index), width)


def _beside_boundaries(key: PRNGKeyArray) -> Iterator[NarrowTask]:
    """A useful feature, a nuisance and a weak one, on either side of each boundary of the first."""
    nuisance, noise = 1.0, 0.8
    for index, (boundary, strength) in enumerate(
        ((responses.joint_embedding_limit, 1.2), (responses.reconstruction_limit, 1.2), (None, 1.0))
    ):
        for side in (1 - MARGIN, 1 + MARGIN):
            # Without a boundary in noise, it is one in strength.
            own = float(boundary(strength, nuisance, noise)) * side if boundary else noise
            phi = strength if boundary else strength * side
            yield _exactly(
                key,
                1,
                strength=np.asarray([phi, nuisance, 0.2]),
                noise=np.asarray([own, noise, 1.0]),
                index=index,
            )


@drawn
def _exactly(
    key: PRNGKeyArray, width: int, *, strength: Any, noise: Any, index: Array | int
) -> NarrowTask:
    directions = orthonormal(named(key, "boundary", index), DIM)
    strength, noise = (x.astype(directions.dtype) for x in (strength, noise))
    decay = jnp.asarray(DECAY, directions.dtype)
    return NarrowTask(strength, noise, jnp.zeros_like(noise), directions, decay, width)


CLEAN = np.asarray([[2.0, 1.4, 0.8], [4.0, 0.7, 0.1], [0.0, 0.0, 0.0]])
"""Strength, noise and flips. The strongest feature is the noisiest: three objectives differ."""

FLIPPED = np.asarray([[2.2, 1.4, 0.8], [0.1, 0.8, 0.1], [0.2, 0.0, 0.0]])
"""The strongest feature is flipped: Barlow Twins and PCA differ."""


def _problems(key: PRNGKeyArray) -> Iterator[NarrowTask]:
    for width in (1, 2):
        for given in (CLEAN, FLIPPED):
            yield _opposed(key, width, given=given)
    yield from _beside_boundaries(key)
    for width in (1, 2):
        yield _random(key, width, index=width)


def _order(problem: NarrowTask, own: Array, score: Any) -> Array:
    """The weights, if all objectives ranked features by one score."""
    full = predict_narrow(replace_width(problem, DIM))
    rank = np.argsort(np.argsort(-np.asarray(score)))
    return jnp.asarray(np.where(rank < problem.width, np.asarray(full), 0))


def replace_width(problem: NarrowTask, width: int) -> NarrowTask:
    return dataclasses.replace(problem, width=width)


CLAIM = Claim(
    name="narrow-head",
    statement="Of more features than the width, joint embedding keeps those of largest signal "
    "fraction c/q, denoising reconstruction those of largest (E x xbar)^2/q, Barlow Twins without "
    "normalisation, at small weight decay, those of largest c, and PCA the strongest.",
    latex=r"\text{score}_i = \frac{c_i}{q_i}, \quad \frac{(E\, x_i \bar x_i)^2}{q_i}, \quad c_i, "
    r"\quad E\, x_i^2",
    hypotheses=(
        "linear network",
        "feature model",
        "no tie at the cut",
        "weight decay for Barlow Twins, from a large start",
        "trained to stationarity",
    ),
    source="beyond the paper; Van Assel et al. 2025, Simon et al. 2023",
    problems=_problems,
    predict=predict_narrow,
    measure=train_narrow,
    compare=judge_narrow,
    sharpness={
        "joint embedding": (2e-6, 2e-5),
        "reconstruction": (2e-6, 5e-4),
        "unnormalised Barlow Twins": (5e-7, 5e-4),
        "PCA": (5e-7, 3e-4),
    },
    controls=(
        Control(
            "strongest-kept",
            "predicts that every objective keeps the strongest features, as PCA does",
            predict=lambda problem, own: _order(problem, own, problem.strength),
        ),
        Control(
            "clean-inputs",
            "trains on views without noise and flips",
            measure=lambda problem, own: train_narrow(
                replace(problem, noise=0 * problem.noise, flip=0 * problem.flip)
            ),
        ),
        Control(
            "wide",
            "trains networks that are as wide as there are features",
            measure=lambda problem, own: train_narrow(problem, DIM),
        ),
        Control(
            "no-decay",
            "predicts and trains without weight decay, where the loss of Barlow Twins does not "
            "choose",
            problem=lambda problem: replace(problem, weight_decay=0 * problem.weight_decay),
        ),
    ),
    search=over(_harder, "width", (1, 2)),
)

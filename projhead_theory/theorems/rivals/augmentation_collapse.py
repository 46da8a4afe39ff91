"""augmentation-collapse: growth and collapse of features under the distance critic."""

import dataclasses
import itertools
from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, Headed, Moments, Views, networks, theory
from ..._core import CHAIN, SOLVED, epsilons, matmul, named
from ...claims import Claim, Control, Measured, Verdict, compare_measured
from ...losses import DistanceContrastive
from ...simulation import gradient_descent, trained_gradient
from .._common import drawn, gaussian, uniform, with_entries

DIM = 2
SIGNS = np.asarray(list(itertools.product((1.0, -1.0), repeat=3 * DIM)))
"""All signs of two features, and of the noise of either view."""

STEPS = 2_000
ONE = np.asarray(1)


class Noisy(eqx.Module):
    """Two features of random sign, and noise of random sign on each.

    - `strength`, `noise`: $\\varphi$ and $\\sigma$ of each feature.
    - `temperature`: of the loss.
    - `key`: of the start.
    """

    strength: Float[Array, " d"]
    noise: Float[Array, " d"]
    temperature: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return f"{DIM} features, noise over strength {np.asarray(self.noise / self.strength)}"

    def start(self) -> DeepLinear:
        return gaussian(self.key, (DIM, DIM), np.full(1, 0.5, self.strength.dtype))


@eqx.filter_jit
def views(problem: Noisy, clean: np.bool_ | Array = np.True_) -> Views:
    """All values of the two views; the first ones are clean, or as noisy as the second."""
    signs = jnp.asarray(SIGNS, problem.strength.dtype)
    inputs = problem.strength * signs[:, :DIM]
    first = jnp.where(clean, 0, problem.noise) * signs[:, DIM : 2 * DIM]
    return Views(inputs + first, inputs + problem.noise * signs[:, 2 * DIM :])


@eqx.filter_jit
def _growth(problem: Noisy, data: Views) -> Float[Array, "d d"]:
    """Derivative of the velocity of the weights in the weights, where these are zero."""
    loss = DistanceContrastive(problem.temperature)
    zero = jnp.zeros((DIM, DIM), problem.strength.dtype)

    def velocity(row: Array) -> Array:
        network = DeepLinear([zero.at[0].set(row)])
        return -trained_gradient(network, data, loss).layers[0][0]

    return jax.jacfwd(velocity)(zero[0])


@eqx.filter_jit
def _hidden(problem: Noisy, data: Views, keep: Array | np.ndarray = ONE) -> Float[Array, " d"]:
    """Gradient in the second row of an encoder, below a head that keeps the first ones."""
    head = networks.TruncationHead(1)
    network = Headed(problem.start(), head)
    weights = jnp.where(jnp.arange(DIM) < keep, 1, head.diagonal(DIM, problem.strength.dtype))
    network = eqx.tree_at(lambda n: n.head.weights, network, weights)
    return trained_gradient(network, data, DistanceContrastive(problem.temperature)).layers[0][1]


@eqx.filter_jit
def _rate(problem: Noisy) -> Float[Array, ""]:
    """A step at which no feature overshoots."""
    return 0.3 * problem.temperature / jnp.max(problem.strength**2 + problem.noise**2)


def final_grams(problem: Noisy, data: Views) -> tuple[Array, Array]:
    """Gram at the end of gradient descent, and its change over the last half of the run.

    The approach is exponential: what is left to go is less than the change over the half before.
    """
    run = gradient_descent(
        problem.start(),
        data,
        loss=DistanceContrastive(problem.temperature),
        learning_rate=_rate(problem),
        steps=STEPS,
        save_at=np.asarray([0, STEPS // 2, STEPS]),
    )
    return _ends(run.networks.layers[0])


@eqx.filter_jit
def _ends(layers: Float[Array, "T d d"]) -> tuple[Array, Array]:
    grams = jax.vmap(lambda w: matmul(w.T, w))(layers)
    return grams[-1], jnp.abs(grams[-1] - grams[-2])


def measure(problem: Noisy) -> Measured:
    """Growth at zero weights with clean anchors and without, the end, and what a head hides."""
    clean, both = views(problem), views(problem, np.False_)
    end, change = final_grams(problem, clean)
    return _table(
        _growth(problem, clean), _growth(problem, both), end, change, _hidden(problem, clean)
    )


@eqx.filter_jit
def _table(clean: Array, both: Array, end: Array, change: Array, hidden: Array) -> Measured:
    value = jnp.concatenate([clean, both, end, hidden[None]])
    size = jnp.max(jnp.abs(value[: 2 * DIM]))
    rows = lambda x: jnp.sqrt(jnp.sum(x**2, axis=1))
    zeros = jnp.zeros(2 * DIM, value.dtype)
    rounding = jnp.concatenate(
        [
            jnp.full(2 * DIM, epsilons(CHAIN, value.dtype)) * size,
            # A minimum is known to the root of the rounding of the loss, a root of its gradient to
            # the rounding of that.
            epsilons(SOLVED, value.dtype) * (rows(end) + 1),
            zeros[:1],
        ]
    )
    errors = {"stationarity": jnp.concatenate([zeros, rows(change), zeros[:1]])}
    return Measured(value, errors | {"rounding": rounding})


@eqx.filter_jit
def predict(p: Noisy) -> Float[Array, "k d"]:
    signal, noise = jnp.diag(p.strength**2), jnp.diag(p.noise**2)
    both = theory.rivals.exchangeable_growth(Moments(signal, signal + noise), p.temperature)
    end = jnp.diag(theory.rivals.anchored_square(p.strength, p.noise, p.temperature))
    clean = theory.rivals.anchored_growth(signal, noise, p.temperature)
    return jnp.concatenate([clean, both, end, jnp.zeros((1, DIM), end.dtype)])


def judge(prediction: Float[Array, "k d"], measured: Measured) -> Verdict:
    name = lambda what: tuple(f"{what} {i}" for i in range(1, DIM + 1))
    return dataclasses.replace(
        compare_measured(prediction, measured),
        labels=(
            *name("growth, clean anchors, feature"),
            *name("growth, both views noisy, feature"),
            *name("squared weight, feature"),
            "gradient beyond the head",
        ),
        what="discrepancy of growth and collapse",
    )


@drawn
def noisy(key: PRNGKeyArray, *, ratios: Any, index: Array | int = 0) -> Noisy:
    """Features whose noise has these variances, over the variance of the signal."""
    k = jax.random.split(named(key, "noisy features", index), 3)
    strength = uniform(k[0], 0.7, 1.4, (DIM,))
    noise = strength * jnp.sqrt(ratios.astype(strength.dtype) * uniform(k[1], 0.95, 1.05, (DIM,)))
    return Noisy(strength, noise, uniform(k[1], 0.5, 2.0), k[2])


def _problems(key: PRNGKeyArray) -> Iterator[Noisy]:
    for index, ratios in enumerate(([0.8, 3.0], [0.3, 1.2], [2.6, 4.0])):
        yield noisy(key, ratios=np.asarray(ratios), index=index)


ENDS = slice(2 * DIM, 3 * DIM)


def _both_noisy(problem: Noisy, own: Measured) -> Measured:
    """The end of a run whose anchors and negatives are as noisy as the positives."""
    end, _ = final_grams(problem, views(problem, np.False_))
    return dataclasses.replace(own, value=with_entries(own.value, ENDS, np.asarray(end)))


def _signal_against_noise(p: Noisy, own: Array) -> Array:
    """Growth by the signal less the noise, $\\varphi^2 - \\sigma^2$."""
    strength, noise = np.asarray(p.strength), np.asarray(p.noise)
    growth = np.diag((strength**2 - noise**2) / np.asarray(p.temperature))
    return with_entries(own, slice(0, DIM), growth)


def _noise_collapses(problem: Noisy, own: Array) -> Array:
    """The growth of clean anchors where both views are noisy."""
    return with_entries(own, slice(DIM, 2 * DIM), np.asarray(own)[:DIM])


CLAIM = Claim(
    name="augmentation-collapse",
    statement="Under the distance critic small weights grow by 2C for two views drawn alike, so "
    "that no strength of augmentation collapses a feature; with clean anchors and negatives they "
    "grow by 2 phi^2 - sigma^2, and a feature ends at zero if and only if sigma^2 >= 2 phi^2. "
    "Below a head that keeps the first outputs, the rows of the others have no gradient.",
    latex=r"\dot W = \frac{1}{\tau} W X, \quad X = 2C \succeq 0 \ \text{(views alike)}, \quad "
    r"X = 2\Phi - \Sigma \ \text{(clean anchors)}; \qquad "
    r"w^2 = \frac{\tau}{2\varphi^2} \ln\frac{4\varphi^2 - \sigma^2}{\sigma^2} \ "
    r"(\sigma^2 < 2\varphi^2)",
    hypotheses=(
        "one linear layer",
        "distance critic",
        "infinitely many negatives",
        "features of random sign, independent",
        "trained to stationarity",
    ),
    source="Jing et al. 2022 for the mechanism; the thresholds and weights beyond it",
    problems=_problems,
    predict=predict,
    measure=measure,
    compare=judge,
    sharpness={
        "growth, clean anchors, feature #": (5e-13, 0),
        "growth, both views noisy, feature #": (2e-13, 0),
        "squared weight, feature #": (5e-12, 0),
        "gradient beyond the head": (0, 0),
    },
    controls=(
        Control(
            "both-views-noisy",
            "trains with anchors and negatives as noisy as the positives: nothing collapses",
            measure=_both_noisy,
        ),
        Control(
            "noise-collapses",
            "predicts that noise on both views makes weights shrink as well",
            predict=_noise_collapses,
        ),
        Control(
            "signal-against-noise",
            "predicts collapse as soon as the noise exceeds the signal",
            predict=_signal_against_noise,
        ),
        Control(
            "no-head",
            "measures the same rows without the head",
            measure=lambda problem, own: dataclasses.replace(
                own,
                value=with_entries(
                    own.value,
                    -1,
                    np.asarray(_hidden(problem, views(problem), np.asarray(DIM))),
                ),
            ),
        ),
    ),
    quick=1,
)

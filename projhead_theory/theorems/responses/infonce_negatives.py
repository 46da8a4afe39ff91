"""infonce-negatives: the bias of the weights that finitely many negatives leave."""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, Moments, gradient_descent, losses, theory
from ..._core import CHAIN, epsilons, named
from ...claims import Claim, Control, Rows, Verdict, numbered, verdict_of
from .._common import decades, drawn, replace, uniform

COARSE = (10, 20, 0.5)
"""A coarser rule than that of the loss, to estimate its error."""

SIZES = (256, 1024, 4096)
STEPS = 40


class Batches(eqx.Module):
    """One Gaussian feature, a temperature, and the sizes of the batches.

    `positive` is 1 if the positive pair is among the pairs that an anchor is told from, and 0 if
    only the negatives are.
    """

    fraction: Float[Array, ""]
    second: Float[Array, ""]
    temperature: Float[Array, ""]
    positive: Float[Array, ""]
    sizes: Float[Array, " K"]

    @property
    def label(self) -> str:
        return f"batches of {', '.join(f'{float(n):g}' for n in self.sizes)} pairs"


class Biased(eqx.Module):
    """Squared weights in units of temperature over variance, for each size of the batches.

    - `limit`: the weight for infinitely many negatives.
    - `bias`: how much further the weight is.
    - `second`: the size of the next order.
    """

    limit: Float[Array, ""]
    bias: Float[Array, " K"]
    second: Float[Array, " K"]


class Trained(eqx.Module):
    """Squared weights in the same units, and the errors of quadrature and of stationarity."""

    square: Float[Array, " K"]
    quadrature: Float[Array, " K"]
    stationarity: Float[Array, " K"]


@eqx.filter_jit
def predict(problem: Batches) -> Biased:
    fraction, sizes = problem.fraction[None], problem.sizes
    first, second = (
        theory.responses.negatives_bias(fraction)[0],
        theory.responses.negatives_second_order(fraction)[0],
    )
    return Biased(problem.fraction, first / sizes, jnp.abs(second) / sizes**2)


@eqx.filter_jit
def train(p: Batches) -> Trained:
    """Gradient descent on the expected loss of batches of each size, from half the limit."""
    unit = p.second / p.temperature
    moments = Moments((p.fraction * p.second)[None, None], p.second[None, None])
    start = jnp.sqrt(p.fraction / 2 / unit)
    # The loss has curvature 1 in the squared weight, 4 lambda q / tau in the weight itself.
    rate = 0.9 / (4 * p.fraction * unit)

    def one(size: Array, **rule: Any) -> tuple[Array, Array]:
        run = gradient_descent(
            DeepLinear([start[None, None]]),
            moments,
            loss=losses.ExpectedInfoNCE(size, p.temperature, p.positive, **rule),
            learning_rate=rate,
            steps=STEPS,
            save_at=2,
            stationarity=0.0,
        )
        weight = run.final.matrix[0, 0]
        square = weight**2 * unit
        # Twice a Newton step in the weight, as a change of its square.
        return square, jnp.abs(run.gradient_norm[-1] * weight) / square

    fine, left = jax.lax.map(one, p.sizes)
    coarse, _ = jax.lax.map(lambda size: one(size, rule=COARSE), p.sizes)
    return Trained(fine, jnp.abs(fine - coarse), left)


@eqx.filter_jit
def judge(prediction: Biased, trained: Trained) -> Verdict:
    """Verdict on the bias at each size, relative to it, and on its fall from size to size.

    The next order is allowed twice: the remainder of the series is its first term, while terms
    fall.
    """
    bias, limit = prediction.bias, prediction.limit
    size = jnp.where(bias == 0, limit, jnp.abs(bias))
    measured = trained.square - limit
    parts = {
        "second order": 2 * prediction.second,
        "quadrature": trained.quadrature,
        "stationarity": trained.stationarity,
        "rounding": epsilons(CHAIN, bias.dtype) * jnp.full_like(bias, limit),
    }
    fall = lambda x: jnp.log(jnp.abs(jnp.where(x == 0, 1, x)))
    wanted, slopes = (fall(x)[:-1] - fall(x)[1:] for x in (bias, measured))
    # An error of a bias, relative to what was measured, moves its logarithm by up to -log(1 - x).
    lost = lambda part: -jnp.log1p(-jnp.minimum(part / jnp.abs(measured), 0.5))
    count = bias.shape[0]
    return verdict_of(
        Rows(
            numbered("bias at size", count),
            jnp.abs(measured - bias) / size,
            {name: part / size for name, part in parts.items()},
            # The effect to detect: no bias.
            effect=1.0,
            predicted=bias,
            measured=measured,
        ),
        Rows(
            numbered("rate from size", count - 1),
            jnp.abs(slopes - wanted),
            {name: lost(part)[:-1] + lost(part)[1:] for name, part in parts.items()},
            # A bias that falls as the root of the size.
            effect=np.log(2.0),
            predicted=wanted,
            measured=slopes,
        ),
        what="relative discrepancy of the bias",
    )


@drawn
def _batches(key: PRNGKeyArray, *, index: Any = 0) -> Batches:
    k = jax.random.split(named(key, "batches", index), 3)
    return _of(uniform(k[0], 0.22, 0.34), uniform(k[1], 0.5, 2), uniform(k[2], 0.2, 1.5))


def _of(fraction: Array, second: Array, temperature: Array) -> Batches:
    sizes = jnp.asarray(SIZES, fraction.dtype)
    return Batches(fraction, second, temperature, jnp.ones_like(fraction), sizes)


def _harder(key: PRNGKeyArray) -> Batches:
    k = jax.random.split(key, 3)
    return _of(uniform(k[0], 0.15, 0.36), decades(k[1], -3, 3), decades(k[2], -2, 2))


def _problems(key: PRNGKeyArray) -> Iterator[Batches]:
    return (_batches(key, index=index) for index in range(4))


CLAIM = Claim(
    name="infonce-negatives",
    statement="InfoNCE on batches of n Gaussian pairs, in expectation, moves the squared weights "
    "upwards from those of infinitely many negatives, by a known constant over n.",
    latex=r"\frac{q\, w^2}{\tau} = \lambda + \frac{a}{n} + O(n^{-2}), \qquad "
    r"a = \frac{\lambda}{(1 - 2\lambda^2)^{3/2}} - \frac{\lambda}{(1 - \lambda^2)^2}",
    hypotheses=(
        "linear network",
        "one Gaussian feature",
        "the positive pair among the n pairs",
        "signal fraction below the root of 1/2",
        "trained to stationarity",
    ),
    source="beyond the paper",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge,
    sharpness={"bias at size #": (0.15, 0.1), "rate from size #": (0.3, 0.1)},
    controls=(
        Control(
            "no-bias",
            "predicts the weights of infinitely many negatives",
            predict=lambda problem, own: replace(own, bias=np.zeros_like(own.bias)),
        ),
        Control(
            "negatives-alone",
            "leaves the positive pair out of the sum that an anchor is told from",
            measure=lambda problem, own: train(
                replace(problem, positive=np.zeros_like(problem.positive))
            ),
        ),
        Control(
            "slower-rate",
            "predicts a bias that falls as the root of n",
            predict=lambda problem, own: replace(
                own, bias=np.asarray(own.bias[0] * np.sqrt(own.bias / own.bias[0]))
            ),
        ),
    ),
    search=(_harder,),
    quick=1,
)

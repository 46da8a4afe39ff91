"""sorted-matching: pairing of directions with the diagonal of a fixed head under weight decay."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int, PRNGKeyArray

from ... import theory
from ..._core.linalg import diagonal, frobenius, matmul, symmetric
from ...claims import Claim, Control, Verdict
from ...moments import Moments
from ...networks import DeepLinear
from .._common.tasks import replace
from ._training import Ends, draw_start, head, rounded_fields, train

QUARTER = 4.0
"""Ratio of the two decays at which the same start is trained.

A straight line through both gives the value without decay.
"""

LINE = (-1 / (QUARTER - 1), QUARTER / (QUARTER - 1))
"""Coefficients of the values at the decay and at a quarter of it, in the line's value at none."""


class Matching(eqx.Module):
    """A feature model along the columns of `basis`, a fixed head, and a weight decay.

    The diagonal of the head is `rows`.
    """

    cross: Float[Array, " d"]
    second: Float[Array, " d"]
    basis: Float[Array, "d d"]
    rows: Float[Array, " p"]
    decay: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return f"{self.cross.shape[0]} features, {self.rows.shape[0]} rows"

    @property
    def moments(self) -> Moments:
        return Moments(self.turned(self.cross), self.turned(self.second))

    @property
    def decays(self) -> Float[Array, " 2"]:
        return self.decay / jnp.asarray([1, QUARTER], self.decay.dtype)

    def turned(self, values: Array) -> Float[Array, "d d"]:
        """Matrix with these values along the features."""
        return matmul(self.basis * values, self.basis.T)

    def start(self) -> DeepLinear:
        return draw_start(self.key, self.rows, self.cross.shape[0])

    def shrinks(self) -> Iterator[Callable[[], "Matching"]]:
        """Simpler problems: no mixing, rounder numbers."""
        yield lambda: replace(self, basis=jnp.eye(self.cross.shape[0], dtype=self.cross.dtype))
        yield from rounded_fields(self, "cross", "second", "rows", "decay")


def train_matching(problem: Matching) -> Ends:
    """Train the same start with the decay and with a quarter of it."""
    return train(
        problem.start(), problem.moments, jnp.stack([problem.rows, problem.rows]), problem.decays
    )


def undecayed(problem: Matching, own: Ends) -> Ends:
    """Plain gradient flow from the same start in place of both runs, with their tolerances."""
    return replace(
        own, before=train_matching(replace(problem, decay=jnp.zeros_like(problem.decay))).before
    )


def off(ends: Ends) -> tuple[Array, Array]:
    """Stationarity error and rounding of each Gram before the head, in the Frobenius norm."""
    turn = matmul(jnp.swapaxes(ends.layer, -1, -2), ends.step)
    return 2 * frobenius(2 * symmetric(turn)), 2 * frobenius(ends.layer) * ends.force * frobenius(
        ends.inverse
    )


def continued(ends: Ends) -> tuple[Array, tuple[Array, ...]]:
    """Gram before the head without decay, and its errors.

    A straight line through the Grams at the two decays gives it.
    """
    line = jnp.asarray(LINE, ends.before.dtype)
    none = jnp.sum(line[:, None, None] * ends.before, axis=0)
    return none, tuple(jnp.sum(jnp.abs(line) * x) for x in off(ends))


class Matched(eqx.Module):
    """Predicted Grams before the head.

    - `grams`: with the decay, with a quarter of it, and without.
    - `sorted`: the sorted pairing is the best one.
    """

    grams: Float[Array, "3 d d"]
    sorted: Bool[Array, ""]


def predict_matching(problem: Matching) -> Matched:
    return _predict_matching(problem)


@eqx.filter_jit
def _predict_matching(problem: Matching) -> Matched:
    p = problem
    squares = [
        theory.decayed_matching(p.cross, p.second, p.rows, decay) ** 2
        for decay in (*p.decays, jnp.zeros_like(p.decay))
    ]
    grams = jnp.stack([p.turned(u) for u in squares])
    return Matched(grams, p.decay < theory.matching_limit(p.cross, p.second, p.rows))


@eqx.filter_jit
def judge_matching(prediction: Matched, ends: Ends) -> Verdict:
    """Verdict on the Grams before the head at both decays and without, and on the rate.

    The Gram without decay is on a straight line through the other two. The rate is the ratio of
    their distances from the predicted Gram without decay.
    """
    size = frobenius(prediction.grams)
    none, left = continued(ends)
    grams = jnp.concatenate([ends.before, none[None]])
    stationarity, rounding = (jnp.append(x, rest) for x, rest in zip(off(ends), left, strict=True))
    apart = ends.before - prediction.grams[2]
    away = frobenius(apart)
    rate = away[0] / away[1]
    # The relative errors of a quotient add.
    quotient = [
        QUARTER * (x[0] / away[0] + x[1] / away[1]) for x in ends.moved(apart / away[:, None, None])
    ]
    roots = lambda g: jnp.sqrt(jnp.maximum(diagonal(g), 0))
    wide = lambda g: jnp.concatenate([roots(g), roots(g)[-1:]])
    change = frobenius(prediction.grams - prediction.grams[2])
    return Verdict(
        discrepancy=jnp.append(frobenius(grams - prediction.grams) / size, jnp.abs(rate - QUARTER)),
        parts={
            "stationarity": jnp.append(stationarity / size, quotient[0]),
            "rounding": jnp.append(rounding / size, quotient[1]),
        },
        # Effects: the deviation that the decay causes, and a rate of one power of the decay more
        # or less.
        effect=jnp.append(jnp.where(change > 0, change, change[1]) / size, QUARTER / 2),
        predicted=wide(prediction.grams),
        measured=wide(grams),
        premises={"the sorted pairing is the best": prediction.sorted},
        settled=ends.settled,
        finite=ends.finite,
        labels=("decay", "a quarter of it", "none, in a straight line", "rate"),
        what="relative Gram discrepancy before the head",
    )


@eqx.filter_jit
def _matching(key: PRNGKeyArray, dim: int, p: int, share: Array, index: Array) -> Matching:
    """A random problem with weights that are not in the order of the cross moments.

    The decay is a share of the largest decay that the sorted pairing survives.
    """
    k = jax.random.split(jax.random.fold_in(key, 14_000 + index), 5)
    dtype = jnp.result_type(float)
    weights = jnp.linspace(0.6, 1.5, dim, dtype=dtype) + 0.3 / dim * jax.random.uniform(
        k[0], (dim,), dtype
    )
    cross = jnp.linspace(1.0, 0.5, dim, dtype=dtype) * jax.random.uniform(
        k[1], (dim,), dtype, 0.9, 1.1
    )
    rows = head(jax.random.uniform(k[2], (), dtype, 1.3, 1.7), p)
    second = jnp.sqrt(cross) / weights
    # A signal fraction is at most one.
    unit = jnp.maximum(jnp.max(cross / second), 1) * 1.05
    basis, _ = jnp.linalg.qr(jax.random.normal(k[3], (dim, dim), dtype))
    decay = share * theory.matching_limit(cross, second * unit, rows)
    return Matching(cross, second * unit, basis, rows, decay, k[4])


def _matching_problems(key: PRNGKeyArray) -> Iterator[Matching]:
    for dim, p, share, index in ((3, 3, 0.2, 0), (3, 3, 0.02, 1), (3, 4, 0.2, 0)):
        yield _matching(key, dim, p, jnp.asarray(share, jnp.result_type(float)), jnp.asarray(index))


@jax.jit
def _carried(rows: Float[Array, " p"], order: Int[Array, " d"]) -> Float[Array, " d"]:
    """Diagonal entry of the head for each feature: the first entry for the first in `order`."""
    return jnp.zeros(order.size, rows.dtype).at[order].set(rows[: order.size])


def with_pairing(order: Callable[[Matching], Array]) -> Callable[[Matching, Matched], Matched]:
    """Control that gives the diagonal entries to the features in another order.

    `order` lists the features, starting with the one that gets the largest entry.
    """

    def wrong(problem: Matching, own: Matched) -> Matched:
        p = problem
        rows = _carried(p.rows, order(p))
        left = [p.cross - decay / (4 * rows**2) for decay in (*p.decays, jnp.zeros_like(p.decay))]
        return replace(
            own,
            grams=jnp.stack([p.turned(jnp.maximum(x, 0) / (p.second * rows) ** 2) for x in left]),
        )

    return wrong


def with_weights(
    square: Callable[[Matching, Array, Array], Array],
) -> Callable[[Matching, Matched], Matched]:
    """Control with another squared weight before the head.

    `square` maps the problem, the diagonal entry of each feature and the decay to it.
    """

    def wrong(problem: Matching, own: Matched) -> Matched:
        p = problem
        order = jnp.argsort(-jnp.sqrt(p.cross) / p.second)
        rows = _carried(p.rows, order)
        return replace(
            own,
            grams=jnp.stack(
                [p.turned(square(p, rows, decay)) for decay in (*p.decays, jnp.zeros_like(p.decay))]
            ),
        )

    return wrong


CLAIM = Claim(
    name="sorted-matching",
    statement=(
        "With a small weight decay, training under a fixed head pairs the i-th largest row "
        "with the i-th largest weight: before the head the feature of rank i has weight "
        "kappa^i w, less by a deviation that is linear in the decay and known in closed form."
    ),
    latex=r"u_{(i)}^2 = \frac{(c - \gamma / (4 h_i^2))_+}{h_i^2 q^2} \to \kappa^{2i} w_{(i)}^2",
    hypotheses=(
        "linear network",
        "fixed diagonal head",
        "feature model, in any basis",
        "a row for each feature",
        "small weight decay",
        "trained to stationarity",
    ),
    source="the paper; beyond it for any spectrum and for the deviation",
    problems=_matching_problems,
    predict=predict_matching,
    measure=train_matching,
    compare=judge_matching,
    sharpness={
        "decay": (2e-7, 0.08),
        "a quarter of it": (6e-6, 0.07),
        "none, in a straight line": (8e-6, 0.05),
        "rate": (3e-10, 4e-4),
    },
    controls=(
        Control(
            "no-decay",
            "trains by plain gradient flow, which leaves the pairing to the start",
            measure=undecayed,
        ),
        Control(
            "by-cross-moment",
            "pairs rows by cross moment, the order of learning",
            predict=with_pairing(lambda p: jnp.argsort(-p.cross)),
        ),
        Control(
            "reversed",
            "pairs the largest row with the smallest weight",
            predict=with_pairing(lambda p: jnp.argsort(jnp.sqrt(p.cross) / p.second)),
        ),
        Control(
            "no-head",
            "predicts the weights after the head",
            predict=with_weights(lambda p, h, decay: (p.cross - decay / (4 * h**2)) / p.second**2),
        ),
        Control(
            "unseen-head",
            "predicts a decay that does not see the head",
            predict=with_weights(lambda p, h, decay: (p.cross - decay / 4) / (h * p.second) ** 2),
        ),
    ),
    quick=1,
)

"""sorted-matching: pairing of directions with the diagonal of a fixed head under weight decay."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import Moments, theory
from ..._core import frobenius, matmul, named, symmetric
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from .._common import drawn, orthonormal, replace, with_entries
from .head_equivalence import Ends, head, rounded_fields, train, weights_of

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
    weight_decay: Float[Array, ""]
    key: PRNGKeyArray

    @property
    def label(self) -> str:
        return f"{self.cross.shape[0]} features, {self.rows.shape[0]} rows"

    @property
    @eqx.filter_jit
    def moments(self) -> Moments:
        return Moments(self.turned(self.cross), self.turned(self.second))

    @property
    def decays(self) -> Float[Array, " 3"]:
        """The decay, a quarter of it, and none."""
        return self.weight_decay * np.asarray([1, 1 / QUARTER, 0], self.weight_decay.dtype)

    def turned(self, values: Array) -> Float[Array, "d d"]:
        """Matrix with these values along the features."""
        return matmul(self.basis * values, self.basis.T)

    def unmixed(self) -> "Matching":
        """The same features along the axes."""
        return replace(self, basis=jnp.eye(self.cross.size, dtype=self.cross.dtype))

    def shrinks(self) -> Offers:
        """Simpler problems: no mixing, rounder numbers."""
        yield self.unmixed
        yield from rounded_fields(self, "cross", "second", "rows", "weight_decay")


def train_matching(p: Matching) -> Ends:
    """Train the same start with the decay and with a quarter of it."""
    return train(p.key, p.moments, np.stack([p.rows, p.rows]), np.asarray(p.decays)[:2])


def undecayed(problem: Matching, own: Ends) -> Ends:
    """Plain gradient flow from the same start in place of both runs, with their tolerances."""
    return replace(
        own,
        before=train_matching(
            replace(problem, weight_decay=jnp.zeros_like(problem.weight_decay))
        ).before,
    )


def off(ends: Ends) -> tuple[Array, Array]:
    """Stationarity error and rounding of each Gram before the head, in the Frobenius norm."""
    return 2 * frobenius(
        2 * symmetric(matmul(jnp.swapaxes(ends.layer, -1, -2), ends.step))
    ), 2 * frobenius(ends.layer) * ends.force * frobenius(ends.inverse)


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


@eqx.filter_jit
def predict_matching(p: Matching) -> Matched:
    features = (p.cross, p.second, p.rows)
    return Matched(
        jnp.stack(
            [p.turned(theory.heads.decayed_matching(*features, decay) ** 2) for decay in p.decays]
        ),
        p.weight_decay < theory.heads.matching_limit(*features),
    )


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
    change = frobenius(prediction.grams - prediction.grams[2])
    apart = ends.before - prediction.grams[2]
    away = frobenius(apart)
    # The relative errors of a quotient add.
    quotient = lambda x: QUARTER * (x[0] / away[0] + x[1] / away[1])
    errors = ends.moved(apart / away[:, None, None])
    return verdict_of(
        Rows(
            ("decay", "a quarter of it", "none, in a straight line"),
            frobenius(grams - prediction.grams) / size,
            {"stationarity": stationarity / size, "rounding": rounding / size},
            # Effect: the deviation that the decay causes.
            jnp.where(change > 0, change, change[1]) / size,
            weights_of(prediction.grams),
            weights_of(grams),
        ),
        Rows(
            ("rate",),
            jnp.abs(away[0] / away[1] - QUARTER),
            {"stationarity": quotient(errors[0]), "rounding": quotient(errors[1])},
            # Effect: a rate of one power of the decay more or less.
            QUARTER / 2,
            weights_of(prediction.grams)[-1:],
            weights_of(grams)[-1:],
        ),
        what="relative Gram discrepancy before the head",
        premises={"the sorted pairing is the best": prediction.sorted},
        converged=ends.converged,
        finite=ends.finite,
    )


@drawn
def random_matching(
    key: PRNGKeyArray, dim: int, p: int, *, share: Array | float, index: Array | int
) -> Matching:
    """A random problem with weights that are not in the order of the cross moments.

    The decay is a share of the largest decay that the sorted pairing survives.
    """
    k = jax.random.split(named(key, "matching", index), 5)
    weights = jnp.linspace(0.6, 1.5, dim, dtype=float) + 0.3 / dim * jax.random.uniform(
        k[0], (dim,), float
    )
    cross = jnp.linspace(1.0, 0.5, dim, dtype=float) * jax.random.uniform(
        k[1], (dim,), float, 0.9, 1.1
    )
    rows = head(jax.random.uniform(k[2], (), float, 1.3, 1.7), p)
    second = jnp.sqrt(cross) / weights
    # A signal fraction is at most one.
    unit = jnp.maximum(jnp.max(cross / second), 1) * 1.05
    return Matching(
        cross,
        second * unit,
        orthonormal(k[3], dim),
        rows,
        share * theory.heads.matching_limit(cross, second * unit, rows),
        k[4],
    )


def with_weights(
    square: Callable[[Matching, Any, Any], Any],
    order: Callable[[Matching], Any] = lambda p: np.argsort(
        -np.sqrt(p.cross) / np.asarray(p.second)
    ),
) -> Callable[[Matching, Matched], Matched]:
    """Control with another squared weight before the head.

    `square` maps the problem, the diagonal entry of each feature and the decay to it. `order` lists
    the features, starting with the one that gets the largest entry.
    """

    def wrong(p: Matching, own: Matched) -> Matched:
        rows = with_entries(np.zeros_like(p.cross), order(p), np.asarray(p.rows)[: p.cross.size])
        squares = [square(p, rows, weight_decay) for weight_decay in np.asarray(p.decays)]
        return replace(own, grams=np.stack([p.turned(u) for u in squares]))

    return wrong


def with_pairing(order: Callable[[Matching], Any]) -> Callable[[Matching, Matched], Matched]:
    """Control that gives the diagonal entries to the features in another order."""
    return with_weights(
        lambda p, h, weight_decay: (
            np.maximum(np.asarray(p.cross) - weight_decay / (4 * h**2), 0) / (p.second * h) ** 2
        ),
        order,
    )


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
    problems=lambda key: (
        random_matching(key, dim, p, share=share, index=index)
        for dim, p, share, index in ((3, 3, 0.2, 0), (3, 3, 0.02, 1), (3, 4, 0.2, 0))
    ),
    predict=predict_matching,
    measure=train_matching,
    compare=judge_matching,
    sharpness={
        "decay": (2e-7, 0.08),
        "a quarter of it": (6e-6, 0.07),
        "none, in a straight line": (8e-6, 0.05),
        "rate": (3e-10, 3e-4),
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
            predict=with_pairing(lambda p: np.argsort(-np.asarray(p.cross))),
        ),
        Control(
            "reversed",
            "pairs the largest row with the smallest weight",
            predict=with_pairing(lambda p: np.argsort(np.sqrt(p.cross) / np.asarray(p.second))),
        ),
        Control(
            "no-head",
            "predicts the weights after the head",
            predict=with_weights(
                lambda p, h, weight_decay: (p.cross - weight_decay / (4 * h**2)) / p.second**2
            ),
        ),
        Control(
            "unseen-head",
            "predicts a decay that does not see the head",
            predict=with_weights(
                lambda p, h, weight_decay: (p.cross - weight_decay / 4) / (h * p.second) ** 2
            ),
        ),
    ),
    quick=1,
)

"""Losses of batches, each beside the same formula written in loops.

A case takes two views' outputs; a supervised loss sees the first only, and labels or numbers.
"""

import dataclasses
import functools
import itertools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory.losses import (
    AbstractLoss,
    BarlowTwins,
    InfoNCE,
    SupervisedContrastive,
    VICReg,
    barlow_twins,
    cross_entropy,
    info_nce,
    mse,
    supervised_contrastive,
    supervised_spectral,
    vicreg,
)


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def log_softmax(scores, chosen):
    """log(exp(chosen) / sum exp(scores)), shifted by the largest score."""
    top = max(scores)
    return chosen - top - np.log(sum(np.exp(s - top) for s in scores))


def info_nce_loops(y1, y2, temperature=0.1, similarity=cosine):
    n, total = len(y1), 0.0
    for anchors, others in ((y1, y2), (y2, y1)):
        for i in range(n):
            scores = [similarity(anchors[i], others[j]) / temperature for j in range(n)]
            total -= log_softmax(scores, scores[i]) / (2 * n)
    return total


def nt_xent_loops(y1, y2, temperature=0.1):
    y, n, total = [*y1, *y2], len(y1), 0.0
    for i in range(2 * n):
        scores = {j: cosine(y[i], y[j]) / temperature for j in range(2 * n) if j != i}
        total -= log_softmax(scores.values(), scores[(i + n) % (2 * n)]) / (2 * n)
    return total


def barlow_loops(y1, y2, off_diagonal=5e-3):
    n, p = y1.shape
    z1, z2 = ((y - y.mean(0)) / y.std(0) for y in (y1, y2))
    c = [[sum(z1[b, i] * z2[b, j] for b in range(n)) / n for j in range(p)] for i in range(p)]
    return sum(
        (1 - c[i][i]) ** 2 if i == j else off_diagonal * c[i][j] ** 2
        for i in range(p)
        for j in range(p)
    )


def vicreg_loops(y1, y2, weights=(25.0, 25.0, 1.0), target=1.0, epsilon=1e-4):
    n, p = y1.shape
    total = weights[0] * sum(np.sum((y1[b] - y2[b]) ** 2) for b in range(n)) / n
    for y in (y1, y2):
        total += (
            weights[1]
            * sum(max(0.0, target - np.sqrt(y[:, j].var(ddof=1) + epsilon)) for j in range(p))
            / p
        )
        covariance = np.cov(y.T).reshape(p, p)
        total += (
            weights[2]
            * sum(covariance[i, j] ** 2 for i in range(p) for j in range(p) if i != j)
            / p
        )
    return total


def supcon_loops(y, labels, temperature=0.1, similarity=cosine):
    n, losses = len(y), []
    for i in range(n):
        scores = {a: similarity(y[i], y[a]) / temperature for a in range(n) if a != i}
        positives = [a for a in scores if labels[a] == labels[i]]
        if positives:
            losses.append(
                -sum(log_softmax(scores.values(), scores[a]) for a in positives) / len(positives)
            )
    return sum(losses) / len(losses) if losses else 0.0


def supervised_spectral_loops(y, labels):
    n = len(y)
    anchors = [
        [y[i] @ y[j] for j in range(n) if j != i and labels[j] == labels[i]] for i in range(n)
    ]
    means = [np.mean(products) for products in anchors if products]
    repulsion = sum((y[i] @ y[j]) ** 2 for i, j in itertools.permutations(range(n), 2)) / (
        n * (n - 1)
    )
    return -2 * (np.mean(means) if means else 0.0) + repulsion


def mse_loops(y, targets):
    return sum(
        (a - t) ** 2
        for row, aim in zip(y, targets, strict=True)
        for a, t in zip(row, aim, strict=True)
    ) / (2 * len(y))


def cross_entropy_loops(y, targets):
    if targets.ndim == 1:
        targets = np.eye(y.shape[1])[targets]
    return -sum(
        t * log_softmax(row, a)
        for row, aim in zip(y, targets, strict=True)
        for a, t in zip(row, aim, strict=True)
    ) / len(y)


@dataclasses.dataclass(eq=False)
class Case:
    loss: AbstractLoss
    loops: Callable[..., Any]
    data: str

    def __call__(self, y, targets):
        return self.loss.batch(*y) if self.data == "views" else self.loss.labelled(y[0], targets)

    @functools.cached_property
    def value_and_gradient(self):
        """Compiled once for each shape."""
        return jax.jit(jax.value_and_grad(self.__call__))

    def value(self, y, targets=None):
        return float(self.value_and_gradient(*arrays(y, targets))[0])

    def oracle(self, y, targets):
        return self.loops(*y) if self.data == "views" else self.loops(y[0], targets)

    def targets(self, n, p, seed=0):
        rng = np.random.default_rng(seed)
        if self.data == "labels":
            return rng.integers(0, p, n)
        if self.data == "probabilities":
            return rng.dirichlet(np.ones(p), n)
        return rng.standard_normal((n, p))


def partial(loops, **settings):
    return lambda *arguments: loops(*arguments, **settings)


CASES = {
    "info_nce": Case(info_nce, info_nce_loops, "views"),
    "info_nce warm inner": Case(
        InfoNCE(2.0, normalise=False),
        partial(info_nce_loops, temperature=2.0, similarity=np.dot),
        "views",
    ),
    "nt_xent": Case(
        InfoNCE(0.5, within_views=True), partial(nt_xent_loops, temperature=0.5), "views"
    ),
    "barlow_twins": Case(barlow_twins, barlow_loops, "views"),
    "barlow_twins heavy": Case(BarlowTwins(2), partial(barlow_loops, off_diagonal=2), "views"),
    "vicreg": Case(vicreg, vicreg_loops, "views"),
    "vicreg other": Case(
        VICReg(1, 2, 3, target=0.5, epsilon=0.1),
        partial(vicreg_loops, weights=(1, 2, 3), target=0.5, epsilon=0.1),
        "views",
    ),
    "supcon": Case(supervised_contrastive, supcon_loops, "labels"),
    "supcon warm inner": Case(
        SupervisedContrastive(2.0, normalise=False),
        partial(supcon_loops, temperature=2.0, similarity=np.dot),
        "labels",
    ),
    "supervised_spectral": Case(supervised_spectral, supervised_spectral_loops, "labels"),
    "mse": Case(mse, mse_loops, "numbers"),
    "cross_entropy": Case(cross_entropy, cross_entropy_loops, "labels"),
    "cross_entropy soft": Case(cross_entropy, cross_entropy_loops, "probabilities"),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
VIEWS = {name: case for name, case in CASES.items() if case.data == "views"}


def outputs(n, p, seed=0):
    """Two views' outputs, of unlike spreads, so that VICReg's hinge is open for some and closed for
    others.
    """
    return np.random.default_rng(seed).standard_normal((2, n, p)) * np.linspace(0.5, 2, p)


def rounding(eps, y):
    """The error of a polynomial of the fourth degree, the highest here, in n p entries; 64 also
    covers weights of 25.
    """
    return 64 * eps * y.size * max(1.0, float(np.abs(y).max())) ** 4


def arrays(*values):
    """As JAX arrays, in the default float or whole; None as it is."""
    return [
        None
        if v is None
        else jnp.asarray(v, jnp.result_type(int if v.dtype.kind in "iu" else float))
        for v in values
    ]


EPS = float(jnp.finfo(jnp.result_type(float)).eps)


def agree(case, y, targets, other, other_targets, size=1.0):
    """16 more for the division by a temperature of 0.1; `size` for how much larger what cancels
    is.
    """
    assert (
        abs(case.value(y, targets) - case.value(other, other_targets))
        <= 16 * rounding(EPS, y) * size
    )

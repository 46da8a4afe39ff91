"""`spectral-minimiser`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import Transformation, predicting

from projhead_theory.theorems._common.tasks import replace

# Near misses of M = S^(-1/2) T_p S^(-1/2), L = -sum_(i <= p) lambda_i^2


def gram_of(function: Callable[..., Any]) -> Transformation:
    """Another last Gram, computed in NumPy's way from C, S and the width, by plain
    eigendecompositions.
    """

    def wrong(problem, own):
        values, vectors = jnp.linalg.eigh(problem.moments.second)
        root = (vectors * values**-0.5) @ vectors.T
        fractions, modes = jnp.linalg.eigh(root @ problem.moments.cross @ root)
        gram = function(problem, root, fractions[::-1], modes[:, ::-1])
        return replace(own, grams=own.grams.at[-1].set((gram + gram.T) / 2))

    return predicting(wrong)


def truncated(modes, values, width):
    return (modes[:, :width] * values[:width]) @ modes[:, :width].T


def kept_by_strength(problem, root, fractions, modes):
    """The p modes of T that carry most of C, not those of largest signal fraction."""
    carried = jnp.diagonal(modes.T @ problem.moments.cross @ modes)
    order = jnp.argsort(-carried)
    return root @ truncated(modes[:, order], fractions[order], problem.width) @ root


def with_loss(wrong: Callable[..., Any]) -> Transformation:
    return predicting(
        lambda problem, own: replace(
            own, loss=wrong(own.minimiser.signal_fraction[: problem.width])
        )
    )


MISSES = {
    "S^-1 for S^-1/2 on both sides": gram_of(
        lambda p, root, f, v: root @ root @ truncated(v, f, p.width)
    ),
    "T_p squared": gram_of(lambda p, root, f, v: root @ truncated(v, f**2, p.width) @ root),
    "root of T_p": gram_of(lambda p, root, f, v: root @ truncated(v, f**0.5, p.width) @ root),
    "S^-1/2 left out": gram_of(lambda p, root, f, v: truncated(v, f, p.width)),
    "modes kept by c": gram_of(kept_by_strength),
    "one mode less": gram_of(lambda p, root, f, v: root @ truncated(v, f, p.width - 1) @ root),
    "one mode more": gram_of(lambda p, root, f, v: root @ truncated(v, f, p.width + 1) @ root),
    "loss without squares": with_loss(lambda f: -jnp.sum(f)),
    "loss of one mode less": with_loss(lambda f: -jnp.sum(f[:-1] ** 2)),
    "half the loss": with_loss(lambda f: -jnp.sum(f**2) / 2),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 0,
    "noise": 0,
    "rounding": 5.25e-12,
    "start": 0,
    "stationarity": 7.34e-11,
}

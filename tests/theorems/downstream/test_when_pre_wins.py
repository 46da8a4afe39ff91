"""`when-pre-wins`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

# Near misses: the claim with one thing in its formula changed


def crossing(
    weight: Callable[..., Any], solved: Callable[..., Any] | None = None
) -> Callable[[Any, Any], Any]:
    """The threshold from another weight of the target, or, of that weight, by another solution of
    phi / (phi^2 + sigma^2) = w.
    """

    def wrong(problem, own):
        others = jnp.arange(len(problem.strength)) != problem.target
        w, after = (
            (problem.strength / (problem.strength**2 + problem.noise**2))[others],
            problem.downstream[others],
        )
        star = weight(w, after, 1 / (len(problem.sizes) - 1))
        phi, sigma = problem.strength[problem.target], problem.noise[problem.target]
        root = jnp.sqrt(jnp.maximum(1 - (2 * star * sigma) ** 2, 0))
        values = {
            "disrupted": jnp.sqrt(phi / star - phi**2),
            "weak": (1 - root) / (2 * star),
            "strong": (1 + root) / (2 * star),
        }
        value = values[problem.scenario] if solved is None else solved(star, phi, sigma)
        return jnp.asarray(value, own.dtype)[None]

    return wrong


def mean_weight(w, after, share, upper=2.0, lower=2.0, square=2.0, power=0.5):
    """The power mean of the other weights, with other powers than those of the statement."""
    return (
        jnp.sum(after**square * w**upper) / jnp.sum(after**square * w ** (lower - 2 * share))
    ) ** (power / share)


MISSES = predictions(
    {
        "the mean of the other weights": crossing(lambda w, after, share: jnp.mean(w)),
        "strengths not squared": crossing(lambda *x: mean_weight(*x, square=1.0)),
        "weights not squared": crossing(lambda *x: mean_weight(*x, upper=1.0, lower=1.0)),
        "the power L for L / 2": crossing(lambda *x: mean_weight(*x, power=1.0)),
        "noise for its square": crossing(
            mean_weight, lambda w, phi, sigma: jnp.abs(phi / w - phi**2)
        ),
        "strength of largest weight": crossing(mean_weight, lambda w, phi, sigma: sigma),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 9.04e-13,
    "integration": 7.26e-09,
    "noise": 0,
    "root-finding": 7.98e-12,
    "rounding": 1.25e-12,
    "start": 1.81e-14,
    "stationarity": 3.5e-09,
}

"""`threshold-law`: near misses of its formula."""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory import theory

# Near misses: the claim with one thing in its formula changed


def first_amplitude(conserved: Callable[..., Any]) -> Callable[..., Any]:
    """The law of two layers from another conserved quantity, which falls with A_1 at a given
    product; by bisection.
    """

    def law(last, w, b, phi):
        start = w[0] * phi - b[0]
        kept, low, high = (
            conserved(start, w[1], phi),
            jnp.full_like(last, 1e-3),
            jnp.full_like(last, 1e3),
        )
        for _ in range(60):
            middle = jnp.sqrt(low * high)
            more = conserved(middle, (last + b[1]) / middle, phi) > kept
            low, high = jnp.where(more, low, middle), jnp.where(more, middle, high)
        return jnp.stack([low, last], axis=1)

    return law


def orbits(**fields: Any) -> Callable[[Any, Any], Any]:
    """Another law or other times, functions; or another end, a function of the problem and of the
    claim's own.
    """

    def wrong(problem, own):
        end = {"limit": fields["limit"](problem, own.limit)} if "limit" in fields else {}
        return dataclasses.replace(own, **{**fields, **end})

    return wrong


MISSES = predictions(
    {
        "A_1 for A_1 / phi": orbits(law=first_amplitude(lambda a, w, phi: a**2 - w**2)),
        "2 w_2^2": orbits(law=first_amplitude(lambda a, w, phi: (a / phi) ** 2 - 2 * w**2)),
        "phi for phi^2": orbits(law=first_amplitude(lambda a, w, phi: a**2 / phi - w**2)),
        "not squared": orbits(law=first_amplitude(lambda a, w, phi: a / phi - w)),
        "the product": orbits(law=first_amplitude(lambda a, w, phi: a * w)),
        "2 for 4": orbits(time=lambda *x: 2 * theory.thresholds.threshold_time(*x)),
        "rho for its root": orbits(limit=lambda p, limit: limit.at[-1].set(p.rho)),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 4e-09,
    "rounding": 6.35e-10,
}

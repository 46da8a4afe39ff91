"""`sl-minimiser`: near misses of its formula."""

import jax.numpy as jnp
from helpers.misses import predictions

from projhead_theory._core.linalg import psd_power
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.supervised.sl_minimiser import with_map

# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "A": lambda p, own: with_map(p, own, p.moments.target),
        "A S^-1/2": lambda p, own: with_map(
            p, own, p.moments.target @ psd_power(p.moments.second, -0.5, p.moments.dim)
        ),
        "A S": lambda p, own: with_map(p, own, p.moments.target @ p.moments.second),
        "A S^-1, its largest kept": lambda p, own: with_map(
            p, own, jnp.linalg.solve(p.moments.second, p.moments.target.T).T
        ),
        "half the loss": lambda p, own: replace(own, loss=own.loss / 2),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 6.37e-13,
    "rounding": 4.88e-12,
    "start": 1.29e-14,
    "stationarity": 5.66e-10,
}

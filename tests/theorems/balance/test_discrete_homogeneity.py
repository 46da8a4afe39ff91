"""`discrete-homogeneity`: near misses of its formula."""

import jax.numpy as jnp
from helpers.misses import predictions, second_order, stepping

# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "eta for eta^2": second_order(lambda own: 1 / own.step),
        "minus for plus": second_order(lambda own: -1.0),
        "half the second order": second_order(lambda own: 0.5),
        "1 - eta gamma, not squared": stepping(
            decay=lambda own: (1 - jnp.sqrt(1 - own.step * own.decay)) / own.step
        ),
        "no shrinking": stepping(decay=lambda own: 0.0),
    }
)

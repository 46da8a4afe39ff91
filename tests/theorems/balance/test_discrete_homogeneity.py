"""`discrete-homogeneity`: near misses of its formula."""

import jax.numpy as jnp
from helpers.misses import predictions, second_order, stepping

# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "eta for eta^2": second_order(lambda own: 1 / own.learning_rate),
        "minus for plus": second_order(lambda own: -1.0),
        "half the second order": second_order(lambda own: 0.5),
        "1 - eta gamma, not squared": stepping(
            weight_decay=lambda own: (
                (1 - jnp.sqrt(1 - own.learning_rate * own.weight_decay)) / own.learning_rate
            )
        ),
        "no shrinking": stepping(weight_decay=lambda own: 0.0),
    }
)

# Each part of the tolerance as a share of the effect

PARTS = {
    "rounding": 2.78e-11,
}

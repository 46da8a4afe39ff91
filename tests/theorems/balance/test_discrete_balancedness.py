"""`discrete-balancedness`: near misses of its formula."""

import jax.numpy as jnp
from helpers.misses import predicting, second_order, stepping

# Near misses of D <- (1 - eta gamma)^2 D + eta^2 (...)

MISSES = {
    "eta for eta^2": predicting(second_order(lambda own: 1 / own.learning_rate)),
    "minus for plus": predicting(second_order(lambda own: -1.0)),
    "half the second order": predicting(second_order(lambda own: 0.5)),
    "twice the second order": predicting(second_order(lambda own: 2.0)),
    "1 - eta gamma, not squared": predicting(
        stepping(
            weight_decay=lambda own: (
                (1 - jnp.sqrt(1 - own.learning_rate * own.weight_decay)) / own.learning_rate
            )
        )
    ),
    "no shrinking": predicting(stepping(weight_decay=lambda own: 0.0)),
    "exp(-2 eta gamma)": predicting(
        stepping(
            weight_decay=lambda own: (
                -jnp.expm1(-own.learning_rate * own.weight_decay) / own.learning_rate
            )
        )
    ),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "rounding": 6.95e-12,
}

"""`sl-retention`: near misses of its formula."""

import jax.numpy as jnp
from helpers.misses import TIMES, TWENTIETH, predictions

from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theory.dynamics import regression

# Near misses: the claim with one thing in its formula changed

MISSES = predictions(
    {
        "the exponent of the spectral loss": lambda p, own: replace(own, slopes=own.slopes / 3),
        "the same slope in all layers": lambda p, own: replace(
            own, slopes=jnp.full_like(own.slopes, own.slopes[0])
        ),
        "twice the exponents": lambda p, own: replace(own, slopes=2 * own.slopes),
        "half the logarithm": lambda p, own: replace(own, logs=own.logs / 2),
    }
)


# Formulas of the library: what the claim calls, by module and name; how a value is changed by a
# factor; and the factors

FORMULAS = [(regression, "retention_exponent", TIMES, TWENTIETH)]

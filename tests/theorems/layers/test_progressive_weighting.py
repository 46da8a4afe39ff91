"""`progressive-weighting`: near misses of its formula."""

from helpers.misses import EXPONENTS

# Near misses of the exponent l / L

MISSES = EXPONENTS

"""`progressive-weighting`: near misses of its formula."""

from helpers.misses import EXPONENTS

# Near misses of the exponent l / L

MISSES = EXPONENTS

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 3.36e-12,
    "noise": 0,
    "rounding": 3.81e-11,
    "start": 1.11e-12,
    "stationarity": 1.45e-09,
}

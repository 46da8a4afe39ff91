"""`layerwise-law`: near misses of its formula."""

from helpers.misses import EXPONENTS

# Near misses of the exponent l / L

MISSES = EXPONENTS

# Each part of the tolerance as a share of the effect

PARTS = {
    "discretisation": 1.25e-12,
    "noise": 0,
    "rounding": 1.5e-11,
    "start": 2.73e-13,
    "stationarity": 4.52e-10,
}

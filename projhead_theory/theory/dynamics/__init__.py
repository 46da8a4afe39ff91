"""Training dynamics of aligned networks in closed form.

The functions of this package belong to the spectral contrastive loss, and those of `regression` to
the mean squared error.
"""

from . import regression
from .contrastive import (
    layer_grams,
    layer_weights,
    onset_correction,
    onset_time,
    saturation_gap,
    time_to_weight,
    vanishing_exponent,
    vanishing_transient,
    weight_at_time,
)

__all__ = [
    "layer_grams",
    "layer_weights",
    "onset_correction",
    "onset_time",
    "regression",
    "saturation_gap",
    "time_to_weight",
    "vanishing_exponent",
    "vanishing_transient",
    "weight_at_time",
]

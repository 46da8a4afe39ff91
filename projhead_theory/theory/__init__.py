"""Closed forms, computed from the problem alone: nothing here may see a trained network."""

from . import dynamics
from ._balancedness import discrete_imbalance, imbalance_bound, unbalanced_grams
from ._decay import (
    decay_limit,
    decay_minimiser,
    decayed_energy,
    decayed_imbalance,
    decayed_weight,
    extinction_decay,
    extinction_weight,
)
from ._finite_sample import SamplingError, sampling_error
from ._layerwise import LayerPrediction, layerwise
from ._norm import least_norm, least_norm_factors
from ._spectral import NonUniqueMinimiserError, SpectralMinimiser, spectral, stationarity_defect

__all__ = [
    "LayerPrediction",
    "NonUniqueMinimiserError",
    "SamplingError",
    "SpectralMinimiser",
    "decay_limit",
    "decay_minimiser",
    "decayed_energy",
    "decayed_imbalance",
    "decayed_weight",
    "discrete_imbalance",
    "dynamics",
    "extinction_decay",
    "extinction_weight",
    "imbalance_bound",
    "layerwise",
    "least_norm",
    "least_norm_factors",
    "sampling_error",
    "spectral",
    "stationarity_defect",
    "unbalanced_grams",
]

"""Closed forms, computed from the problem alone: nothing here may see a trained network."""

from ._balancedness import discrete_imbalance, imbalance_bound, unbalanced_grams
from ._layerwise import LayerPrediction, layerwise
from ._spectral import NonUniqueMinimiserError, SpectralMinimiser, spectral, stationarity_defect

__all__ = [
    "LayerPrediction",
    "NonUniqueMinimiserError",
    "SpectralMinimiser",
    "discrete_imbalance",
    "imbalance_bound",
    "layerwise",
    "spectral",
    "stationarity_defect",
    "unbalanced_grams",
]

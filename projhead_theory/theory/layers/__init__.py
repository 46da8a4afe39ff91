"""Minimiser of the spectral contrastive loss, and the share of each layer in it."""

from .law import LayerPrediction, layerwise
from .minimiser import NonUniqueMinimiserError, SpectralMinimiser, spectral

__all__ = [
    "LayerPrediction",
    "NonUniqueMinimiserError",
    "SpectralMinimiser",
    "layerwise",
    "spectral",
]

"""Losses. Every simulator takes any of them."""

from ._loss import AbstractLoss
from ._spectral import SpectralContrastive, spectral

__all__ = ["AbstractLoss", "SpectralContrastive", "spectral"]

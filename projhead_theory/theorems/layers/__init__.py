"""Theorems on minimiser, layer-wise law, progressive weighting."""

from ._views import views_claim

__all__ = ["views_claim"]

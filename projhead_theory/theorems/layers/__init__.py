"""Theorems on the minimiser, the layer-wise law and progressive weighting."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

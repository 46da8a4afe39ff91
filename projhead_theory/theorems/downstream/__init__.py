"""Theorems on downstream tasks: the best layer and where it changes."""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

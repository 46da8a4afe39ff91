"""Experiments: sweeps of trained networks, beside the closed form where there is one.

Loaded when first used.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

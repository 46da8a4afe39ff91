"""Real images through the library: data, encoders, training, and the paper's experiments.

Loaded when first used. Images without a download need `pip install "projhead_theory[images]"`.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

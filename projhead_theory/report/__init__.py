"""Reports: results as plain data, JSON and tables.

Loaded when first used, so that a prediction does not pay for the simulators.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

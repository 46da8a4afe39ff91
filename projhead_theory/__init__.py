"""Closed-form theories of representation learning, held against trained networks.

Names are listed in the stub beside this file and loaded when first used, so that a command line
that prints its help does not pay for JAX.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)
__version__ = "0.2.0"

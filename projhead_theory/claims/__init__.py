"""Engine of verification: verdicts, claims with their controls, searches and suites.

It depends on no theory and on no simulation.
"""

import lazy_loader

__getattr__, __dir__, __all__ = lazy_loader.attach_stub(__name__, __file__)

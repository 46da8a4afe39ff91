"""Sweeps: many problems over named axes, trained, measured and set beside the closed form."""

from ._problem import FeatureModel
from ._sweep import Progress, Sweep, open_sweep, sweep
from ._training import AbstractTraining, Descent, Flow

__all__ = [
    "AbstractTraining",
    "Descent",
    "FeatureModel",
    "Flow",
    "Progress",
    "Sweep",
    "open_sweep",
    "sweep",
]

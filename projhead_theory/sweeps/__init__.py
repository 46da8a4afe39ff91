"""Sweeps: many problems over named axes, trained, measured and set beside the closed form."""

from ._plan import Plan
from ._problem import FeatureModel
from ._sweep import Progress, Sweep, load_plan, open_sweep, perform, sweep
from ._training import AbstractTraining, Descent, Flow

__all__ = [
    "AbstractTraining",
    "Descent",
    "FeatureModel",
    "Flow",
    "Plan",
    "Progress",
    "Sweep",
    "load_plan",
    "open_sweep",
    "perform",
    "sweep",
]

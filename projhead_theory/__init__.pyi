from . import claims, figures, losses, measure, problems, report, simulation, symbolic, theory
from .claims import Outcome, Verdict, compare, verify
from .moments import Moments
from .networks import DeepLinear
from .problems import (
    AdditiveNoise,
    Compose,
    ContrastiveProblem,
    Custom,
    Features,
    Labelled,
    Mask,
    Rescale,
    SignFlip,
    Views,
)

__all__ = [
    "AdditiveNoise",
    "Compose",
    "ContrastiveProblem",
    "Custom",
    "DeepLinear",
    "Features",
    "Labelled",
    "Mask",
    "Moments",
    "Outcome",
    "Rescale",
    "SignFlip",
    "Verdict",
    "Views",
    "claims",
    "compare",
    "figures",
    "losses",
    "measure",
    "problems",
    "report",
    "simulation",
    "symbolic",
    "theory",
    "verify",
]
__version__: str

from . import (
    claims,
    experiments,
    figures,
    gallery,
    images,
    inspect,
    losses,
    measure,
    moments,
    networks,
    probes,
    problems,
    report,
    simulation,
    sweeps,
    symbolic,
    theorems,
    theory,
)
from .claims import Verdict
from .experiments import convergence
from .moments import Moments
from .networks import DeepLinear, Headed, ShallowReLU, ThresholdedDiagonal
from .problems import (
    AdditiveNoise,
    ContrastiveProblem,
    DownstreamProblem,
    Features,
    Labelled,
    SignFlip,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    Views,
)
from .simulation import gradient_descent, gradient_flow
from .sweeps import sweep
from .theorems import compare, verify
from .theory.downstream import best_layer, phase_diagram
from .theory.layers import layerwise

__all__ = [
    "AdditiveNoise",
    "ContrastiveProblem",
    "DeepLinear",
    "DownstreamProblem",
    "Features",
    "Headed",
    "Labelled",
    "Moments",
    "ShallowReLU",
    "SignFlip",
    "SupervisedContrastiveProblem",
    "SupervisedProblem",
    "ThresholdedDiagonal",
    "Verdict",
    "Views",
    "best_layer",
    "claims",
    "compare",
    "convergence",
    "experiments",
    "figures",
    "gallery",
    "gradient_descent",
    "gradient_flow",
    "images",
    "inspect",
    "layerwise",
    "losses",
    "measure",
    "moments",
    "networks",
    "phase_diagram",
    "probes",
    "problems",
    "report",
    "simulation",
    "sweep",
    "sweeps",
    "symbolic",
    "theorems",
    "theory",
    "verify",
]
__version__: str

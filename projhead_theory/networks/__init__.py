"""Networks: deep linear, under fixed heads, and non-linear."""

from ._head import AbstractHead, DiagonalHead, ReweightingHead, TruncationHead, participation_ratio
from ._headed import Headed
from ._headed import LinearNetwork as LinearNetwork
from ._linear import DeepLinear
from ._network import Network as Network
from ._network import NonlinearNetwork as NonlinearNetwork
from ._shallow import ShallowReLU, ShallowThresholded
from ._thresholded import ThresholdedDiagonal, symmetrised_relu

__all__ = [
    "AbstractHead",
    "DeepLinear",
    "DiagonalHead",
    "Headed",
    "ReweightingHead",
    "ShallowReLU",
    "ShallowThresholded",
    "ThresholdedDiagonal",
    "TruncationHead",
    "participation_ratio",
    "symmetrised_relu",
]

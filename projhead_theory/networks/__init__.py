"""Networks: deep linear, under fixed heads, and non-linear."""

from ._base import AbstractLinearNetwork, AbstractNetwork, AbstractNonlinearNetwork
from ._head import AbstractHead, DiagonalHead, ReweightingHead, TruncationHead, participation_ratio
from ._headed import Headed
from ._linear import DeepLinear
from ._residual import ResidualLinear
from ._shallow import ShallowReLU, ShallowThresholded
from ._thresholded import ThresholdedDiagonal, symmetrised_relu

__all__ = [
    "AbstractHead",
    "AbstractLinearNetwork",
    "AbstractNetwork",
    "AbstractNonlinearNetwork",
    "DeepLinear",
    "DiagonalHead",
    "Headed",
    "ResidualLinear",
    "ReweightingHead",
    "ShallowReLU",
    "ShallowThresholded",
    "ThresholdedDiagonal",
    "TruncationHead",
    "participation_ratio",
    "symmetrised_relu",
]

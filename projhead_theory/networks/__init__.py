"""Networks: deep linear ones, and fixed heads on top of them."""

from ._head import AbstractHead, DiagonalHead, ReweightingHead, TruncationHead, participation_ratio
from ._headed import Headed
from ._headed import LinearNetwork as LinearNetwork
from ._linear import DeepLinear

__all__ = [
    "AbstractHead",
    "DeepLinear",
    "DiagonalHead",
    "Headed",
    "ReweightingHead",
    "TruncationHead",
    "participation_ratio",
]

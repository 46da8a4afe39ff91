"""Losses, each accepted by every simulator."""

from ._barlow_twins import BarlowTwins, barlow_twins
from ._cross_entropy import CrossEntropy, cross_entropy
from ._distance_contrastive import DistanceContrastive, distance_contrastive
from ._expected_info_nce import ExpectedInfoNCE
from ._info_nce import InfoNCE, info_nce
from ._loss import (
    AbstractBatchLoss,
    AbstractLabelledLoss,
    AbstractLoss,
    AbstractPopulationLoss,
    AbstractRegressionLoss,
)
from ._mean_squared_error import MeanSquaredError, mse
from ._population_info_nce import DistanceInfoNCE, GaussianInfoNCE, RademacherInfoNCE
from ._self_prediction import SelfPrediction, self_prediction
from ._spectral import SpectralContrastive, spectral
from ._squared_vicreg import SquaredVICReg
from ._supervised_contrastive import SupervisedContrastive, supervised_contrastive
from ._supervised_spectral import SupervisedSpectral, supervised_spectral
from ._unnormalised_barlow_twins import UnnormalisedBarlowTwins, unnormalised_barlow_twins
from ._vicreg import VICReg, vicreg

__all__ = [
    "AbstractBatchLoss",
    "AbstractLabelledLoss",
    "AbstractLoss",
    "AbstractPopulationLoss",
    "AbstractRegressionLoss",
    "BarlowTwins",
    "CrossEntropy",
    "DistanceContrastive",
    "DistanceInfoNCE",
    "ExpectedInfoNCE",
    "GaussianInfoNCE",
    "InfoNCE",
    "MeanSquaredError",
    "RademacherInfoNCE",
    "SelfPrediction",
    "SpectralContrastive",
    "SquaredVICReg",
    "SupervisedContrastive",
    "SupervisedSpectral",
    "UnnormalisedBarlowTwins",
    "VICReg",
    "barlow_twins",
    "cross_entropy",
    "distance_contrastive",
    "info_nce",
    "mse",
    "self_prediction",
    "spectral",
    "supervised_contrastive",
    "supervised_spectral",
    "unnormalised_barlow_twins",
    "vicreg",
]

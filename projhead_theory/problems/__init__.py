"""Problems: distributions of features, with the augmentations and labels made of them."""

from ._augmentations import (
    AbstractAugmentation,
    AbstractElementwise,
    AdditiveNoise,
    Compose,
    Custom,
    Mask,
    Rescale,
    SignFlip,
)
from ._contrastive import ContrastiveProblem
from ._data import Data
from ._distributions import (
    DISTRIBUTIONS,
    AbstractDistribution,
    Gaussian,
    Laplace,
    Rademacher,
    SpikeAndSlab,
    Uniform,
)
from ._downstream import (
    AbstractLabel,
    Downstream,
    DownstreamProblem,
    LinearLabel,
    MajorityLabel,
    SignLabel,
)
from ._features import Features
from ._groups import Groups, over_groups
from ._labelled import Labelled, Targets
from ._npz import read_moments
from ._random import random_moments
from ._supervised import (
    MixedPositives,
    ShiftProblem,
    SupervisedContrastiveProblem,
    SupervisedProblem,
)
from ._views import Views

__all__ = [
    "DISTRIBUTIONS",
    "AbstractAugmentation",
    "AbstractDistribution",
    "AbstractElementwise",
    "AbstractLabel",
    "AdditiveNoise",
    "Compose",
    "ContrastiveProblem",
    "Custom",
    "Data",
    "Downstream",
    "DownstreamProblem",
    "Features",
    "Gaussian",
    "Groups",
    "Labelled",
    "Laplace",
    "LinearLabel",
    "MajorityLabel",
    "Mask",
    "MixedPositives",
    "Rademacher",
    "Rescale",
    "ShiftProblem",
    "SignFlip",
    "SignLabel",
    "SpikeAndSlab",
    "SupervisedContrastiveProblem",
    "SupervisedProblem",
    "Targets",
    "Uniform",
    "Views",
    "over_groups",
    "random_moments",
    "read_moments",
]

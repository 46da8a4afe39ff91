"""Problems: what the features are and how views are made of them."""

from ._augmentations import AbstractAugmentation, AdditiveNoise, Compose, Custom, Mask, Rescale, SignFlip
from ._contrastive import ContrastiveProblem
from ._data import Data
from ._downstream import AbstractLabel, Downstream, DownstreamProblem, LinearLabel, MajorityLabel, SignLabel
from ._features import Features
from ._labelled import Labelled
from ._laws import LAWS, AbstractLaw, Gaussian, Laplace, Rademacher, SpikeAndSlab, Uniform
from ._npz import read_moments
from ._random import random_moments
from ._views import Views

__all__ = [
    "LAWS",
    "AbstractAugmentation",
    "AbstractLabel",
    "AbstractLaw",
    "AdditiveNoise",
    "Compose",
    "ContrastiveProblem",
    "Custom",
    "Data",
    "Downstream",
    "DownstreamProblem",
    "Features",
    "Gaussian",
    "Labelled",
    "Laplace",
    "LinearLabel",
    "MajorityLabel",
    "Mask",
    "Rademacher",
    "Rescale",
    "SignFlip",
    "SignLabel",
    "SpikeAndSlab",
    "Uniform",
    "Views",
    "random_moments",
    "read_moments",
]

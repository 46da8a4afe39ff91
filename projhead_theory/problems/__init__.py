"""Problems: what the features are and how views are made of them."""

from ._augmentations import AbstractAugmentation, AdditiveNoise, Compose, Custom, Mask, Rescale, SignFlip
from ._contrastive import ContrastiveProblem
from ._data import Data
from ._features import Features
from ._labelled import Labelled
from ._laws import LAWS, AbstractLaw, Gaussian, Laplace, Rademacher, SpikeAndSlab, Uniform
from ._npz import read_moments
from ._random import random_moments
from ._views import Views

__all__ = [
    "LAWS",
    "AbstractAugmentation",
    "AbstractLaw",
    "AdditiveNoise",
    "Compose",
    "ContrastiveProblem",
    "Custom",
    "Data",
    "Features",
    "Gaussian",
    "Labelled",
    "Laplace",
    "Mask",
    "Rademacher",
    "Rescale",
    "SignFlip",
    "SpikeAndSlab",
    "Uniform",
    "Views",
    "random_moments",
    "read_moments",
]

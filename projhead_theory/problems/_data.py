"""The four kinds of data."""

from ..moments import Moments, TargetMoments
from ._labelled import Labelled
from ._views import Views

Data = Moments | TargetMoments | Views | Labelled
"""What a loss is evaluated on, and a network trained on: the moments of a population, of views or of inputs with targets, a batch of views,
or labelled inputs.
"""

"""The kinds of data."""

from ..moments import Moments, TargetMoments
from ._contrastive import ContrastiveProblem
from ._labelled import Labelled
from ._views import Views

Data = Moments | TargetMoments | ContrastiveProblem | Views | Labelled
"""What a loss is evaluated on, and a network trained on: the moments of a population, of views or of inputs with targets, the problem
itself, a batch of views, or labelled inputs.
"""

"""The kinds of data."""

from ..moments import Moments
from ._contrastive import ContrastiveProblem
from ._labelled import Labelled
from ._views import Views

Data = Moments | ContrastiveProblem | Views | Labelled
"""What a loss is evaluated on, and a network trained on: the moments of a population, the problem itself, a batch of views, or labelled
inputs."""

"""The three kinds of data."""

from ..moments import Moments
from ._labelled import Labelled
from ._views import Views

Data = Moments | Views | Labelled
"""What a loss is evaluated on, and a network trained on: the moments of a population, a batch of views, or labelled inputs."""

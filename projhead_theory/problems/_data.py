"""Data types for losses and training."""

from ..moments import Moments, TargetMoments
from ._contrastive import ContrastiveProblem
from ._labelled import Labelled
from ._views import Views

Data = Moments | TargetMoments | ContrastiveProblem | Views | Labelled
"""Data that a loss is evaluated on, and a network trained on.

Moments of views or of inputs with targets, a contrastive problem itself, a batch of views, or
labelled inputs.
"""

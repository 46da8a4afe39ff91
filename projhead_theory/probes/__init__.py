"""Linear readouts of a representation, and the number of samples that they need."""

from ._curve import Estimate, Fewest, LearningCurve
from ._group_accuracy import GroupEstimate, group_accuracy
from ._learning import learning_curve
from ._logistic import Logistic
from ._margin import HardMargin, SoftMargin
from ._nearest_mean import NearestMean
from ._probe import AbstractProbe
from ._readout import Readout, Status
from ._ridge import Ridge

__all__ = [
    "AbstractProbe",
    "Estimate",
    "Fewest",
    "GroupEstimate",
    "HardMargin",
    "LearningCurve",
    "Logistic",
    "NearestMean",
    "Readout",
    "Ridge",
    "SoftMargin",
    "Status",
    "group_accuracy",
    "learning_curve",
]

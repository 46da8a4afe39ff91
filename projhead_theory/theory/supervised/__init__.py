"""Supervised and supervised contrastive learning, and accuracy under shift."""

from .contrastive import (
    class_minimiser,
    collapses,
    collapsing_weight,
    mixed_subclass_weight,
    subclass_weights,
)
from .dynamics import class_grams
from .group_accuracy import GroupAccuracy, group_accuracy
from .regression import RegressionMinimiser, regression_minimiser

__all__ = [
    "GroupAccuracy",
    "RegressionMinimiser",
    "class_grams",
    "class_minimiser",
    "collapses",
    "collapsing_weight",
    "group_accuracy",
    "mixed_subclass_weight",
    "regression_minimiser",
    "subclass_weights",
]

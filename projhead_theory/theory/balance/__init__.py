"""Balancedness of layers: its conservation, its loss, and factors of least norm."""

from .imbalance import discrete_imbalance, imbalance_bound, unbalanced_grams
from .norm import least_norm, least_norm_factors

__all__ = [
    "discrete_imbalance",
    "imbalance_bound",
    "least_norm",
    "least_norm_factors",
    "unbalanced_grams",
]

"""Diagonal networks with thresholds."""

from .law import (
    homogeneity_invariants,
    threshold_forgetting,
    threshold_forgetting_slopes,
    threshold_invariants,
    threshold_law,
    threshold_limit,
    threshold_reach,
    threshold_speed,
    threshold_time,
)

__all__ = [
    "homogeneity_invariants",
    "threshold_forgetting",
    "threshold_forgetting_slopes",
    "threshold_invariants",
    "threshold_law",
    "threshold_limit",
    "threshold_reach",
    "threshold_speed",
    "threshold_time",
]

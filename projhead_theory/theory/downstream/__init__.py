"""Downstream sample complexity of every layer, and the layer that needs fewest labels."""

from .best import BestLayer, best_layer
from .complexity import (
    ComplexityCurve,
    complexity_curve,
    feature_complexity,
    feature_weights,
    sample_complexity,
)
from .crossover import (
    disruption_threshold,
    downstream_threshold,
    excess_threshold,
    pre_beats_post,
    threshold,
    threshold_weight,
    weakness_threshold,
)
from .margin import margin_error, margin_samples
from .phase import PhaseDiagram, phase_diagram

__all__ = [
    "BestLayer",
    "ComplexityCurve",
    "PhaseDiagram",
    "best_layer",
    "complexity_curve",
    "disruption_threshold",
    "downstream_threshold",
    "excess_threshold",
    "feature_complexity",
    "feature_weights",
    "margin_error",
    "margin_samples",
    "phase_diagram",
    "pre_beats_post",
    "sample_complexity",
    "threshold",
    "threshold_weight",
    "weakness_threshold",
]

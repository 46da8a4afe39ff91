"""Closed forms, computed from the problem alone: nothing here may see a trained network."""

from . import dynamics
from ._balancedness import discrete_imbalance, imbalance_bound, unbalanced_grams
from ._decay import (
    decay_limit,
    decay_minimiser,
    decayed_energy,
    decayed_imbalance,
    decayed_weight,
    extinction_decay,
    extinction_weight,
)
from ._downstream import ComplexityCurve, complexity_curve, feature_complexity, feature_weights, sample_complexity
from ._finite_sample import SamplingError, sampling_error
from ._layerwise import LayerPrediction, layerwise
from ._norm import least_norm, least_norm_factors
from ._phase import FeaturePlane, Knob, PhaseDiagram, phase_diagram
from ._pre_or_post import (
    disruption_threshold,
    downstream_threshold,
    excess_threshold,
    pre_beats_post,
    threshold,
    threshold_weight,
    weakness_threshold,
)
from ._spectral import NonUniqueMinimiserError, SpectralMinimiser, spectral, stationarity_defect

__all__ = [
    "ComplexityCurve",
    "FeaturePlane",
    "Knob",
    "LayerPrediction",
    "NonUniqueMinimiserError",
    "PhaseDiagram",
    "SamplingError",
    "SpectralMinimiser",
    "complexity_curve",
    "decay_limit",
    "decay_minimiser",
    "decayed_energy",
    "decayed_imbalance",
    "decayed_weight",
    "discrete_imbalance",
    "disruption_threshold",
    "downstream_threshold",
    "dynamics",
    "excess_threshold",
    "extinction_decay",
    "extinction_weight",
    "feature_complexity",
    "feature_weights",
    "imbalance_bound",
    "layerwise",
    "least_norm",
    "least_norm_factors",
    "phase_diagram",
    "pre_beats_post",
    "sample_complexity",
    "sampling_error",
    "spectral",
    "stationarity_defect",
    "threshold",
    "threshold_weight",
    "unbalanced_grams",
    "weakness_threshold",
]

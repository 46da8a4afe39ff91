"""Closed forms, computed from the problem alone: no function here sees a trained network."""

from . import dynamics, regression
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
from ._downstream import (
    ComplexityCurve,
    complexity_curve,
    feature_complexity,
    feature_weights,
    sample_complexity,
)
from ._finite_sample import SamplingError, sampling_error
from ._group_accuracy import GroupAccuracy, group_accuracy
from ._heads import (
    MatchedHead,
    decayed_matching,
    headed_minimiser,
    matched_weights,
    matching_limit,
    sorted_matching,
)
from ._kappa import Emulation, best_kappa, emulating_head, head_complexity, kappa_emulation
from ._layerwise import LayerPrediction, layerwise
from ._margin import margin_error, margin_samples
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
from ._spectral import NonUniqueMinimiserError, SpectralMinimiser, spectral
from ._supervised import RegressionMinimiser, regression_minimiser
from ._supervised_contrastive import (
    class_minimiser,
    collapses,
    collapsing_weight,
    mixed_subclass_weight,
    subclass_weights,
)
from ._threshold import (
    homogeneity_invariants,
    threshold_forgetting,
    threshold_invariants,
    threshold_law,
    threshold_limit,
    threshold_reach,
    threshold_speed,
    threshold_time,
)

__all__ = [
    "ComplexityCurve",
    "Emulation",
    "FeaturePlane",
    "GroupAccuracy",
    "Knob",
    "LayerPrediction",
    "MatchedHead",
    "NonUniqueMinimiserError",
    "PhaseDiagram",
    "RegressionMinimiser",
    "SamplingError",
    "SpectralMinimiser",
    "best_kappa",
    "class_minimiser",
    "collapses",
    "collapsing_weight",
    "complexity_curve",
    "decay_limit",
    "decay_minimiser",
    "decayed_energy",
    "decayed_imbalance",
    "decayed_matching",
    "decayed_weight",
    "discrete_imbalance",
    "disruption_threshold",
    "downstream_threshold",
    "dynamics",
    "emulating_head",
    "excess_threshold",
    "extinction_decay",
    "extinction_weight",
    "feature_complexity",
    "feature_weights",
    "group_accuracy",
    "head_complexity",
    "headed_minimiser",
    "homogeneity_invariants",
    "imbalance_bound",
    "kappa_emulation",
    "layerwise",
    "least_norm",
    "least_norm_factors",
    "margin_error",
    "margin_samples",
    "matched_weights",
    "matching_limit",
    "mixed_subclass_weight",
    "phase_diagram",
    "pre_beats_post",
    "regression",
    "regression_minimiser",
    "sample_complexity",
    "sampling_error",
    "sorted_matching",
    "spectral",
    "subclass_weights",
    "threshold",
    "threshold_forgetting",
    "threshold_invariants",
    "threshold_law",
    "threshold_limit",
    "threshold_reach",
    "threshold_speed",
    "threshold_time",
    "threshold_weight",
    "unbalanced_grams",
    "weakness_threshold",
]

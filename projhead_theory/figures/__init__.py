"""Figures: theory as lines, simulation as markers."""

from ._accuracy import plot_shift_accuracy, plot_subclass_accuracy
from ._animation import animate
from ._best_layer import plot_best_layer
from ._convergence import plot_convergence
from ._cosine_gap import plot_cosine_gap
from ._curve import plot_curve
from ._grid import plot_sweep
from ._image_experiment import plot_image_experiment
from ._images import plot_images
from ._inspection import plot_inspection
from ._layers import plot_layers
from ._learning_curve import plot_learning_curve
from ._marks import (
    GREY,
    MARKERS,
    band,
    boundary,
    closed_form,
    colour,
    ink,
    key,
    legend,
    log_axis,
    panels,
    settle,
    spread,
    trained,
)
from ._phase import plot_phase, shade_phase
from ._style import COLOURS, DARK_COLOURS, STYLES, WIDTHS, inches, save, styled, write
from ._sweep import plot_connected_sweep, plot_feature_sweep
from ._trajectory import plot_trajectory
from ._verdict import plot_budget, plot_report, plot_verdict

__all__ = [
    "COLOURS",
    "DARK_COLOURS",
    "GREY",
    "MARKERS",
    "STYLES",
    "WIDTHS",
    "animate",
    "band",
    "boundary",
    "closed_form",
    "colour",
    "inches",
    "ink",
    "key",
    "legend",
    "log_axis",
    "panels",
    "plot_best_layer",
    "plot_budget",
    "plot_connected_sweep",
    "plot_convergence",
    "plot_cosine_gap",
    "plot_curve",
    "plot_feature_sweep",
    "plot_image_experiment",
    "plot_images",
    "plot_inspection",
    "plot_layers",
    "plot_learning_curve",
    "plot_phase",
    "plot_report",
    "plot_shift_accuracy",
    "plot_subclass_accuracy",
    "plot_sweep",
    "plot_trajectory",
    "plot_verdict",
    "save",
    "settle",
    "shade_phase",
    "spread",
    "styled",
    "trained",
    "write",
]

"""Figures: theory as lines, simulation as markers."""

from ._accuracy import plot_shift_accuracy, plot_subclass_accuracy
from ._best_layer import plot_best_layer
from ._convergence import plot_convergence
from ._grid import plot_sweep
from ._inspection import plot_inspection
from ._learning_curve import plot_learning_curve
from ._phase import plot_phase
from ._style import save
from ._sweep import plot_connected_sweep, plot_feature_sweep
from ._trajectory import plot_trajectory
from ._verdict import plot_budget, plot_report, plot_verdict

__all__ = [
    "plot_best_layer",
    "plot_budget",
    "plot_connected_sweep",
    "plot_convergence",
    "plot_feature_sweep",
    "plot_inspection",
    "plot_learning_curve",
    "plot_phase",
    "plot_report",
    "plot_shift_accuracy",
    "plot_subclass_accuracy",
    "plot_sweep",
    "plot_trajectory",
    "plot_verdict",
    "save",
]

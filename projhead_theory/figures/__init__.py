"""Figures: theory as lines, simulation as markers."""

from ._learning_curve import plot_learning_curve
from ._phase import plot_phase
from ._style import save
from ._trajectory import plot_trajectory
from ._verdict import plot_budget, plot_report, plot_verdict

__all__ = ["plot_budget", "plot_learning_curve", "plot_phase", "plot_report", "plot_trajectory", "plot_verdict", "save"]

"""Theorems on downstream tasks: the best layer and where it changes."""

from ._phase import PhaseCheck, check_phase

__all__ = ["PhaseCheck", "check_phase"]

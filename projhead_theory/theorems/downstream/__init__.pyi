from ._phase import PhaseCheck, check_phase

__all__ = ["PhaseCheck", "check_phase"]

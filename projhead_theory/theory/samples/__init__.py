"""Error of predictions from finitely many positive pairs."""

from .error import SamplingError, sampling_error

__all__ = ["SamplingError", "sampling_error"]

"""Minimisers under weight decay."""

from .minimiser import (
    decay_limit,
    decay_minimiser,
    decayed_energy,
    decayed_imbalance,
    decayed_weight,
    extinction_decay,
    extinction_weight,
)

__all__ = [
    "decay_limit",
    "decay_minimiser",
    "decayed_energy",
    "decayed_imbalance",
    "decayed_weight",
    "extinction_decay",
    "extinction_weight",
]

"""Closed forms, computed from the problem alone: no function here sees a trained network."""

from . import (
    balance,
    decay,
    downstream,
    dynamics,
    heads,
    layers,
    responses,
    rivals,
    samples,
    starts,
    supervised,
    thresholds,
)

__all__ = [
    "balance",
    "decay",
    "downstream",
    "dynamics",
    "heads",
    "layers",
    "responses",
    "rivals",
    "samples",
    "starts",
    "supervised",
    "thresholds",
]

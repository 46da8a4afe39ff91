"""Fixed projection heads: the encoder that they leave, and the head that replaces a trained one."""

from .kappa import Emulation, best_kappa, emulating_head, head_complexity, kappa_emulation
from .matching import (
    MatchedHead,
    decayed_matching,
    headed_minimiser,
    matched_weights,
    matching_limit,
    sorted_matching,
)

__all__ = [
    "Emulation",
    "MatchedHead",
    "best_kappa",
    "decayed_matching",
    "emulating_head",
    "head_complexity",
    "headed_minimiser",
    "kappa_emulation",
    "matched_weights",
    "matching_limit",
    "sorted_matching",
]

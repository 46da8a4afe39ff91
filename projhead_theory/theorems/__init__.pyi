from ._common.comparison import compare
from ._common.training import trained
from ._registry import CLAIMS, FAMILIES, find, register
from ._verify import search_all, verify
from .downstream import PhaseCheck, check_phase
from .layers import views_claim

__all__ = [
    "CLAIMS",
    "FAMILIES",
    "PhaseCheck",
    "check_phase",
    "compare",
    "find",
    "register",
    "search_all",
    "trained",
    "verify",
    "views_claim",
]

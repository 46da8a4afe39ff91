"""Claims: the only place where theory and simulation meet."""

from ._claim import FAMILY_ERROR, Claim, ClaimResult, Control, ControlResult, Measured, Trial, check, numbers
from ._compare import compare
from ._phase import PhaseCheck, check_phase
from ._registry import CLAIMS, find, register, search_all, verify
from ._runs import trained
from ._search import ExactResult, SearchResult, search, search_both, search_exact, shrink
from ._suite import check_all, family_level
from ._verdict import Outcome, Verdict, compare_values, judge
from ._views import views_claim

__all__ = [
    "CLAIMS",
    "FAMILY_ERROR",
    "Claim",
    "ClaimResult",
    "Control",
    "ControlResult",
    "ExactResult",
    "Measured",
    "Outcome",
    "PhaseCheck",
    "SearchResult",
    "Trial",
    "Verdict",
    "check",
    "check_all",
    "check_phase",
    "compare",
    "compare_values",
    "family_level",
    "find",
    "judge",
    "numbers",
    "register",
    "search",
    "search_all",
    "search_both",
    "search_exact",
    "shrink",
    "trained",
    "verify",
    "views_claim",
]

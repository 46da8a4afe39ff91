from ._check import check
from ._claim import (
    FAMILY_ERROR,
    Claim,
    ClaimResult,
    Control,
    ControlResult,
    Measured,
    Trial,
    compare_measured,
    numbers,
)
from ._registry import Registry
from ._rows import Rows, numbered, verdict_of
from ._search import (
    ExactResult,
    Offers,
    SearchResult,
    rounded,
    search,
    search_both,
    search_exact,
    shrink,
)
from ._suite import check_all, family_level
from ._verdict import Outcome, Verdict, compare_values, judge

__all__ = [
    "FAMILY_ERROR",
    "Claim",
    "ClaimResult",
    "Control",
    "ControlResult",
    "ExactResult",
    "Measured",
    "Offers",
    "Outcome",
    "Registry",
    "Rows",
    "SearchResult",
    "Trial",
    "Verdict",
    "check",
    "check_all",
    "compare_measured",
    "compare_values",
    "family_level",
    "judge",
    "numbered",
    "numbers",
    "rounded",
    "search",
    "search_both",
    "search_exact",
    "shrink",
    "verdict_of",
]

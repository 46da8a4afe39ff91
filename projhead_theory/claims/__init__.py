"""Claims: the only place where theory and simulation meet."""

from ._claim import Claim, ClaimResult, Control, ControlResult, check
from ._compare import compare
from ._registry import CLAIMS, find, verify
from ._verdict import Outcome, Verdict, judge
from ._views import views_claim

__all__ = [
    "CLAIMS",
    "Claim",
    "ClaimResult",
    "Control",
    "ControlResult",
    "Outcome",
    "Verdict",
    "check",
    "compare",
    "find",
    "judge",
    "verify",
    "views_claim",
]

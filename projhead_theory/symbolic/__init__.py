"""The library's formulas as SymPy statements, each with a proof that is computed from the formula itself.

What a statement says of a number is computed elsewhere, and compared with it in the tests: nothing here calls the library.
"""

from functools import cache

from . import (
    _balance,
    _decay,
    _downstream,
    _flow,
    _head,
    _minimiser,
    _moments,
    _sample,
    _supervised,
    _thresholds,
)
from ._statement import Numeric, Proof, Statement, Step

__all__ = ["Numeric", "Proof", "Statement", "Step", "statements"]

FAMILIES = (
    _moments,
    _minimiser,
    _balance,
    _flow,
    _decay,
    _sample,
    _downstream,
    _head,
    _thresholds,
    _supervised,
)


@cache
def statements() -> dict[str, Statement]:
    """All statements, by name, built when first asked for.

    Those named like a claim are what that claim is about; the others lead to it, or are cases of it.
    """
    found = [statement for family in FAMILIES for statement in family.statements()]
    return {statement.name: statement for statement in found}

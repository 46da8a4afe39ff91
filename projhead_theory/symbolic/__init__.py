"""Formulas of the library as SymPy statements, each with a proof computed from the formula itself.

The tests compare a formula's values with the library's own numbers, which are computed elsewhere:
nothing here calls the library.
"""

from functools import cache

from . import (
    balance,
    decay,
    downstream,
    dynamics,
    extinction,
    heads,
    layers,
    moments,
    narrow_head,
    responses,
    rivals,
    samples,
    starts,
    supervised,
    thresholds,
)
from ._statement import Numeric, Proof, Statement, Step

__all__ = ["Numeric", "Proof", "Statement", "Step", "statements"]

FAMILIES = (
    moments,
    layers,
    balance,
    dynamics,
    decay,
    samples,
    starts,
    downstream,
    heads,
    thresholds,
    supervised,
    extinction,
    narrow_head,
    responses,
    rivals,
)


@cache
def statements() -> dict[str, Statement]:
    """All statements by name, built on first use.

    A statement named like a claim is the formula of that claim. The others lead to it, or are cases
    of it.
    """
    found = [statement for family in FAMILIES for statement in family.statements()]
    return {statement.name: statement for statement in found}

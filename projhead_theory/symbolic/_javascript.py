"""Formulas as JavaScript functions, for pages that compute."""

import re
from collections.abc import Sequence
from typing import Any

import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.matrices.expressions.matexpr import MatrixExpr
from sympy.printing.jscode import JavascriptCodePrinter

# The annotations of SymPy do not give the types of its expressions.
Expr = Any


def function(name: str, arguments: Sequence[Expr], value: Expr) -> str:
    """A JavaScript function of one object, whose properties are the arguments by their names.

    A family of numbers is an array. A function that the formula leaves open is one more argument.

    **Raises:** `ValueError` for a value with matrices, or with functions that JavaScript lacks.
    """
    opened = sorted({part.func.__name__ for part in value.atoms(AppliedUndef)})
    printer = _Printer({"allow_unknown_functions": True})
    called = {part.func.__name__ for part in value.atoms(sp.Function)} - set(opened)
    if value.has(MatrixExpr) or not called <= set(printer.known_functions):
        raise ValueError(f"value: got {value}; want numbers, and functions that JavaScript has")
    names = ", ".join([*(str(printer.doprint(v)) for v in arguments), *opened])
    return f"function {name}({{ {names} }}) {{\n  return {printer.doprint(value)};\n}}"


def identifier(name: str) -> str:
    """A name of JavaScript for a name of LaTeX."""
    return re.sub(r"\\[a-zA-Z]+|\W", "", name)


class _Printer(JavascriptCodePrinter):
    """Printer of sums over families of numbers, which are counted from 1 on paper."""

    def _print_Symbol(self, expr: Expr) -> str:  # noqa: N802
        return identifier(expr.name)

    def _print_Indexed(self, expr: Expr) -> str:  # noqa: N802
        (index,) = expr.indices
        return f"{self._print(expr.base.label)}[{self._print(index)} - 1]"

    def _print_Sum(self, expr: Expr) -> str:  # noqa: N802
        ((index, first, last),) = expr.limits
        terms = f"Array.from({{ length: {self._print(last - first + 1)} }}, (_, k) => k + {first})"
        one = f"({self._print(index)}) => {self._print(expr.function)}"
        return f"{terms}.map({one}).reduce((total, term) => total + term, 0)"

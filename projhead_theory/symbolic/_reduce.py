"""Decide if an expression is zero, or an inequality true, for all values of its symbols."""

from collections.abc import Iterator
from typing import Any, cast

import mpmath
import sympy as sp
from sympy.core.function import AppliedUndef
from sympy.logic.boolalg import Boolean
from sympy.matrices.expressions.matexpr import MatrixExpr

# The annotations of SymPy do not give the types of its arithmetic, substitutions and derivatives.
Expr = Any

# Points at which a counterexample is tried before algebra: a wrong formula soon fails at one.
INTEGERS = (3, 5)
PROBES = tuple([(37 + 11 * step * i % 89) / 101 for i in range(1, 30)] for step in (3, 5))
DIGITS = 40


def reduce(expression: Expr) -> Expr:
    """Reduce an expression to zero, or a relation to true, and return the remainder otherwise."""
    if isinstance(expression, sp.MatrixBase):
        left = (_reduced(entry) for entry in expression.flat())
        return next((entry for entry in left if entry != 0), sp.S.Zero)
    if isinstance(expression, MatrixExpr):
        # Products of matrices do not commute, and expanded sums of them are equal only if their
        # terms are.
        left = cast(Expr, expression).doit().replace(sp.MatPow, _written_out).expand().doit()
        return sp.S.Zero if isinstance(left, sp.ZeroMatrix) else left
    if isinstance(expression, sp.GreaterThan | sp.StrictGreaterThan):
        return _decided(expression)
    return expression if isinstance(expression, Boolean) else _reduced(sp.sympify(expression))


def _written_out(base: Expr, power: Expr) -> Expr:
    return sp.MatMul(*[base] * power) if power.is_Integer and power > 0 else sp.MatPow(base, power)


def _reduced(expression: Expr) -> Expr:
    if expression.is_zero:
        return sp.S.Zero
    if expression.has(sp.zoo, sp.nan, sp.oo) or any(value != 0 for value in _values(expression)):
        return expression
    return sp.S.Zero if any(form.is_zero for form in _forms(expression)) else expression


def _decided(relation: Expr) -> Expr:
    difference = relation.args[0] - relation.args[1]
    weak = isinstance(relation, sp.GreaterThan)
    if any(
        value.imag != 0 or value.real < 0 or (value == 0 and not weak)
        for value in _values(difference)
    ):
        return relation
    forms = (
        difference,
        sp.factor(difference),
        sp.expand(difference),
        sp.factor(sp.together(difference)),
    )
    return (
        sp.true
        if any(form.is_positive or (weak and form.is_nonnegative) for form in forms)
        else relation
    )


def _forms(expression: Expr) -> Iterator[Expr]:
    """Normal forms, cheapest first, all equal to the expression or to its numerator."""
    yield sp.expand(expression)
    combined = sp.powsimp(sp.expand(expression))
    yield combined
    # Powers of one base as one power, with its exponent in lowest terms.
    yield sp.expand(
        sp.powsimp(combined.replace(sp.Pow, lambda base, power: base ** sp.cancel(power)))
    )
    numerator = sp.fraction(sp.together(sp.powdenest(sp.expand_power_base(expression))))[0]
    yield sp.powsimp(sp.expand(numerator))
    yield sp.expand(sp.expand_log(expression))
    yield sp.radsimp(sp.together(expression))
    yield sp.powsimp(sp.expand(sp.expand_trig(numerator)))
    for simplify in (sp.gammasimp, sp.trigsimp, sp.radsimp, sp.simplify):
        yield simplify(expression)


def _values(expression: Expr) -> Iterator[Expr]:
    """Values at a few points, with rounding errors set to zero; none if a part has no value."""
    if (
        expression.has(AppliedUndef, sp.Derivative, sp.Subs, sp.Indexed, sp.Sum)
        or not expression.is_commutative
    ):
        return
    symbols = sorted(expression.free_symbols, key=str)
    function = sp.lambdify(symbols, expression, modules="mpmath")
    for probe in PROBES:
        at = [
            mpmath.mpf(INTEGERS[i % 2] if v.is_integer else x)
            for i, (v, x) in enumerate(zip(symbols, probe, strict=False))
        ]
        with mpmath.workdps(DIGITS):
            try:
                value = mpmath.mpmathify(function(*at))
            except (ZeroDivisionError, ValueError):
                continue
            if mpmath.isfinite(value):
                yield mpmath.mpc(mpmath.chop(value, mpmath.mpf(10) ** (-DIGITS // 2)))

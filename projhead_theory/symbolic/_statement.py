"""Statements: a formula, its conditions, and the steps of its machine-checked proof."""

import dataclasses
from collections.abc import Callable, Iterable
from functools import cached_property

import sympy as sp
from sympy.printing.latex import LatexPrinter

from ._javascript import function
from ._reduce import Expr as Expr
from ._reduce import reduce

NUMPY = [{"hyper": lambda upper, lower, z: _hyp2f1(*upper, *lower, z)}, "scipy", "numpy"]


def _hyp2f1(*arguments):
    from scipy.special import hyp2f1

    return hyp2f1(*arguments)


@dataclasses.dataclass(frozen=True)
class Step:
    """One step of a proof: an expression that must be zero, or a relation that must be true.

    It must be so for all values of the symbols.
    """

    name: str
    expression: Expr

    @cached_property
    def reduced(self) -> Expr:
        """0 or true if the step holds, and the irreducible remainder otherwise."""
        return reduce(self.expression)

    @property
    def holds(self) -> bool:
        return self.reduced == 0 or self.reduced is sp.true

    def latex(self) -> str:
        """The claimed step in LaTeX."""
        if isinstance(self.expression, sp.logic.boolalg.Boolean):
            return _latex(self.expression)
        return f"{_latex(self.expression)} = 0"


@dataclasses.dataclass(frozen=True)
class Proof:
    """Steps of a proof. The proof holds if it has steps and each holds."""

    steps: tuple[Step, ...]

    @property
    def holds(self) -> bool:
        return bool(self.steps) and all(step.holds for step in self.steps)

    @property
    def failed(self) -> tuple[Step, ...]:
        """Steps that do not hold."""
        return tuple(step for step in self.steps if not step.holds)


@dataclasses.dataclass(frozen=True)
class Numeric:
    """The library's own computation of a formula.

    - `function`: the dotted name of a function or class. A function of matrices or problems is
        given a single feature.
    - `arguments`: the numbers it takes, in order.
    """

    function: str
    arguments: tuple[Expr, ...]


@dataclasses.dataclass(frozen=True)
class Statement:
    """A formula with its proof.

    - `formula`: an equation whose right side is the claimed value.
    - `symbols`: the meaning of each symbol.
    - `derivation`: the steps of the proof, computed from the formula it is given.
    - `conditions`: relations between the symbols under which the formula holds, beyond the
        assumptions that the symbols carry.
    - `setting`: the model, in words.
    - `source`: the place in the paper, or `"beyond the paper"`.
    - `claim`: the name of the claim to which it belongs, or empty.
    - `numeric`: the library's function for it, if there is one.
    - `near_misses`: replacements in the formula that make mutants, each a wrong formula that the
        proof has to reject.
    """

    name: str
    title: str
    symbols: dict[Expr, str]
    formula: Expr
    derivation: Callable[[Expr], Iterable[Step]] = dataclasses.field(repr=False)
    conditions: tuple[Expr, ...] = ()
    setting: str = ""
    source: str = "beyond the paper"
    claim: str = ""
    numeric: Numeric | None = None
    near_misses: tuple[tuple[Expr, Expr], ...] = ()

    def prove(self) -> Proof:
        """Derive the steps from the formula. Each step is decided on first use."""
        return Proof(tuple(self.derivation(self.formula)))

    def latex(self) -> str:
        """The formula in LaTeX, without delimiters."""
        return _latex(self.formula)

    def conditions_latex(self) -> tuple[str, ...]:
        """The conditions in LaTeX, without delimiters."""
        return tuple(_latex(condition) for condition in self.conditions)

    @property
    def arguments(self) -> tuple[Expr, ...]:
        """Free symbols of the right side, in the order of `symbols`."""
        free = self.formula.rhs.free_symbols
        return tuple(symbol for symbol in self.symbols if symbol in free)

    def lambdified(self, modules: str = "numpy") -> Callable:
        """The right side as a function of `arguments`, positional.

        **Arguments:**

        - `modules`: `"numpy"`, or `"mpmath"` for any precision.

        **Returns:** the function.

        **Raises:** `ValueError` for other modules.
        """
        if modules not in ("numpy", "mpmath"):
            raise ValueError(f"modules: got {modules!r}; want 'numpy' or 'mpmath'")
        # Families are counted from 1 on paper and from 0 in arrays.
        value = self.formula.rhs.replace(
            sp.Indexed, lambda base, *at: sp.Indexed(base, *(i - 1 for i in at))
        )
        arguments = [v.base if isinstance(v, sp.Indexed) else v for v in self.arguments]
        return sp.lambdify(arguments, value, modules=NUMPY if modules == "numpy" else "mpmath")

    def javascript(self, name: str) -> str:
        r"""The right side as a JavaScript function of one object, `name({phi, sigma})`.

        **Arguments:**

        - `name`: the name of the function.

        **Returns:** the source text of the function.

        **Raises:** `ValueError` if JavaScript lacks a function of the formula.

        !!! example

            ```pycon
            >>> weight = pt.symbolic.statements()["spectral-minimiser"]
            >>> print(weight.javascript("weight"))
            function weight({ c, q }) {
              return Math.sqrt(c)/q;
            }

            ```
        """
        return function(name, self.arguments, self.formula.rhs)

    def mutated(self, old: Expr, new: Expr) -> "Statement":
        """Mutant of the statement, with a sub-expression of its right side replaced.

        Its proof should fail.

        **Raises:** `ValueError` if the right side does not contain `old`.
        """
        changed = self.formula.rhs.subs(old, new)
        if changed == self.formula.rhs:
            # A substitution does not reach the running index of a sum.
            changed = self.formula.rhs.xreplace({old: new})
        if changed == self.formula.rhs:
            raise ValueError(
                f"old: got {old}, which is not in {self.formula.rhs}; want a sub-expression of it"
            )
        return self.claiming(changed)

    def claiming(self, value: Expr) -> "Statement":
        """The same statement with another right side."""
        return dataclasses.replace(self, formula=sp.Eq(self.formula.lhs, value, evaluate=False))


def equation(left: Expr, right: Expr) -> Expr:
    """An equation that SymPy leaves as written."""
    return sp.Eq(left, right, evaluate=False)


def positive(name: str, expression: Expr) -> Step:
    return Step(name, sp.StrictGreaterThan(expression, 0, evaluate=False))


def nonnegative(name: str, expression: Expr) -> Step:
    return Step(name, sp.GreaterThan(expression, 0, evaluate=False))


class _Printer(LatexPrinter):
    """LaTeX printer that begins sums with a positive term, if there is one."""

    def _as_ordered_terms(self, expr: Expr, order: str | None = None) -> list[Expr]:
        return sorted(
            super()._as_ordered_terms(expr, order), key=lambda term: term.could_extract_minus_sign()
        )


def _latex(expression: Expr) -> str:
    return _Printer({"ln_notation": True, "inv_trig_style": "full"}).doprint(expression)

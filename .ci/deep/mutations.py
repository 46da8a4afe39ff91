"""Mutants of a file: each changes one expression of a formula, a premise or a tolerance."""

import ast
import re
from dataclasses import dataclass
from pathlib import Path

# Names of functions without a formula, premise or tolerance.
ASIDE = re.compile(
    r"_validate|plot|xarray|repr|str__|to_dict|label|format|_problems|_harder|harder|draw"
)
# Functions whose arguments may be swapped, or are no arguments of a formula.
SYMMETRIC = {
    "maximum",
    "minimum",
    "max",
    "min",
    "logical_and",
    "logical_or",
    "isclose",
    "allclose",
    "add",
    "hypot",
    "dot",
    "combine",
}
SYMMETRIC |= {
    "zip",
    "isinstance",
    "asarray",
    "astype",
    "result_type",
    "full",
    "getattr",
    "count",
    "positive",
    "nonnegative",
    "bad",
}
COUNTS = {"depth", "level", "layer", "width", "rank", "levels", "l", "L"}


@dataclass(frozen=True)
class Mutant:
    """One expression of one file, replaced by another."""

    file: str
    line: int
    column: int
    operator: str
    old: str
    new: str
    start: int
    stop: int


def text(source: str, node: ast.AST) -> str:
    return ast.get_source_segment(source, node) or ""


def numeric(node: ast.AST) -> bool:
    return isinstance(node, ast.Constant) and type(node.value) in (int, float)


def changes(source: str, node: ast.AST, tolerant: bool):
    """Pairs of an operator and the expression that replaces this node's."""
    old = text(source, node)
    match node:
        case ast.BinOp(left, ast.Mult() | ast.Div(), right):
            yield "factor", f"1.5 * ({old})"
            mark = "/" if isinstance(node.op, ast.Mult) else "*"
            yield "factor", f"({text(source, left)}) {mark} ({text(source, right)})"
        case ast.BinOp(left, ast.Pow(), right):
            yield "exponent", f"({text(source, left)}) ** (1.5 * ({text(source, right)}))"
        case ast.BinOp(left, (ast.Add() | ast.Sub()) as op, right):
            one, two = text(source, left), text(source, right)
            yield "sign", f"({one}) {'-' if isinstance(op, ast.Add) else '+'} ({two})"
            yield "dropped term", f"({one})"
            if isinstance(op, ast.Add):
                yield "dropped term", f"({two})"
        case ast.BinOp(left, ast.BitAnd(), right):
            yield "dropped premise", f"({text(source, left)})"
            yield "dropped premise", f"({text(source, right)})"
        case ast.BoolOp(ast.And(), [first, *_]):
            yield "dropped premise", f"({text(source, first)})"
        case ast.UnaryOp(ast.USub(), inner) if not numeric(inner):
            yield "sign", f"({text(source, inner)})"
        case ast.Attribute(value, "T") | ast.Attribute(value, "mT"):
            yield "transposed argument", f"({text(source, value)})"
        case ast.Call(func, [first, second], []) if (
            text(source, func).split(".")[-1] not in SYMMETRIC
            and not numeric(first)
            and not numeric(second)
        ):
            yield (
                "transposed argument",
                f"{text(source, func)}({text(source, second)}, {text(source, first)})",
            )
        case ast.Name(name, ast.Load()) if name in COUNTS:
            yield "off-by-one layer", f"({name} + 1)"
        case ast.Subscript(value, ast.UnaryOp(ast.USub(), ast.Constant(1))) if not text(
            source, value
        ).endswith(".shape"):
            yield "off-by-one layer", f"{text(source, value)}[-2]"
        case ast.Subscript(value, ast.Slice(None, upper, None)) if upper is not None:
            yield "off-by-one layer", f"{text(source, value)}[: ({text(source, upper)}) - 1]"
        case ast.Compare(left, [ast.Gt() | ast.GtE() | ast.Lt() | ast.LtE() as op], [right]):
            other = {ast.Gt: "<=", ast.GtE: "<", ast.Lt: ">=", ast.LtE: ">"}[type(op)]
            yield "comparison", f"({text(source, left)}) {other} ({text(source, right)})"
    if tolerant:
        yield "tolerance", f"1000.0 * ({old})"


# Names in the files of claims that decide a verdict: parts of tolerances, errors, premises. All
# other code there is problems, runs and controls.
DECIDES = re.compile(
    r"rounding|error|stationary|left|share|drift|floor|^off$|^_off|moved|saddle|within|on_range|_compare"
)
JUDGED = {"parts", "premises", "converged", "finite"}
# The constants of a bound on an error are for safety, and each term is there for the problem on
# which it is the largest. These operators pass over bounds; the operator that makes a tolerance a
# thousand times wider does not.
SAFE = {"factor", "exponent", "dropped term"}
BOUND = re.compile(r"\beps\b|finfo|\brtol\b|\batol\b|rounding")


def is_tolerance(parent: ast.AST, child: ast.AST, function: str, file: str) -> bool:
    """Test if an expression is part of a tolerance.

    It is the value of a function of rounding or error, or a bound on rounding.
    """
    if isinstance(parent, ast.Return) and re.search(
        r"rounding|error|floor|share|stationarity", function
    ):
        return not file.startswith("losses")
    return (
        isinstance(parent, ast.keyword)
        and bool(re.search(r"rounding|floor", parent.arg or ""))
        and not numeric(child)
    )


def mutants_of(path: Path, package: Path) -> list[Mutant]:
    source, file = path.read_text(), str(path.relative_to(package))
    claim = file.startswith(("claims/", "theorems/"))
    offsets = [0]
    for row in source.splitlines(keepends=True):
        offsets.append(offsets[-1] + len(row.encode()))
    found: list[Mutant] = []

    def add(node: ast.AST, tolerant: bool) -> None:
        for operator, new in changes(source, node, tolerant):
            if operator in SAFE and (claim or BOUND.search(text(source, node))):
                continue
            start = offsets[node.lineno - 1] + node.col_offset  # type: ignore[attr-defined]
            stop = offsets[node.end_lineno - 1] + node.end_col_offset  # type: ignore[attr-defined]
            found.append(
                Mutant(
                    file,
                    node.lineno,
                    node.col_offset,
                    operator,
                    text(source, node),
                    new,
                    start,
                    stop,
                )
            )  # type: ignore[attr-defined]

    def visit(node: ast.AST, function: str, parts: bool, scope: bool) -> None:
        match node:
            case (
                ast.Raise()
                | ast.JoinedStr()
                | ast.Assert()
                | ast.Import()
                | ast.ImportFrom()
                | ast.arguments()
            ):
                return
            case ast.If(body=[ast.Raise(), *_]):
                return
            case ast.Call(func) if text(source, func).startswith("_checks."):
                return
            case ast.FunctionDef():
                if ASIDE.search(node.name):
                    return
                function, scope = node.name, scope or bool(DECIDES.search(node.name))
                for child in node.body:
                    visit(child, function, False, scope)
                return
            case ast.keyword(arg=name) if name in JUDGED:
                scope = True
            case ast.Assign([ast.Name(name)]) if DECIDES.search(name):
                scope = True
            case ast.Attribute(ast.Name(), "dtype" | "shape"):
                return
            case ast.keyword(arg="label" | "labels" | "what" | "name"):
                return
            case ast.AnnAssign():
                if node.value is not None and function:
                    visit(node.value, function, parts, scope)
                return
        for field, child in (
            (f, c)
            for f, value in ast.iter_fields(node)
            for c in (value if isinstance(value, list) else [value])
        ):
            if not isinstance(child, ast.AST):
                continue
            inside = (
                isinstance(node, ast.keyword)
                and node.arg == "parts"
                and isinstance(child, ast.Dict)
            )
            value = parts and isinstance(node, ast.Dict) and field == "values"
            if function and scope and isinstance(child, ast.expr):
                add(child, value or is_tolerance(node, child, function, file))
            visit(child, function, inside, scope)

    visit(ast.parse(source), "", False, not claim)
    return found

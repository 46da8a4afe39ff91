"""Formulas as JavaScript, which compute what SymPy computes."""

import random

import numpy as np
import pytest
import sympy as sp
from helpers.node import needs_node, run

from projhead_theory.symbolic import Statement, statements

STATEMENTS = statements()
# The integral behind the times of depth 3, for the formulas that leave it open.
G = STATEMENTS["flow-primitive-depth-3"]


def printed() -> dict[str, str]:
    """Functions of all statements that are of numbers alone."""
    found = {}
    for k, (name, statement) in enumerate(STATEMENTS.items()):
        if not statement.formula.rhs.has(sp.MatrixSymbol, sp.hyper, sp.Trace):
            found[name] = statement.javascript(f"f{k}")
    return found


def points(statement: Statement, number: int) -> list[list[float]]:
    """Values of the arguments; a formula need not have a value at all of them."""
    random_ = random.Random(statement.title)
    draw = lambda v: random_.choice((2, 3)) if v.is_integer else random_.uniform(0.05, 0.95)
    return [[draw(v) for v in statement.arguments] for _ in range(number)]


@needs_node
def test_every_function_computes_its_formula():
    functions = printed()
    families = {name for name in functions if STATEMENTS[name].formula.rhs.has(sp.Indexed)}
    assert len(functions) > 120
    given, wanted = {}, {}
    for name in set(functions) - families:
        statement = STATEMENTS[name]
        right = statement.formula.rhs.replace(
            sp.Function("G"), lambda v: G.formula.rhs.subs(G.arguments[0], v)
        )
        function = sp.lambdify(statement.arguments, right, modules=["scipy", "numpy"])
        given[name] = points(statement, 6)
        with np.errstate(all="ignore"):
            wanted[name] = [float(function(*map(np.float64, values))) for values in given[name]]
        assert np.isfinite(wanted[name]).any(), name
    source = "\n".join(functions.values())
    table = ",".join(
        f'"{name}": {code.split("(")[0].split()[1]}' for name, code in functions.items()
    )
    got = run(
        f"""{source}
        {G.javascript("primitive")}
        const FUNCTIONS = {{{table}}};
        // The names of the arguments are in the function's head.
        const names = (f) => /\\{{ (.*?) \\}}/.exec(f.toString())[1].split(", ");
        const open = {{ G: (v) => primitive({{ v }}) }};
        const call = (f, values) =>
          f({{ ...open, ...Object.fromEntries(values.map((value, k) => [names(f)[k], value])) }});
        const answer = (given) => Object.fromEntries(Object.entries(given).map(
          ([name, rows]) => [name, rows.map((values) => call(FUNCTIONS[name], values))]));""",
        given,
    )
    for name, values in wanted.items():
        np.testing.assert_allclose(got[name], values, rtol=1e-10, atol=1e-13, err_msg=name)


@needs_node
def test_a_sum_runs_over_a_family():
    statement = STATEMENTS["sample-complexity"]
    given = {"phi": [1.0, 2.0, 0.7], "w": [0.5, 0.8, 0.2], "tau": 0.4, "d": 3, "j": 2}
    got = run(f"const answer = (given) => f(given);\n{statement.javascript('f')}", given)
    weights, strengths = np.asarray(given["w"]), np.asarray(given["phi"])
    np.testing.assert_allclose(got, np.sum((weights / 0.8) ** 0.8 * (strengths / 2) ** 2))


def test_names_of_latex_are_names_of_javascript():
    code = STATEMENTS["mixed-positives"].javascript("f")
    assert code.startswith("function f({ beta, c_class, c_view }) {\n  return ")


@pytest.mark.parametrize("name", ["flow-times", "spectral-loss", "layerwise-gram"])
def test_a_formula_that_javascript_lacks_is_refused(name):
    with pytest.raises(ValueError, match="want numbers, and functions that JavaScript has"):
        STATEMENTS[name].javascript("f")

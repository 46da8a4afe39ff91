"""Every formula proved by algebra, every near miss of it not, and the library's numbers equal to
the proved formulas.
"""

import contextlib
import importlib
import io
import random
import re
import subprocess
import sys
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path

import jax.numpy as jnp
import latex2mathml.converter
import mpmath
import numpy as np
import pytest
import sympy as sp
from helpers.draws import some

from projhead_theory.moments import Moments
from projhead_theory.problems import AdditiveNoise, SignFlip
from projhead_theory.symbolic import Proof, Statement, Step, statements

STATEMENTS = statements()
NAMES = list(STATEMENTS)
DOCS = Path(__file__).parents[2] / "docs"


@cache
def proof(name: str) -> Proof:
    return STATEMENTS[name].prove()


@pytest.mark.parametrize("name", NAMES)
def test_every_statement_is_proved(name):
    assert not proof(name).failed
    assert proof(name).holds


@pytest.mark.parametrize("name", some(NAMES, *range(0, len(NAMES), 3), kind="slow"))
def test_the_proof_of_every_near_miss_fails(name):
    for old, new in STATEMENTS[name].near_misses:
        assert not STATEMENTS[name].mutated(old, new).prove().holds, f"{old} -> {new}"


def changed(expression: sp.Basic, bound: tuple = ()) -> Iterator[sp.Basic]:
    """The expression with one occurrence of a number increased, or of a symbol doubled, in every
    way.
    """
    if isinstance(expression, sp.Sum):
        index = tuple(limit[0] for limit in expression.limits)
        yield from (
            sp.Sum(term, *expression.limits) for term in changed(expression.function, bound + index)
        )
    elif expression.is_Number:
        yield expression + 1
    elif isinstance(expression, sp.Symbol | sp.MatrixSymbol | sp.Identity):
        # A size of an identity is no number of the formula: any size fits.
        yield from () if expression in bound else (2 * expression,)
    else:
        # The base of a family is a name, and an inverse keeps an exponent that it does not print.
        skipped = {sp.Indexed: expression.args[:1], sp.Inverse: expression.args[1:]}.get(
            type(expression), ()
        )
        for k, part in enumerate(expression.args):
            if part not in skipped:
                yield from (
                    expression.func(*expression.args[:k], other, *expression.args[k + 1 :])
                    for other in changed(part, bound)
                )


def mutants(statement: Statement) -> list[Statement]:
    right = statement.formula.rhs
    return [statement.claiming(other) for other in dict.fromkeys(changed(right)) if other != right]


@pytest.mark.slow
@pytest.mark.parametrize("name", NAMES)
def test_the_proof_of_a_formula_with_one_thing_changed_fails(name):
    """Two changes of each formula, here; all of them below."""
    every = mutants(STATEMENTS[name])
    for mutant in every[:: max(1, len(every) // 2)][:2]:
        assert not mutant.prove().holds, mutant.formula


@pytest.mark.deep
@pytest.mark.parametrize("name", NAMES)
def test_no_number_or_symbol_of_a_formula_is_idle(name):
    every = mutants(STATEMENTS[name])
    assert every
    for mutant in every:
        assert not mutant.prove().holds, mutant.formula


IMPORTANT = (
    "spectral-minimiser",
    "layerwise-law",
    "progressive-weighting",
    "balancedness",
    "min-norm",
    "discrete-balancedness",
    "weight-decay-balancing",
    "flow-times",
    "learning-order",
    "vanishing-features",
    "weight-decay-minimiser",
    "feature-extinction",
    "finite-sample",
)


def test_every_claim_about_a_formula_has_its_statement():
    from projhead_theory.theorems import CLAIMS

    assert set(IMPORTANT) <= set(NAMES)
    assert {name for name in CLAIMS if name in IMPORTANT} <= {
        statement.claim for statement in STATEMENTS.values()
    }
    assert all(
        STATEMENTS[name].claim == name and len(STATEMENTS[name].near_misses) >= 3
        for name in IMPORTANT
    )


def test_names_are_not_used_twice_and_every_statement_has_a_near_miss_or_changes():
    from projhead_theory.symbolic import FAMILIES

    assert sum(1 for family in FAMILIES for _ in family.statements()) == len(STATEMENTS)
    assert all(mutants(statement) for statement in STATEMENTS.values())


# What counts as zero, and as true.

x, y = sp.symbols("x y", positive=True)
u = sp.Symbol("u", real=True)


@pytest.mark.parametrize(
    "expression",
    [
        sp.sqrt(x) * x ** (1 / y) - x ** (1 / y + sp.Rational(1, 2)),
        sp.log(x * y) - sp.log(x) - sp.log(y),
        sp.sqrt(u**2) - sp.Abs(u),
        sp.cos(3 * u) - 4 * sp.cos(u) ** 3 + 3 * sp.cos(u),
        sp.gamma(x + 1) / sp.gamma(x) - x,
        sp.Matrix([[x - x, 0]]),
        sp.StrictGreaterThan(x**2 + x * y, 0, evaluate=False),
        sp.GreaterThan(u**2, 0, evaluate=False),
    ],
    ids=str,
)
def test_a_true_step_holds(expression):
    step = Step("true", expression)
    assert step.holds
    latex2mathml.converter.convert(step.latex())


@pytest.mark.parametrize(
    "expression",
    [
        sp.sqrt(u**2) - u,
        x + sp.Rational(1, 10**12),
        sp.Rational(1, 10**19) * x,
        sp.log(x + y) - sp.log(x) - sp.log(y),
        sp.Matrix([[x - x, y]]),
        sp.MatrixSymbol("A", 2, 2) * sp.MatrixSymbol("B", 2, 2)
        - sp.MatrixSymbol("B", 2, 2) * sp.MatrixSymbol("A", 2, 2),
        sp.StrictGreaterThan(x - y, 0, evaluate=False),
        sp.StrictGreaterThan(x - x, 0, evaluate=False),
        sp.StrictGreaterThan(u**2, 0, evaluate=False),
        sp.GreaterThan(-x, 0, evaluate=False),
        sp.false,
        sp.zoo,
        sp.nan,
        sp.Function("f")(x),
    ],
    ids=str,
)
def test_a_false_step_does_not_hold(expression):
    step = Step("false", expression)
    assert not step.holds
    assert step.reduced != 0


def test_a_proof_holds_if_it_has_steps_and_all_of_them_hold():
    good, bad = Step("good", x - x), Step("bad", x)
    assert Proof((good,)).holds
    assert not Proof(()).holds
    assert Proof((good, bad)).failed == (bad,)


def test_a_mutation_that_changes_nothing_is_refused():
    with pytest.raises(ValueError, match="old: got x, which is not in"):
        STATEMENTS["spectral-minimiser"].mutated(sp.Symbol("x"), y)


# LaTeX.


@pytest.mark.parametrize("name", NAMES)
def test_latex_is_complete_and_has_no_python_in_it(name):
    statement = STATEMENTS[name]
    formulas = [
        statement.latex(),
        *statement.conditions_latex(),
        *(step.latex() for step in proof(name).steps),
    ]
    for latex in formulas:
        assert "<math" in latex2mathml.converter.convert(latex)
    assert "=" in statement.latex()
    for latex in formulas[: 1 + len(statement.conditions)]:
        # Once commands and what they set upright are gone, no word is left: only single letters and
        # pairs of indices.
        plain = re.sub(
            r"\\(begin|end)\{\w+\}|\\(mathrm|operatorname)\{\w+\}|\\[a-zA-Z]+", " ", latex
        )
        assert not re.search(r"[a-zA-Z]{3,}|\*|(?<!\\)\b(ln|if|or)\b", plain), latex
        assert plain.count("{") == plain.count("}")


@pytest.mark.parametrize("name", NAMES)
def test_every_symbol_has_a_meaning(name):
    statement = STATEMENTS[name]
    free = {
        v
        for part in (statement.formula.rhs, *statement.conditions)
        for v in part.free_symbols
        if not isinstance(v, sp.Indexed)
    }
    assert free <= set(statement.symbols)
    assert statement.title
    assert statement.setting
    assert statement.source in ("paper", "paper section 3", "beyond the paper")


# Numbers.


def one(value):
    return jnp.asarray([[value]])


def moments(cross, second) -> Moments:
    return Moments(one(cross), one(second))


def pushed(which: int) -> Callable:
    def value(augmentation, strength, *parameters):
        square = one(strength**2)
        cross, second = augmentation(*parameters).push(square, square)
        return (cross, second, cross / second)[which][0, 0]

    return value


def flipped_then_noisy(which: int) -> Callable:
    """Moments of a composition of sign flips and noise."""
    compose = lambda f, alpha, sigma: f(SignFlip(alpha), AdditiveNoise(sigma))
    return lambda f, phi, alpha, sigma: pushed(which)(lambda: compose(f, alpha, sigma), phi)


def layer_ratio(function, spread, depth, layer):
    weights = jnp.asarray([spread, 1.0])
    both = Moments(jnp.diag(weights**-2), jnp.diag(weights**-2))
    result = function(both, depth)
    return result.weights[layer - 1, 0] / result.weights[layer - 1, 1]


def condition_number(function, spread, depth, layer):
    weights = jnp.asarray([spread, 1.0])
    result = function(Moments(jnp.diag(weights**-2), jnp.diag(weights**-2)), depth)
    return jnp.linalg.cond(result.grams[layer - 1])


# How a function of matrices or problems is asked about one feature.
ASK: dict[str, Callable] = {
    **{f"{kind}-cross": pushed(0) for kind in ("noise", "flip", "mask", "rescale")},
    **{f"{kind}-second": pushed(1) for kind in ("noise", "flip", "mask", "rescale")},
    **{f"{kind}-signal-fraction": pushed(2) for kind in ("noise", "flip", "mask", "rescale")},
    "flip-noise-cross": flipped_then_noisy(0),
    "flip-noise-second": flipped_then_noisy(1),
    "flip-noise-signal-fraction": flipped_then_noisy(2),
    "signal-fraction": lambda f, c, q: f(moments(c, q)).signal_fraction[0],
    "vicreg-response": lambda f, fraction, beta: f(beta).curve(jnp.asarray(fraction)),
    **{
        f"infonce{kind}-response": lambda f, fraction, tau: f(tau).curve(jnp.asarray(fraction))
        for kind in ("", "-distance", "-rademacher")
    },
    "infonce-negatives": lambda f, fraction: f([fraction])[0],
    "minimal-loss": lambda f, c, q: f(moments(c, q)).loss,
    "progressive-weighting": layer_ratio,
    "condition-number": condition_number,
    "discrete-balancedness": lambda f, d, g1, g2, eta, gamma: f(
        [one(d)], [one(g1), one(g2)], eta, gamma
    )[0][0, 0],
    "weight-decay-balancing": lambda f, d, gamma, t: f([one(d)], gamma, t)[0][0, 0],
    "min-norm": lambda f, w, depth: f(one(w), depth),
    "start-law": lambda f, m, a, b: f(one(m), encoder=a, head=b)[0, 0],
    "start-times": lambda f, *given: f(*given[:4], encoder=given[4], head=given[5]),
    "finite-sample": lambda f, c, q, depth, layer, n: f(moments(c, q), depth, n).covariance[
        layer - 1, layer - 1
    ],
    "finite-sample-bias": lambda f, c, q, depth, layer, n: f(moments(c, q), depth, n).bias[
        layer - 1, 0
    ],
}


def ask(name: str) -> Callable:
    function = STATEMENTS[name].numeric.function
    if name in ASK:
        return ASK[name]
    if function.endswith(".layerwise"):
        return lambda f, c, q, depth, layer: f(moments(c, q), depth).weights[layer - 1, 0]
    return lambda f, *arguments: f(*arguments)


def resolve(dotted: str):
    module, _, leaf = dotted.rpartition(".")
    return getattr(importlib.import_module(module), leaf)


DEPTHS, PAIRS = (1, 2, 3), 10**8


def points(name: str, number: int) -> Iterator[dict[sp.Symbol, float | int]]:
    """Values of the symbols under which the statement is meant, away from the edge of it."""
    statement, random_ = STATEMENTS[name], random.Random(name)
    arguments = statement.numeric.arguments if statement.numeric else ()
    symbols = sorted(
        {
            v
            for part in (*statement.arguments, *arguments, *statement.conditions)
            for v in part.free_symbols
        },
        key=str,
    )
    found = 0
    while found < number:
        at = {
            v: random_.choice(DEPTHS) if v.is_integer else random_.uniform(0.1, 1.5)
            for v in symbols
        }
        at |= {v: PAIRS for v in at if statement.symbols.get(v) == "number of positive pairs"}
        # No equation is met by chance, and none decides what a formula computes.
        if all(
            condition.subs(at)
            for condition in statement.conditions
            if not isinstance(condition, sp.Eq)
        ):
            found += 1
            yield at


# The slopes that a bias is made of are differences over a standard deviation, of relative size
# n^(-1/2), and leave O(1/n).
BIAS = 1e-6
# Each function computes to a few roundings; the largest amplification is that of a minimum close to
# where it disappears.
ROUNDINGS = 2.0**-40

NUMERIC = [name for name in NAMES if STATEMENTS[name].numeric]


@pytest.mark.x64
@pytest.mark.parametrize("name", NUMERIC)
def test_the_library_computes_the_proved_formula(name):
    statement = STATEMENTS[name]
    exact = statement.lambdified("mpmath")
    function, query = resolve(statement.numeric.function), ask(name)
    for at in points(name, 4):
        given = [sp.sympify(argument).subs(at) for argument in statement.numeric.arguments]
        given = [int(v) if v.is_Integer else float(v) for v in given]
        with mpmath.workdps(30):
            wanted = float(exact(*(mpmath.mpf(at[v]) for v in statement.arguments)))
        got = float(query(function, *given))
        rtol, atol = (BIAS, BIAS / PAIRS) if name == "finite-sample-bias" else (ROUNDINGS, 0)
        np.testing.assert_allclose(got, wanted, rtol=rtol, atol=atol, err_msg=str(at))


@pytest.mark.x64
def test_the_comparison_catches_another_formula():
    """The formula without its factor 2 is not what the library computes."""
    statement = STATEMENTS["decay-limit"]
    L = next(v for v in statement.symbols if v.name == "L")
    near = statement.mutated(1 - 1 / L, 1 / L)
    at = next(iter(p for p in points("decay-limit", 20) if p[L] == 3))
    values = [at[v] for v in statement.arguments]
    assert abs(near.lambdified()(*values) / statement.lambdified()(*values) - 1) > 1e-2


@pytest.mark.x64
def test_the_weight_under_decay_is_the_inverse_of_the_stationary_decay():
    from projhead_theory.theory.decay import decayed_weight

    statement = STATEMENTS["stationary-decay"]
    c, q, depth, share = statement.arguments
    for at in points("stationary-decay", 8):
        weight_decay = statement.lambdified()(*(at[v] for v in statement.arguments))
        weight = float(decayed_weight(at[c], at[q], weight_decay, at[depth]))
        np.testing.assert_allclose(weight, np.sqrt(at[share] * at[c]) / at[q], rtol=ROUNDINGS)


@pytest.mark.parametrize(
    "name",
    [
        n
        for n in NAMES
        if not STATEMENTS[n].formula.rhs.has(sp.MatrixSymbol, sp.Indexed, sp.Function("G"))
    ],
)
def test_numpy_and_mpmath_agree(name):
    statement = STATEMENTS[name]
    for at in points(name, 3):
        values = [at[v] for v in statement.arguments]
        with mpmath.workdps(30):
            exact = float(statement.lambdified("mpmath")(*map(mpmath.mpf, values)))
        size = max(abs(exact), 1e-3)
        np.testing.assert_allclose(
            float(statement.lambdified("numpy")(*values)), exact, rtol=1e-10, atol=1e-10 * size
        )


@pytest.mark.parametrize("depth", range(1, 7))
def test_the_elementary_primitives_are_the_hypergeometric_one(depth):
    elementary, series = (
        STATEMENTS[f"flow-primitive-depth-{depth}"].lambdified("mpmath"),
        STATEMENTS["flow-primitive"],
    )
    with mpmath.workdps(30):
        for value in (0.01, 0.3, 0.7, 0.99):
            at = {"L": mpmath.mpf(depth), "v": mpmath.mpf(value)}
            exact = series.lambdified("mpmath")(*(at[v.name] for v in series.arguments))
            assert abs(elementary(mpmath.mpf(value)) / exact - 1) < mpmath.mpf(10) ** -27


def test_sums_and_matrices_are_functions_of_arrays():
    values = np.asarray([0.5, 0.8, 0.2]), np.asarray([1.0, 2.0, 0.7])
    weights, strengths = values
    statement = STATEMENTS["sample-complexity"]
    at = {"w": weights, "phi": strengths, "tau": 0.4, "d": 3, "j": 2}
    got = statement.lambdified()(*(at[v.name] for v in statement.arguments))
    np.testing.assert_allclose(
        got, np.sum((weights / 0.8) ** 0.8 * (strengths / 2.0) ** 2), rtol=1e-12
    )
    rng = np.random.default_rng(0)
    root, whitened = (m + m.T for m in rng.normal(size=(2, 2, 2)))
    at = {"S": root @ root, "C": root @ whitened @ root}
    statement = STATEMENTS["spectral-gram"]
    gram = statement.lambdified()(*(at[v.name] for v in statement.arguments))
    np.testing.assert_allclose(
        gram, np.linalg.inv(root) @ whitened @ np.linalg.inv(root), rtol=1e-9
    )


def test_other_modules_are_refused():
    with pytest.raises(ValueError, match="modules: got 'jax'; want 'numpy' or 'mpmath'"):
        STATEMENTS["spectral-minimiser"].lambdified("jax")


# The folder on its own.


def test_sympy_is_loaded_with_the_first_statement_and_jax_is_not():
    source = (
        "import sys, projhead_theory; assert 'sympy' not in sys.modules\n"
        "projhead_theory.symbolic.statements(); "
        "assert 'sympy' in sys.modules and 'jax' not in sys.modules"
    )
    result = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_the_page_prints_what_it_says():
    blocks = re.findall(
        r"```python\n(.*?)```\n\n```text\n(.*?)```", (DOCS / "symbolic.md").read_text(), re.S
    )
    assert blocks
    names: dict = {}
    for code, printed in blocks:
        out = io.StringIO()
        with contextlib.redirect_stdout(out):
            exec(compile(code, "symbolic.md", "exec"), names)
        assert out.getvalue() == printed

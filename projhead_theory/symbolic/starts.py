r"""Two layers from an isotropic start: the Gram before the head, and the time of a feature.

Let $p = \|W_1 v\|^2$, $n = \|W_2^\top u\|^2$ and $s = u^\top W_2 W_1 v$ along one mode, and $g$ be
the derivative of any loss in $s$. Gradient flow is $\dot p = \dot n = -2 s g$ and
$\dot s = -(p + n) g$.
"""

from collections.abc import Iterator

import sympy as sp
from sympy.matrices.expressions.matexpr import MatrixExpr

from ._notation import MEANING, c, family, gamma, m, more, q, s, s0, t, w
from ._statement import Expr, Numeric, Statement, Step, equation, positive

a, b = sp.symbols("a b", positive=True)
p, n, g = sp.symbols("p n g", positive=True)
D, H, K = sp.symbols("d h k", positive=True, integer=True)
W1, W2, B = sp.MatrixSymbol("W_1", H, D), sp.MatrixSymbol("W_2", K, H), sp.MatrixSymbol("B", K, D)
x1, lam1, lam2 = sp.symbols("x lambda_1 lambda_2", positive=True)
M1, N, A = sp.MatrixSymbol("M_1", D, D), sp.MatrixSymbol("N", K, K), sp.MatrixSymbol("A", K, D)

state = family(
    {
        **MEANING,
        m: "squared weight of the feature after the head",
        a: "scale of the encoder at the start",
        b: "scale of the head at the start",
        W1: "the encoder",
        W2: "the head",
        M1: "Gram before the head",
        D: "number of inputs",
        x1: "squared weight of the feature in the first layer",
        lam1: "imbalance between the first two layers",
        lam2: "imbalance between the next two",
    }
)


def _rate(quantity: Expr, speeds: dict[Expr, Expr]) -> Expr:
    """Time derivative of a polynomial in matrices, by the rule of products."""
    if quantity in speeds:
        return speeds[quantity]
    if isinstance(quantity, sp.Transpose):
        return _rate(quantity.arg, speeds).T
    if isinstance(quantity, sp.MatAdd):
        return sp.MatAdd(*(_rate(term, speeds) for term in quantity.args))
    if isinstance(quantity, sp.MatMul):
        factors = quantity.args
        each = (
            sp.MatMul(*factors[:k], _rate(factor, speeds), *factors[k + 1 :])
            for k, factor in enumerate(factors)
            if isinstance(factor, MatrixExpr)
        )
        return sp.MatAdd(*each)
    return sp.ZeroMatrix(*quantity.shape)


def _symmetric(quantity: Expr) -> Expr:
    """The same with Grams in place of their transposes."""
    return quantity.doit().xreplace({M1.T: M1, N.T: N})


def _law(formula: Expr) -> Iterator[Step]:
    value = formula.rhs
    yield Step("it is the scale of the encoder at the start", value.subs(m, 0) - a)
    yield Step("it solves the quadratic equation", (value - a) * (value + b) - m)
    # Along the flow dp / dm = (-2 s g) / (-2 s (p + n) g), with n = p + b - a.
    yield Step("it has the slope of the flow of any loss", value.diff(m) - 1 / (2 * value + b - a))
    yield positive("it grows with the weight after the head", value.diff(m))


def _gain(formula: Expr) -> Iterator[Step]:
    gain = formula.rhs
    yield Step(
        "with the scale at the start it solves the quadratic equation", gain * (gain + a + b) - m
    )
    yield Step("a weight of zero gains nothing", gain.subs(m, 0))
    yield positive("of both roots it is the positive one", gain)


def _invariant(formula: Expr) -> Iterator[Step]:
    below, above = W2.T * B, B * W1.T
    grams = {
        "before the head": (W1.T * W1, -(A.T * B + B.T * A)),
        "of the head": (W2 * W2.T, -(A * B.T + B * A.T)),
        "of the product": (W2 * W1, -(B * M1 + N * B)),
    }
    for name, (gram, claimed) in grams.items():
        known = claimed.xreplace({M1: W1.T * W1, N: W2 * W2.T}).xreplace({A: W2 * W1})
        yield Step(f"flow {name}", _rate(gram, {W1: -below, W2: -above}) - known)
    speeds = {
        M1: -(A.T * B + B.T * A),
        N: -(A * B.T + B * A.T),
        A: -(B * M1 + N * B),
    }
    first = formula.rhs - A.T * A
    second = (N - b * sp.Identity(K)) * (N + a * sp.Identity(K)) - A * A.T
    third = N * A - A * M1 - (b - a) * A
    for name, relation, claimed in (
        ("first", first, B.T * third + third.T * B),
        ("second", second, -(B * third.T + third * B.T)),
        ("third", third, B * first - second * B),
    ):
        rate = _rate(relation, speeds) - claimed
        yield Step(
            f"{name} relation: its speed vanishes where all three do",
            _symmetric(rate.expand().doit()),
        )
    yield Step(
        "the first holds at the start",
        formula.rhs.xreplace({M1: a * sp.Identity(D)}),
    )


def _decaying(formula: Expr) -> Iterator[Step]:
    faded = formula.rhs / a
    pull = {p: -2 * s * g - 2 * gamma * p, n: -2 * s * g - 2 * gamma * n}
    pull[s] = -(p + n) * g - 2 * gamma * s
    for name, quantity, own in (
        ("difference of the Grams", n - p, (b - a) * faded),
        ("product of the Grams", p * n - s**2, a * b * faded**2),
    ):
        rate = sp.Add(*(quantity.diff(v) * speed for v, speed in pull.items()))
        yield Step(f"{name}: one rate", sp.cancel(rate / quantity) - own.diff(t) / own)
    yield Step("it starts where it starts", formula.rhs.subs(t, 0) - a)


def _threshold(formula: Expr) -> Iterator[Step]:
    law = ((a - b) + sp.sqrt((a + b) ** 2 + 4 * m)) / 2
    # The root of the law is rational there.
    root = (a + b) ** 2 / (b - a)
    at = lambda value: value.subs(m, formula.rhs**2)
    yield Step("the root of the law", at((a + b) ** 2 + 4 * m) - root**2)
    exponent = (m * law.diff(m) / law).subs(sp.sqrt((a + b) ** 2 + 4 * m), root)
    yield Step("the exponent is one half there", sp.cancel(at(exponent)) - sp.Rational(1, 2))


def _time(formula: Expr) -> Iterator[Step]:
    speed = 4 * s * (c - q**2 * s**2) * sp.sqrt((a + b) ** 2 + 4 * s**2)
    # Below saturation by an excess, roots of quotients are quotients of roots.
    excess = (formula.rhs.diff(s) * speed).subs(c, q**2 * (s**2 + more**2))
    roots = excess.replace(sp.Pow, lambda base, power: sp.factor(sp.together(base)) ** power)
    yield Step("its derivative is one over the speed", roots - 1)
    yield Step("no time passes at the start", formula.rhs.subs(s, s0))


def _shifted(formula: Expr) -> Iterator[Step]:
    squares = [x1, x1 + lam1, x1 + lam1 + lam2]
    yield Step("the layers differ by their imbalances", sp.prod(squares) - formula.rhs)
    # Along the flow each squared layer changes at the rate -2 s g, and decays.
    pull = 2 * s * g
    each = [-pull - 2 * gamma * square for square in squares]
    rate = sum(speed * sp.prod(squares[:k] + squares[k + 1 :]) for k, speed in enumerate(each))
    along = formula.rhs.diff(x1) * each[0] + sum(
        formula.rhs.diff(multiple) * -2 * gamma * multiple for multiple in (lam1, lam2)
    )
    yield Step("the flow of any loss keeps it, with decaying imbalances", sp.expand(rate - along))
    for shifts in ((lam1,), (lam1, lam1 + lam2)):
        inner, outer = sp.Identity(H), W1.T * W1
        for shift in shifts:
            inner = inner * (W1 * W1.T + shift * sp.Identity(H))
            outer = outer * (W1.T * W1 + shift * sp.Identity(D))
        yield Step(
            f"W_1^T ... W_1 of {len(shifts) + 1} layers, as matrices",
            (W1.T * inner * W1 - outer).expand().doit(),
        )


def statements() -> Iterator[Statement]:
    flow = "Gradient flow of any differentiable loss of two linear layers, from an isotropic start."
    yield state(
        "start-law",
        "Squared weight before the head, from that after it",
        equation(sp.Symbol("v^2"), (a - b + sp.sqrt((a + b) ** 2 + 4 * m)) / 2),
        _law,
        setting=flow,
        claim="start-law",
        numeric=Numeric("projhead_theory.theory.starts.start_law", (m, a, b)),
        near_misses=(
            (4 * m, 2 * m),
            ((a + b) ** 2, (a - b) ** 2),
            (a / 2, b / 2),
            ((a + b) ** 2, a**2 + b**2),
        ),
    )
    yield state(
        "start-law-gain",
        "Squared weight before the head, beyond the scale of the encoder",
        equation(sp.Symbol("v^2") - a, 2 * m / (a + b + sp.sqrt((a + b) ** 2 + 4 * m))),
        _gain,
        setting=flow + " No digits are lost where a scale is far above the weight.",
        claim="start-law",
        near_misses=((4 * m, 2 * m), (a, b), ((a + b) ** 2, a**2 + b**2)),
    )
    yield state(
        "start-law-matrix",
        "Gram after the head, from that before it",
        equation(
            sp.MatrixSymbol("M_2", D, D),
            (M1 - a * sp.Identity(D)) * (M1 + b * sp.Identity(D)),
        ),
        _invariant,
        setting=flow + " Any widths.",
        claim="start-law",
        near_misses=(
            (M1 + b * sp.Identity(D), M1 + a * sp.Identity(D)),
            (M1 - a * sp.Identity(D), M1 + a * sp.Identity(D)),
            (M1 + b * sp.Identity(D), M1),
        ),
    )
    yield state(
        "scalar-imbalance",
        "Squared weight after the last of three layers, from the first",
        equation(m, x1 * (x1 + lam1) * (x1 + lam1 + lam2)),
        _shifted,
        setting="Gradient flow of any differentiable loss of three linear layers, whose imbalances "
        "are multiples of the identity.",
        claim="scalar-imbalance",
        near_misses=(
            (x1 + lam1 + lam2, x1 + lam2),
            (x1 + lam1, x1 - lam1),
            (x1 + lam1 + lam2, x1 + lam1),
        ),
    )
    yield state(
        "start-decay",
        "Scale that takes the place of the start's under weight decay",
        equation(sp.Function("a")(t), a * sp.exp(-2 * gamma * t)),
        _decaying,
        setting=flow + " With weight decay; the scale of the head is alike.",
        claim="start-law",
        near_misses=((-2 * gamma * t, -gamma * t), (-2 * gamma * t, -4 * gamma * t)),
    )
    yield state(
        "start-threshold",
        "Weight after the head above which the encoder is less equal than a balanced one",
        equation(w, sp.sqrt(a * b) * (b + a) / (b - a)),
        _threshold,
        conditions=(sp.StrictGreaterThan(b, a),),
        setting=flow,
        claim="start-law",
        near_misses=((b - a, b), (sp.sqrt(a * b), a * b), (b + a, b)),
    )
    end = sp.sqrt((a + b) ** 2 + 4 * c / q**2)
    phi = lambda x: (
        sp.asinh(sp.sqrt((a + b) ** 2 + 4 * x**2) / (2 * sp.sqrt(c / q**2 - x**2))) / end
        - sp.asinh((a + b) / (2 * x)) / (a + b)
    )
    yield state(
        "start-times",
        "Time of a feature from one weight to another",
        equation(t, (phi(s) - phi(s0)) / (4 * c)),
        _time,
        conditions=tuple(sp.StrictGreaterThan(sp.sqrt(c) / q, x) for x in (s, s0)),
        setting="Gradient flow of the spectral contrastive loss, on the set of the start law.",
        numeric=Numeric("projhead_theory.theory.starts.time_to_weight", (s, s0, c, q, a, b)),
        claim="start-law",
        near_misses=((4 * c / q**2, c / q**2), (4 * c, 2 * c)),
    )

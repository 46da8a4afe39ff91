r"""Supervised contrastive and supervised learning.

A class feature $\varphi_c y$ and a subclass feature $\varphi_s z$ with $E y z = r$,
$y, z = \pm 1$, each with noise. Supervised regression learns modes with $a = E[y x]$ and
$q = E[x^2]$.
"""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, deeper, family, layer, q, s, s0, t
from ._statement import Expr, Statement, Step, equation, positive
from .dynamics import grows_evenly, termwise
from .moments import expectation, standard

phi_c, phi_s, sigma_c, sigma_s, r, a, mix = sp.symbols(
    "phi_c phi_s sigma_c sigma_s r a beta", positive=True
)
c_class, c_view = (
    sp.Symbol(rf"c_{{\mathrm{{{kind}}}}}", positive=True) for kind in ("class", "view")
)
outputs, inputs = sp.symbols("k d", positive=True, integer=True)
TARGET, SECOND = sp.MatrixSymbol("A", outputs, inputs), sp.MatrixSymbol("S", inputs, inputs)

state = family(
    {
        **MEANING,
        phi_c: "strength of the class feature",
        phi_s: "strength of the subclass feature",
        sigma_c: "noise of the class feature",
        sigma_s: "noise of the subclass feature",
        r: "correlation of the subclass with the class",
        mix: "probability of a positive pair from the class",
        c_class: "cross moment of two inputs of a class",
        c_view: "cross moment of two views of an input",
        a: "moment of the target and the input",
        TARGET: "moment of the targets and the inputs",
        SECOND: "second moment of the inputs",
    }
)
SCALED = sp.Symbol("lambda_1", positive=True)


def _moments() -> tuple[Expr, Expr]:
    """Cross moment of two inputs of a class, and second moment, of class and subclass feature."""
    y, e1, e2, n1, n2, n3, n4 = sp.symbols("y e_1 e_2 n_1:5", real=True)
    # Given its class, an input draws its own subclass: r y and an independent part.
    one, two = (
        (phi_c * y + sigma_c * noise, phi_s * (r * y + sp.sqrt(1 - r**2) * own) + sigma_s * other)
        for own, noise, other in ((e1, n1, n2), (e2, n3, n4))
    )
    distributions = dict.fromkeys((y, e1, e2, n1, n2, n3, n4), standard)
    cross, second = (
        sp.Matrix(
            2, 2, lambda i, j, v=v: sp.expand(expectation(sp.expand(one[i] * v[j]), distributions))
        )
        for v in (two, one)
    )
    return cross, second


def _weights() -> Expr:
    """The only direction kept, up to its length: the inverse second moment times the class mean."""
    _, second = _moments()
    return second.inv() * sp.Matrix([phi_c, r * phi_s])


def _direction(formula: Expr) -> Iterator[Step]:
    cross, second = _moments()
    mean = sp.Matrix([phi_c, r * phi_s])
    yield Step("the cross moment is that of the class means", cross - mean * mean.T)
    ratio = sp.Matrix([1, formula.rhs])
    turned = second * ratio
    yield Step(
        "the second moment maps the direction to the class mean",
        turned[0] * mean[1] - turned[1] * mean[0],
    )
    yield Step(
        "the subclass has none of it without noise of the class", formula.rhs.subs(sigma_c, 0)
    )
    yield Step("nor if it is independent of the class", formula.rhs.subs(r, 0))


def _fraction(formula: Expr) -> Iterator[Step]:
    cross, second = _moments()
    yield Step(
        "trace of the whitened cross moment, of rank one",
        sp.cancel((cross * second.inv()).trace() - formula.rhs),
    )


def _mixed(formula: Expr) -> Iterator[Step]:
    # One draw decides for the pair.
    decides = sp.Symbol("k", real=True)
    pair = decides * c_class + (1 - decides) * c_view
    yield Step(
        "expectation over how the pair is drawn",
        expectation(pair, {decides: lambda k: mix if k else sp.S.One}) - formula.rhs,
    )


def _subclass(formula: Expr) -> Iterator[Step]:
    cross, _ = _moments()
    both = {r: 0}
    view = phi_s**2
    of_class = cross[1, 1].subs(both)
    total = mix * of_class + (1 - mix) * view
    second = phi_s**2 + sigma_s**2
    yield Step("the derivative of its loss vanishes", -2 * total + 2 * second**2 * formula.rhs**2)
    yield positive("it is positive", formula.rhs.subs(mix, 1 / (1 + deeper)))


def regression(weight: Expr) -> Expr:
    """Contribution of a mode to the loss, up to a constant."""
    return q * weight**2 / 2 - a * weight


def speed(weight: Expr = s, depth: Expr = L) -> Expr:
    """Time derivative of the weight of a mode.

    Each of L equal layers follows the derivative in its own weight.
    """
    return -regression(s).diff(s).subs(s, weight) * depth * weight ** (2 - 2 / depth)


def _minimiser(formula: Expr) -> Iterator[Step]:
    target, x = sp.symbols("y x", real=True)
    loss = sp.expand((s * x - target) ** 2 / 2).subs(x * target, a).subs(x**2, q)
    yield Step("the derivative of the loss vanishes", loss.diff(s).subs(s, formula.rhs))
    yield Step("it is what the other statements start from", loss.diff(s) - regression(s).diff(s))


def _minimiser_matrix(formula: Expr) -> Iterator[Step]:
    yield Step("the derivative of the loss, W S - A, vanishes", formula.rhs * SECOND - TARGET)


def _equation(formula: Expr) -> Iterator[Step]:
    for depth in (1, 2, 3, 4):
        layers = sp.symbols(f"u_1:{depth + 1}", positive=True)
        product = sp.Mul(*layers)
        loss = regression(product)
        moved = sp.Add(*(-loss.diff(u) * product.diff(u) for u in layers)).subs(
            dict.fromkeys(layers, s ** sp.Rational(1, depth))
        )
        yield Step(
            f"gradient flow of {depth} separate layers, when they are equal",
            moved - formula.rhs.subs(L, depth),
        )
    yield Step("gradient flow of L equal layers", speed() - formula.rhs)


def _time(formula: Expr) -> Iterator[Step]:
    yield from termwise(formula.rhs, s, 1 / speed(), q * s / a)
    yield Step("it is zero at the start", formula.rhs.subs(s, s0))


def _closed(depth: int, target: Expr = a) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        value = formula.rhs
        yield Step(
            "it moves at the speed of the flow",
            value.diff(t) - speed(value, sp.Integer(depth)).subs(a, target),
        )
        yield Step("it starts where it should", value.subs(t, 0) - s0)

    return proof


def _vanishing(formula: Expr) -> Iterator[Step]:
    yield from grows_evenly(formula.rhs, 2 / L - 2, speed().subs(a, 0))
    yield Step("it starts where it should", sp.powdenest(formula.rhs.subs(t, 0), force=True) - s0)


def _exponent(formula: Expr) -> Iterator[Step]:
    late = t ** -formula.rhs.subs(layer, L)
    balance = sp.simplify(late.diff(t) / speed(late).subs(a, 0))
    yield Step("both sides of the flow fall with the same power of time", balance.diff(t))
    yield Step(
        "the layers share it equally",
        formula.rhs / layer - formula.rhs.subs(layer, layer + 1) / (layer + 1),
    )


def statements() -> Iterator[Statement]:
    classes = (
        "Two balanced classes; positives are two draws of one class, each with its own subclass."
    )
    ratio = sp.Symbol("u_{s} / u_{c}")
    yield state(
        "scl-minimiser",
        "Weight of the subclass relative to the class in the direction kept",
        equation(ratio, r * phi_s * sigma_c**2 / (phi_c * (phi_s**2 * (1 - r**2) + sigma_s**2))),
        _direction,
        conditions=(sp.Lt(r, 1),),
        setting=classes,
        source="paper",
        claim="scl-minimiser",
        near_misses=(
            (sigma_c**2, sigma_c),
            (1 - r**2, 1 - r),
            (sigma_s**2, sigma_s),
            (phi_s**2, phi_s),
        ),
    )
    scale = (phi_c**2 + sigma_c**2) * (phi_s**2 + sigma_s**2) - r**2 * phi_c**2 * phi_s**2
    yield state(
        "scl-signal-fraction",
        "The only signal fraction",
        equation(
            SCALED,
            (phi_c**2 * (phi_s**2 * (1 - r**2) + sigma_s**2) + r**2 * phi_s**2 * sigma_c**2)
            / scale,
        ),
        _fraction,
        conditions=(sp.Lt(r, 1),),
        setting=classes,
        claim="scl-minimiser",
        near_misses=((sigma_s**2, sigma_s), (1 - r**2, 1 - r), (phi_c**2, phi_c)),
    )
    yield state(
        "mixed-positives",
        "Cross moment of positives of two kinds",
        equation(c, mix * c_class + (1 - mix) * c_view),
        _mixed,
        conditions=(sp.Lt(mix, 1),),
        setting=(
            "Each pair is drawn from the class with this probability, and from the "
            "augmentation otherwise."
        ),
        claim="mixed-positives",
        near_misses=((mix, mix**2), (c_view, 2 * c_view), (c_class, c_view)),
    )
    yield state(
        "mixed-subclass-weight",
        "Weight of a subclass that is independent of the class, with positives of two kinds",
        equation(sp.Symbol("w_s"), sp.sqrt(1 - mix) * phi_s / (phi_s**2 + sigma_s**2)),
        _subclass,
        conditions=(sp.Lt(mix, 1),),
        setting="Views with fresh noise of an input.",
        claim="mixed-positives",
        near_misses=((sp.sqrt(1 - mix), 1 - mix), (sigma_s**2, sigma_s), (phi_s**2, phi_s)),
    )
    setting = "Regression with aligned modes, in a balanced network."
    yield state(
        "sl-minimiser",
        "Weight of a mode at the minimum",
        equation(s, a / q),
        _minimiser,
        setting=setting,
        source="paper",
        claim="sl-minimiser",
        near_misses=((a, sp.sqrt(a)), (q, q**2), (a, 2 * a)),
    )
    yield state(
        "sl-minimiser-matrix",
        "The map at the minimum",
        equation(sp.MatrixSymbol(r"W^{\star}", outputs, inputs), TARGET * SECOND.I),
        _minimiser_matrix,
        setting=(
            "Regression; A is the moment of targets and inputs, S the second moment, invertible."
        ),
        claim="sl-minimiser",
        near_misses=((SECOND.I, SECOND), (SECOND.I, SECOND.I * SECOND.I), (TARGET, 2 * TARGET)),
    )
    power = 2 - 2 / L
    yield state(
        "sl-equation",
        "How fast a mode is learned",
        equation(sp.Derivative(sp.Function("s")(t), t), L * s**power * (a - q * s)),
        _equation,
        setting=setting,
        claim="sl-times",
        near_misses=((power, 3 - 2 / L), (q, q**2), (power, 2 - 1 / L)),
    )
    series = s ** (1 - power) / ((1 - power) * a) * sp.hyper([1, 1 - power], [2 - power], q * s / a)
    yield state(
        "sl-times",
        "Time between two weights of a mode",
        equation(t, (series - series.subs(s, s0)) / L),
        _time,
        conditions=(sp.Ne(L, 2), sp.Lt(s0, s), sp.Lt(s, a / q)),
        setting=setting,
        claim="sl-times",
        near_misses=((a, 2 * a), (q, q**2), (1 - power, 1 - 3 / L)),
    )
    yield state(
        "sl-times-depth-1",
        "Weight of a mode after a time, depth 1",
        equation(sp.Function("s")(t), a / q + (s0 - a / q) * sp.exp(-q * t)),
        _closed(1),
        setting=setting,
        claim="sl-times",
        near_misses=((-q * t, -2 * q * t), (s0 - a / q, s0), (-q * t, -a * t)),
    )
    yield state(
        "sl-times-depth-2",
        "Weight of a mode after a time, depth 2",
        equation(sp.Function("s")(t), a / q / (1 + (a / (q * s0) - 1) * sp.exp(-2 * a * t))),
        _closed(2),
        setting=setting,
        claim="sl-times",
        near_misses=((-2 * a * t, -a * t), (-2 * a * t, -2 * q * t), (a / (q * s0), a / s0)),
    )
    empty = "Regression, a mode without signal, in a balanced network."
    yield state(
        "sl-retention",
        "Weight of a mode without signal",
        equation(
            sp.Function("s")(t),
            (s0 ** -(2 - 2 / L) + L * (2 - 2 / L) * q * t) ** (-1 / (2 - 2 / L)),
        ),
        _vanishing,
        conditions=(sp.Ge(L, 2),),
        setting=empty,
        claim="sl-retention",
        near_misses=((q, q**2), (q, 2 * q), (-1 / (2 - 2 / L), -1 / (3 - 2 / L))),
    )
    yield state(
        "sl-retention-exponent",
        "Power of time with which a layer forgets a mode without signal",
        equation(sp.Symbol("e_l"), layer / L / (2 - 2 / L)),
        _exponent,
        conditions=(sp.Ge(L, 2), sp.Le(layer, L)),
        setting=empty,
        claim="sl-retention",
        near_misses=((2 - 2 / L, 2 - 1 / L), (layer / L, layer / (L + 1)), (2 - 2 / L, 4 - 2 / L)),
    )
    yield state(
        "sl-retention-depth-1",
        "Weight of a mode without signal, depth 1",
        equation(sp.Function("s")(t), s0 * sp.exp(-q * t)),
        _closed(1, sp.S.Zero),
        setting=empty,
        claim="sl-retention",
        near_misses=((-q * t, -2 * q * t), (-q * t, q * t), (s0, s0**2)),
    )

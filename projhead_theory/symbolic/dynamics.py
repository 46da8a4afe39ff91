r"""Learning times: gradient flow of one feature, $\dot s = 4 L s^{3-2/L} (c - q^2 s^2)$."""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, deeper, family, layer, q, s, s0, spectral_loss, t
from ._statement import Expr, Numeric, Statement, Step, equation, positive

v, v0, gap, share = sp.symbols("v v_0 g p", positive=True)
order = sp.Symbol("k", integer=True, nonnegative=True)
G = sp.Function("G")
kappa = 2 - 2 / L
top = sp.sqrt(c) / q
MODULE = "projhead_theory.theory.dynamics"

state = family(
    {
        **MEANING,
        v: "L-th root of the squared weight as a share of its final value",
        v0: "the same at the start",
        gap: "what the squared weight lacks of its final value, as a share of it",
    },
    setting="A feature model, and a balanced network aligned with the features.",
    claim="flow-times",
)


def speed(weight: Expr = s, depth: Expr = L) -> Expr:
    """Time derivative of the weight of a feature.

    Each of L equal layers follows the derivative in its own weight.
    """
    slope = spectral_loss(v**2).diff(v).subs(v, weight)
    return -slope * depth * weight ** (2 - 2 / depth)


def nth_terms(expression: Expr) -> Expr:
    """Replace every hypergeometric series by its term of order k."""

    def rising(a: Expr) -> Expr:
        return sp.factorial(order) if a == 1 else sp.gamma(a + order) / sp.gamma(a)

    def term(upper: sp.Tuple, lower: sp.Tuple, z: Expr) -> Expr:
        return (
            sp.Mul(*map(rising, upper))
            / sp.Mul(*map(rising, lower))
            / sp.factorial(order)
            * z**order
        )

    return expression.replace(sp.hyper, term)


def termwise(primitive: Expr, variable: sp.Symbol, function: Expr, ratio: Expr) -> Iterator[Step]:
    """Prove term by term that the derivative of a hypergeometric primitive is the function.

    The function is expanded as a geometric series of this ratio.
    """
    lead = sp.powsimp(sp.expand_power_base(sp.cancel(function * (1 - ratio))))
    yield Step("one over the speed is a geometric series", lead - function * (1 - ratio))
    slope = nth_terms(primitive).diff(variable) / (lead * ratio**order)
    slope: Expr = sp.gammasimp(sp.powsimp(sp.expand(sp.powdenest(sp.expand_power_base(slope)))))
    yield Step("the derivative has the same terms", slope - 1)


def _equation(formula: Expr) -> Iterator[Step]:
    yield Step("gradient flow of L equal layers", speed() - formula.rhs)
    for depth in (1, 2, 3, 4):
        layers = sp.symbols(f"u_1:{depth + 1}", positive=True)
        product = sp.Mul(*layers)
        loss = spectral_loss(product**2)
        moved = sp.Add(*(-loss.diff(u) * product.diff(u) for u in layers)).subs(
            dict.fromkeys(layers, s ** sp.Rational(1, depth))
        )
        yield Step(
            f"gradient flow of {depth} separate layers, when they are equal",
            moved - formula.rhs.subs(L, depth),
        )


def _inverse(depth: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        yield Step(
            "its derivative in the weight is one over the speed",
            formula.rhs.diff(s) * speed(s, sp.Integer(depth)) - 1,
        )
        yield Step("it is zero at the start", formula.rhs.subs(s, s0))

    return proof


def _time(formula: Expr) -> Iterator[Step]:
    yield from termwise(formula.rhs, s, 1 / speed(), (q * s) ** 2 / c)
    yield Step("it is zero at the start", formula.rhs.subs(s, s0))


def _primitive(formula: Expr) -> Iterator[Step]:
    yield from termwise(formula.rhs, v, 1 / (1 - v**L), v**L)
    yield Step("it is zero at zero", nth_terms(formula.rhs).subs(order, 0).subs(v, 0))


def _normalised(formula: Expr) -> Iterator[Step]:
    slope = formula.rhs.diff(v).subs(G(v).diff(v), 1 / (1 - v**L))
    weight = top * v ** (L / 2)
    yield Step(
        "its derivative in the weight is one over the speed",
        slope * sp.powdenest(speed(weight)) / weight.diff(v) - 1,
    )
    yield Step("it is zero at the start", formula.rhs.subs(v, v0))


def elementary(depth: int) -> Expr:
    r"""$\int_0^v \frac{dx}{1 - x^L}$ by partial fractions over the roots of unity.

    Conjugate pairs are taken together.
    """
    parts = [-sp.log(1 - v)]
    if depth % 2 == 0:
        parts.append(sp.log(1 + v))
    for k in range(1, (depth + 1) // 2):
        cosine, sine = sp.cos(2 * sp.pi * k / depth), sp.sin(2 * sp.pi * k / depth)
        parts.append(
            -cosine * sp.log(1 - 2 * v * cosine + v**2)
            + 2 * sine * sp.atan(v * sine / (1 - v * cosine))
        )
    return sp.Add(*parts) / depth


def _elementary(depth: int) -> Statement:
    def proof(formula: Expr) -> Iterator[Step]:
        yield Step(f"its derivative is 1/(1 - v^{depth})", formula.rhs.diff(v) * (1 - v**depth) - 1)
        yield Step("it is zero at zero", formula.rhs.subs(v, 0))

    value = elementary(depth)
    logarithms = sorted(value.atoms(sp.log), key=str)
    return state(
        f"flow-primitive-depth-{depth}",
        f"The integral behind the times, depth {depth}",
        equation(G(v), value),
        proof,
        conditions=(sp.Lt(v, 1),),
        near_misses=(*((log, 2 * log) for log in logarithms[:2]), (v, v**2), (v, 2 * v)),
    )


def _rate(formula: Expr) -> Iterator[Step]:
    missing = 1 - (q * s) ** 2 / c
    rate = sp.cancel(missing.diff(s) * speed() / missing)
    yield Step(
        "relative rate at which the gap closes, at the final weight",
        rate.subs(s, top) + formula.rhs,
    )


def _gap(formula: Expr) -> Iterator[Step]:
    missing = 1 - (q * s) ** 2 / c
    rate = (missing.diff(s) * speed()).subs(s, top * sp.sqrt(share))
    yield Step("the flow, in terms of the gap", rate - formula.rhs.subs(gap, 1 - share))


def _logistic(formula: Expr) -> Iterator[Step]:
    value = formula.rhs
    yield Step("it moves at the speed of the flow", value.diff(t) - speed(value, sp.S.One))
    yield Step("it starts where it should", value.subs(t, 0) - s0)


def _onset(formula: Expr) -> Iterator[Step]:
    onset = formula.rhs
    ratio = sp.simplify(sp.powsimp(sp.expand_power_base(1 / speed(s0) / -onset.diff(s0))))
    yield Step("for a small start it changes with it as the time does", ratio.subs(s0, 0) - 1)
    power = sp.simplify(s0 * onset.diff(s0) / onset)
    yield Step("it is a power of the start", power.diff(s0))
    yield positive(
        "a negative one: the rest of the time is soon forgotten", -power.subs(L, 1 + deeper)
    )
    yield Step("the second moment does not enter", onset.diff(q))


def _onset_limit(depth: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        time = TIMES[depth].subs(s, top / 2)
        yield Step(
            "limit of the ratio to the time to half the final weight",
            sp.limit(time / formula.rhs, s0, 0) - 1,
        )
        yield Step("the second moment does not enter", formula.rhs.diff(q))
        if depth == 1:
            growth = sp.cancel(speed(s, sp.S.One) / s).subs(s, 0)
            yield Step(
                "by then exponential growth at the first rate has led to weight 1",
                sp.log(s0) + growth * formula.rhs,
            )

    return proof


def _correction(depth: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        onset = {1: -sp.log(s0) / (4 * c), 2: 1 / (8 * c * s0)}[depth]
        missed = TIMES[depth].subs(s, top / 2) - onset - formula.rhs
        yield Step(
            "time to half the final weight, less the onset time",
            missed.subs(s0, top * sp.sqrt(share / (1 + share))),
        )

    return proof


def grows_evenly(weight: Expr, power: Expr, flow: Expr) -> Iterator[Step]:
    """Prove that the weight solves the flow: a power of it grows at the flow's constant rate."""
    growth = sp.powsimp(sp.expand((s**power).diff(s) * flow))
    evenly: Expr = sp.powdenest(weight**power, force=True)
    yield Step("a power of the weight that solves the flow grows evenly", growth.diff(s))
    yield Step("and so does this one, at that rate", evenly.diff(t) - growth)


def _vanishing(formula: Expr) -> Iterator[Step]:
    yield from grows_evenly(formula.rhs, 2 / L - 4, speed().subs(c, 0))
    yield Step("it starts where it should", sp.powdenest(formula.rhs.subs(t, 0), force=True) - s0)


def _vanishing_exponent(formula: Expr) -> Iterator[Step]:
    late = t ** -formula.rhs.subs(layer, L)
    balance = sp.simplify(late.diff(t) / speed(late).subs(c, 0))
    yield Step("both sides of the flow fall with the same power of time", balance.diff(t))
    yield Step(
        "the layers share it equally",
        formula.rhs / layer - formula.rhs.subs(layer, layer + 1) / (layer + 1),
    )


def _vanishing_tail(formula: Expr) -> Iterator[Step]:
    yield from grows_evenly(formula.rhs, 2 / L - 4, speed().subs(c, 0))


def _between(primitive: Expr) -> Expr:
    return primitive - primitive.subs(s, s0)


TIMES = {
    1: _between((sp.log(s) - sp.log(c - q**2 * s**2) / 2) / c) / 4,
    2: _between(q * sp.atanh(q * s / sp.sqrt(c)) / c ** sp.Rational(3, 2) - 1 / (c * s)) / 8,
}


def statements() -> Iterator[Statement]:
    power = 3 - 2 / L
    below = (sp.Lt(s0, s), sp.Lt(s, top))
    yield state(
        "flow-equation",
        "How fast a feature is learned",
        equation(sp.Derivative(sp.Function("s")(t), t), 4 * L * s**power * (c - q**2 * s**2)),
        _equation,
        near_misses=((power, 3 - 1 / L), (L * s**power, s**power), (q**2, q), (power, 2 - 2 / L)),
    )
    series = (
        s ** (1 - power)
        / ((1 - power) * c)
        * sp.hyper([1, (1 - power) / 2], [(3 - power) / 2], q**2 * s**2 / c)
    )
    yield state(
        "flow-times",
        "Time between two weights",
        equation(t, _between(series) / (4 * L)),
        _time,
        conditions=(sp.Ge(L, 2), *below),
        numeric=Numeric(f"{MODULE}.time_to_weight", (s, s0, c, q, L)),
        near_misses=(
            (power - 1, 1 - 1 / L),
            (q**2, q),
            (c, 2 * c),
            (s ** (1 - power), s ** (-power)),
        ),
    )
    yield state(
        "flow-times-depth-1",
        "Time between two weights, depth 1",
        equation(t, TIMES[1]),
        _inverse(1),
        conditions=below,
        numeric=Numeric(f"{MODULE}.time_to_weight", (s, s0, c, q, sp.S.One)),
        near_misses=((sp.log(s), 2 * sp.log(s)), (q**2, q), (c - q**2 * s**2, c + q**2 * s**2)),
    )
    yield state(
        "flow-times-depth-2",
        "Time between two weights, depth 2",
        equation(t, TIMES[2]),
        _inverse(2),
        conditions=below,
        numeric=Numeric(f"{MODULE}.time_to_weight", (s, s0, c, q, sp.Integer(2))),
        near_misses=(
            (1 / s, 2 / s),
            (q, 2 * q),
            (sp.atanh(q * s / sp.sqrt(c)), sp.atan(q * s / sp.sqrt(c))),
        ),
    )
    yield state(
        "flow-primitive",
        "The integral behind the times",
        equation(G(v), v * sp.hyper([1, 1 / L], [1 + 1 / L], v**L)),
        _primitive,
        conditions=(sp.Lt(v, 1),),
        near_misses=((1 / L, 2 / L), (v**L, v ** (2 * L)), (v, 2 * v)),
    )
    for depth in range(1, 7):
        yield _elementary(depth)
    yield state(
        "flow-times-normalised",
        "Time between two weights, in units of the final weight",
        equation(
            t, top ** (-kappa) / (8 * c) * (G(v) - G(v0) + (v0 ** (1 - L) - v ** (1 - L)) / (L - 1))
        ),
        _normalised,
        conditions=(sp.Ge(L, 2), sp.Lt(v0, v), sp.Lt(v, 1)),
        near_misses=((kappa, 2 - 1 / L), (v ** (1 - L), v ** (-L)), (L - 1, L)),
    )
    yield state(
        "logistic-growth",
        "Weight after a time, depth 1",
        equation(
            sp.Function("s")(t), top / sp.sqrt(1 + (c / (q * s0) ** 2 - 1) * sp.exp(-8 * c * t))
        ),
        _logistic,
        conditions=(sp.Lt(s0, top),),
        numeric=Numeric(f"{MODULE}.weight_at_time", (t, s0, c, q, sp.S.One)),
        near_misses=(
            (-8 * c * t, -4 * c * t),
            (c / (q * s0) ** 2, c / (q * s0)),
            (-8 * c * t, -2 * c * t),
        ),
    )
    rate = 8 * L * c * top**kappa
    yield state(
        "saturation-rate",
        "Rate at which a feature saturates",
        equation(sp.Symbol("r"), rate),
        _rate,
        near_misses=((kappa, 2 - 1 / L), (8 * L * c, 4 * L * c), (8 * L * c, 8 * c)),
    )
    yield state(
        "saturation-gap",
        "What is still missing from a feature",
        equation(sp.Derivative(sp.Function("g")(t), t), -rate * gap * (1 - gap) ** (2 - 1 / L)),
        _gap,
        conditions=(sp.Lt(gap, 1),),
        near_misses=((2 - 1 / L, 2 - 2 / L), (1 - gap, 1 + gap), (8 * L * c, 4 * L * c)),
    )
    onset = sp.Symbol("t_0")
    yield state(
        "learning-order",
        "Time at which a feature is learned, from a small start",
        equation(onset, s0 ** (-kappa) / (8 * c * (L - 1))),
        _onset,
        conditions=(sp.Ge(L, 2),),
        claim="learning-order",
        numeric=Numeric(f"{MODULE}.onset_time", (s0, c, L)),
        near_misses=((kappa, 2 - 1 / L), (L - 1, L), (c, c**2), (kappa, 1 - 1 / L)),
    )
    yield state(
        "learning-order-depth-1",
        "Time at which a feature is learned, from a small start, depth 1",
        equation(onset, -sp.log(s0) / (4 * c)),
        _onset_limit(1),
        conditions=(sp.Lt(s0, 1),),
        claim="learning-order",
        numeric=Numeric(f"{MODULE}.onset_time", (s0, c, sp.S.One)),
        near_misses=((c, 2 * c), (c, c / 2), (sp.log(s0), sp.log(s0**2))),
    )
    yield state(
        "learning-order-depth-2",
        "Time at which a feature is learned, from a small start, depth 2",
        equation(onset, 1 / (8 * c * s0)),
        _onset_limit(2),
        claim="learning-order",
        numeric=Numeric(f"{MODULE}.onset_time", (s0, c, sp.Integer(2))),
        near_misses=((c, 2 * c), (s0, s0**2), (c, c**2), (s0, sp.sqrt(s0))),
    )
    correction = sp.Symbol(r"t_{1/2} - t_0")
    yield state(
        "onset-correction-depth-1",
        "What the onset time leaves out of the time to half the final weight, depth 1",
        equation(
            correction, (sp.log(c / q**2) - sp.log(3) + sp.log(1 - (q * s0) ** 2 / c)) / (8 * c)
        ),
        _correction(1),
        conditions=(sp.Lt(s0, top),),
        claim="learning-order",
        numeric=Numeric(f"{MODULE}.onset_correction", (s0, c, q, sp.S.One)),
        near_misses=((sp.log(3), sp.log(2)), (sp.log(c / q**2), sp.log(c / q)), (8 * c, 4 * c)),
    )
    yield state(
        "onset-correction-depth-2",
        "What the onset time leaves out of the time to half the final weight, depth 2",
        equation(
            correction,
            q
            / (8 * c ** sp.Rational(3, 2))
            * (sp.atanh(sp.Rational(1, 2)) - 2 - sp.atanh(q * s0 / sp.sqrt(c))),
        ),
        _correction(2),
        conditions=(sp.Lt(s0, top),),
        claim="learning-order",
        numeric=Numeric(f"{MODULE}.onset_correction", (s0, c, q, sp.Integer(2))),
        near_misses=((sp.Rational(1, 2), sp.Rational(1, 4)), (q, 2 * q), (s0, s0**2)),
    )
    disrupted = (
        "A fully disrupted feature, without signal, in a balanced network aligned with "
        "the features."
    )
    yield state(
        "vanishing-features",
        "Weight of a fully disrupted feature",
        equation(
            sp.Function("s")(t),
            (s0 ** -(4 - 2 / L) + 4 * L * (4 - 2 / L) * q**2 * t) ** (-1 / (4 - 2 / L)),
        ),
        _vanishing,
        setting=disrupted,
        claim="vanishing-features",
        numeric=Numeric(f"{MODULE}.weight_at_time", (t, s0, sp.S.Zero, q, L)),
        near_misses=(
            (4 - 2 / L, 4 - 1 / L),
            (q**2, q),
            (-1 / (4 - 2 / L), -1 / (3 - 2 / L)),
            (q**2, 2 * q**2),
        ),
    )
    yield state(
        "vanishing-exponent",
        "Power of time with which a layer forgets a fully disrupted feature",
        equation(sp.Symbol("e_l"), layer / L / (4 - 2 / L)),
        _vanishing_exponent,
        conditions=(sp.Le(layer, L),),
        setting=disrupted,
        claim="vanishing-features",
        numeric=Numeric(f"{MODULE}.vanishing_exponent", (L, layer)),
        near_misses=(
            (4 - 2 / L, 3 - 2 / L),
            (layer / L, layer / (L + 1)),
            (4 - 2 / L, 4 - 1 / L),
            (layer, layer + 1),
        ),
    )
    yield state(
        "vanishing-tail",
        "Weight of a fully disrupted feature after a long time",
        equation(sp.Function("s")(t), (4 * L * (4 - 2 / L) * q**2 * t) ** (-1 / (4 - 2 / L))),
        _vanishing_tail,
        setting=disrupted,
        claim="vanishing-features",
        near_misses=((q**2, q), (-1 / (4 - 2 / L), -1 / (4 - 1 / L)), (q**2, 2 * q**2)),
    )

r"""Diagonal networks with a symmetrised ReLU, and conserved quantities of homogeneous units.

The networks have two layers unless stated otherwise. Features are $z = \pm 1$, and signs are
flipped with $\rho = (1 - 2\alpha)^2$. Amplitudes are $A_1 = \max(w_1 \varphi - b_1, 0)$ and
$A_2 = \max(w_2 A_1 - b_2, 0)$. Statements about active features assume that they are active.
"""

from collections.abc import Iterator

import sympy as sp

from ._notation import MEANING, family, more, phi
from ._statement import Expr, Statement, Step, equation, positive
from .moments import expectation, two_values

w1, w2, w3, b1, b2, b3, rho = sp.symbols("w_1 w_2 w_3 b_1 b_2 b_3 rho", positive=True)
A1, A2 = sp.symbols("A_1 A_2", positive=True)
i1, i2, o1, o2 = sp.symbols("v_1 v_2 u_1 u_2", real=True)

state = family(
    {
        **MEANING,
        w1: "weight in the first layer",
        w2: "weight in the second layer",
        w3: "weight in the third layer",
        b1: "threshold of the first layer",
        b2: "threshold of the second layer",
        rho: "correlation of the signs of two views",
        A1: "amplitude after the first layer",
        A2: "amplitude after the second layer",
        i1: "weight into the unit",
        i2: "another weight into it",
        o1: "weight out of the unit",
        o2: "another weight out of it",
    },
    setting=(
        "A diagonal network of two layers with a symmetrised ReLU, while the feature is "
        "active; thresholds fixed."
    ),
)
ONE = w1 * phi - b1
TWO = w2 * ONE - b2
THREE = w3 * TWO - b3
LOSS = -2 * rho * A2**2 + A2**4


def _slopes(*parameters: sp.Symbol, last: Expr = TWO) -> dict[Expr, Expr]:
    """Gradient of any loss of the last amplitude; b is its derivative there."""
    slope = sp.Symbol("b", real=True)
    return {v: slope * last.diff(v) for v in parameters}


def _along(quantity: Expr, slopes: dict[Expr, Expr]) -> Expr:
    return sp.Add(*(-quantity.diff(v) * slope for v, slope in slopes.items()))


def _loss(formula: Expr) -> Iterator[Step]:
    flip = sp.Symbol("alpha", positive=True)
    sign, r1, r2, other = sp.symbols("z r_1 r_2 z'", real=True)
    even = two_values(sp.S.One, sp.Rational(1, 2), -sp.S.One)
    flipped = two_values(-sp.S.One, flip, sp.S.One)
    distributions = {sign: even, r1: flipped, r2: flipped, other: even}
    positives = expectation(-2 * (r1 * sign * A2) * (r2 * sign * A2), distributions)
    negatives = expectation((r1 * sign * A2 * other * A2) ** 2, distributions)
    yield Step(
        "expectation over pairs and independent views",
        positives + negatives - formula.rhs.subs(rho, (1 - 2 * flip) ** 2),
    )


def _conserved(formula: Expr) -> Iterator[Step]:
    value = formula.rhs.subs(A1, ONE)
    yield Step("it does not change along the flow of any loss", _along(value, _slopes(w1, w2)))
    yield positive("it falls with the weight of the upper layer", -value.diff(w2))


def _conserved_above(formula: Expr) -> Iterator[Step]:
    value = formula.rhs.subs(A1, ONE)
    yield Step(
        "it does not change along the flow of any loss",
        _along(value, _slopes(w1, w2, w3, last=THREE)),
    )
    yield positive("it falls with the weight of the upper layer", -value.diff(w3))


def _law(formula: Expr) -> Iterator[Step]:
    at = {w1: (A1 + b1) / phi, w2: A1 / phi}
    yield Step("second amplitude of equal weights", formula.rhs.subs(A2, TWO.subs(at)) - A1**2)
    yield Step("equal weights stay equal", _along((ONE / phi) ** 2 - w2**2, _slopes(w1, w2)))


def _speed(formula: Expr) -> Iterator[Step]:
    slope = LOSS.diff(A2)
    slopes = {v: slope * TWO.diff(v) for v in (w1, w2)}
    moved = _along(TWO, slopes).subs(w2, ONE / phi).subs(w1, (sp.sqrt(phi * (A2 + b2)) + b1) / phi)
    yield Step("gradient flow on the threshold law", moved - formula.rhs)


def _limit(formula: Expr) -> Iterator[Step]:
    yield Step("the derivative of the loss vanishes", LOSS.diff(A2).subs(A2, formula.rhs))
    yield positive("its second derivative is positive", LOSS.diff(A2, 2).subs(A2, formula.rhs))


def _retained(formula: Expr) -> Iterator[Step]:
    at = {w1: (formula.rhs + b1) / phi, w2: formula.rhs / phi}
    yield Step("the second amplitude of equal weights is zero", TWO.subs(at))
    yield positive(
        "without signal the loss leads there, falling with the second amplitude",
        LOSS.diff(A2).subs(rho, 0),
    )
    yield positive("the first is not", formula.rhs)


def _vanishing(formula: Expr) -> Iterator[Step]:
    speed = 8 * phi * A2 * (rho - A2**2) * (A2 + b2)
    late = formula.rhs
    time = sp.Symbol("t", positive=True)
    leading = speed.subs(rho, 0).subs(A2, late)
    yield Step(
        "ratio of both sides of the flow, after a long time",
        sp.limit(sp.simplify(late.diff(time) / leading), time, sp.oo) - 1,
    )


def _edge(formula: Expr) -> Iterator[Step]:
    yield Step("there the second amplitude is zero", TWO.subs(phi, formula.rhs))
    yield positive("stronger features are active", TWO.diff(phi))
    yield positive("the first amplitude is not zero", sp.expand(ONE.subs(phi, formula.rhs)))


def _presence(formula: Expr) -> Iterator[Step]:
    yield Step("there the first amplitude is zero", ONE.subs(phi, formula.rhs))
    yield positive("stronger features are active", ONE.diff(phi))


def _trained(formula: Expr) -> Iterator[Step]:
    yield Step(
        "it does not change along the flow of any loss",
        _along(formula.rhs, _slopes(w1, b1, w2, b2)),
    )
    yield positive("it falls with the weight of the upper layer", -formula.rhs.diff(w2))


def _first_layer(formula: Expr) -> Iterator[Step]:
    yield Step(
        "it does not change along the flow of any loss",
        _along(formula.rhs, _slopes(w1, b1, w2, b2)),
    )
    yield positive("it grows with the weight of the first layer", formula.rhs.diff(w1))


def _unit(formula: Expr) -> Iterator[Step]:
    x1, x2, side = sp.symbols("x_1 x_2 a", real=True)
    s1, s2 = sp.symbols("b_1 b_2", real=True)
    # On each side of its kink a homogeneous unit is linear, of slope a; s_1 and s_2 are the
    # derivatives of the loss in the units it feeds.
    fed = (o1 * s1 + o2 * s2) * side * (i1 * x1 + i2 * x2)
    yield Step(
        "it does not change along the flow of any loss, on either side of the kink",
        _along(formula.rhs, {v: fed.diff(v) for v in (i1, i2, o1, o2)}),
    )
    yield positive("it grows with the weights into the unit", formula.rhs.diff(i1).subs(i1, more))


def statements() -> Iterator[Statement]:
    t = sp.Symbol("t", positive=True)
    yield state(
        "threshold-loss",
        "What an active feature adds to the loss",
        equation(sp.Symbol("E"), LOSS),
        _loss,
        claim="threshold-law",
        near_misses=((rho, rho**2), (A2**4, A2**3), (A2**4, 2 * A2**4)),
    )
    yield state(
        "threshold-conservation",
        "What the flow conserves",
        equation(sp.Symbol("I"), (A1 / phi) ** 2 - w2**2),
        _conserved,
        claim="threshold-law",
        near_misses=((A1 / phi, A1), (w2**2, w2), (w2**2, 2 * w2**2)),
    )
    yield state(
        "threshold-conservation-above",
        "What the flow conserves of the second and third layer",
        equation(sp.Symbol("I"), w2**2 - w3**2 - 2 * b2 / phi * sp.log(A1 / phi + w2)),
        _conserved_above,
        setting=(
            "A diagonal network of three layers with a symmetrised ReLU, while the "
            "feature is active; thresholds fixed."
        ),
        claim="threshold-law",
        near_misses=((b2, 2 * b2), (w3**2, w3), (A1 / phi, A1), (b2, 0)),
    )
    yield state(
        "threshold-law",
        "First amplitude in terms of the second",
        equation(A1**2, phi * (A2 + b2)),
        _law,
        setting="Start with equal weights, A_1 = w_2 times the strength.",
        claim="threshold-law",
        near_misses=((A2 + b2, A2), (phi, phi**2), (b2, 2 * b2), (A2, A2**2)),
    )
    yield state(
        "threshold-speed",
        "How fast the second amplitude changes",
        equation(sp.Derivative(sp.Function("A_2")(t), t), 8 * phi * A2 * (rho - A2**2) * (A2 + b2)),
        _speed,
        claim="threshold-law",
        near_misses=((A2 + b2, A2), (A2**2, A2), (phi, phi**2)),
    )
    yield state(
        "threshold-limit",
        "Second amplitude in the end",
        equation(sp.Symbol("A_2"), sp.sqrt(rho)),
        _limit,
        claim="threshold-law",
        near_misses=((rho, rho**2), (rho, 2 * rho), (rho, sp.sqrt(rho))),
    )
    yield state(
        "retained-when-vanishing",
        "First amplitude of a fully disrupted feature in the end",
        equation(sp.Symbol("A_1"), sp.sqrt(phi * b2)),
        _retained,
        setting="Start with equal weights, A_1 = w_2 times the strength; no signal.",
        claim="retained-when-vanishing",
        near_misses=((b2, 2 * b2), (phi, phi**2), (b2, b2**2)),
    )
    yield state(
        "threshold-vanishing",
        "Second amplitude of a fully disrupted feature after a long time",
        equation(sp.Symbol("A_2"), (16 * phi * b2 * t) ** -sp.Rational(1, 2)),
        _vanishing,
        setting="Start with equal weights, A_1 = w_2 times the strength; no signal.",
        claim="retained-when-vanishing",
        near_misses=((b2, 2 * b2), (phi, phi**2), (sp.sqrt(t), t)),
    )
    yield state(
        "presence-edge",
        "Least strength that the first layer shows",
        equation(phi, b1 / w1),
        _presence,
        source="paper",
        claim="absent-features",
        near_misses=((b1, 2 * b1), (w1, w1**2), (b1, b1**2)),
    )
    yield state(
        "absent-features",
        "Least strength that the second layer shows",
        equation(phi, (b1 + b2 / w2) / w1),
        _edge,
        setting=(
            "A diagonal network with a symmetrised ReLU. Weaker features have no "
            "gradient there, whatever the loss."
        ),
        source="paper",
        claim="absent-features",
        near_misses=((b2 / w2, b2), (b1, 2 * b1), (w1, w1**2)),
    )
    yield state(
        "homogeneity-thresholds",
        "What the flow conserves, with trained thresholds",
        equation(sp.Symbol("I"), w1**2 + b1**2 - w2**2),
        _trained,
        setting=(
            "A diagonal network of two layers with a symmetrised ReLU, while the feature "
            "is active; thresholds trained."
        ),
        claim="homogeneity",
        near_misses=((b1**2, -(b1**2)), (w2**2, 2 * w2**2), (b1**2, 0)),
    )
    yield state(
        "homogeneity-first-layer",
        "What else the flow conserves in the first layer, with trained thresholds",
        equation(sp.Symbol("I"), w1 + phi * b1),
        _first_layer,
        setting=(
            "A diagonal network of two layers with a symmetrised ReLU, while the feature "
            "is active; thresholds trained."
        ),
        claim="homogeneity",
        near_misses=((phi, 1 / phi), (b1, 2 * b1), (b1, -b1), (w1, w1**2)),
    )
    yield state(
        "homogeneity",
        "What a homogeneous unit conserves",
        equation(sp.Symbol("I"), i1**2 + i2**2 - o1**2 - o2**2),
        _unit,
        setting=(
            "A ReLU or leaky ReLU unit of any network, with two weights in and two out, "
            "under gradient flow of any loss."
        ),
        source="beyond the paper",
        claim="homogeneity",
        near_misses=((o1**2, 2 * o1**2), (i2**2, 0), (o2**2, -(o2**2))),
    )

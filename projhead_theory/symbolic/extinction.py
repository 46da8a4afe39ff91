r"""Weight decay on one mode of a regression: shrinkage, threshold or jump, by depth.

$$E(s) = \frac q2 s^2 - a s + \frac{\gamma L}{2} s^{2/L}$$
"""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, deeper, family, gamma, more, q, s
from ._statement import Expr, Numeric, Statement, Step, equation, positive
from .decay import energy as contrastive_energy
from .supervised import a, regression

MODULE = "projhead_theory.theory.decay.regression"
# Depths of at least three, for which the jump is at a positive weight.
DEEP = {L: 2 + deeper}

state = family(
    {**MEANING, a: "moment of the target and the input"},
    setting="Regression with aligned modes, in a balanced network.",
    claim="sl-extinction",
)


def energy(weight: Expr = s, depth: Expr = L) -> Expr:
    """Loss and penalty of a mode whose layers are equal."""
    return regression(weight) + gamma / 2 * depth * weight ** (2 / depth)


def _energy(formula: Expr) -> Iterator[Step]:
    layer = sp.Symbol("u", positive=True)
    penalty = gamma / 2 * L * layer**2
    yield Step(
        "loss of the product and penalty of L equal layers",
        regression(layer**L) + penalty - formula.rhs.subs(s, layer**L),
    )
    yield Step("it is what the other statements start from", formula.rhs - energy())


def _stationary(depth: int, excess: dict[Expr, Expr]) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        own = energy(depth=sp.Integer(depth))
        value = formula.rhs.subs(excess)
        yield Step("the derivative of the energy vanishes", own.diff(s).subs(excess).subs(s, value))
        yield positive("its second derivative is positive", own.diff(s, 2))
        yield positive("the weight is positive", sp.simplify(value))

    return proof


def _scaled_slope() -> Expr:
    """The derivative of the energy times the weight, in which no power is negative."""
    return sp.expand(regression(s).diff(s) * s) + gamma * s ** (2 / L)


def _meeting(first: Expr, second: Expr) -> Expr:
    """The weight, other than zero, at which both expressions vanish for one decay."""
    ratio = sp.simplify(first.diff(gamma) / second.diff(gamma))
    rest = sp.expand(sp.expand(first - second * ratio) / s)
    return sp.solve(sp.simplify(rest), s)[0]


def _limit(formula: Expr) -> Iterator[Step]:
    slope = _scaled_slope()
    bend = sp.expand(s * slope.diff(s))
    weight = _meeting(bend, slope)
    for name, expression in (
        ("the derivative of the energy vanishes where its second derivative does", slope),
        ("and there the second derivative vanishes", bend),
    ):
        there = expression.subs(gamma, formula.rhs).subs(s, weight).subs(DEEP)
        yield Step(name, there.replace(sp.Pow, lambda base, power: sp.factor(base) ** power))


def _extinction(formula: Expr) -> Iterator[Step]:
    weight = _meeting(_scaled_slope(), energy())
    at = lambda expression: expression.subs(gamma, formula.rhs).subs(s, weight).subs(DEEP)
    yield Step("the energy is that of no weight at all", at(energy()))
    yield Step("and stationary", at(_scaled_slope()))
    gain, cost = -regression(s), energy().diff(gamma)
    slope = sp.powsimp(sp.expand(s * gain.diff(s) / gain - s * cost.diff(s) / cost))
    yield Step("the ratio of gain to cost is largest there", sp.simplify(slope.subs(s, weight)))
    yield Step("and is the decay", (gain / cost).subs(s, weight).subs(DEEP) / at(gamma) - 1)


def _extinction_weight(formula: Expr) -> Iterator[Step]:
    decay = sp.solve(energy(), gamma)[0]
    yield Step(
        "where the energy is that of no weight, it is stationary too",
        sp.simplify(_scaled_slope().subs(gamma, decay).subs(s, formula.rhs)),
    )
    bend = sp.expand(s * _scaled_slope().diff(s)).subs(gamma, decay).subs(s, formula.rhs)
    yield positive("and has a positive second derivative", sp.factor(sp.simplify(bend.subs(DEEP))))


def _half_depth(formula: Expr) -> Iterator[Step]:
    root = sp.Symbol("u", positive=True)
    half = {c: a / 2, q: sp.sqrt(q / 2), gamma: 2 * gamma}
    other = contrastive_energy(root, L / 2).subs(half, simultaneous=True)
    yield Step("energy of the squared weight", sp.powsimp(other) - formula.rhs.subs(s, root**2))


def statements() -> Iterator[Statement]:
    limit, extinction = sp.Symbol("gamma_s"), sp.Symbol("gamma_c")
    one, two = sp.S.One, sp.Integer(2)
    yield state(
        "sl-decayed-energy",
        "What a mode adds to the loss and the penalty",
        equation(sp.Function("E")(s), q * s**2 / 2 - a * s + gamma * L / 2 * s ** (2 / L)),
        _energy,
        numeric=Numeric(f"{MODULE}.decayed_energy", (s, a, q, gamma, L)),
        near_misses=((2 / L, 1 / L), (gamma * L, gamma), (q, q**2), (gamma, 2 * gamma)),
    )
    yield state(
        "sl-half-depth",
        "The energy of a mode as that of a feature at half the depth",
        equation(sp.Function("E")(s), q * s**2 / 2 - a * s + gamma * L / 2 * s ** (2 / L)),
        _half_depth,
        near_misses=((2 / L, 1 / L), (gamma * L, gamma), (a, 2 * a)),
    )
    yield state(
        "sl-ridge",
        "Weight of a mode under decay, depth 1",
        equation(s, a / (q + gamma)),
        _stationary(1, {}),
        numeric=Numeric(f"{MODULE}.decayed_weight", (a, q, gamma, one)),
        near_misses=((gamma, 2 * gamma), (q, q**2), (a, 2 * a)),
    )
    yield state(
        "sl-soft-threshold",
        "Weight of a mode under decay, depth 2",
        equation(s, (a - gamma) / q),
        _stationary(2, {a: gamma + more}),
        conditions=(sp.Lt(gamma, a),),
        numeric=Numeric(f"{MODULE}.decayed_weight", (a, q, gamma, two)),
        near_misses=((gamma, 2 * gamma), (q, q**2), (a, 2 * a)),
    )
    yield state(
        "sl-decay-limit",
        "Largest decay at which a mode has a minimum away from zero",
        equation(limit, L * a / (2 * (L - 1)) * ((L - 2) * a / (2 * (L - 1) * q)) ** (1 - 2 / L)),
        _limit,
        conditions=(sp.Ge(L, 3),),
        numeric=Numeric(f"{MODULE}.decay_limit", (a, q, L)),
        near_misses=((L - 2, L), (1 - 2 / L, 1 - 1 / L), (q, q**2), (L * a, a)),
    )
    yield state(
        "sl-extinction",
        "Decay above which no weight of a mode is best",
        equation(extinction, a / (L - 1) * ((L - 2) * a / ((L - 1) * q)) ** (1 - 2 / L)),
        _extinction,
        conditions=(sp.Ge(L, 3),),
        numeric=Numeric(f"{MODULE}.extinction_decay", (a, q, L)),
        near_misses=((L - 2, L - 1), (1 - 2 / L, 1 - 1 / L), (q, q**2), (L - 2, 2 * L - 2)),
    )
    yield state(
        "sl-extinction-weight",
        "Weight of a mode from which the best one jumps to zero",
        equation(sp.Symbol("s_c"), (L - 2) / (L - 1) * a / q),
        _extinction_weight,
        conditions=(sp.Ge(L, 3),),
        numeric=Numeric(f"{MODULE}.extinction_weight", (a, q, L)),
        near_misses=((L - 2, L - 1), (q, q**2), (L - 1, L), (a, 2 * a)),
    )

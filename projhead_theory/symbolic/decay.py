r"""Weight decay on one feature: its minimum, and the decay at which the minimum ends.

$$E(s) = -2 c s^2 + q^2 s^4 + \frac{\gamma L}{2} s^{2/L}$$
"""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, deeper, family, gamma, more, q, s, spectral_loss
from ._statement import Expr, Numeric, Statement, Step, equation, positive

p = sp.Symbol("p", positive=True)
MODULE = "projhead_theory.theory.decay"

state = family(
    {**MEANING, p: "squared weight as a share of what it is without decay"},
    setting="A feature model, and a balanced network aligned with the features.",
    claim="weight-decay-minimiser",
)


def energy(weight: Expr = s, depth: Expr = L, decay: Expr = gamma) -> Expr:
    """Loss and penalty of a feature whose layers are equal."""
    return spectral_loss(weight**2) + decay / 2 * depth * (weight ** (1 / depth)) ** 2


def _energy(formula: Expr) -> Iterator[Step]:
    layer = sp.Symbol("u", positive=True)
    penalty = gamma / 2 * L * layer**2
    yield Step(
        "loss of the product and penalty of L equal layers",
        spectral_loss(layer ** (2 * L)) + penalty - formula.rhs.subs(s, layer**L),
    )
    yield Step("it is what the other statements start from", formula.rhs - energy())


def _scaled_slope(depth: Expr = L) -> Expr:
    """The derivative of the energy times the weight, in which no power is negative."""
    return sp.powsimp(sp.expand(s * energy(depth=depth).diff(s)))


def _at_square(expression: Expr, square: Expr) -> Expr:
    return expression.subs(s, sp.sqrt(square))


def _depth_one(formula: Expr) -> Iterator[Step]:
    excess = {c: gamma / 4 + more}
    value = formula.rhs.subs(excess)
    yield Step(
        "the derivative of the energy vanishes",
        energy(depth=sp.S.One).diff(s).subs(excess).subs(s, value),
    )
    yield positive(
        "its second derivative is positive",
        sp.expand(energy(depth=sp.S.One).diff(s, 2).subs(excess).subs(s, value)),
    )


def _cubic(formula: Expr) -> Iterator[Step]:
    yield Step(
        "it is a quarter of the derivative of the energy",
        energy(depth=sp.Integer(2)).diff(s) / 4 - formula.rhs,
    )


def _depth_two(formula: Expr) -> Iterator[Step]:
    angle = sp.Symbol("theta", positive=True)
    inside = {node.args[0] for node in formula.rhs.atoms(sp.acos)}
    value = formula.rhs.replace(sp.acos, lambda _: 3 * angle)
    cosine = sp.Symbol("C", positive=True)
    cubic = energy(depth=sp.Integer(2)).diff(s).subs(s, value).subs(sp.cos(angle), cosine)
    for target in inside:
        # cos(3 theta) = 4 cos(theta)^3 - 3 cos(theta), and the angle is a third of the arc cosine.
        relation = sp.expand_trig(sp.cos(3 * angle)).subs(sp.cos(angle), cosine) - target
        yield Step(
            "the derivative of the energy vanishes, by the cosine of three times the angle",
            sp.rem(sp.expand(cubic), relation, cosine),
        )
    curvature = energy(depth=sp.Integer(2)).diff(s, 2).subs(s, value)
    ratio = sp.sin(3 * angle) / sp.sin(angle)
    yield Step(
        (
            "its second derivative has the sign of sin 3 theta / sin theta, positive for "
            "the largest root"
        ),
        sp.simplify(sp.expand(curvature / (4 * c) - sp.expand_trig(ratio))),
    )


def _stationary_decay(formula: Expr) -> Iterator[Step]:
    slope = sp.powsimp(_at_square(_scaled_slope(), p * c / q**2).subs(gamma, formula.rhs))
    yield Step("the derivative of the energy vanishes at this share", slope)


def _limit(formula: Expr) -> Iterator[Step]:
    slope = _scaled_slope()
    square = _merging(s * slope.diff(s), slope)
    yield Step(
        "the derivative of the energy vanishes where its second derivative does",
        _at_square(slope, square).subs(gamma, formula.rhs),
    )
    bend = _at_square(sp.powsimp(sp.expand(s * slope.diff(s))), square).subs(gamma, formula.rhs)
    yield Step("and there the second derivative vanishes", bend)


def _merging(first: Expr, second: Expr) -> Expr:
    """The squared weight, other than zero, at which both expressions vanish for one decay."""
    square = sp.Symbol("S", positive=True)
    first, second = (sp.powsimp(sp.expand(e)) for e in (first, second))
    penalties = [e.diff(gamma) for e in (first, second)]
    rest = sp.expand(sp.simplify(first - second * sp.simplify(penalties[0] / penalties[1])) / s**2)
    return sp.solve(rest.subs(s, sp.sqrt(square)), square)[0]


def _limit_two(formula: Expr) -> Iterator[Step]:
    cubic = sp.expand(energy(depth=sp.Integer(2)).diff(s) / 4)
    yield Step(
        "the discriminant of the cubic vanishes",
        sp.expand(sp.discriminant(cubic, s).subs(gamma, formula.rhs)),
    )
    yield positive(
        "with a smaller decay there are three real roots",
        sp.expand(sp.discriminant(cubic, s).subs(gamma, formula.rhs / (1 + more))),
    )


def _limit_one(formula: Expr) -> Iterator[Step]:
    weight = sp.sqrt(sp.solve(sp.expand(energy(depth=sp.S.One).diff(s) / s), s**2)[0])
    yield Step("the stationary weight is zero", weight.subs(gamma, formula.rhs))
    yield positive(
        "with a smaller decay it is not",
        sp.expand((weight**2).subs(gamma, formula.rhs / (1 + more))),
    )


def _extinction(depth: Expr = L) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        slope = _scaled_slope(depth)
        value = sp.powsimp(sp.expand(energy(depth=depth)))
        square = _merging(slope, value)
        yield Step(
            "the energy is that of no weight at all",
            _at_square(value, square).subs(gamma, formula.rhs),
        )
        yield Step("and stationary", _at_square(slope, square).subs(gamma, formula.rhs))

    return proof


def _extinction_weight(formula: Expr) -> Iterator[Step]:
    decay = sp.solve(sp.powsimp(sp.expand(energy())), gamma)[0]
    yield Step(
        "where the energy is that of no weight, it is stationary too",
        _scaled_slope().subs(gamma, decay).subs(s, formula.rhs),
    )
    deep = {L: 1 + deeper}
    bend = (
        sp.powsimp(sp.expand(s * _scaled_slope().diff(s))).subs(gamma, decay).subs(s, formula.rhs)
    )
    yield positive("and has a positive second derivative", sp.factor(sp.simplify(bend.subs(deep))))


def _ratio(formula: Expr) -> Iterator[Step]:
    extinction, limit = (sp.log(value) for value in (EXTINCTION, LIMIT))
    missed: Expr = extinction - limit - sp.log(formula.rhs)
    yield Step("logarithms of the two decays", sp.expand_log(missed, force=True))
    yield Step("at depth 1 they agree", sp.log(formula.rhs.subs(L, 1)))
    depth, rest = sp.symbols("y z", positive=True)
    ratio: Expr = sp.expand_log(sp.log(formula.rhs.subs(L, depth)))
    slope = ratio.diff(depth).subs(depth, 1 + deeper)
    yield positive("ln 2 is below 1, by z", 1 - sp.log(2))
    yield positive("with depth the ratio falls", -slope.subs(sp.log(2), 1 - rest))


LIMIT = 4 * L * c / (2 * L - 1) * ((L - 1) * c / ((2 * L - 1) * q**2)) ** (1 - 1 / L)
EXTINCTION = 4 * c / (2 * L - 1) * ((2 * L - 2) * c / ((2 * L - 1) * q**2)) ** (1 - 1 / L)


def statements() -> Iterator[Statement]:
    limit, extinction = sp.Symbol("gamma_s"), sp.Symbol("gamma_c")
    half, root3 = sp.Rational(3, 2), sp.sqrt(3)
    two, one = sp.Integer(2), sp.S.One
    yield state(
        "decayed-energy",
        "What a feature adds to the loss and the penalty",
        equation(sp.Function("E")(s), -2 * c * s**2 + q**2 * s**4 + gamma * L / 2 * s ** (2 / L)),
        _energy,
        numeric=Numeric(f"{MODULE}.decayed_energy", (s, c, q, gamma, L)),
        near_misses=((2 / L, 1 / L), (gamma * L, gamma), (q**2, q), (gamma, 2 * gamma)),
    )
    yield state(
        "decayed-weight-depth-1",
        "Weight under decay, depth 1",
        equation(s, sp.sqrt((c - gamma / 4) / q**2)),
        _depth_one,
        conditions=(sp.Lt(gamma, 4 * c),),
        numeric=Numeric(f"{MODULE}.decayed_weight", (c, q, gamma, one)),
        near_misses=((gamma, 2 * gamma), (q**2, q), (gamma, gamma / 2), (c, 2 * c)),
    )
    yield state(
        "decayed-cubic",
        "Equation of the weight under decay, depth 2",
        equation(sp.S.Zero, q**2 * s**3 - c * s + gamma / 4),
        _cubic,
        near_misses=((gamma, 2 * gamma), (q**2, q), (c, 2 * c), (s**3, s**4)),
    )
    inside = -3 * root3 * gamma * q / (8 * c**half)
    yield state(
        "weight-decay-minimiser",
        "Weight under decay, depth 2",
        equation(s, 2 * sp.sqrt(c / (3 * q**2)) * sp.cos(sp.acos(inside) / 3)),
        _depth_two,
        conditions=(sp.Le(gamma, 8 * c**half / (3 * root3 * q)),),
        numeric=Numeric(f"{MODULE}.decayed_weight", (c, q, gamma, two)),
        near_misses=(
            (inside, -inside),
            (gamma, 2 * gamma),
            (sp.sqrt(c), c),
            (sp.acos(inside) / 3, sp.acos(inside) / 2),
        ),
    )
    yield state(
        "stationary-decay",
        "The decay that leaves a given share of the squared weight",
        equation(gamma, 4 * c * (1 - p) * (p * c / q**2) ** (1 - 1 / L)),
        _stationary_decay,
        conditions=(sp.Lt(p, 1), sp.Gt(p, sp.Rational(1, 2))),
        near_misses=((1 - 1 / L, 1 / L), (q**2, q), (1 - p, 1 + p), (1 - 1 / L, 1 - 2 / L)),
    )
    yield state(
        "decay-limit",
        "Largest decay at which a minimum away from zero exists",
        equation(limit, LIMIT),
        _limit,
        conditions=(sp.Ge(L, 2),),
        numeric=Numeric(f"{MODULE}.decay_limit", (c, q, L)),
        near_misses=(
            (L - 1, L),
            (1 - 1 / L, 1 / L),
            (4 * L * c, 4 * c),
            (q**2, q),
            (L - 1, 2 * L - 2),
        ),
    )
    yield state(
        "decay-limit-depth-1",
        "Largest decay at which a weight is left, depth 1",
        equation(limit, 4 * c),
        _limit_one,
        numeric=Numeric(f"{MODULE}.decay_limit", (c, q, one)),
        near_misses=((c, 2 * c), (c, c**2), (4 * c, 2 * c)),
    )
    yield state(
        "decay-limit-depth-2",
        "Largest decay at which a minimum away from zero exists, depth 2",
        equation(limit, 8 * c**half / (3 * root3 * q)),
        _limit_two,
        numeric=Numeric(f"{MODULE}.decay_limit", (c, q, two)),
        near_misses=((root3, sp.sqrt(2)), (c**half, c), (q, q**2), (8 * c**half, 4 * c**half)),
    )
    claim = "feature-extinction"
    yield state(
        "feature-extinction",
        "Decay above which no weight is best",
        equation(extinction, EXTINCTION),
        _extinction(),
        conditions=(sp.Ge(L, 2),),
        claim=claim,
        numeric=Numeric(f"{MODULE}.extinction_decay", (c, q, L)),
        near_misses=((2 * L - 2, L - 1), (1 - 1 / L, 1 / L), (4 * c, 4 * L * c), (q**2, q)),
    )
    yield state(
        "feature-extinction-depth-1",
        "Decay above which no weight is best, depth 1",
        equation(extinction, 4 * c),
        _limit_one,
        claim=claim,
        numeric=Numeric(f"{MODULE}.extinction_decay", (c, q, one)),
        near_misses=((c, 2 * c), (c, c**2), (4 * c, 2 * c)),
    )
    yield state(
        "feature-extinction-depth-2",
        "Decay above which no weight is best, depth 2",
        equation(extinction, 2 * (2 * c / 3) ** half / q),
        _extinction(two),
        claim=claim,
        numeric=Numeric(f"{MODULE}.extinction_decay", (c, q, two)),
        near_misses=((2 * c / 3, c / 3), (q, q**2), (half, one), (c, 2 * c)),
    )
    yield state(
        "extinction-weight",
        "Weight from which the best one jumps to zero",
        equation(sp.Symbol("s_c"), sp.sqrt((2 * L - 2) / (2 * L - 1)) * sp.sqrt(c) / q),
        _extinction_weight,
        conditions=(sp.Ge(L, 2),),
        claim=claim,
        numeric=Numeric(f"{MODULE}.extinction_weight", (c, q, L)),
        near_misses=((2 * L - 2, L - 1), (q, q**2), (2 * L - 1, 2 * L + 1), (c, c**2)),
    )
    yield state(
        "extinction-ratio",
        "Extinction as a share of the largest decay with a minimum",
        equation(sp.Symbol(r"\gamma_{c} / \gamma_{s}"), 2 ** (1 - 1 / L) / L),
        _ratio,
        claim=claim,
        near_misses=((1 - 1 / L, 1 / L), (1 - 1 / L, 1 - 2 / L), (L, 2 * L)),
    )

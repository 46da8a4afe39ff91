r"""Other published theories of the projection head, one feature at a time.

Self-prediction with a stopped gradient, the contrastive loss with a squared distance, the
compression of classes, and the head as an information bottleneck.
"""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, family, gamma, layer, more, phi, q, sigma, t
from ._statement import Expr, Numeric, Statement, Step, equation, nonnegative, positive

a, a0, tau = sp.symbols("a a_0 tau", positive=True)
share, mu1, mu2 = sp.symbols("t mu_1 mu_2", positive=True)
i1, i2, b1, b2 = sp.symbols("i_1 i_2 b_1 b_2", positive=True)
x, y, z, v = sp.symbols("x y z v", positive=True)
MODULE = "projhead_theory.theory.rivals"

SETTINGS = {
    "jepa-order": "A feature model; an encoder of L layers and a linear predictor, aligned and "
    "equal, under self-prediction with a stopped gradient.",
    "augmentation-collapse": "One linear layer under the distance critic, infinitely many "
    "negatives, and one of several independent features.",
    "layerwise-compression": "A balanced network with two eigenvalues of the last Gram.",
    "information-bottleneck": "One Gaussian feature, and representations read with noise.",
}
SETTINGS["jepa-collapse"] = SETTINGS["jepa-order"]

state = family(
    {
        **MEANING,
        a: "what every layer and the predictor give the feature",
        a0: "the same at the start",
        tau: "temperature",
        share: "layer over depth",
        mu1: "eigenvalue of the last Gram",
        mu2: "the other eigenvalue",
        i1: "variance within classes on the first eigenvector",
        i2: "variance within classes on the second one",
        b1: "variance of class means on the first eigenvector",
        b2: "variance of class means on the second one",
        x: "squared correlation of the feature and the representation before the head",
        y: "squared correlation of the representations before and after the head",
        z: "squared correlation of the representation after the head and the target",
        v: "variance of the representation before the head",
    }
)


def speed(factor: Expr = a, depth: Expr = L) -> Expr:
    """Velocity of the factor, the negative gradient in one of the equal layers."""
    output, target, one = sp.symbols("P T u", positive=True)
    loss = q * output**2 / 2 - c * output * target + q * target**2 / 2
    through = (one * factor**depth).diff(one)
    # The target passes no gradient.
    return sp.powsimp(
        sp.expand(
            -loss.diff(output).subs({output: factor ** (depth + 1), target: factor**depth})
            * through
        )
    )


def growth(factor: Expr = a, depth: Expr = L) -> Expr:
    """Growth rate of the factor without decay."""
    return factor ** (2 * depth - 1) * (c - q * factor)


def _flow(formula: Expr) -> Iterator[Step]:
    yield Step("the velocity of one of the equal layers", speed() - formula.rhs)
    for depth in (1, 2, 3):
        layers = sp.symbols(f"u_1:{depth + 1}", positive=True)
        predictor, target = sp.symbols("V T", positive=True)
        output = predictor * sp.prod(layers)
        loss = q * output**2 / 2 - c * output * target + q * target**2 / 2
        at = {target: a**depth, predictor: a, **dict.fromkeys(layers, a)}
        for name, symbol in (("first layer", layers[0]), ("predictor", predictor)):
            velocity = -loss.diff(symbol).subs(at)
            yield Step(f"{name}, depth {depth}", velocity - formula.rhs.subs(L, depth))


def _end(formula: Expr) -> Iterator[Step]:
    weight = sp.Symbol("W", positive=True)
    factor = weight ** (1 / layer)
    yield Step(
        "the growth rate vanishes at the factor of this weight",
        sp.powsimp(sp.powdenest(growth().subs(a, factor).subs(weight, formula.rhs))),
    )


def _time(depth: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        slope = formula.rhs.diff(a) * speed(depth=sp.Integer(depth))
        yield Step("time passes at the rate one", sp.simplify(slope) - 1)
        yield Step("and starts at zero", formula.rhs.subs(a, a0))

    return proof


def _threshold(formula: Expr) -> Iterator[Step]:
    peak = (2 * L - 1) * c / (2 * L * q)
    slope = sp.powsimp(sp.expand(a * growth().diff(a) / growth() * (c - q * a)))
    yield Step("the growth rate is stationary there", sp.simplify(slope.subs(a, peak)))
    yield Step("where it is the threshold", growth(peak) - formula.rhs)
    deeper = {L: 1 + more}
    bend = sp.simplify((a**2 * sp.log(growth()).diff(a, 2)).subs(a, peak))
    yield positive("and largest", sp.factor(-bend.subs(deeper)))


def _root(sign: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        left = growth(formula.rhs, sp.S.One) - gamma
        yield Step("growth and decay balance", sp.expand(left))
        peak: Expr = c / (2 * q)
        below = {gamma: (c**2 - more**2) / (4 * q)}
        distance = (formula.rhs - peak) * sign
        yield positive("on this side of the largest growth", sp.simplify(distance.subs(below)))

    return proof


def signs_loss(square: Expr) -> Expr:
    """Loss of a feature of random sign with clean anchors, for a squared weight."""
    same, apart = sp.S.Zero, 4 * phi**2
    mean = sum(sp.exp(-square * gap / (2 * tau)) for gap in (same, apart)) / 2
    return square * sigma**2 / (2 * tau) + sp.log(mean)


def gaussian_loss(square: Expr) -> Expr:
    """Loss of a Gaussian feature with clean anchors, for a squared weight."""
    scaled = square * phi**2 / tau
    # The mean of exp(-w^2 (x - x')^2 / (2 tau)) over x', and of its logarithm over x.
    return square * sigma**2 / (2 * tau) - sp.log(1 + scaled) / 2 - scaled / (2 * (1 + scaled))


def _anchored(loss: Callable[[Expr], Expr]) -> Callable[[Expr], Iterator[Step]]:
    square = sp.Symbol("m", positive=True)

    def proof(formula: Expr) -> Iterator[Step]:
        slope = sp.together(loss(square).diff(square))
        yield Step("the slope of the loss vanishes", sp.simplify(slope.subs(square, formula.rhs)))
        bend = sp.simplify(loss(square).diff(square, 2))
        yield positive("the loss is convex", sp.factor(bend))

    return proof


def _anchored_growth(formula: Expr) -> Iterator[Step]:
    weight = sp.Symbol("w", positive=True)
    for name, loss in (("random sign", signs_loss), ("Gaussian", gaussian_loss)):
        rate = sp.limit(sp.simplify(-loss(weight**2).diff(weight) / weight), weight, 0)
        yield Step(f"velocity over weight as the weight vanishes, {name}", rate - formula.rhs)


def _exchangeable_growth(formula: Expr) -> Iterator[Step]:
    weight = sp.Symbol("w", positive=True)
    positive_pair, negatives = 2 * (q - c), 2 * q
    leading = weight**2 * (positive_pair - negatives) / (2 * tau)
    yield Step("velocity over weight", -leading.diff(weight) / weight - formula.rhs)
    yield nonnegative("it is never negative", formula.rhs)


def ratio() -> Expr:
    """Within- over between-class variance at a share of the depth."""
    return (i1 * mu1**share + i2 * mu2**share) / (b1 * mu1**share + b2 * mu2**share)


def _bend(formula: Expr) -> Iterator[Step]:
    bend = sp.log(ratio()).diff(share, 2)
    yield Step("second derivative of the log ratio", sp.simplify(bend - formula.rhs))
    one_each = sp.log(ratio().subs({i1: 0, b2: 0})).diff(share, 2)
    yield Step("no curvature if each lives on one eigenvalue", sp.simplify(sp.expand_log(one_each)))


def information(square: Expr) -> Expr:
    """Mutual information of two Gaussian variables of this squared correlation."""
    return -sp.log(1 - square) / 2


def _slack(formula: Expr) -> Iterator[Step]:
    passed = information(y)
    lower = information(y * z) - passed + information(x * y * z)
    difference = sp.expand_log(information(x) - lower - formula.rhs, force=True)
    yield Step("what is known less the bound", sp.simplify(difference))
    r1, r2, r3 = sp.symbols("r_1:4", positive=True)
    inside = {x: 1 / (1 + r1), y: 1 / (1 + r2), z: 1 / (1 + r3)}
    for name, left in (("the bound holds", x), ("and is below what is known after", x * y)):
        quotient = (1 - y * z) * (1 - x * y * z) / ((1 - left) * (1 - y))
        yield positive(name, sp.factor(sp.together(quotient.subs(inside) - 1)))


def _critical(formula: Expr) -> Iterator[Step]:
    scale = formula.rhs
    entropy = sp.log(2 * sp.pi * sp.E * v * scale**2) / 2
    upper = information(x * y) - information(y) + entropy
    missed = sp.expand_log(information(x) - upper, force=True)
    yield Step("there the bound is what is known", sp.simplify(sp.expand(missed)))


def _times(depth: int) -> Expr:
    """Time from a_0 to a, with x the share of the end."""
    lam = c / q
    primitive = lambda at: (
        sp.log(at / (1 - at)) - sum(at ** (1 - n) / (n - 1) for n in range(2, 2 * depth + 1))
    )
    return lam ** (1 - 2 * depth) / c * (primitive(a / lam) - primitive(a0 / lam))


def statements() -> Iterator[Statement]:
    order = {"claim": "jepa-order", "setting": SETTINGS["jepa-order"]}
    yield state(
        "self-prediction-flow",
        "How fast a feature is learned by self-prediction",
        equation(sp.Derivative(sp.Function("a")(t), t), a ** (2 * L) * (c - q * a)),
        _flow,
        near_misses=((2 * L, 2 * L - 1), (q * a, q * a**2), (c, 2 * c), (2 * L, L)),
        **order,
    )
    yield state(
        "jepa-order",
        "Weight at a layer of the encoder after self-prediction",
        equation(sp.Symbol("W"), (c / q) ** layer),
        _end,
        near_misses=((layer, layer + 1), (c / q, sp.sqrt(c) / q), (q, q**2)),
        **order,
    )
    below = (sp.Lt(a, c / q), sp.Lt(a0, c / q))
    for depth in (1, 2, 3):
        yield state(
            f"jepa-order-depth-{depth}",
            f"Time between two factors, an encoder of depth {depth}",
            equation(t, _times(depth)),
            _time(depth),
            conditions=below,
            numeric=Numeric(f"{MODULE}.time_to_factor", (a, a0, c, q, sp.Integer(depth))),
            near_misses=((c, 2 * c), (q, q**2), (a, a**2)),
            **order,
        )
    collapse = {"claim": "jepa-collapse", "setting": SETTINGS["jepa-collapse"]}
    yield state(
        "jepa-collapse",
        "Weight decay from which a feature collapses",
        equation(
            sp.Symbol("gamma_c"),
            c / (2 * L) * ((2 * L - 1) * c / (2 * L * q)) ** (2 * L - 1),
        ),
        _threshold,
        numeric=Numeric(f"{MODULE}.collapse_decay", (c, q, L)),
        near_misses=((2 * L - 1, 2 * L), (q, q**2), (2 * L, L), (c, 2 * c)),
        **collapse,
    )
    under = (sp.Lt(4 * q * gamma, c**2),)
    root = sp.sqrt(c**2 - 4 * q * gamma)
    for name, title, sign, function in (
        ("basin-edge-depth-1", "Edge of the basin of collapse, depth 1", -1, "basin_edge"),
        ("surviving-factor-depth-1", "What survives weight decay, depth 1", 1, "surviving_factor"),
    ):
        yield state(
            name,
            title,
            equation(a, (c + sign * root) / (2 * q)),
            _root(sign),
            conditions=under,
            numeric=Numeric(f"{MODULE}.{function}", (c, q, gamma, sp.S.One)),
            near_misses=((gamma, 2 * gamma), (root, -root), (2 * q, q)),
            **collapse,
        )
    collapsing = {
        "claim": "augmentation-collapse",
        "setting": SETTINGS["augmentation-collapse"],
    }
    yield state(
        "exchangeable-growth",
        "Growth of small weights, both views drawn alike",
        equation(sp.Symbol("X"), 2 * c / tau),
        _exchangeable_growth,
        near_misses=((2 * c, c), (2 * c, 2 * (c - q)), (tau, 2 * tau)),
        **collapsing,
    )
    yield state(
        "anchored-growth",
        "Growth of small weights, clean anchors and negatives",
        equation(sp.Symbol("X"), (2 * phi**2 - sigma**2) / tau),
        _anchored_growth,
        near_misses=((2 * phi**2, phi**2), (sigma**2, 2 * sigma**2), (tau, 2 * tau)),
        **collapsing,
    )
    keeps = (sp.Lt(sigma**2, 2 * phi**2),)
    square = sp.Symbol("w") ** 2
    yield state(
        "augmentation-collapse",
        "Squared weight of a feature of random sign, clean anchors and negatives",
        equation(square, tau / (2 * phi**2) * sp.log((4 * phi**2 - sigma**2) / sigma**2)),
        _anchored(signs_loss),
        conditions=keeps,
        numeric=Numeric(f"{MODULE}.anchored_square", (phi, sigma, tau)),
        near_misses=((4 * phi**2, 2 * phi**2), (tau, 2 * tau), (sigma**2, sigma)),
        **collapsing,
    )
    strength = sp.sqrt(1 + 4 * sigma**2 / phi**2) - 1
    yield state(
        "augmentation-collapse-gaussian",
        "Squared weight of a Gaussian feature, clean anchors and negatives",
        equation(square, tau / phi**2 * (2 / strength - 1)),
        _anchored(gaussian_loss),
        conditions=keeps,
        numeric=Numeric(f"{MODULE}.anchored_square_gaussian", (phi, sigma, tau)),
        near_misses=((strength, strength / 2), (tau, 2 * tau), (sigma**2, sigma)),
        **collapsing,
    )
    first, second = mu1**share, mu2**share
    yield state(
        "layerwise-compression",
        "Curvature of the log ratio of the variances within and between classes",
        equation(
            sp.Symbol("K"),
            sp.log(mu1 / mu2) ** 2
            * first
            * second
            * (
                i1 * i2 / (i1 * first + i2 * second) ** 2
                - b1 * b2 / (b1 * first + b2 * second) ** 2
            ),
        ),
        _bend,
        near_misses=((i1 * i2, i1), (b1 * b2, 2 * b1 * b2), (mu1 / mu2, mu1)),
        claim="layerwise-compression",
        setting=SETTINGS["layerwise-compression"],
    )
    bottleneck = {
        "claim": "information-bottleneck",
        "setting": SETTINGS["information-bottleneck"],
    }
    inside = (sp.Lt(x, 1), sp.Lt(y, 1))
    yield state(
        "information-bottleneck",
        "What the representation before the head knows, less the lower bound",
        equation(sp.Symbol("D"), sp.log((1 - y * z) * (1 - x * y * z) / ((1 - x) * (1 - y))) / 2),
        _slack,
        conditions=(*inside, sp.Lt(z, 1)),
        near_misses=((1 - y * z, 1 - z), (1 - x, 1 - x * y), (1 - y, 1 - x * y)),
        **bottleneck,
    )
    yield state(
        "information-critical-scale",
        "Factor of the representation below which the upper bound fails",
        equation(
            sp.Symbol("s"),
            sp.sqrt((1 - x * y) / ((1 - x) * (1 - y) * 2 * sp.pi * sp.E * v)),
        ),
        _critical,
        conditions=inside,
        near_misses=((1 - x * y, 1 - y), (v, 2 * v), (1 - x, 1 - x**2)),
        **bottleneck,
    )

r"""Imbalance $D_l = W_{l+1}^\top W_{l+1} - W_l W_l^\top$ under training, and the least norm.

The statements concern two adjacent layers of any deep linear network, $f = P\,W_2 W_1\,Q$. With
$B$ the gradient of any loss in $W_2 W_1$, the layers' own gradients are $G_1 = W_2^\top B$ and
$G_2 = B W_1^\top$.
"""

from collections.abc import Iterator

import sympy as sp

from ._notation import MEANING, L, eta, family, gamma, t, w
from ._statement import Expr, Numeric, Statement, Step, equation, positive

n0, n1, n2 = sp.symbols("n_0 n_1 n_2", positive=True, integer=True)
W1, W2, B = (
    sp.MatrixSymbol("W_1", n1, n0),
    sp.MatrixSymbol("W_2", n2, n1),
    sp.MatrixSymbol("B", n2, n0),
)
G1, G2, D = (
    sp.MatrixSymbol("G_1", n1, n0),
    sp.MatrixSymbol("G_2", n2, n1),
    sp.MatrixSymbol("D", n1, n1),
)
w1, w2 = sp.symbols("w_1 w_2", real=True)
g1, g2, d = sp.symbols("g_1 g_2 D", real=True)
d0 = sp.Symbol("D_0", real=True)

state = family(
    {
        **MEANING,
        W1: "a layer",
        W2: "the layer above it",
        D: "imbalance of the two layers before the step",
        G1: "gradient of the loss in the layer",
        G2: "gradient of the loss in the layer above",
        w1: "weight of the feature in a layer",
        w2: "weight of the feature in the layer above",
        d: "imbalance of the two layers before the step",
        d0: "imbalance of the two layers at the start",
        g1: "derivative of the loss in the layer's weight",
        g2: "derivative of the loss in the weight of the layer above",
        n0: "width below",
        n1: "width between the layers",
        n2: "width above",
    }
)


def gradients() -> dict[Expr, Expr]:
    """Gradients of any loss of the product of two weights; b is its derivative in the product."""
    loss, slope = sp.Function("ell")(w1 * w2), sp.Symbol("b", real=True)
    return {v: loss.diff(v).replace(sp.Subs, lambda *_: slope) for v in (w1, w2)}


def _along(quantity: Expr, field: dict[Expr, Expr]) -> Expr:
    """Time derivative of a quantity along a vector field."""
    return sp.Add(*(quantity.diff(v) * speed for v, speed in field.items())).doit()


def _rate(quantity: Expr, speed1: Expr, speed2: Expr) -> Expr:
    """Time derivative of a quadratic form in the matrices: the odd part of its change in a step."""
    onward, back = (quantity.xreplace({W1: W1 + k * speed1, W2: W2 + k * speed2}) for k in (1, -1))
    return (onward - back) / 2


def _conserved(formula: Expr) -> Iterator[Step]:
    field = {v: -slope for v, slope in gradients().items()}
    yield Step(
        "it does not change along the gradient flow of any loss of the product",
        _along(formula.rhs, field),
    )
    yield Step("it vanishes for equal weights", formula.rhs.subs(w2, w1))
    yield positive(
        "it tells the layers apart",
        formula.rhs.subs(w2, sp.Symbol("y", positive=True)).diff(sp.Symbol("y", positive=True)),
    )


def _chain_rule() -> Iterator[Step]:
    below, above, slope = (
        sp.Matrix(2, 2, sp.symbols(f"{v}_11 {v}_12 {v}_21 {v}_22", real=True)) for v in "abs"
    )
    change = (slope.T * above * below).trace()
    for layer, claimed in ((below, above.T * slope), (above, slope * below.T)):
        yield Step(
            "chain rule for the gradients, two by two",
            sp.Matrix(2, 2, [change.diff(entry) for entry in layer]) - claimed,
        )


def _conserved_matrix(formula: Expr) -> Iterator[Step]:
    yield Step(
        "it does not change along the gradient flow of any loss of the product",
        _rate(formula.rhs, -W2.T * B, -B * W1.T),
    )
    yield from _chain_rule()


def _step_scalar(formula: Expr) -> Iterator[Step]:
    slope = gradients()
    imbalance = lambda a, b: b**2 - a**2
    moved = {v: v - eta * (slope[v] + gamma * v) for v in (w1, w2)}
    claimed = formula.rhs.subs(
        {d: imbalance(w1, w2), g1: slope[w1], g2: slope[w2]}, simultaneous=True
    )
    yield Step("imbalance of the weights after the step", imbalance(moved[w1], moved[w2]) - claimed)


def _step_matrix(formula: Expr) -> Iterator[Step]:
    moved1, moved2 = (
        (1 - eta * gamma) * layer - eta * slope for layer, slope in ((W1, G1), (W2, G2))
    )
    difference = moved2.T * moved2 - moved1 * moved1.T - formula.rhs.subs(D, W2.T * W2 - W1 * W1.T)
    yield Step(
        "imbalance of the layers after the step", difference.subs({G1: W2.T * B, G2: B * W1.T})
    )
    yield from _chain_rule()


def _decaying(formula: Expr) -> Iterator[Step]:
    slope, imbalance = gradients(), w2**2 - w1**2
    speed = _along(imbalance, {v: -slope[v] - gamma * v for v in (w1, w2)})
    value = formula.rhs
    yield Step(
        "it has the rate of the imbalance of two weights",
        value.diff(t) / value - sp.cancel(speed / imbalance),
    )
    matrix = W2.T * W2 - W1 * W1.T
    rate = sp.cancel(value.diff(t) / value)
    speeds = (-W2.T * B - gamma * W1, -B * W1.T - gamma * W2)
    yield Step("and of two layers", _rate(matrix, *speeds) - rate * matrix)
    yield Step("it starts where it starts", value.subs(t, 0) - d0)


def _least_norm(formula: Expr) -> Iterator[Step]:
    # With w_l = u e^{x_l} the product is fixed where the x_l sum to zero, and each layer adds
    # (u e^{x_l})^2.
    equal = sp.sqrt(formula.rhs / L)
    x = sp.Symbol("x", real=True)
    part = (equal * sp.exp(x)) ** 2
    yield Step(
        "L equal layers with this sum of squares multiply to the weight",
        L * sp.log(equal) - sp.log(w),
    )
    yield Step("their squares sum to it", L * part.subs(x, 0) - formula.rhs)
    multiplier = sp.Symbol("mu", positive=True)
    for depth in (2, 3):
        layers = sp.symbols(f"w_1:{depth + 1}", positive=True)
        lagrangian = sp.Add(*(v**2 for v in layers)) - multiplier * (
            sp.log(sp.Mul(*layers)) - sp.log(w)
        )
        at = {
            **dict.fromkeys(layers, equal.subs(L, depth)),
            multiplier: 2 * formula.rhs.subs(L, depth) / depth,
        }
        for v in layers:
            yield Step(f"the Lagrangian is stationary, {depth} layers", lagrangian.diff(v).subs(at))
    yield positive(
        "what a layer adds is strictly convex in x, so that no other point is stationary",
        part.diff(x, 2),
    )


def statements() -> Iterator[Statement]:
    flow = "Gradient flow of any differentiable loss of a deep linear network."
    descent = (
        "Gradient descent on any differentiable loss of a deep linear network, with the "
        "penalty of weight decay."
    )
    after = sp.Symbol("D^{+}", real=True)
    yield state(
        "balancedness",
        "What gradient flow conserves, for one feature",
        equation(d, w2**2 - w1**2),
        _conserved,
        setting=flow + " Layers aligned with the features.",
        source="paper section 3",
        claim="balancedness",
        near_misses=(
            (w1**2, -(w1**2)),
            (w2**2, 2 * w2**2),
            (w2**2, w2),
            (w1**2, w1**2 / 2),
            (w2**2, w2**4),
        ),
    )
    yield state(
        "balancedness-matrix",
        "What gradient flow conserves",
        equation(sp.MatrixSymbol("D", n1, n1), W2.T * W2 - W1 * W1.T),
        _conserved_matrix,
        setting=flow + " Any widths.",
        source="paper section 3",
        claim="balancedness",
        near_misses=(
            (W1 * W1.T, -W1 * W1.T),
            (W1 * W1.T, 2 * W1 * W1.T),
            (W2.T * W2, 2 * W2.T * W2),
        ),
    )
    yield state(
        "discrete-balancedness",
        "Imbalance after a step, for one feature",
        equation(after, (1 - eta * gamma) ** 2 * d + eta**2 * (g2**2 - g1**2)),
        _step_scalar,
        setting=descent + " Layers aligned with the features.",
        claim="discrete-balancedness",
        numeric=Numeric(
            "projhead_theory.theory.balance.discrete_imbalance", (d, g1, g2, eta, gamma)
        ),
        near_misses=(
            ((1 - eta * gamma) ** 2, 1 - eta * gamma),
            (eta**2, eta),
            (g1**2, -(g1**2)),
            ((1 - eta * gamma) ** 2, 1 - 2 * eta * gamma),
        ),
    )
    yield state(
        "discrete-balancedness-matrix",
        "Imbalance after a step",
        equation(
            sp.MatrixSymbol("D^{+}", n1, n1),
            (1 - eta * gamma) ** 2 * D + eta**2 * (G2.T * G2 - G1 * G1.T),
        ),
        _step_matrix,
        setting=descent + " Any widths; minibatch gradients too.",
        claim="discrete-balancedness",
        near_misses=(
            ((1 - eta * gamma) ** 2, 1 - eta * gamma),
            (eta**2, eta),
            (G1 * G1.T, -G1 * G1.T),
            (G2.T * G2, 2 * G2.T * G2),
        ),
    )
    yield state(
        "weight-decay-balancing",
        "Imbalance under weight decay",
        equation(sp.Function("D")(t), d0 * sp.exp(-2 * gamma * t)),
        _decaying,
        setting=flow + " With weight decay.",
        claim="weight-decay-balancing",
        numeric=Numeric("projhead_theory.theory.decay.decayed_imbalance", (d0, gamma, t)),
        near_misses=(
            (-2 * gamma * t, -gamma * t),
            (-2 * gamma * t, -4 * gamma * t),
            (-2 * gamma * t, 2 * gamma * t),
            (gamma, gamma**2),
        ),
    )
    yield state(
        "min-norm",
        "Least sum of squares of the layers' weights of a feature",
        equation(sp.Symbol("N"), L * w ** (2 / L)),
        _least_norm,
        setting=(
            "Every factorisation of the weight end to end; a matrix has the sum over its "
            "singular values."
        ),
        source="paper section 3",
        claim="min-norm",
        numeric=Numeric("projhead_theory.theory.balance.least_norm", (w, L)),
        near_misses=(
            (2 / L, 1 / L),
            (L * w ** (2 / L), w ** (2 / L)),
            (2 / L, 2 / (L + 1)),
            (w, w**2),
        ),
    )

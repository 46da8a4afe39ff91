"""Minimiser of the spectral contrastive loss, and the weights of its layers."""

import itertools
from collections.abc import Iterator

import sympy as sp

from ._notation import MEANING, L, c, family, lam, layer, m, more, phi, q, sigma, spectral_loss, w
from ._statement import Expr, Numeric, Statement, Step, equation, positive
from .moments import CONDITIONS, CROSS, SECOND, alpha, high, low, mask

spread, other, angle = sp.symbols("rho r theta", positive=True)
c1, c2, q1, q2 = sp.symbols("c_1 c_2 q_1 q_2", positive=True)
C_, S_, M_, R_, T_ = (sp.MatrixSymbol(name, 2, 2) for name in "CSMRT")
dim = sp.Symbol("d", positive=True, integer=True)
FIRST = sp.MatrixSymbol("M_1", dim, dim)

state = family(
    {
        **MEANING,
        alpha: "probability of a flipped sign",
        mask: "probability of a masked feature",
        low: "least factor",
        high: "largest factor",
        spread: "largest weight over smallest, end to end",
        angle: "angle of the only direction kept, from the first feature's",
        c1: "cross moment of feature 1",
        c2: "cross moment of feature 2",
        q1: "second moment of feature 1",
        q2: "second moment of feature 2",
        C_: "cross moment",
        S_: "second moment",
        M_: "Gram of the last layer",
        R_: "symmetric square root of the second moment",
        FIRST: "Gram of the first layer",
    },
    source="paper section 3",
    claim="spectral-minimiser",
)


def _stationary(value: Expr, values: dict[Expr, Expr] | None = None) -> Iterator[Step]:
    """Prove that the feature's loss is least at this weight."""
    loss = spectral_loss(m)
    slope = loss.diff(m).subs(m, value**2).subs(values or {})
    yield Step("the derivative of the loss in the squared weight vanishes", slope)
    yield positive(
        "its second derivative is positive",
        loss.diff(m, 2).subs(values or {}).subs(mask, 1 / (1 + more)),
    )


def _weight(formula: Expr) -> Iterator[Step]:
    yield from _stationary(formula.rhs)


def _kind(kind: str) -> Statement:
    words = {
        "noise": "additive noise",
        "flip": "sign flips",
        "mask": "masking",
        "rescale": "random rescaling",
    }[kind]
    value = {
        "noise": phi / (phi**2 + sigma**2),
        "flip": (1 - 2 * alpha) / phi,
        "mask": 1 / phi,
        "rescale": (low + high) / (phi * (low**2 + low * high + high**2)) * sp.Rational(3, 2),
    }[kind]
    near = {
        "noise": ((sigma**2, sigma), (phi, phi**2), (sigma**2, 2 * sigma**2)),
        "flip": ((alpha, alpha / 2), (1 - 2 * alpha, (1 - 2 * alpha) ** 2), (phi, phi**2)),
        "mask": ((phi, phi * (1 - mask)),),
        "rescale": ((low * high, 0),),
    }[kind]

    def proof(formula: Expr) -> Iterator[Step]:
        yield from _stationary(formula.rhs, {c: CROSS[kind], q: SECOND[kind]})

    return state(
        f"{kind}-weight",
        f"Weight of a feature at the minimum, under {words}",
        equation(w, value),
        proof,
        conditions=CONDITIONS[kind],
        setting="A feature model, and a network at least as wide as the input.",
        source="paper section 3" if kind == "noise" else "beyond the paper",
        numeric=Numeric(
            "projhead_theory.theory.layers.layerwise",
            (CROSS[kind], SECOND[kind], sp.S.One, sp.S.One),
        ),
        near_misses=near,
    )


def _least_loss(formula: Expr) -> Iterator[Step]:
    best = sp.solve(spectral_loss(m).diff(m), m)[0]
    yield Step(
        "it is the loss where the derivative vanishes",
        spectral_loss(best) - formula.rhs.subs(lam, c / q),
    )
    yield Step(
        "what another weight has more is a square",
        spectral_loss(m) - formula.rhs.subs(lam, c / q) - (q * m - c / q) ** 2,
    )


def _explicit(expression: Expr) -> Expr:
    """Entries in place of matrices: two features, any symmetric moments and Grams."""
    entries = {
        v: sp.symbols(f"{v.name}_11 {v.name}_12 {v.name}_22".lower(), real=True)
        for v in (S_, M_, R_, T_)
    }
    return expression.subs(
        {v: sp.ImmutableMatrix([[a, b], [b, d]]) for v, (a, b, d) in entries.items()}
    ).doit()


def _gram(formula: Expr) -> Iterator[Step]:
    cross, second = (sp.MatrixSymbol(name, dim, dim) for name in "CS")
    value = formula.rhs.subs({C_: cross, S_: second})
    yield Step("S M S - C vanishes, in any dimension", second * value * second - cross)
    # Any cross moment is S T S, which spares the inverse.
    loss = _explicit(-2 * sp.Trace(S_ * T_ * S_ * M_) + sp.Trace(S_ * M_ * S_ * M_))
    best = _explicit(formula.rhs.subs(C_, S_ * T_ * S_).doit())
    entries = dict(
        zip(
            sp.symbols("m_11 m_12 m_22", real=True),
            (best[0, 0], best[0, 1], best[1, 1]),
            strict=True,
        )
    )
    for entry in entries:
        yield Step(
            f"the derivative of the loss in {entry} vanishes, two features",
            loss.diff(entry).subs(entries),
        )
    yield Step("it is symmetric", best[0, 1] - best[1, 0])


def _square(formula: Expr) -> Iterator[Step]:
    sides = (
        _explicit(side.subs({C_: R_ * T_ * R_, S_: R_ * R_}).doit())
        for side in (formula.lhs, formula.rhs)
    )
    yield Step("both sides, two features, any moments", next(sides) - next(sides))


def _direction(formula: Expr) -> Iterator[Step]:
    x1, x2, away = sp.symbols("x_1 x_2 z", positive=True)
    value = formula.rhs.subs({sp.cos(angle): x1, sp.sin(angle): x2})
    direction = sp.Matrix([x1, x2])
    gram = m * direction * direction.T
    cross, second = sp.diag(c1, c2), sp.diag(q1, q2)
    loss = (-2 * (cross * gram).trace() + (second * gram * second * gram).trace()).expand()
    best = sp.solve(loss.diff(m), m)[0]
    yield Step("it is the loss of the best weight along this direction", loss.subs(m, best) - value)
    weaker = sp.Symbol("y", positive=True)
    # The first feature has the larger signal fraction by an excess; any other direction loses it.
    at = {c1: q1 * (weaker + more), c2: q2 * weaker}
    kept = formula.rhs.subs(angle, 0).subs(at)
    yield Step(
        "along the first feature it is minus its squared signal fraction",
        formula.rhs.subs(angle, 0) + (c1 / q1) ** 2,
    )
    turned = value.subs({x1: sp.sqrt(1 / (1 + away)), x2: sp.sqrt(away / (1 + away))}).subs(at)
    yield positive(
        "any other direction has more, if the first has the larger signal fraction",
        sp.factor(turned - kept),
    )


def _layerwise(formula: Expr) -> Iterator[Step]:
    weight = formula.rhs
    above, below = weight / weight.subs(layer, layer - 1), weight.subs(layer, layer + 1) / weight
    yield Step("before the first layer the weight is 1", sp.log(weight.subs(layer, 0)))
    yield Step(
        "after the last it is the weight end to end", sp.log(weight.subs(layer, L)) - sp.log(w)
    )
    yield Step(
        "each layer multiplies it by as much as the next: the imbalance is zero",
        sp.log(above) - sp.log(below),
    )


def _layerwise_gram(formula: Expr) -> Iterator[Step]:
    for depth in (2, 3, 4):
        widths = [dim, *sp.symbols(f"p_1:{depth + 1}", positive=True, integer=True)]
        layers = [sp.MatrixSymbol(f"W_{k}", widths[k], widths[k - 1]) for k in range(1, depth + 1)]
        # Each factor is a layer, transposed or not. Balancedness takes an adjacent pair
        # one layer down.
        word = [(k, True) for k in range(depth)] + [(k, False) for k in reversed(range(depth))]
        pairs = [((k, True), (k, False)) for k in range(1, depth)]
        while places := [i for i, pair in enumerate(itertools.pairwise(word)) if pair in pairs]:
            below = word[places[0]][0] - 1
            word[places[0] : places[0] + 2] = [(below, False), (below, True)]
        product = sp.MatMul(*(layers[k].T if turned else layers[k] for k, turned in word))
        claimed = formula.rhs.subs(layer, depth).subs(FIRST, layers[0].T * layers[0])
        yield Step(
            f"W_1^T ... W_{depth}^T W_{depth} ... W_1, with W_k+1^T W_k+1 replaced by W_k W_k^T",
            product - claimed,
        )


def _spread(formula: Expr) -> Iterator[Step]:
    value = formula.rhs
    yield Step("before the first layer all weights are equal", sp.log(value.subs(layer, 0)))
    yield Step(
        "after the last it is the spread end to end", sp.log(value.subs(layer, L)) - sp.log(spread)
    )
    ratios = [
        sp.log(value.subs(layer, layer + k + 1) / value.subs(layer, layer + k)) for k in (0, 1)
    ]
    yield Step("each layer multiplies it by as much as the next", ratios[1] - ratios[0])
    depth = sp.Symbol("tau", positive=True)
    yield positive(
        "it grows with the layer",
        sp.log(value.subs(layer, depth)).diff(depth).subs(spread, 1 + more),
    )


def _condition(formula: Expr) -> Iterator[Step]:
    top, bottom = sp.symbols("w_1 w_2", positive=True)
    u1, u2 = sp.symbols("u_1 u_2", positive=True)
    # A balanced network multiplies each feature by the same factor in every layer.
    gram = sp.diag(u1**layer, u2**layer) ** 2
    end = {u1: top ** (1 / L), u2: bottom ** (1 / L)}
    yield Step(
        "ratio of the eigenvalues of the Gram",
        sp.log((gram[0, 0] / gram[1, 1]).subs(end))
        - sp.log(formula.rhs.subs(spread, top / bottom)),
    )


def _effective_rank(formula: Expr) -> Iterator[Step]:
    top, bottom, u1, u2, x = sp.symbols("w_1 w_2 u_1 u_2 x", positive=True)
    gram = sp.diag(u1**layer, u2**layer) ** 2
    ratio = gram.trace() ** 2 / (gram**2).trace()
    end = {u1: top ** (1 / L), u2: bottom ** (1 / L)}
    yield Step(
        "squared trace of the Gram over the trace of its square",
        ratio.subs(end).subs(top, spread * bottom) - formula.rhs,
    )
    two = (1 + x) ** 2 / (1 + x**2)
    yield Step("before the first layer both features count", formula.rhs.subs(layer, 0) - 2)
    yield Step(
        "rank of two eigenvalues in the ratio x",
        two.subs(x, spread ** (2 * layer / L)) - formula.rhs,
    )
    yield Step("its slope", two.diff(x) + 2 * (x**2 - 1) / (1 + x**2) ** 2)
    yield positive("it falls with the ratio", (2 * (x**2 - 1)).subs(x, 1 + more))


def statements() -> Iterator[Statement]:
    feature = "A feature model, and a network at least as wide as the input."
    yield state(
        "spectral-minimiser",
        "Weight of a feature at the minimum",
        equation(w, sp.sqrt(c) / q),
        _weight,
        conditions=(sp.Le(c, q),),
        setting=feature,
        numeric=Numeric("projhead_theory.theory.layers.layerwise", (c, q, sp.S.One, sp.S.One)),
        near_misses=((q, q**2), (sp.sqrt(c), c), (q, sp.sqrt(q)), (q, 2 * q)),
    )
    for kind in ("noise", "flip", "mask", "rescale"):
        yield _kind(kind)
    yield state(
        "minimal-loss",
        "Least loss of a feature",
        equation(sp.Symbol(r"E_{\min}"), -(lam**2)),
        _least_loss,
        setting=feature,
        numeric=Numeric("projhead_theory.theory.layers.spectral", (lam, sp.S.One)),
        conditions=(sp.Le(lam, 1),),
        near_misses=((lam**2, lam), (lam, 2 * lam), (lam, sp.sqrt(2) * lam)),
    )
    yield state(
        "spectral-gram",
        "The Gram at the minimum",
        equation(sp.Symbol(r"M^{\star}"), S_.I * C_ * S_.I),
        _gram,
        setting="Invertible second moment, and a network at least as wide as the input.",
        near_misses=((S_.I * C_ * S_.I, S_.I * C_), (S_.I * C_ * S_.I, C_ * S_.I * S_.I)),
    )
    whitened = R_ * M_ * R_ - R_.I * C_ * R_.I
    target = R_.I * C_ * R_.I
    yield state(
        "completed-square",
        "The loss is a distance to the whitened cross moment",
        equation(
            -2 * sp.Trace(C_ * M_) + sp.Trace(S_ * M_ * S_ * M_),
            sp.Trace(whitened * whitened) - sp.Trace(target * target),
        ),
        _square,
        setting=(
            "R is the symmetric square root of the second moment. With a width below the "
            "input's, the best truncation is the nearest."
        ),
        near_misses=(
            (sp.Trace(target * target), sp.Trace(target)),
            (sp.Trace(target * target), 2 * sp.Trace(target * target)),
        ),
    )
    yield state(
        "width-one",
        "Least loss of a network that keeps one direction",
        equation(
            sp.Symbol("E_theta"),
            -(
                (
                    (c1 * sp.cos(angle) ** 2 + c2 * sp.sin(angle) ** 2)
                    / (q1 * sp.cos(angle) ** 2 + q2 * sp.sin(angle) ** 2)
                )
                ** 2
            ),
        ),
        _direction,
        setting=(
            "Two features, width one: what is kept is the largest signal fraction, not "
            "the strongest feature."
        ),
        near_misses=((c1, sp.sqrt(c1)), (q1, q1**2), (c2, 2 * c2)),
    )
    balanced = "A balanced network, aligned with the features."
    yield state(
        "layerwise-law",
        "Weight of a feature at a layer",
        equation(sp.Symbol("w_l"), w ** (layer / L)),
        _layerwise,
        conditions=(sp.Le(layer, L),),
        setting=balanced,
        claim="layerwise-law",
        numeric=Numeric("projhead_theory.theory.layers.layerwise", (w**-2, w**-2, L, layer)),
        near_misses=(
            (layer / L, layer / (L + 1)),
            (layer / L, (layer - 1) / L),
            (layer / L, 2 * layer / L),
            (w, w**2),
            (w, 2 * w),
        ),
    )
    yield state(
        "layerwise-noise",
        "Weight of a feature at a layer, under additive noise",
        equation(sp.Symbol("w_l"), (phi / (phi**2 + sigma**2)) ** (layer / L)),
        _layerwise_noise,
        conditions=(sp.Le(layer, L),),
        setting=balanced + " At the minimum.",
        claim="layerwise-law",
        numeric=Numeric(
            "projhead_theory.theory.layers.layerwise", (phi**2, phi**2 + sigma**2, L, layer)
        ),
        near_misses=(
            (sigma**2, sigma),
            (layer / L, layer / (L + 1)),
            (phi**2, phi),
            (layer / L, 2 * layer / L),
        ),
    )
    yield state(
        "layerwise-gram",
        "Gram of a layer",
        equation(sp.MatrixSymbol("M_l", dim, dim), FIRST**layer),
        _layerwise_gram,
        setting=(
            "A balanced network, of any widths, whose Grams need not commute with the "
            "moments. Derived for the first four layers."
        ),
        source="beyond the paper",
        claim="layerwise-law",
        near_misses=((FIRST, 2 * FIRST), (layer, layer + 1), (layer, 2 * layer)),
    )
    yield state(
        "progressive-weighting",
        "Spread of the weights at a layer",
        equation(sp.Symbol("rho_l"), spread ** (layer / L)),
        _spread,
        conditions=(sp.Le(layer, L), sp.Ge(spread, 1)),
        setting=balanced,
        claim="progressive-weighting",
        numeric=Numeric("projhead_theory.theory.layers.layerwise", (spread, L, layer)),
        near_misses=(
            (layer / L, layer / (L + 1)),
            (layer / L, (L - layer) / L),
            (spread, spread**2),
        ),
    )
    yield state(
        "effective-rank",
        "Effective rank of a layer, for two features",
        equation(
            sp.Symbol("r_l"),
            (1 + spread ** (2 * layer / L)) ** 2 / (1 + spread ** (4 * layer / L)),
        ),
        _effective_rank,
        conditions=(sp.Le(layer, L), sp.Ge(spread, 1)),
        setting=balanced,
        source="beyond the paper",
        claim="effective-rank",
        near_misses=(
            (2 * layer / L, layer / L),
            (4 * layer / L, 2 * layer / L),
            (spread, spread**2),
        ),
    )
    yield state(
        "condition-number",
        "Condition number of the Gram of a layer",
        equation(sp.Symbol("kappa_l"), spread ** (2 * layer / L)),
        _condition,
        conditions=(sp.Le(layer, L), sp.Ge(spread, 1)),
        setting=balanced,
        claim="progressive-weighting",
        numeric=Numeric("projhead_theory.theory.layers.layerwise", (spread, L, layer)),
        near_misses=(
            (2 * layer / L, layer / L),
            (2 * layer / L, 2 * layer / (L + 1)),
            (spread, spread**2),
        ),
    )


def _layerwise_noise(formula: Expr) -> Iterator[Step]:
    last = formula.rhs.subs(layer, L)
    yield from _stationary(last, {c: CROSS["noise"], q: SECOND["noise"]})
    yield from _layerwise(equation(formula.lhs, formula.rhs.subs(phi / (phi**2 + sigma**2), w)))

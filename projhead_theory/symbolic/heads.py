r"""Fixed reweighting head, $f = H W_1 x$ with $H = \mathrm{diag}(1, 1/k, 1/k^2, \dots)$."""

from collections.abc import Iterator

import sympy as sp

from ._notation import family, more
from ._statement import Expr, Statement, Step, equation, positive

k, w_r, w_0, w_1, theta = sp.symbols("k w_(r) w_(0) w_(1) theta", positive=True)
rank, low, high = sp.symbols("r m n", positive=True, integer=True)
A, B = sp.symbols("A B", positive=True)
i, j = sp.symbols("i j", positive=True, integer=True)
d = sp.Symbol("d", positive=True, integer=True)
weights: Expr = sp.IndexedBase("w", positive=True)
strengths: Expr = sp.IndexedBase("phi", positive=True)
H_, Q_, R_ = (sp.MatrixSymbol(name, 2, 2) for name in "HQR")

state = family(
    {
        k: "ratio of the rows of the head",
        w_r: "weight after the head, of rank r from 0",
        w_0: "largest weight after the head",
        w_1: "second largest weight after the head",
        theta: "angle by which the rows are mixed",
        rank: "rank of the weight, from 0",
        low: "how many ranks the heavier feature is above the label's",
        high: "how many ranks the lighter feature is below the label's",
        A: "term of the lighter feature at equal rows",
        B: "term of the heavier feature at equal rows",
        weights.label: "weights after the head, in descending order",
        strengths.label: "strengths of the features downstream",
        d: "number of features",
        j: "the feature that is the label",
        H_: "head",
        Q_: "orthogonal",
        R_: "symmetric square root of the Gram after the head",
    },
    source="paper",
)


def head(size: int) -> Expr:
    return sp.diag(*(k ** -sp.Integer(r) for r in range(size)))


def _equivalence(formula: Expr) -> Iterator[Step]:
    after = (H_ * formula.rhs).doit()
    turn = sp.ImmutableMatrix([[sp.cos(theta), -sp.sin(theta)], [sp.sin(theta), sp.cos(theta)]])
    a, b, c = sp.symbols("r_11 r_12 r_22", real=True)
    entries = {
        Q_: turn,
        R_: sp.ImmutableMatrix([[a, b], [b, c]]),
        H_: sp.ImmutableMatrix(2, 2, sp.symbols("h_1:5", real=True)),
    }
    gram = (after.T * after - R_ * R_).subs(entries).doit()
    yield Step(
        "the Gram after the head, two features",
        gram.applyfunc(
            lambda entry: sp.expand(entry).subs(sp.cos(theta) ** 2, 1 - sp.sin(theta) ** 2)
        ),
    )


def _matching(formula: Expr) -> Iterator[Step]:
    for size in (2, 3):
        values = sp.symbols(f"w_0:{size}", positive=True)
        before = sp.diag(
            *(formula.rhs.subs({rank: r, w_r: value}) for r, value in enumerate(values))
        )
        yield Step(
            f"the head makes the weights of it, {size} features",
            head(size) * before - sp.diag(*values),
        )


def _mixing(formula: Expr) -> Iterator[Step]:
    turn = sp.Matrix([[sp.cos(theta), -sp.sin(theta)], [sp.sin(theta), sp.cos(theta)]])
    layer = head(2).inv() * turn * sp.diag(w_0, w_1)
    norm = sp.expand((layer.T * layer).trace())
    yield Step(
        "sum of squares of H^-1 Q sqrt(M)",
        sp.expand(norm - formula.rhs).subs(sp.cos(theta) ** 2, 1 - sp.sin(theta) ** 2),
    )
    cost = formula.rhs - formula.rhs.subs(theta, 0)
    at = {
        k: 1 + more,
        w_0: w_1 + sp.Symbol("y", positive=True),
        sp.sin(theta): sp.Symbol("z", positive=True),
    }
    yield positive("any mixing of the rows costs norm", sp.factor(cost.subs(at)))


def _exchange(formula: Expr) -> Iterator[Step]:
    x, y = sp.symbols("x y", positive=True)
    swapped = (k**low * w_0) ** 2 + (k ** (low + high) * w_1) ** 2
    kept = (k ** (low + high) * w_0) ** 2 + (k**low * w_1) ** 2
    yield Step("norm with the two exchanged, less norm without", kept - swapped - formula.rhs)
    value = sp.powsimp(sp.expand(formula.rhs.subs({w_0: w_1 + x})))
    value = sp.factor(value / k ** (2 * low)).subs(k**high, 1 + y)
    yield positive(
        "an exchange out of order costs norm",
        sp.factor(sp.powsimp(value).subs(k ** (2 * high), (1 + y) ** 2)),
    )


def _emulation(formula: Expr) -> Iterator[Step]:
    falling = {w_r: w_0 * k ** (-2 * rank)}
    yield Step(
        "it is k^r w, for weights that fall as k^(-2 r)",
        (k**rank * w_r - formula.rhs).subs(falling),
    )


def _diagonal(formula: Expr) -> Iterator[Step]:
    yield Step("the head diag(sqrt w) makes the weight of it", sp.sqrt(w_r) * formula.rhs - w_r)
    yield Step(
        "so does another layer like it: the imbalance is zero", sp.sqrt(w_r) ** 2 - formula.rhs**2
    )


def _indicator(formula: Expr) -> Iterator[Step]:
    for size, label in ((2, 1), (3, 2)):
        values = [sp.Symbol(f"w_{r}", positive=True) for r in range(1, size + 1)]
        strength = [sp.Symbol(f"phi_{r}", positive=True) for r in range(1, size + 1)]
        gram = (head(size).inv() * sp.diag(*values)) ** 2
        beta = sp.zeros(size, 1)
        beta[label - 1] = 1 / strength[label - 1]
        indicator = (gram * sp.diag(*(v**2 for v in strength))).trace() * (
            beta.T * gram.inv() * beta
        )[0]
        written = formula.rhs.subs({d: size, j: label}).doit()
        written = written.replace(
            sp.Indexed, lambda base, at: sp.Symbol(f"{base}_{at}", positive=True)
        )
        yield Step(
            f"trace and quadratic form of the Gram before the head, {size} features",
            indicator - written,
        )


def _best(formula: Expr) -> Iterator[Step]:
    logarithm = sp.Symbol("x", real=True)
    curve = A * sp.exp(2 * high * logarithm) + 1 + B * sp.exp(-2 * low * logarithm)
    best = sp.log(formula.rhs)
    parts = [
        sp.log(high * A * sp.exp(2 * high * logarithm)),
        sp.log(low * B * sp.exp(-2 * low * logarithm)),
    ]
    yield Step(
        "the slope of the indicator in ln k",
        curve.diff(logarithm) - 2 * sp.exp(parts[0]) + 2 * sp.exp(parts[1]),
    )
    yield Step(
        "its two terms cancel",
        sp.simplify(sp.expand_log((parts[0] - parts[1]).subs(logarithm, best), force=True)),
    )
    yield positive("its second derivative is positive", curve.diff(logarithm, 2))


def statements() -> Iterator[Statement]:
    least = "The first layer of least norm among those with the least loss."
    yield state(
        "head-equivalence",
        "First layer under any invertible head",
        equation(sp.MatrixSymbol("W_1", 2, 2), H_.I * Q_ * R_),
        _equivalence,
        setting=(
            "Q is orthogonal, otherwise free; R is the symmetric square root of the Gram "
            "after the head."
        ),
        claim="head-equivalence",
        near_misses=((H_.I, H_), (R_, R_ * R_), (Q_, 2 * Q_)),
    )
    yield state(
        "sorted-matching",
        "Weight before a fixed head",
        equation(sp.Symbol("u_(r)"), k**rank * w_r),
        _matching,
        conditions=(sp.Gt(k, 1),),
        setting=least,
        claim="sorted-matching",
        near_misses=((k**rank, k ** (-rank)), (k**rank, k ** (2 * rank)), (w_r, sp.sqrt(w_r))),
    )
    yield state(
        "row-mixing",
        "Norm of the first layer, when the rows are mixed",
        equation(
            sp.Function("N")(theta),
            w_0**2 + k**2 * w_1**2 + (k**2 - 1) * (w_0**2 - w_1**2) * sp.sin(theta) ** 2,
        ),
        _mixing,
        conditions=(sp.Gt(k, 1), sp.Gt(w_0, w_1)),
        setting="Two features; the loss does not see the mixing.",
        source="beyond the paper",
        claim="sorted-matching",
        near_misses=(
            (k**2 - 1, k - 1),
            (w_0**2 - w_1**2, w_0 - w_1),
            (sp.sin(theta) ** 2, sp.sin(theta)),
        ),
    )
    yield state(
        "row-exchange",
        "Cost of an exchange of two rows",
        equation(
            sp.Symbol(r"\Delta N"), (k ** (2 * low + 2 * high) - k ** (2 * low)) * (w_0**2 - w_1**2)
        ),
        _exchange,
        conditions=(sp.Gt(k, 1), sp.Gt(w_0, w_1)),
        setting="Two weights of a sorted matching, n ranks apart.",
        source="beyond the paper",
        claim="sorted-matching",
        near_misses=(
            (w_0**2 - w_1**2, w_0 - w_1),
            (2 * low + 2 * high, low + high),
            (w_1**2, 2 * w_1**2),
        ),
    )
    yield state(
        "kappa-emulation",
        "When a fixed head gives the weights of a trained two-layer network",
        equation(sp.Symbol("u_(r)"), sp.sqrt(w_0) * sp.sqrt(w_r)),
        _emulation,
        conditions=(sp.Eq(w_r, w_0 * k ** (-2 * rank), evaluate=False),),
        setting=least + " The factor of all weights is the same.",
        source="beyond the paper",
        claim="kappa-emulation",
        near_misses=((sp.sqrt(w_r), w_r), (sp.sqrt(w_0), w_0), (sp.sqrt(w_r), sp.sqrt(2 * w_r))),
    )
    yield state(
        "diagonal-emulation",
        "Weight before the head diag(sqrt w)",
        equation(sp.Symbol("u_(r)"), sp.sqrt(w_r)),
        _diagonal,
        setting="The head is the upper layer of the trained two-layer network.",
        source="beyond the paper",
        claim="kappa-emulation",
        near_misses=((w_r, w_r**2), (w_r, 2 * w_r), (w_r, sp.sqrt(w_r))),
    )
    ratio = weights[i] / weights[j]
    yield state(
        "fixed-head-complexity",
        "Indicator of the labels that a fixed head needs before it",
        equation(
            sp.Function(r"\mathrm{SC}")(k),
            sp.Sum(k ** (2 * (i - j)) * ratio**2 * (strengths[i] / strengths[j]) ** 2, (i, 1, d)),
        ),
        _indicator,
        setting=least + " Features in descending order of weight.",
        source="beyond the paper",
        claim="best-kappa",
        near_misses=(
            (2 * i, i),
            (weights[i], sp.sqrt(weights[i])),
            (strengths[i], strengths[i] ** 2),
        ),
    )
    yield state(
        "best-kappa",
        "The best ratio of the rows",
        equation(sp.Symbol(r"k^{\star}"), (low * B / (high * A)) ** (1 / (2 * (low + high)))),
        _best,
        setting=(
            "Three features: the label's, a heavier one m ranks above, and a lighter one "
            "n ranks below."
        ),
        source="beyond the paper",
        claim="best-kappa",
        near_misses=((low * B, B), (2 * (low + high), low + high), (A, A**2)),
    )

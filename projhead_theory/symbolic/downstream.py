r"""Sample-complexity indicator over the relative depth $\tau = l / L$, and its best layer."""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, family, more, sigma
from ._statement import Expr, Statement, Step, equation, nonnegative, positive

tau, phi_j, w_i = sp.symbols("tau varphi_j w_i", positive=True)
d = sp.Symbol("d", positive=True, integer=True)
i, j = sp.symbols("i j", positive=True, integer=True)
weights: Expr = sp.IndexedBase("w", positive=True)
strengths: Expr = sp.IndexedBase("phi", positive=True)
A, B, above, below = sp.symbols("A B a b", positive=True)
SC = sp.Function(r"\mathrm{SC}")

state = family(
    {
        **MEANING,
        tau: "layer as a share of the depth",
        weights.label: "weights of the features, end to end",
        strengths.label: "strengths of the features downstream",
        d: "number of features",
        j: "the feature that is the label",
        phi_j: "strength of the feature that is the label",
        w_i: "weight of the other feature",
        A: "squared strength of the heavier feature relative to the label's",
        B: "squared strength of the lighter feature relative to the label's",
        above: "weight of the heavier feature relative to the label's",
        below: "weight of the label's feature relative to the lighter one's",
    },
)
weights_at = weights[i] / weights[j]
TERM = weights_at ** (2 * tau) * (strengths[i] / strengths[j]) ** 2


def _explicit(expression: Expr, size: int, label: int) -> Expr:
    """The sum written out, with plain symbols."""
    written = expression.subs({d: size, j: label}).doit()
    return written.replace(sp.Indexed, lambda base, at: sp.Symbol(f"{base}_{at}", positive=True))


def indicator(size: int, label: int) -> Expr:
    """Squared radius over squared margin of the least-norm separator, from the layer's Gram."""
    gram = sp.diag(*(sp.Symbol(f"w_{k}", positive=True) ** (2 * tau) for k in range(1, size + 1)))
    strength = [sp.Symbol(f"phi_{k}", positive=True) for k in range(1, size + 1)]
    # The label is the sign of its feature, which appears in the input times its strength.
    beta = sp.zeros(size, 1)
    beta[label - 1] = 1 / strength[label - 1]
    return (gram * sp.diag(*(v**2 for v in strength))).trace() * (beta.T * gram.inv() * beta)[0]


def _indicator(formula: Expr) -> Iterator[Step]:
    for size, label in ((2, 1), (3, 2)):
        yield Step(
            f"trace and quadratic form of the Gram, {size} features",
            indicator(size, label) - _explicit(formula.rhs, size, label),
        )


def _derivative(times: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        for size, label in ((2, 1), (3, 2)):
            yield Step(
                f"derivative of the indicator, {size} features",
                indicator(size, label).diff(tau, times) - _explicit(formula.rhs, size, label),
            )
        # Weights enter through the logarithm of their ratio.
        ratio, logarithm = (
            sp.Symbol("r", positive=True),
            sp.Symbol("x", real=True) if times == 2 else more,
        )
        one = sp.Symbol("phi_1", positive=True)
        term = _explicit(formula.rhs, 2, 1).subs(
            {sp.Symbol("w_2", positive=True): ratio, sp.Symbol("w_1", positive=True): 1, one: 1}
        )
        term = term.subs(ratio, sp.exp(logarithm))
        if times == 2:
            yield nonnegative("no feature makes it negative", sp.expand_log(term))
        else:
            yield positive("a heavier feature makes it positive", sp.expand_log(term))

    return proof


def _optimum(formula: Expr) -> Iterator[Step]:
    steep, shallow = sp.symbols("alpha beta", positive=True)
    exponents = {above: sp.exp(steep), below: sp.exp(shallow)}
    curve = (A * above ** (2 * tau) + 1 + B * below ** (-2 * tau)).subs(exponents)
    best = sp.expand_log(formula.rhs.subs(exponents))
    slope = [
        sp.log(part)
        for part in (A * steep * sp.exp(2 * steep * tau), B * shallow * sp.exp(-2 * shallow * tau))
    ]
    yield Step(
        "what the heavier adds to the slope", curve.diff(tau).coeff(A) * A - 2 * sp.exp(slope[0])
    )
    yield Step(
        "is what the lighter takes from it", sp.expand_log((slope[0] - slope[1]).subs(tau, best))
    )
    yield positive("the second derivative is positive", curve.diff(tau, 2))


def _two(value: Expr, layer: Expr) -> Expr:
    """The indicator of a label and one other feature, in terms of the ratio of weights."""
    return 1 + A * value ** (2 * layer)


def _pre_beats_post(formula: Expr) -> Iterator[Step]:
    difference = _two(above, sp.S.One) - _two(above, 1 - 1 / L)
    yield Step("indicator after the head, less that before it", difference - formula.rhs)
    heavier = (1 + more) ** L
    yield positive(
        "positive if the other feature is the heavier one",
        sp.expand(
            sp.powsimp(sp.expand(formula.rhs.subs(above, heavier) / (1 + more) ** (2 * L - 2)))
        ),
    )


def _noise(strength: Expr, scale: Expr = sigma) -> Expr:
    return strength / (strength**2 + scale**2)


def _threshold(formula: Expr) -> Iterator[Step]:
    yield Step("there both weights agree", _noise(phi_j, formula.rhs) - w_i)
    yield positive("more noise makes the label's feature the lighter", -_noise(phi_j).diff(sigma))


def _strengths(sign: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        yield Step("there both weights agree", _noise(formula.rhs) - w_i)
        # The other weight is below 1 / (2 sigma), the largest possible weight of the label's
        # feature.
        beyond = 1 + more
        value = formula.rhs.subs(w_i, 1 / (sigma * (beyond + 1 / beyond)))
        value = value.replace(sp.Pow, lambda base, power: sp.factor(base) ** power)
        beside: Expr = sp.factor(value - sigma)
        yield positive("it is on its side of the noise, where the weight is largest", sign * beside)

    return proof


def _strongest(formula: Expr) -> Iterator[Step]:
    weight = _noise(phi_j)
    yield Step("the derivative of the weight vanishes", weight.diff(phi_j).subs(phi_j, formula.rhs))
    yield positive(
        "its second derivative is negative",
        -sp.simplify(weight.diff(phi_j, 2).subs(phi_j, formula.rhs)),
    )
    yield Step("the weight goes to zero with the strength", sp.limit(weight, phi_j, 0))
    yield Step("and as it grows", sp.limit(weight, phi_j, sp.oo))


def _largest(formula: Expr) -> Iterator[Step]:
    best = sp.solve(sp.together(_noise(phi_j).diff(phi_j)), phi_j)[0]
    yield Step("it is the weight where the derivative vanishes", _noise(best) - formula.rhs)
    yield Step(
        "what other strengths lack is a square",
        formula.rhs - _noise(phi_j) - (phi_j - sigma) ** 2 / (2 * sigma * (phi_j**2 + sigma**2)),
    )


def statements() -> Iterator[Statement]:
    task = (
        "The label is the sign of one feature; probes separate with the least norm on a "
        "layer of a balanced network."
    )
    two = (
        "Two features under additive noise; the other one is the heavier where the "
        "weights differ enough."
    )
    logarithm = sp.log(weights_at)
    total = lambda term: sp.Sum(term, (i, 1, d))
    yield state(
        "sample-complexity",
        "Indicator of the labels that a layer needs",
        equation(SC(tau), total(TERM)),
        _indicator,
        setting=task,
        source="paper",
        claim="optimal-layer",
        near_misses=(
            (2 * tau, tau),
            (strengths[i], strengths[i] ** 2),
            (weights[i], weights[i] ** 2),
        ),
    )
    yield state(
        "sample-complexity-slope",
        "Slope of the indicator",
        equation(sp.Derivative(SC(tau), tau), total(2 * logarithm * TERM)),
        _derivative(1),
        setting=task + " Heavier features than the label's make it positive.",
        claim="optimal-layer",
        near_misses=((2 * tau, tau), (logarithm, logarithm**2), (weights[i], weights[i] ** 2)),
    )
    yield state(
        "sample-complexity-convexity",
        "Curvature of the indicator",
        equation(sp.Derivative(SC(tau), (tau, 2)), total(4 * logarithm**2 * TERM)),
        _derivative(2),
        setting=task + " It is convex, strictly unless all weights agree.",
        claim="optimal-layer",
        near_misses=((logarithm**2, logarithm), (2 * tau, tau), (weights[i], weights[i] ** 2)),
    )
    yield state(
        "optimal-layer",
        "The best layer, as a share of the depth",
        equation(
            sp.Symbol(r"\tau^{\star}"),
            sp.log(B * sp.log(below) / (A * sp.log(above))) / (2 * sp.log(above * below)),
        ),
        _optimum,
        conditions=(sp.Gt(above, 1), sp.Gt(below, 1)),
        setting=(
            "Three features, the label's between a heavier and a lighter one; outside "
            "[0, 1] the best layer is the nearest end."
        ),
        claim="optimal-layer",
        near_misses=((A, A**2), (sp.log(above * below), sp.log(above)), (B, 2 * B)),
    )
    yield state(
        "pre-beats-post",
        "What the head costs, with one other feature",
        equation(sp.Symbol(r"\Delta"), A * (above**2 - above ** (2 - 2 / L))),
        _pre_beats_post,
        setting=task,
        claim="when-pre-wins",
        near_misses=((2 - 2 / L, 2 - 1 / L), (above**2, above), (A, 2 * A)),
    )
    knob = "when-pre-wins"
    yield state(
        "noise-threshold",
        "Noise above which the lower layer is better",
        equation(sp.Symbol(r"\sigma^{\star}"), sp.sqrt(phi_j / w_i - phi_j**2)),
        _threshold,
        conditions=(sp.Lt(phi_j * w_i, 1),),
        setting=two,
        claim=knob,
        near_misses=((phi_j**2, phi_j), (w_i, w_i**2), (phi_j**2, 2 * phi_j**2)),
    )
    for sign, words in ((-1, "below"), (1, "above")):
        yield state(
            f"strength-threshold-{words}",
            f"Strength {words} which the lower layer is better",
            equation(
                sp.Symbol(r"\varphi^{\star}"),
                (1 + sign * sp.sqrt(1 - 4 * w_i**2 * sigma**2)) / (2 * w_i),
            ),
            _strengths(sign),
            conditions=(sp.Lt(2 * w_i * sigma, 1),),
            setting=two,
            claim=knob,
            near_misses=(
                (sigma**2, sigma),
                (w_i, 2 * w_i),
                (sp.sqrt(1 - 4 * w_i**2 * sigma**2), -sp.sqrt(1 - 4 * w_i**2 * sigma**2)),
            ),
        )
    yield state(
        "strongest-weight-at",
        "Strength at which the weight is largest",
        equation(sp.Symbol(r"\varphi^{\star}"), sigma),
        _strongest,
        setting="Additive noise.",
        source="paper",
        claim=knob,
        near_misses=((sigma, sigma**2), (sigma, 2 * sigma), (sigma, sp.sqrt(sigma))),
    )
    yield state(
        "largest-weight",
        "Largest weight of any strength",
        equation(sp.Symbol(r"w_{\max}"), 1 / (2 * sigma)),
        _largest,
        setting="Additive noise.",
        claim=knob,
        near_misses=((sigma, sigma**2), (sigma, 2 * sigma), (sigma, sigma / 2)),
    )

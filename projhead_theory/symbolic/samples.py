"""Weights from a finite number of pairs, by the delta method on one feature of Gaussian views."""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, family, lam, layer, n, q, w
from ._statement import Expr, Numeric, Statement, Step, equation
from .moments import expectation

state = family(
    dict(MEANING),
    setting="A feature of Gaussian views, in a network trained on pairs until stationary.",
    claim="finite-sample",
)


def _gaussian(order: int) -> Expr:
    return sp.S.Zero if order % 2 else sp.factorial2(order - 1)


def _covariance() -> tuple[Expr, Expr, Expr]:
    """Variances and covariance of a pair's own cross and second moment.

    They follow from the moments of two normal variables.
    """
    u, v = sp.symbols("u v", real=True)
    plus, minus = sp.sqrt((q + c) / 2), sp.sqrt((q - c) / 2)
    x1, x2 = plus * u + minus * v, plus * u - minus * v
    distributions = {u: _gaussian, v: _gaussian}
    mean = lambda polynomial: sp.expand(expectation(sp.expand(polynomial), distributions))
    cross, second = x1 * x2, (x1**2 + x2**2) / 2
    products = ((cross, cross), (second, second), (cross, second))
    variances = [sp.expand(mean(a * b) - mean(a) * mean(b)) for a, b in products]
    return variances[0], variances[1], variances[2]


def _value() -> Expr:
    """The weight of a layer as a function of the moments."""
    return (sp.sqrt(c) / q) ** (layer / L)


def _slope(of: sp.Symbol) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        at = {w: sp.sqrt(c) / q}
        yield Step("derivative of the weight of a layer", _value().diff(of) - formula.rhs.subs(at))

    return proof


def _variance(formula: Expr) -> Iterator[Step]:
    vc, vq, vcq = _covariance()
    a, b = _value().diff(c), _value().diff(q)
    variance = (a**2 * vc + b**2 * vq + 2 * a * b * vcq) / n
    at = {w: sp.sqrt(c) / q, lam: c / q}
    yield Step(
        "derivatives applied to the covariance of the moments",
        variance / _value() ** 2 - formula.rhs.subs(at) / _value() ** 2,
    )


def _bias(formula: Expr) -> Iterator[Step]:
    vc, vq, vcq = _covariance()
    value = _value()
    bias = (value.diff(c, 2) * vc + value.diff(q, 2) * vq + 2 * value.diff(c, q) * vcq) / (2 * n)
    at = {w: sp.sqrt(c) / q, lam: c / q}
    yield Step(
        "half the second derivatives applied to the covariance of the moments",
        (bias - formula.rhs.subs(at)) / value,
    )


def _moment(which: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        yield Step("fourth moments of two normal variables", _covariance()[which] / n - formula.rhs)

    return proof


def statements() -> Iterator[Statement]:
    power = layer / L
    ordered = (sp.Le(layer, L),)
    fraction = (*ordered, sp.Lt(lam, 1))
    at_layer = w**power
    below = (sp.Le(c, q),)
    yield state(
        "cross-moment-variance",
        "Variance of an empirical cross moment",
        equation(sp.Symbol(r"\operatorname{Var} \hat c"), (q**2 + c**2) / n),
        _moment(0),
        conditions=below,
        near_misses=((q**2, 2 * q**2), (c**2, 2 * c**2)),
    )
    yield state(
        "second-moment-variance",
        "Variance of an empirical second moment, over both views",
        equation(sp.Symbol(r"\operatorname{Var} \hat q"), (q**2 + c**2) / n),
        _moment(1),
        conditions=below,
        near_misses=((q**2, 2 * q**2), (c**2, -(c**2))),
    )
    yield state(
        "moment-covariance",
        "Covariance of the two",
        equation(sp.Symbol(r"\operatorname{Cov}(\hat c, \hat q)"), 2 * q * c / n),
        _moment(2),
        conditions=below,
        near_misses=((q, 2 * q), (c, q)),
    )
    yield state(
        "weight-in-cross-moment",
        "Derivative of a layer's weight in the cross moment",
        equation(sp.Symbol(r"\partial w_{l} / \partial c"), power * at_layer / (2 * c)),
        _slope(c),
        conditions=ordered,
        near_misses=((c, 2 * c), (power, layer / (L + 1)), (w, w**2)),
    )
    yield state(
        "weight-in-second-moment",
        "Derivative of a layer's weight in the second moment",
        equation(sp.Symbol(r"\partial w_{l} / \partial q"), -power * at_layer / q),
        _slope(q),
        conditions=ordered,
        near_misses=((q, 2 * q), (power, layer / (L + 1)), (w, w**2)),
    )
    yield state(
        "finite-sample",
        "Variance of a layer's weight over samples",
        equation(
            sp.Symbol(r"\operatorname{Var} \hat w_l"),
            power**2 * w ** (2 * power) * (1 - 3 * lam**2 + 4 * lam**4) / (4 * n * lam**2),
        ),
        _variance,
        conditions=fraction,
        numeric=Numeric(
            "projhead_theory.theory.samples.sampling_error",
            (lam**2 / w**2, lam / w**2, L, layer, n),
        ),
        near_misses=(
            (3 * lam**2, 2 * lam**2),
            (power, layer / (L + 1)),
            (4 * lam**4, 2 * lam**4),
            (n, 2 * n),
        ),
    )
    series = (
        power / 2 * (power / 2 - 1) * (1 + 1 / lam**2)
        + power * (power + 1) * (1 + lam**2)
        - 2 * power**2
    )
    yield state(
        "finite-sample-bias",
        "Bias of a layer's weight, to first order in one over the number of pairs",
        equation(sp.Symbol(r"\operatorname{E} \hat w_l - w_l"), at_layer / (2 * n) * series),
        _bias,
        conditions=fraction,
        numeric=Numeric(
            "projhead_theory.theory.samples.sampling_error",
            (lam**2 / w**2, lam / w**2, L, layer, n),
        ),
        near_misses=((2 * power**2, power**2), (power / 2 - 1, power - 1), (n, 2 * n)),
    )

r"""Response functions: weights of one feature under other losses than the spectral one.

A feature of variance one and signal fraction $\lambda$ has the squared weight $m$.
"""

from collections.abc import Iterator

import sympy as sp

from ._notation import MEANING, c, family, lam, m, more, q, spectral_loss, w
from ._statement import Expr, Numeric, Statement, Step, equation, positive

beta, tau, y, g = sp.symbols("beta tau y g", positive=True)
MODULE = "projhead_theory.theory.responses"

state = family(
    {
        **MEANING,
        beta: "weight of the invariance",
        tau: "temperature",
        g: "response, the squared weight of a feature of variance one",
    },
    setting="One feature of variance one, under a linear network.",
    claim="response-minimiser",
)


def vicreg_loss(square: Expr, fraction: Expr = lam) -> Expr:
    r"""$\beta E|z - z^+|^2 + (E z^2 - 1)^2$."""
    return 2 * beta * (1 - fraction) * square + (square - 1) ** 2


def inner_product_loss(square: Expr, fraction: Expr = lam) -> Expr:
    """InfoNCE with inner products, whose log-partition is half the variance of the scores."""
    return -fraction * square / tau + square**2 / (2 * tau**2)


def distance_loss(square: Expr, fraction: Expr = lam) -> Expr:
    x = square / tau
    return x * (1 - fraction) - sp.log(1 + x) / 2 - x / (1 + x) / 2


def sign_loss(square: Expr, fraction: Expr = lam) -> Expr:
    return -fraction * square / tau + sp.log(sp.cosh(square / tau))


def barlow_loss(square: Expr) -> Expr:
    return (c * square - 1) ** 2


def _vicreg(formula: Expr) -> Iterator[Step]:
    yield Step("the loss is stationary", vicreg_loss(m).diff(m).subs(m, formula.rhs))
    yield positive("and convex", vicreg_loss(m).diff(m, 2))


def _extinction(formula: Expr) -> Iterator[Step]:
    slope = vicreg_loss(m, formula.rhs).diff(m).subs(m, 0)
    yield Step("the slope of the loss at weight zero vanishes", sp.expand(slope))
    beyond = vicreg_loss(m, formula.rhs - more).diff(m).subs(m, 0)
    yield positive("and is positive at smaller signal fractions", sp.expand(beyond))


def _inner_product(formula: Expr) -> Iterator[Step]:
    score, variance = sp.Symbol("x", real=True), sp.Symbol("v", positive=True)
    yield Step(
        "a Gaussian density times the exponential of the score is exp(v/2) times the density at "
        "mean v: the log-partition is half the variance of the scores",
        score - score**2 / (2 * variance) - variance / 2 + (score - variance) ** 2 / (2 * variance),
    )
    yield Step("the loss is stationary", inner_product_loss(m).diff(m).subs(m, formula.rhs))
    yield positive("and convex", inner_product_loss(m).diff(m, 2))


def _distance(formula: Expr) -> Iterator[Step]:
    # With r = sqrt(9 - 8 lambda), the root becomes a symbol.
    r = sp.Symbol("r", positive=True)
    fraction = (9 - r**2) / 8
    value = formula.rhs.subs(sp.sqrt(9 - 8 * lam), r).subs(lam, fraction)
    slope = distance_loss(m, fraction).diff(m).subs(m, value)
    yield Step("the loss is stationary", sp.factor(sp.together(slope)))
    yield positive("and convex", sp.factor(distance_loss(m).diff(m, 2)))
    yield Step(
        "for small signal fractions it is two thirds of the temperature times them",
        sp.limit(formula.rhs / lam, lam, 0) - 2 * tau / 3,
    )


def _signs(formula: Expr) -> Iterator[Step]:
    slope = sign_loss(m).diff(m).subs(m, formula.rhs)
    yield Step("the loss is stationary", sp.simplify(slope.rewrite(sp.tanh).rewrite(sp.exp)))
    curvature = sp.sech(m / tau) ** 2 / tau**2
    second = sp.simplify((sign_loss(m).diff(m, 2) - curvature).rewrite(sp.exp))
    yield Step("its second derivative is that of log cosh", second)
    yield positive("and positive", curvature.rewrite(sp.cosh))


def _barlow(formula: Expr) -> Iterator[Step]:
    yield Step("the loss is stationary", barlow_loss(m).diff(m).subs(m, formula.rhs))
    yield positive("and convex", barlow_loss(m).diff(m, 2))
    yield Step("its loss is zero", barlow_loss(formula.rhs))


def _moments(formula: Expr) -> Iterator[Step]:
    yield Step(
        "it is the spectral loss with the moments c/(2 tau) and q^2/(2 tau^2)",
        formula.rhs
        - (-2 * c * m + q**2 * m**2).subs(
            {c: c / (2 * tau), q: q / (sp.sqrt(2) * tau)}, simultaneous=True
        ),
    )
    yield Step(
        "of variance q it is the loss of q m",
        formula.rhs.subs(c, lam * q) - inner_product_loss(q * m),
    )


def _response_weight(formula: Expr) -> Iterator[Step]:
    square = formula.rhs**2
    yield Step(
        "the feature has variance q, and its response is that of variance one", q * square - g
    )
    for name, loss, own in (
        ("the spectral loss", spectral_loss(m), spectral_loss(m).subs({c: lam, q: 1})),
        ("VICReg", vicreg_of(c, q), vicreg_loss(m)),
    ):
        yield Step(
            f"{name} depends on the variance through the signal fraction alone",
            loss.subs(m, square) - own.subs(m, g).subs(lam, c / q),
        )


def _whitening(formula: Expr) -> Iterator[Step]:
    yield Step("the output has variance one", q * formula.rhs - 1)


def vicreg_of(cross: Expr, second: Expr) -> Expr:
    return 2 * beta * (second - cross) * m + (second * m - 1) ** 2


def _infonce_moments(value: dict[Expr, Expr]) -> Expr:
    loss = spectral_loss(m).subs(value, simultaneous=True)
    return loss - inner_product_loss(q * m).subs(lam, c / q)


def _infonce_cross(formula: Expr) -> Iterator[Step]:
    values = {c: formula.rhs, q: q / (sp.sqrt(2) * tau)}
    yield Step("the spectral loss of these moments is the loss", _infonce_moments(values))


def _infonce_second(formula: Expr) -> Iterator[Step]:
    values = {c: c / (2 * tau), q: formula.rhs}
    yield Step("the spectral loss of these moments is the loss", _infonce_moments(values))


def _vicreg_cross(formula: Expr) -> Iterator[Step]:
    yield Step(
        "the spectral loss of these moments is the loss, less one",
        spectral_loss(m).subs(c, formula.rhs) + 1 - vicreg_of(c, q),
    )


def _barlow_second(formula: Expr) -> Iterator[Step]:
    yield Step(
        "the spectral loss of these moments is the loss, less one",
        spectral_loss(m).subs(q, formula.rhs) + 1 - barlow_loss(m),
    )


def _negatives(formula: Expr) -> Iterator[Step]:
    rate = y * lam - y**2 * lam**2 / 2
    positive_pair = 1 / (1 - y * lam)
    yield Step(
        "mean of the positive pair's exponential, with E exp(r x^2) = (1 - 2 r)^(-1/2)",
        sp.expand(1 / positive_pair**2 - (1 - 2 * rate)),
    )
    first = positive_pair - 1 - (1 / sp.sqrt(1 - 2 * y**2) - 1) / 2
    # The variance of a score is y^2 x^2; squared exponentials have the mean exp(y^2 x^2) beside
    # the squared mean.
    share = sp.Symbol("epsilon", positive=True)
    slope = (-lam * y + y**2 / 2 + share * first).diff(y)
    at = slope.subs(y, lam + share * formula.rhs)
    yield Step("the slope vanishes without the correction", at.subs(share, 0))
    yield Step("and to first order in 1/n", sp.simplify(at.diff(share).subs(share, 0)))


def statements() -> Iterator[Statement]:
    root = sp.sqrt(9 - 8 * lam)
    feature = "One feature, under a linear network."
    yield state(
        "response-weight",
        "Weight of a feature, from the response to its signal fraction",
        equation(w, sp.sqrt(g / q)),
        _response_weight,
        setting=feature,
        near_misses=((q, q**2), (g, g**2), (q, 2 * q)),
    )
    yield state(
        "vicreg-response",
        "Squared weight under VICReg with a squared covariance term",
        equation(m, 1 - beta * (1 - lam)),
        _vicreg,
        conditions=(sp.Gt(lam, 1 - 1 / beta),),
        numeric=Numeric(f"{MODULE}.VICReg", (lam, beta)),
        near_misses=((beta, beta / 2), (lam, lam**2), (beta, sp.sqrt(beta))),
    )
    yield state(
        "vicreg-extinction",
        "Signal fraction below which VICReg gives no weight",
        equation(lam, 1 - 1 / beta),
        _extinction,
        conditions=(sp.Gt(beta, 1),),
        near_misses=((1 / beta, 2 / beta), (1 / beta, 1 / beta**2), (1 / beta, beta)),
    )
    yield state(
        "infonce-response",
        "Squared weight under InfoNCE with inner products",
        equation(m, tau * lam),
        _inner_product,
        setting="One Gaussian feature of variance one, and infinitely many negatives.",
        numeric=Numeric(f"{MODULE}.InfoNCE", (lam, tau)),
        near_misses=((tau, tau / 2), (lam, lam**2), (tau, tau**2)),
    )
    yield state(
        "infonce-distance-response",
        "Squared weight under InfoNCE with the squared distance",
        equation(m, 8 * lam * tau / ((3 + root) * (root - 1))),
        _distance,
        conditions=(sp.Lt(lam, 1),),
        setting="One Gaussian feature of variance one, and infinitely many negatives.",
        numeric=Numeric(f"{MODULE}.InfoNCEDistance", (lam, tau)),
        near_misses=((tau, tau / 2), (8 * lam, 4 * lam), (tau, tau**2)),
    )
    yield state(
        "infonce-rademacher-response",
        "Squared weight of a Rademacher feature under InfoNCE",
        equation(m, tau * sp.atanh(lam)),
        _signs,
        conditions=(sp.Lt(lam, 1),),
        setting="Independent Rademacher features with sign flips, and infinitely many negatives.",
        numeric=Numeric(f"{MODULE}.InfoNCERademacher", (lam, tau)),
        near_misses=((tau, tau / 2), (sp.atanh(lam), lam), (tau, tau**2)),
    )
    yield state(
        "barlow-twins-response",
        "Squared weight under unnormalised Barlow Twins",
        equation(m, 1 / c),
        _barlow,
        setting=feature,
        near_misses=((c, q), (c, c**2), (c, sp.sqrt(c))),
    )
    yield state(
        "whitening-response",
        "Squared weight under the constraint of whitened outputs",
        equation(m, 1 / q),
        _whitening,
        setting=feature,
        near_misses=((q, c), (q, q**2), (q, 2 * q)),
    )
    same = feature + " The spectral loss of this moment is that of the loss, at all times."
    for name, loss, symbol, value, proof, near in (
        (
            "infonce-cross",
            "InfoNCE with inner products",
            c,
            c / (2 * tau),
            _infonce_cross,
            ((tau, tau / 2), (c, q), (tau, tau**2)),
        ),
        (
            "infonce-second",
            "InfoNCE with inner products",
            q,
            q / (sp.sqrt(2) * tau),
            _infonce_second,
            ((tau, tau / 2), (q, c), (sp.sqrt(2), 2)),
        ),
        (
            "vicreg-cross",
            "VICReg with a squared covariance term",
            c,
            (1 - beta) * q + beta * c,
            _vicreg_cross,
            ((beta, 2 * beta), (1 - beta, 1 + beta), (c, q)),
        ),
        (
            "barlow-twins-second",
            "unnormalised Barlow Twins",
            q,
            c,
            _barlow_second,
            ((c, 2 * c), (c, c**2), (c, q)),
        ),
    ):
        yield state(
            name,
            f"{'Cross' if symbol == c else 'Second'} moment by which {loss} is a spectral loss",
            equation(sp.Symbol(f"{symbol}'"), value),
            proof,
            setting=same,
            near_misses=near,
        )
    yield state(
        "infonce-moments",
        "InfoNCE with inner products as a spectral loss",
        equation(sp.Symbol("E"), -c * m / tau + q**2 * m**2 / (2 * tau**2)),
        _moments,
        setting="One Gaussian feature, and infinitely many negatives.",
        near_misses=((tau, 2 * tau), (q, sp.sqrt(q)), (c, 2 * c)),
    )
    yield state(
        "infonce-negatives",
        "Bias of the response that a batch of n pairs leaves, times n",
        equation(
            sp.Symbol("a"), lam / (1 - 2 * lam**2) ** sp.Rational(3, 2) - lam / (1 - lam**2) ** 2
        ),
        _negatives,
        conditions=(sp.Lt(2 * lam**2, 1),),
        setting="One Gaussian feature of variance one, under InfoNCE on batches of pairs.",
        claim="infonce-negatives",
        numeric=Numeric(f"{MODULE}.negatives_bias", (lam,)),
        near_misses=(
            (sp.Rational(-3, 2), sp.Rational(-1, 2)),
            (2 * lam**2, lam**2),
            (1 - lam**2, 1 + lam**2),
        ),
    )

r"""Moments of a positive pair, from expectations over the draws of the augmentation.

A feature is $\varphi z$ with $E z = 0$, $E z^2 = 1$. An augmentation draws a factor $r$ and a
term $\sigma\xi$ for each view, independently: $x_1 = r_1 \varphi z + \sigma \xi_1$,
$x_2 = r_2 \varphi z + \sigma \xi_2$.
"""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, c, family, lam, m, phi, q, sigma, spectral_loss
from ._statement import Expr, Numeric, Statement, Step, equation, nonnegative

alpha, mask, low, high, rho, square, added = sp.symbols("alpha m a b rho mu tau", positive=True)
rho_i, rho_j, s_ij = sp.symbols("rho_i rho_j S_{ij}", positive=True)
z, xi1, xi2, r1, r2 = sp.symbols("z xi_1 xi_2 r_1 r_2", real=True)
C_, S_, M_ = (sp.MatrixSymbol(name, 2, 2) for name in "CSM")

state = family(
    {
        **MEANING,
        alpha: "probability of a flipped sign",
        mask: "probability of a masked feature",
        low: "least factor",
        high: "largest factor",
        rho: "mean of the factor",
        square: "second moment of the factor",
        added: "variance of the added term",
        rho_i: "mean of the factor of coordinate i",
        rho_j: "mean of the factor of coordinate j",
        s_ij: "moment of coordinates i and j before the augmentation",
        C_: "cross moment",
        S_: "second moment",
        M_: "Gram of the last layer",
    },
    claim="spectral-minimiser",
)
Moment = Callable[[int], Expr]


def expectation(polynomial: Expr, distributions: dict[sp.Symbol, Moment]) -> Expr:
    """Mean of a polynomial in independent random variables, each given by its moments."""
    terms = sp.Poly(polynomial, *distributions).terms()
    return sp.Add(
        *(
            factor
            * sp.Mul(
                *(
                    distribution(k)
                    for distribution, k in zip(distributions.values(), powers, strict=True)
                )
            )
            for powers, factor in terms
        )
    )


def standard(order: int) -> Expr:
    """Moments of zero mean and unit variance, up to the second; higher ones are not given."""
    return (sp.S.One, sp.S.Zero, sp.S.One)[order]


def two_values(first: Expr, chance: Expr, second: Expr) -> Moment:
    """A variable that is `first` with probability `chance` and `second` otherwise."""
    return lambda order: chance * first**order + (1 - chance) * second**order if order else sp.S.One


def uniform(order: int) -> Expr:
    x = sp.Symbol("r", real=True)
    return sp.integrate(x**order, (x, low, high)) / (high - low)


def given(order: int) -> Expr:
    """A factor known by its mean and second moment."""
    return (sp.S.One, rho, square)[order]


FLIP, MASK = two_values(-sp.S.One, alpha, sp.S.One), two_values(sp.S.Zero, mask, sp.S.One)
CONSTANT = two_values(sp.S.One, sp.S.One, sp.S.One)


def pair(factor: Moment, noise: Expr = sp.S.Zero, strength: Expr = phi) -> tuple[Expr, Expr]:
    """Cross and second moment of two views."""
    distributions = {z: standard, r1: factor, r2: factor, xi1: standard, xi2: standard}
    x1, x2 = r1 * strength * z + noise * xi1, r2 * strength * z + noise * xi2
    return expectation(x1 * x2, distributions), expectation(x1 * x1, distributions)


KINDS = {
    "noise": ("additive noise", CONSTANT, sigma, "AdditiveNoise", (phi, sigma)),
    "flip": ("sign flips", FLIP, sp.S.Zero, "SignFlip", (phi, alpha)),
    "mask": ("masking", MASK, sp.S.Zero, "Mask", (phi, mask)),
    "rescale": ("random rescaling", uniform, sp.S.Zero, "Rescale", (phi, low, high)),
    "flip-noise": ("sign flips, then noise", FLIP, sigma, "Compose", (phi, alpha, sigma)),
}
CONDITIONS = {
    "noise": (),
    "flip": (sp.Lt(alpha, sp.Rational(1, 2)),),
    "mask": (sp.Lt(mask, 1),),
    "rescale": (sp.Lt(low, high),),
    "flip-noise": (sp.Lt(alpha, sp.Rational(1, 2)),),
}
CROSS = {
    "noise": phi**2,
    "flip": phi**2 * (1 - 2 * alpha) ** 2,
    "mask": phi**2 * (1 - mask) ** 2,
    "rescale": phi**2 * ((low + high) / 2) ** 2,
    "flip-noise": phi**2 * (1 - 2 * alpha) ** 2,
}
SECOND = {
    "noise": phi**2 + sigma**2,
    "flip": phi**2,
    "mask": phi**2 * (1 - mask),
    "rescale": phi**2 * (low**2 + low * high + high**2) / 3,
    "flip-noise": phi**2 + sigma**2,
}
FRACTION = {
    "noise": phi**2 / (phi**2 + sigma**2),
    "flip": (1 - 2 * alpha) ** 2,
    "mask": 1 - mask,
    "rescale": (low + high) ** 2 / (low**2 + low * high + high**2) * sp.Rational(3, 4),
    "flip-noise": phi**2 * (1 - 2 * alpha) ** 2 / (phi**2 + sigma**2),
}
NEAR = {
    ("noise", 0): ((phi**2, phi),),
    ("noise", 1): ((sigma**2, sigma), (sigma**2, 2 * sigma**2), (phi**2, phi)),
    ("flip", 0): ((1 - 2 * alpha, 1 - alpha), ((1 - 2 * alpha) ** 2, 1 - 2 * alpha), (phi**2, phi)),
    ("flip", 1): ((phi**2, phi**2 * (1 - 2 * alpha)),),
    ("mask", 0): (((1 - mask) ** 2, 1 - mask), (mask, 2 * mask), (phi**2, phi)),
    ("mask", 1): ((1 - mask, (1 - mask) ** 2),),
    ("rescale", 0): ((low, 2 * low), (phi**2, phi)),
    ("rescale", 1): ((sp.Rational(1, 3), sp.Rational(1, 4)), (low * high, 0)),
    ("flip-noise", 0): ((1 - 2 * alpha, 1 - alpha), (phi**2, phi**2 + sigma**2)),
    ("flip-noise", 1): ((phi**2, phi**2 * (1 - 2 * alpha) ** 2), (sigma**2, 2 * sigma**2)),
}


def _moment(kind: str, which: int) -> Statement:
    words, factor, noise, name, parameters = KINDS[kind]

    def proof(formula: Expr) -> Iterator[Step]:
        yield Step(
            ("E x_1 x_2", "E x_1^2")[which] + " is the formula",
            pair(factor, noise)[which] - formula.rhs,
        )

    return state(
        f"{kind}-{('cross', 'second')[which]}",
        f"{('Cross', 'Second')[which]} moment of a feature under {words}",
        equation((c, q)[which], (CROSS, SECOND)[which][kind]),
        proof,
        conditions=CONDITIONS[kind],
        setting="Two independent views of one feature.",
        source="paper section 3" if kind == "noise" else "beyond the paper",
        numeric=Numeric(f"projhead_theory.problems.{name}", parameters),
        near_misses=NEAR[kind, which],
    )


def _fraction(kind: str) -> Statement:
    words, factor, noise, name, parameters = KINDS[kind]

    def proof(formula: Expr) -> Iterator[Step]:
        cross, second = pair(factor, noise)
        yield Step("E x_1 x_2 is this part of E x_1^2", cross - formula.rhs * second)

    return state(
        f"{kind}-signal-fraction",
        f"Signal fraction of a feature under {words}",
        equation(lam, FRACTION[kind]),
        proof,
        conditions=CONDITIONS[kind],
        setting="Two independent views of one feature.",
        numeric=Numeric(f"projhead_theory.problems.{name}", parameters),
    )


def _signal_fraction(formula: Expr) -> Iterator[Step]:
    predicted = sp.Symbol("k", real=True)
    missed = q - 2 * predicted * c + predicted**2 * q
    yield Step(
        "it is the coefficient that predicts one view from the other best",
        missed.diff(predicted).subs(predicted, formula.rhs),
    )
    yield Step(
        "it is the eigenvalue of the whitened cross moment",
        q ** sp.Rational(-1, 2) * c * q ** sp.Rational(-1, 2) - formula.rhs,
    )
    cross, second = pair(given)
    spread = sp.Symbol("v", nonnegative=True)
    at = {c: cross, q: second.subs(square, rho**2 + spread)}
    yield nonnegative("a factor of any variance leaves it at most 1", 1 - formula.rhs.subs(at))
    yield nonnegative("and at least 0", formula.rhs.subs(at))


def _elementwise(which: int) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        # The augmented input has a shared part, of variance c, and a part of each view's own, of
        # variance q - c.
        shared, own1, own2, n1, n2 = sp.symbols("u v_1 v_2 n_1 n_2", real=True)
        distributions = {
            shared: standard,
            own1: standard,
            own2: standard,
            n1: standard,
            n2: standard,
            r1: given,
            r2: given,
        }
        x1, x2 = (
            r * (sp.sqrt(c) * shared + sp.sqrt(q - c) * own) + sp.sqrt(added) * noise
            for r, own, noise in ((r1, own1, n1), (r2, own2, n2))
        )
        yield Step(
            "expectation over the factors and the added terms",
            expectation(x1 * (x2, x1)[which], distributions) - formula.rhs,
        )

    return proof


def _mixed(formula: Expr) -> Iterator[Step]:
    xi, xj, fi, fj = sp.symbols("x_i x_j r_i r_j", real=True)
    distributions = {fi: lambda k: (1, rho_i)[k], fj: lambda k: (1, rho_j)[k]}
    mean = expectation(fi * xi * fj * xj, distributions)
    yield Step(
        "expectation over the factors of two coordinates", mean.subs(xi * xj, s_ij) - formula.rhs
    )


def _loss_in_moments(formula: Expr) -> Iterator[Step]:
    weight = sp.sqrt(m)
    x1, x2, other = sp.symbols("x_1 x_2 x'", real=True)
    positives = (-2 * (weight * x1) * (weight * x2)).subs(x1 * x2, c)
    negatives = sp.expand((weight * x1 * weight * other) ** 2).subs(x1**2, q).subs(other**2, q)
    yield Step("expectation over pairs and independent views", positives + negatives - formula.rhs)
    yield Step("it is what the other statements start from", formula.rhs - spectral_loss(m))


def _loss_in_matrices(formula: Expr) -> Iterator[Step]:
    one, two, other = (sp.symbols(f"{v}_1 {v}_2", real=True) for v in "uvx")
    weights = sp.Matrix(2, 2, sp.symbols("w_1:5", real=True))
    moment = {
        v: sp.ImmutableMatrix(
            2, 2, lambda i, j, v=v: sp.Symbol(f"{v}_{min(i, j)}{max(i, j)}".lower(), real=True)
        )
        for v in (C_, S_)
    }

    def mean(form: Expr, left: tuple, right: tuple, second: Expr) -> Expr:
        """Mean of a bilinear form in two vectors, or of a quadratic form in one.

        It follows from the second moments of their entries.
        """
        terms = (form.diff(left[i], right[j]) * second[i, j] for i in range(2) for j in range(2))
        return sp.Add(*terms) / (2 if left == right else 1)

    first, pair_, independent = (weights * sp.Matrix(v) for v in (one, two, other))
    positives = -2 * mean(first.dot(pair_), one, two, moment[C_])
    negatives = mean(
        mean(first.dot(independent) ** 2, one, one, moment[S_]), other, other, moment[S_]
    )
    explicit = formula.rhs.subs({**moment, M_: sp.ImmutableMatrix(weights.T * weights)}).doit()
    yield Step(
        "expectation over pairs and independent views, two features, any weights",
        positives + negatives - explicit,
    )


def statements() -> Iterator[Statement]:
    for kind in KINDS:
        yield _moment(kind, 0)
        yield _moment(kind, 1)
        yield _fraction(kind)
    yield state(
        "signal-fraction",
        "Signal fraction of a feature",
        equation(lam, c / q),
        _signal_fraction,
        setting="A feature model.",
        numeric=Numeric("projhead_theory.theory.layers.spectral", (c, q)),
        conditions=(sp.Le(c, q),),
        near_misses=((q, q**2), (c, sp.sqrt(c)), (c, 2 * c)),
    )
    setting = (
        "A coordinate is multiplied by a random factor, and an independent term is added "
        "to it, in each view anew."
    )
    yield state(
        "elementwise-cross",
        "Cross moment after an elementwise augmentation",
        equation(sp.Symbol("c'"), rho**2 * c),
        _elementwise(0),
        setting=setting,
    )
    yield state(
        "elementwise-second",
        "Second moment after an elementwise augmentation",
        equation(sp.Symbol("q'"), square * q + added),
        _elementwise(1),
        setting=setting,
        near_misses=((square, rho**2), (added, added**2)),
    )
    yield state(
        "elementwise-mixed",
        "Moment of two coordinates after an elementwise augmentation",
        equation(sp.Symbol(r"S_{ij}'"), rho_i * rho_j * s_ij),
        _mixed,
        setting=setting + " Factors of different coordinates are independent.",
    )
    yield state(
        "feature-loss",
        "What one feature adds to the spectral contrastive loss",
        equation(sp.Symbol("E"), spectral_loss(m)),
        _loss_in_moments,
        setting="A linear network aligned with the features.",
        source="paper section 3",
        near_misses=((q**2, q), (-2 * c * m, -c * m)),
    )
    yield state(
        "spectral-loss",
        "The spectral contrastive loss of a linear network",
        equation(sp.Symbol(r"\mathcal{L}"), -2 * sp.Trace(C_ * M_) + sp.Trace(S_ * M_ * S_ * M_)),
        _loss_in_matrices,
        setting="Any distribution of views with these moments.",
        source="paper section 3",
        near_misses=(
            (sp.Trace(C_ * M_), sp.Trace(S_ * M_)),
            (sp.Trace(C_ * M_), sp.Trace(C_ * M_) / 2),
        ),
    )

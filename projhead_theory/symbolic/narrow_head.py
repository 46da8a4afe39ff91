"""Barlow Twins without normalisation, and the features that survive a narrow network."""

from collections.abc import Callable, Iterator

import sympy as sp

from ._notation import MEANING, L, c, family, phi, q, s, s0, sigma, spectral_loss, t
from ._statement import Expr, Numeric, Statement, Step, equation, positive
from .dynamics import speed, termwise
from .supervised import a

FLOW, HEADS = (f"projhead_theory.theory.{name}" for name in ("dynamics.barlow_twins", "responses"))
phi_n, sigma_n = sp.symbols("phi_n sigma_n", positive=True)

state = family(
    {
        **MEANING,
        a: "moment of the natural feature and its view",
        phi_n: "strength of the other feature",
        sigma_n: "noise of the other feature",
    },
    claim="narrow-head",
)


def barlow_loss(weight: Expr = s) -> Expr:
    """Contribution of a direction to the loss, its squared distance to one."""
    return (c * weight**2 - 1) ** 2


def _loss(formula: Expr) -> Iterator[Step]:
    yield Step("squared distance to one", formula.rhs - barlow_loss())
    yield Step(
        "the spectral contrastive loss with the cross moment for the second, and one more",
        spectral_loss(s**2).subs(q, c) + 1 - formula.rhs,
    )
    first, second = sp.symbols("w_1 w_2", real=True)
    other = sp.Symbol(r"c_{2}", positive=True)
    matrix = sp.Matrix([[first, second]])
    whole = ((matrix * sp.diag(c, other) * matrix.T)[0] - 1) ** 2
    yield Step(
        "that of one output that weights one direction",
        whole.subs({first: s, second: 0}) - formula.rhs,
    )


def _equation(formula: Expr) -> Iterator[Step]:
    for depth in (1, 2, 3, 4):
        layers = sp.symbols(f"u_1:{depth + 1}", positive=True)
        product = sp.Mul(*layers)
        loss = barlow_loss(product)
        moved = sp.Add(*(-loss.diff(u) * product.diff(u) for u in layers)).subs(
            dict.fromkeys(layers, s ** sp.Rational(1, depth))
        )
        yield Step(
            f"gradient flow of {depth} separate layers, when they are equal",
            moved - formula.rhs.subs(L, depth),
        )
    yield Step("it is the flow of the spectral contrastive loss", speed().subs(q, c) - formula.rhs)


def _time(formula: Expr) -> Iterator[Step]:
    yield from termwise(formula.rhs, s, 1 / speed().subs(q, c), c * s**2)
    yield Step("it is zero at the start", formula.rhs.subs(s, s0))


def _logistic(formula: Expr) -> Iterator[Step]:
    value = formula.rhs
    # A power of the weight, in which the equation is linear.
    square: Expr = sp.powdenest(value**-2, force=True)
    flow = -2 * s**-3 * speed(s, sp.S.One).subs(q, c)
    yield Step(
        "its inverse square moves at the speed of the flow",
        square.diff(t) - sp.expand(flow).subs(s, square ** sp.Rational(-1, 2)),
    )
    yield Step("it starts where it should", sp.simplify(square.subs(t, 0) - s0**-2))


def _gain(formula: Expr) -> Iterator[Step]:
    weight = sp.sqrt(c) / q
    loss = spectral_loss(s**2)
    yield Step("the derivative of the loss vanishes", sp.expand(loss.diff(s)).subs(s, weight))
    yield Step("its value there", formula.rhs - loss.subs(s, weight))
    yield positive("a larger signal fraction gains more", -formula.rhs.diff(c))


def _explained(formula: Expr) -> Iterator[Step]:
    natural, view = sp.symbols("x y", real=True)
    loss = sp.expand((s * view - natural) ** 2).subs(view * natural, a).subs(view**2, q)
    loss = loss.subs(natural**2, phi**2)
    least: Expr = loss.subs(s, sp.solve(loss.diff(s), s)[0])
    yield Step("what the best weight takes off the variance", phi**2 - least - formula.rhs)


def _limit(score: Expr) -> Callable[[Expr], Iterator[Step]]:
    def proof(formula: Expr) -> Iterator[Step]:
        other: Expr = score.subs({phi: phi_n, sigma: sigma_n}, simultaneous=True)
        difference = score - other
        yield Step("the scores agree there", sp.simplify(difference.subs(sigma, formula.rhs)))
        slope: Expr = sp.factor(score.diff(sigma))
        yield positive("with more noise the score is less", -slope)

    return proof


def _norm(formula: Expr) -> Iterator[Step]:
    layer = sp.Symbol("u", positive=True)
    weight = sp.solve(barlow_loss(s), s)[0]
    yield Step(
        "sum of L equal squares", (L * layer**2).subs(layer, weight ** (1 / L)) - formula.rhs
    )
    yield positive("a larger cross moment needs less", -formula.rhs.diff(c))


def statements() -> Iterator[Statement]:
    power = 3 - 2 / L
    below = (sp.Lt(s0, s), sp.Lt(s, 1 / sp.sqrt(c)))
    setting = "Barlow Twins without normalisation, in a balanced network aligned with the features."
    stepwise = {"claim": "barlow-stepwise", "setting": setting}
    yield state(
        "barlow-loss",
        "What a direction adds to the loss",
        equation(sp.Symbol("ell"), 1 - 2 * c * s**2 + c**2 * s**4),
        _loss,
        near_misses=((c**2, c), (s**4, s**2), (c, 2 * c)),
        **stepwise,
    )
    yield state(
        "barlow-equation",
        "How fast a direction is learned",
        equation(sp.Derivative(sp.Function("s")(t), t), 4 * L * s**power * c * (1 - c * s**2)),
        _equation,
        near_misses=((power, 3 - 1 / L), (4 * L, 2 * L), (1 - c * s**2, 1 - c**2 * s**2)),
        **stepwise,
    )
    series = (
        s ** (1 - power)
        / ((1 - power) * c)
        * sp.hyper([1, (1 - power) / 2], [(3 - power) / 2], c * s**2)
    )
    yield state(
        "barlow-stepwise",
        "Time between two weights of a direction",
        equation(t, (series - series.subs(s, s0)) / (4 * L)),
        _time,
        conditions=(sp.Ge(L, 2), *below),
        numeric=Numeric(f"{FLOW}.time_to_weight", (s, s0, c, L)),
        near_misses=((power - 1, 1 - 1 / L), (c, 2 * c), (s ** (1 - power), s ** (-power))),
        **stepwise,
    )
    yield state(
        "barlow-stepwise-depth-1",
        "Weight of a direction after a time, depth 1",
        equation(
            sp.Function("s")(t), (c + (s0**-2 - c) * sp.exp(-8 * c * t)) ** sp.Rational(-1, 2)
        ),
        _logistic,
        conditions=(sp.Lt(s0, 1 / sp.sqrt(c)),),
        numeric=Numeric(f"{FLOW}.weight_at_time", (t, s0, c, sp.S.One)),
        near_misses=((-8 * c * t, -4 * c * t), (-8 * c * t, -8 * t), (s0**-2, s0**-1)),
        **stepwise,
    )
    embedding = "Joint embedding under the spectral contrastive loss."
    denoising = "A linear denoising autoencoder."
    noise = "Two features with additive noise, and a network of width one."
    yield state(
        "narrow-head-gain",
        "Least loss of a feature under joint embedding",
        equation(sp.Symbol("ell"), -((c / q) ** 2)),
        _gain,
        setting=embedding,
        near_misses=((c, 2 * c), (q, q**2), (c, c**2)),
    )
    yield state(
        "narrow-head-explained",
        "Variance of a feature that denoising recovers",
        equation(sp.Symbol("v"), a**2 / q),
        _explained,
        setting=denoising,
        near_misses=((a**2, a), (q, q**2), (a, 2 * a)),
    )
    yield state(
        "narrow-head",
        "Largest noise at which joint embedding keeps a feature rather than another",
        equation(sigma, phi * sigma_n / phi_n),
        _limit(phi**2 / (phi**2 + sigma**2)),
        setting=noise,
        numeric=Numeric(f"{HEADS}.joint_embedding_limit", (phi, phi_n, sigma_n)),
        near_misses=((phi, phi**2), (sigma_n, sigma_n**2), (phi_n, 2 * phi_n)),
    )
    yield state(
        "narrow-head-reconstruction",
        "Largest noise at which denoising keeps a feature rather than another",
        equation(sigma, sp.sqrt(phi**4 * (phi_n**2 + sigma_n**2) / phi_n**4 - phi**2)),
        _limit(phi**4 / (phi**2 + sigma**2)),
        conditions=(sp.Gt(phi**2 * (phi_n**2 + sigma_n**2), phi_n**4),),
        setting=noise,
        numeric=Numeric(f"{HEADS}.reconstruction_limit", (phi, phi_n, sigma_n)),
        near_misses=((phi_n**4, phi_n**2), (sigma_n**2, sigma_n), (phi**4, phi**2)),
    )
    yield state(
        "narrow-head-norm",
        "Squared norm of the layers that carry a direction",
        equation(sp.Symbol("n"), L * c ** (-1 / L)),
        _norm,
        setting="Barlow Twins without normalisation, at its minimum, in a balanced network.",
        near_misses=((-1 / L, -2 / L), (c, 2 * c), (L * c ** (-1 / L), c ** (-1 / L))),
    )

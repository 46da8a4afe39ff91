"""Symbols shared by several families of statements, and their meanings."""

from collections.abc import Callable, Iterable

import sympy as sp

from ._statement import Expr, Statement, Step

c, q, phi, sigma = sp.symbols("c q phi sigma", positive=True)
s, s0, t, w, m = sp.symbols("s s_0 t w m", positive=True)
L, layer, n = sp.symbols("L l n", positive=True, integer=True)
gamma, eta = sp.symbols("gamma eta", positive=True)
lam = sp.Symbol("lambda", positive=True)
# Excess of a quantity over its bound.
more = sp.Symbol("x", positive=True)
deeper = sp.Symbol("n", positive=True)

MEANING: dict[Expr, str] = {
    phi: "strength of the feature",
    sigma: "scale of the noise",
    c: "cross moment of the feature",
    q: "second moment of the feature",
    lam: "signal fraction",
    w: "weight of the feature at the minimum, end to end",
    m: "squared weight of the feature, end to end",
    s: "weight of the feature, end to end",
    s0: "weight of the feature at the start",
    t: "time",
    gamma: "weight decay",
    eta: "step of gradient descent",
    L: "depth",
    layer: "layer",
    n: "number of positive pairs",
}


def family(meaning: dict[Expr, str], **common: str) -> Callable[..., Statement]:
    """Factory of the statements of one family, which looks up the meanings of their symbols."""

    def state(
        name: str, title: str, formula: Expr, derivation: Callable[[Expr], Iterable[Step]], **rest
    ) -> Statement:
        used = set().union(*(part.free_symbols for part in (formula, *rest.get("conditions", ()))))
        symbols = {symbol: words for symbol, words in meaning.items() if symbol in used}
        return Statement(name, title, symbols, formula, derivation, **{**common, **rest})

    return state


def spectral_loss(square: Expr) -> Expr:
    """Contribution of a feature of squared weight $m$ to the loss, $-2 c m + q^2 m^2$."""
    return -2 * c * square + q**2 * square**2

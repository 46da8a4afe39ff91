"""Near misses: every claim's formula with one symbol changed is refuted by the claim's own check on
one of its own first problems.
"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import pytest
from helpers.layer_misses import WRONG
from helpers.measured import by_claim, side

from projhead_theory import theory
from projhead_theory.claims import FAMILY_ERROR, Claim
from projhead_theory.problems import Views
from projhead_theory.theorems import CLAIMS
from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.balance._training import constant, judge_kept
from projhead_theory.theorems.balance.min_norm import with_power
from projhead_theory.theorems.balance.weight_decay_balancing import decaying
from projhead_theory.theorems.decay.weight_decay_minimiser import predict as predict_decayed
from projhead_theory.theorems.dynamics._aligned import paths
from projhead_theory.theorems.samples.finite_sample import RATIO, Prediction
from projhead_theory.theory import dynamics

pytestmark = pytest.mark.x64


@pytest.fixture(autouse=True, scope="module")
def _standard_promotion():
    """As in the tests of the claims, which use the same compiled runs: Optax's Adam mixes
    dtypes.
    """
    with jax.numpy_dtype_promotion("standard"):
        yield


Transformation = Callable[[Claim], Claim]


def predicting(wrong: Callable[[Any, Any], Any]) -> Transformation:
    """The claim with another prediction, a function of the problem and of the claim's own
    prediction for it.
    """
    return lambda claim: dataclasses.replace(
        claim, predict=lambda problem: wrong(problem, claim.predict(problem))
    )


# spectral-minimiser: M = S^(-1/2) T_p S^(-1/2), L = -sum_(i <= p) lambda_i^2


def gram_of(function: Callable[..., Any]) -> Transformation:
    """Another last Gram, computed in NumPy's way from C, S and the width, by plain
    eigendecompositions.
    """

    def wrong(problem, own):
        values, vectors = jnp.linalg.eigh(problem.moments.second)
        root = (vectors * values**-0.5) @ vectors.T
        fractions, modes = jnp.linalg.eigh(root @ problem.moments.cross @ root)
        gram = function(problem, root, fractions[::-1], modes[:, ::-1])
        return replace(own, grams=own.grams.at[-1].set((gram + gram.T) / 2))

    return predicting(wrong)


def truncated(modes, values, width):
    return (modes[:, :width] * values[:width]) @ modes[:, :width].T


def kept_by_strength(problem, root, fractions, modes):
    """The p modes of T that carry most of C, not those of largest signal fraction."""
    carried = jnp.diagonal(modes.T @ problem.moments.cross @ modes)
    order = jnp.argsort(-carried)
    return root @ truncated(modes[:, order], fractions[order], problem.width) @ root


def with_loss(wrong: Callable[..., Any]) -> Transformation:
    return predicting(
        lambda problem, own: replace(
            own, loss=wrong(own.minimiser.signal_fraction[: problem.width])
        )
    )


SPECTRAL = {
    "S^-1 for S^-1/2 on both sides": gram_of(
        lambda p, root, f, v: root @ root @ truncated(v, f, p.width)
    ),
    "T_p squared": gram_of(lambda p, root, f, v: root @ truncated(v, f**2, p.width) @ root),
    "root of T_p": gram_of(lambda p, root, f, v: root @ truncated(v, f**0.5, p.width) @ root),
    "S^-1/2 left out": gram_of(lambda p, root, f, v: truncated(v, f, p.width)),
    "modes kept by c": gram_of(kept_by_strength),
    "one mode less": gram_of(lambda p, root, f, v: root @ truncated(v, f, p.width - 1) @ root),
    "one mode more": gram_of(lambda p, root, f, v: root @ truncated(v, f, p.width + 1) @ root),
    "loss without squares": with_loss(lambda f: -jnp.sum(f)),
    "loss of one mode less": with_loss(lambda f: -jnp.sum(f[:-1] ** 2)),
    "half the loss": with_loss(lambda f: -jnp.sum(f**2) / 2),
}

# layerwise-law and progressive-weighting: the exponent l / L

EXPONENTS = {
    "l / (L + 1)": predicting(with_exponents(lambda level, depth: level / (depth + 1))),
    "(l / L)^2": predicting(with_exponents(lambda level, depth: (level / depth) ** 2)),
    "root of l / L": predicting(with_exponents(lambda level, depth: (level / depth) ** 0.5)),
    "(2 l - 1) / (2 L)": predicting(
        with_exponents(lambda level, depth: (2 * level - 1) / (2 * depth))
    ),
    "l / (2 L), the root taken twice": predicting(
        with_exponents(lambda level, depth: level / (2 * depth))
    ),
    "(l + 1) / (L + 1)": predicting(with_exponents(lambda level, depth: (level + 1) / (depth + 1))),
    "(l - 1) / L": predicting(with_exponents(lambda level, depth: (level - 1) / depth)),
}

# balancedness: W_(l+1)^T W_(l+1) - W_l W_l^T


def kept(quantity: Callable[[Any], tuple[Any, ...]]) -> Transformation:
    """The claim that another quantity of the network is conserved."""
    return lambda claim: dataclasses.replace(
        claim,
        predict=functools.partial(constant, quantity=quantity),
        compare=functools.partial(judge_kept, quantity=quantity),
    )


def conserving(quantity: Callable[[Any, Any], Any]) -> Transformation:
    """The claim that another function of two neighbouring layers, below and above, is conserved."""
    pairs = lambda network: tuple(
        quantity(b, a) for b, a in zip(network.layers, network.layers[1:], strict=False)
    )
    return kept(pairs)


def padded(a, b):
    """The difference of two square matrices, the smaller one with zero rows and columns."""
    n = max(a.shape[0], b.shape[0])
    grow = lambda x: jnp.pad(x, (0, n - x.shape[0]))
    return grow(a) - grow(b)


BALANCED = {
    "plus for minus": conserving(lambda below, above: above.T @ above + below @ below.T),
    "2 W W^T": conserving(lambda below, above: above.T @ above - 2 * below @ below.T),
    "half of W W^T": conserving(lambda below, above: above.T @ above - below @ below.T / 2),
    "both products transposed": conserving(
        lambda below, above: padded(above @ above.T, below.T @ below)
    ),
    "upper product transposed": conserving(lambda below, above: above @ above.T - below @ below.T),
    "sum of the norms": conserving(
        lambda below, above: (jnp.sum(above**2) + jnp.sum(below**2))[None, None]
    ),
    "norm of the upper layer": conserving(lambda below, above: jnp.sum(above**2)[None, None]),
    "weights, not their squares": conserving(lambda below, above: above - below[:, :4]),
}

# discrete-balancedness: D <- (1 - eta gamma)^2 D + eta^2 (...)


def law(**fields: Callable[[Any], Any]) -> Transformation:
    return predicting(
        lambda problem, own: replace(
            own, **{name: jnp.asarray(f(own), own.step.dtype) for name, f in fields.items()}
        )
    )


DISCRETE = {
    "eta for eta^2": law(second=lambda own: 1 / own.step),
    "minus for plus": law(second=lambda own: -1.0),
    "half the second order": law(second=lambda own: 0.5),
    "twice the second order": law(second=lambda own: 2.0),
    "1 - eta gamma, not squared": law(
        decay=lambda own: (1 - jnp.sqrt(1 - own.step * own.decay)) / own.step
    ),
    "no shrinking": law(decay=lambda own: 0.0),
    "exp(-2 eta gamma)": law(decay=lambda own: -jnp.expm1(-own.step * own.decay) / own.step),
}

# weight-decay-balancing: exp(-2 gamma t)


def other_decay(change: Callable[[Any], Any]) -> Transformation:
    return predicting(
        lambda problem, own: decaying(dataclasses.replace(problem, decay=change(problem)))
    )


def algebraic(problem, own):
    """1 / (1 + 2 gamma t) for exp(-2 gamma t)."""
    factor = 1 / (1 + 2 * problem.decay * jnp.append(problem.times, problem.until))
    return tuple(
        factor[:, None, None] * d[:1] / jnp.exp(-2 * problem.decay * problem.times[0]) for d in own
    )


DECAYING = {
    "exp(-gamma t)": other_decay(lambda p: p.decay / 2),
    "exp(-4 gamma t)": other_decay(lambda p: 2 * p.decay),
    "exp(-2 gamma t / L)": other_decay(lambda p: p.decay / 3),
    "exp(-2 gamma^2 t)": other_decay(lambda p: p.decay**2),
    "1 / (1 + 2 gamma t)": predicting(algebraic),
    "no decay": other_decay(lambda p: 0 * p.decay),
}

# flow-times: ds/dt = 4 L s^(3 - 2/L) (c - q^2 s^2)


def flowing(**fields: Callable[[Any], Any]) -> Transformation:
    """The path of a problem in which some numbers are others."""
    return predicting(
        lambda problem, own: paths(
            replace(problem, **{name: f(problem) for name, f in fields.items()})
        )
    )


def another_exponent(shift: int) -> Transformation:
    """The exponent of another depth with the factor 4 L of one's own."""

    def wrong(problem, own):
        share = problem.depth / (problem.depth + shift)
        return paths(replace(problem, times=problem.times * share), problem.depth + shift)

    return predicting(wrong)


FLOW = {
    "2 L for 4 L": flowing(times=lambda p: p.times / 2),
    "8 L for 4 L": flowing(times=lambda p: p.times * 2),
    "4 for 4 L": flowing(times=lambda p: p.times / p.depth),
    "the exponent of one layer more": another_exponent(1),
    "the exponent of one layer less": another_exponent(-1),
    "one layer less": predicting(lambda problem, own: paths(problem, problem.depth - 1)),
    "q for q^2": flowing(second=lambda p: p.second**0.5),
    "c^2 for c": flowing(cross=lambda p: p.cross**2),
    "layers by l / (L + 1)": predicting(lambda p, own: own ** (p.depth / (p.depth + 1))),
}

# learning-order: t = s_0^-(2 - 2/L) / (4 L (2 - 2/L) c)


def onset(change: Callable[[Any, Any], Any]) -> Transformation:
    """Another leading term; what it leaves out of the onset is as it was."""

    def wrong(problem, own):
        leading = change(problem, own.leading)
        return replace(own, onset=own.onset + (leading - own.leading), leading=leading)

    return predicting(wrong)


ORDER = {
    "c^2 for c": onset(lambda p, own: dynamics.onset_time(p.start_weight, p.cross**2, p.depth)),
    "root of c": onset(lambda p, own: dynamics.onset_time(p.start_weight, p.cross**0.5, p.depth)),
    "q for c": onset(lambda p, own: dynamics.onset_time(p.start_weight, p.second, p.depth)),
    "2 - 2/L dropped from the factor": onset(lambda p, own: own * (2 - 2 / p.depth) / 2),
    "2 L for 4 L": onset(lambda p, own: own * 2),
    "4 for 4 L": onset(lambda p, own: own * p.depth),
    "the power 2 - 1/L": onset(lambda p, own: own * p.start_weight ** (-1 / p.depth)),
    "the power 1 - 1/L": onset(lambda p, own: own * p.start_weight ** (1 - 1 / p.depth)),
}

# vanishing-features: t^-((l/L) / (4 - 2/L))


def forgotten(slope: Callable[[Any, Any], Any]) -> Transformation:
    """Other powers of time at every layer l of L."""

    def wrong(problem, own):
        levels = jnp.arange(1, problem.depth + 1, dtype=own.slopes.dtype)
        return replace(
            own, slopes=-jnp.broadcast_to(slope(levels, problem.depth), own.slopes.shape)
        )

    return predicting(wrong)


def forgotten_path(times: Callable[[Any], Any]) -> Transformation:
    """The right power, another factor before the time."""
    return predicting(
        lambda problem, own: replace(
            own, logs=jnp.log(paths(replace(problem, times=times(problem)))[:, :, -1])
        )
    )


VANISHING = {
    "4 + 2/L": forgotten(lambda level, depth: level / depth / (4 + 2 / depth)),
    "2 - 2/L": forgotten(lambda level, depth: level / depth / (2 - 2 / depth)),
    "3 - 2/L": forgotten(lambda level, depth: level / depth / (3 - 2 / depth)),
    "4 - 1/L": forgotten(lambda level, depth: level / depth / (4 - 1 / depth)),
    "l / L dropped": forgotten(lambda level, depth: jnp.full_like(level, 1 / (4 - 2 / depth))),
    "(l + 1) / (L + 1)": forgotten(
        lambda level, depth: (level + 1) / (depth + 1) / (4 - 2 / depth)
    ),
    "2 L for 4 L": forgotten_path(lambda p: p.times / 2),
    "4 for 4 L": forgotten_path(lambda p: p.times / p.depth),
}

# weight-decay-minimiser: -2 c s^2 + q^2 s^4 + (gamma L / 2) s^(2/L)


def other_penalty(change: Callable[[Any], Any]) -> Transformation:
    return predicting(lambda problem, own: predict_decayed(problem, change(problem)))


DECAYED = {
    "gamma L / 4": other_penalty(lambda p: p.decay / 2),
    "gamma / 2, without L": other_penalty(lambda p: p.decay / p.depth),
    "root of gamma": other_penalty(lambda p: p.decay**0.5),
    "gamma L^2 / 2": other_penalty(lambda p: p.decay * p.depth),
    "gamma (L + 1) / 2": other_penalty(lambda p: p.decay * (p.depth + 1) / p.depth),
    "q for q^2": predicting(lambda p, own: predict_decayed(replace(p, second=p.second**0.5))),
    "half the objective": predicting(lambda p, own: replace(own, objective=own.objective / 2)),
    "layers by (l / L)^2": predicting(
        lambda p, own: replace(
            own,
            weights=own.weights[-1]
            ** (jnp.arange(1, p.depth + 1, dtype=float)[:, None] / p.depth)
            ** 2,
        )
    ),
}

# feature-extinction: 4 c / (2 L - 1) * ((2 L - 2) c / ((2 L - 1) q^2))^(1 - 1/L)


def ending(decay: Callable[[Any, Any, int], Any]) -> Transformation:
    """Another decay of the jump, a function of c, q and L."""
    return predicting(
        lambda problem, own: own.at[0].set(decay(problem.cross, problem.second, problem.depth))
    )


EXTINCTION = {
    "spinodal": ending(lambda c, q, n: theory.decay_limit(c, q, n)),
    "2 L + 1 for 2 L - 1": ending(
        lambda c, q, n: (
            4 * c / (2 * n + 1) * ((2 * n - 2) * c / ((2 * n + 1) * q**2)) ** (1 - 1 / n)
        )
    ),
    "2 L - 1 for 2 L - 2": ending(lambda c, q, n: 4 * c / (2 * n - 1) * (c / q**2) ** (1 - 1 / n)),
    "the power 1": ending(
        lambda c, q, n: 4 * c / (2 * n - 1) * (2 * n - 2) * c / ((2 * n - 1) * q**2)
    ),
    "the power 1/L - 1": ending(
        lambda c, q, n: (
            4 * c / (2 * n - 1) * ((2 * n - 2) * c / ((2 * n - 1) * q**2)) ** (1 / n - 1)
        )
    ),
    "c for the power of c": ending(lambda c, q, n: 4 * c / (2 * n - 1) * c),
    "q for q^2": ending(
        lambda c, q, n: 4 * c / (2 * n - 1) * ((2 * n - 2) * c / ((2 * n - 1) * q)) ** (1 - 1 / n)
    ),
    "2 c for 4 c": predicting(lambda p, own: own.at[0].divide(2)),
    "the weight below without decay": predicting(
        lambda p, own: own.at[1].set(p.cross**0.5 / p.second)
    ),
    "no weight below": predicting(lambda p, own: own.at[1].set(0)),
}

# min-norm: L sum s^(2/L)


def of_frobenius(problem, own):
    """The factors of a multiple of an isometry: as if the norm went by the Frobenius norm of the
    product.
    """
    depth, matrix = problem.network.depth, problem.network.matrix
    return depth * jnp.sum(matrix**2) ** (1 / depth)


NORM = {
    "the power 1/L": predicting(with_power(lambda depth: 1 / depth)),
    "the power 2": predicting(with_power(lambda depth: 2.0)),
    "the power 2 / (L - 1)": predicting(with_power(lambda depth: 2 / (depth - 1))),
    "the power 2 / (L + 1)": predicting(with_power(lambda depth: 2 / (depth + 1))),
    "the factor L dropped": predicting(with_power(lambda depth: 2 / depth, lambda depth: 1.0)),
    "L - 1 for L": predicting(with_power(lambda depth: 2 / depth, lambda depth: depth - 1.0)),
    "the Frobenius norm of the product": predicting(of_frobenius),
}

# finite-sample: covariance J Omega J^T / n


def scatter(
    large: Callable[[Any], Any], small: Callable[[Any], Any] | None = None
) -> Transformation:
    """Other covariances, at large and at small samples."""

    def wrong(problem, own):
        changed = [
            replace(e, covariance=f(e.covariance))
            for e, f in ((own.large, large), (own.small, small or large))
        ]
        return Prediction(*changed)

    return predicting(wrong)


def unpaired(problem, own):
    """The scatter that the moments would have if views came in no pairs."""
    n, moments = problem.pairs, problem.problem.moments()
    pairs = problem.problem.sample_pairs(jax.random.key(7), 20_000)
    apart = Views(pairs.first, jnp.roll(pairs.second, 1, axis=0))
    return Prediction(
        *(theory.sampling_error(moments, problem.depth, m, views=apart) for m in (RATIO * n, n))
    )


SAMPLE = {
    "twice the variance": scatter(lambda c: 2 * c),
    "half the variance": scatter(lambda c: c / 2),
    "unpaired views": predicting(unpaired),
    "sigma^2 for sigma": scatter(lambda c: c * jnp.diagonal(c)),
    "standard errors as 1/n": scatter(lambda c: c / RATIO, lambda c: c),
    "standard errors as n^-1/4": scatter(lambda c: RATIO**0.5 * c, lambda c: c),
    "standard errors that stay": scatter(lambda c: RATIO * c, lambda c: c),
}

# homogeneity: w_l^2 + b_l^2 - w_(l+1)^2


def keeping(quantity: Callable[[Any, Any, Any], Any]) -> Transformation:
    """The claim that another function of the weights and thresholds below, and the weights above,
    is conserved.
    """

    def pairs(network):
        w, b = network.weights, network.thresholds
        return tuple(quantity(w[i], b[i], w[i + 1])[:, None] for i in range(len(w) - 1))

    return kept(pairs)


HOMOGENEOUS = {
    "thresholds left out": keeping(lambda w, b, above: w**2 - above**2),
    "minus for plus": keeping(lambda w, b, above: w**2 - b**2 - above**2),
    "2 b^2": keeping(lambda w, b, above: w**2 + 2 * b**2 - above**2),
    "b for b^2": keeping(lambda w, b, above: w**2 + b - above**2),
    "2 for the weights above": keeping(lambda w, b, above: w**2 + b**2 - 2 * above**2),
    "the sum": keeping(lambda w, b, above: w**2 + b**2 + above**2),
}

NEAR_MISSES: dict[str, dict[str, Transformation]] = {
    "spectral-minimiser": SPECTRAL,
    "layerwise-law": EXPONENTS,
    "progressive-weighting": EXPONENTS,
    "balancedness": BALANCED,
    "min-norm": NORM,
    "discrete-balancedness": DISCRETE,
    "weight-decay-balancing": DECAYING,
    "flow-times": FLOW,
    "learning-order": ORDER,
    "vanishing-features": VANISHING,
    "weight-decay-minimiser": DECAYED,
    "feature-extinction": EXTINCTION,
    "finite-sample": SAMPLE,
    "homogeneity": HOMOGENEOUS,
    **{
        name: {label: predicting(wrong) for label, wrong in table.items()}
        for name, table in WRONG.items()
    },
}


def test_every_claim_has_near_misses():
    """The table covers every registered claim, with at least three changes of its formula each."""
    assert set(NEAR_MISSES) == set(CLAIMS)
    assert all(len(table) >= 3 for table in NEAR_MISSES.values())


@by_claim()
def test_near_misses_are_violated(name):
    """The formula holds on the very measurement on which each of its near misses is violated: no
    other outcome will do.
    """
    claim = CLAIMS[name].at_level(FAMILY_ERROR / max(CLAIMS[name].tests, 1))
    problem, measured = side(name, 0)
    own = claim.compare(claim.predict(problem), measured)
    assert own.name == "holds", str(own)
    survived = {}
    for label, change in NEAR_MISSES[name].items():
        wrong = change(claim)
        verdicts = []
        for number in range(claim.quick):
            problem, measured = side(name, number)
            verdicts.append(wrong.compare(wrong.predict(problem), measured))
            if verdicts[-1].name == "violated":
                break
        else:
            survived[label] = [str(v) for v in verdicts]
    assert not survived

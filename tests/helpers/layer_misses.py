"""Near misses of the claims on layers and heads: other predictions, functions of the problem and of
the claim's own prediction.
"""

import dataclasses
from collections.abc import Callable
from typing import Any

import jax.numpy as jnp

from projhead_theory import theory
from projhead_theory._core.linalg import psd_power
from projhead_theory.theorems._common.law import with_exponents
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.heads.best_kappa import predict_from, predicting
from projhead_theory.theorems.heads.sorted_matching import with_pairing, with_weights
from projhead_theory.theorems.supervised import _probing
from projhead_theory.theorems.supervised.scl_minimiser import with_last
from projhead_theory.theorems.supervised.sl_minimiser import with_map
from projhead_theory.theory import layerwise
from projhead_theory.theory.dynamics import regression


def complexity_of(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The indicator of every layer, from what the radius and the margin are made of: Grams,
    downstream moment and target.
    """

    def wrong(problem, own):
        after, grams = problem.downstream, own.layers.grams
        return replace(
            own, complexity=jnp.stack([change(gram, after.second, after.target) for gram in grams])
        )

    return wrong


def radius(gram, second):
    return jnp.sum(gram * second)


def norm(gram, target):
    return target @ jnp.linalg.solve(gram, target)


def crossing(
    weight: Callable[..., Any], solved: Callable[..., Any] | None = None
) -> Callable[[Any, Any], Any]:
    """The threshold from another weight of the target, or, of that weight, by another solution of
    phi / (phi^2 + sigma^2) = w.
    """

    def wrong(problem, own):
        others = jnp.arange(len(problem.strength)) != problem.target
        w, after = (
            (problem.strength / (problem.strength**2 + problem.noise**2))[others],
            problem.downstream[others],
        )
        star = weight(w, after, 1 / (len(problem.sizes) - 1))
        phi, sigma = problem.strength[problem.target], problem.noise[problem.target]
        root = jnp.sqrt(jnp.maximum(1 - (2 * star * sigma) ** 2, 0))
        values = {
            "disrupted": jnp.sqrt(phi / star - phi**2),
            "weak": (1 - root) / (2 * star),
            "strong": (1 + root) / (2 * star),
        }
        value = values[problem.scenario] if solved is None else solved(star, phi, sigma)
        return jnp.asarray(value, own.dtype)[None]

    return wrong


def mean_weight(w, after, share, upper=2.0, lower=2.0, square=2.0, power=0.5):
    """The power mean of the other weights, with other powers than those of the statement."""
    return (
        jnp.sum(after**square * w**upper) / jnp.sum(after**square * w ** (lower - 2 * share))
    ) ** (power / share)


def squares(problem, power):
    """Sums of nuisance variances to a power, in units of the label's."""
    grams = layerwise(problem.contrastive.moments(), problem.depth).grams
    variances = jnp.diagonal(grams, axis1=1, axis2=2) * problem.downstream.features.strength**2
    return jnp.sum((variances[:, 1:] / variances[:, :1]) ** power, axis=1)


def minimiser_of(change: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, minimiser=change(problem, own.minimiser))


def layers_to(power: float) -> Callable[[Any, Any], Any]:
    """The Gram below the trained head as another power of that above it."""

    def wrong(problem, own):
        values, v = jnp.linalg.eigh(own.layers.grams[-1])
        return replace(
            own,
            layers=replace(own.layers, grams=own.layers.grams.at[0].set((v * values**power) @ v.T)),
        )

    return wrong


def exponents(power: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The indicator with another power of kappa for each rank, its best ratio found on a fine
    grid.
    """

    def wrong(p, weights):
        ranks = jnp.argsort(jnp.argsort(-weights))
        rates = power((ranks - ranks[p.target]).astype(weights.dtype))
        terms = (weights * p.strength / weights[p.target] / p.strength[p.target]) ** 2
        value = lambda t: jnp.sum(terms * jnp.exp(rates * t[..., None]), axis=-1)
        grid = jnp.linspace(0, 3, 3001, dtype=weights.dtype)
        return jnp.append(value(jnp.log(p.kappas)), grid[jnp.argmin(value(grid))])

    return predicting(wrong)


def first_amplitude(conserved: Callable[..., Any]) -> Callable[..., Any]:
    """The law of two layers from another conserved quantity, which falls with A_1 at a given
    product; by bisection.
    """

    def law(last, w, b, phi):
        start = w[0] * phi - b[0]
        kept, low, high = (
            conserved(start, w[1], phi),
            jnp.full_like(last, 1e-3),
            jnp.full_like(last, 1e3),
        )
        for _ in range(60):
            middle = jnp.sqrt(low * high)
            more = conserved(middle, (last + b[1]) / middle, phi) > kept
            low, high = jnp.where(more, low, middle), jnp.where(more, middle, high)
        return jnp.stack([low, last], axis=1)

    return law


def orbits(**fields: Any) -> Callable[[Any, Any], Any]:
    """Another law or other times, functions; or another end, a function of the problem and of the
    claim's own.
    """

    def wrong(problem, own):
        end = {"limit": fields["limit"](problem, own.limit)} if "limit" in fields else {}
        return dataclasses.replace(own, **{**fields, **end})

    return wrong


def class_gram(change: Callable[[Any, Any, Any], Any]) -> Callable[[Any, Any], Any]:
    """Another last Gram, from the groups, their classes' cross moment and their second moment."""

    def wrong(problem, own):
        gram = change(problem.groups, problem.moments.cross, problem.moments.second)
        return with_last(own, (gram + gram.T) / 2)

    return wrong


def kept(first: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """Another amplitude that the first layer keeps of a disrupted feature."""
    return lambda p, own: dataclasses.replace(
        own, orbits=dataclasses.replace(own.orbits, limit=own.orbits.limit.at[0].set(first(p)))
    )


def sloping(slope: float) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, slope=jnp.asarray(slope, own.slope.dtype))


def reaching(reach: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: dataclasses.replace(own, reach=reach)


def stepping(**fields: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(
        own, **{name: jnp.asarray(f(own), own.step.dtype) for name, f in fields.items()}
    )


def pair_weights(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """Another weight of the subclass relative to that of the class, alike in all layers."""

    def wrong(p, own):
        ratio = jnp.abs(change(p.strength[0], p.strength[1], p.noise[0], p.noise[1], p.correlation))
        return replace(own, weights=own.weights.at[:, 1].set(ratio * own.weights[:, 0]))

    return wrong


def mixed(change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The mixture at another share."""

    def wrong(problem, own):
        one, none = (projected(problem, share) for share in (1.0, 0.0))
        share = change(problem.share)
        last = jnp.linalg.solve(problem.moments.second, share * one + (1 - share) * none)
        return with_last(own, jnp.linalg.solve(problem.moments.second, last.T))

    return wrong


def projected(problem, share):
    """The cross moment of positives of this share, by sums over groups."""
    g = problem.groups
    inside = (g.labels[:, None] == g.labels[None, :]) / g.class_probability[g.labels]
    pairs = share * g.probability[:, None] * inside * g.probability + (1 - share) * jnp.diag(
        g.probability
    )
    return g.means.T @ pairs @ g.means


def mode_paths(change: Callable[..., Any]) -> Callable[[Any, Any], Any]:
    """The paths of modes of other moments, or at other times."""

    def wrong(p, own):
        times, target, second = change(p.times, p.target, p.second)
        last = regression.weight_at_time(times[:, None], p.start_weight, target, second, p.depth)
        return last[:, None] ** (jnp.arange(1, p.depth + 1) / p.depth)[:, None]

    return wrong


def faded(slope=1.0, rate=1.0) -> Callable[[Any, Any], Any]:
    return lambda problem, own: replace(own, slopes=slope * own.slopes, rate=rate * own.rate)


def read(change: Callable[[Any], Any]) -> Callable[[Any, Any], Any]:
    """The accuracies of another problem."""
    return lambda problem, own: replace(
        own, **{n: getattr(_probing.predict(change(problem)), n) for n in ("average", "worst")}
    )


WRONG: dict[str, dict[str, Callable[[Any, Any], Any]]] = {
    "optimal-layer": {
        "radius not squared": complexity_of(lambda m, s, b: jnp.sqrt(radius(m, s)) * norm(m, b)),
        "margin not squared": complexity_of(lambda m, s, b: radius(m, s) * jnp.sqrt(norm(m, b))),
        "root of the downstream moment": complexity_of(
            lambda m, s, b: radius(m, psd_power(s, 0.5, len(s))) * norm(m, b)
        ),
        "the Gram squared": complexity_of(lambda m, s, b: radius(m @ m, s) * norm(m, b)),
        "the Gram for its inverse": complexity_of(lambda m, s, b: radius(m, s) * (b @ m @ b)),
        "isotropic inputs": complexity_of(lambda m, s, b: jnp.trace(m) * norm(m, b)),
        "the radius alone": complexity_of(lambda m, s, b: radius(m, s)),
        "the next layer": lambda problem, own: replace(
            own, complexity=jnp.roll(own.complexity, -1)
        ),
    },
    "when-pre-wins": {
        "the mean of the other weights": crossing(lambda w, after, share: jnp.mean(w)),
        "strengths not squared": crossing(lambda *x: mean_weight(*x, square=1.0)),
        "weights not squared": crossing(lambda *x: mean_weight(*x, upper=1.0, lower=1.0)),
        "the power L for L / 2": crossing(lambda *x: mean_weight(*x, power=1.0)),
        "noise for its square": crossing(
            mean_weight, lambda w, phi, sigma: jnp.abs(phi / w - phi**2)
        ),
        "strength of largest weight": crossing(mean_weight, lambda w, phi, sigma: sigma),
    },
    "measured-sample-complexity": {
        "1 / SC": lambda problem, own: replace(own, complexity=1 / own.complexity),
        "n / SC": lambda problem, own: replace(own, complexity=own.samples / own.complexity),
        "n is SC": lambda problem, own: replace(own, samples=own.complexity),
        "n is the sum of squared variances": lambda problem, own: replace(
            own, samples=squares(problem, 2)
        ),
        "n is the sum of variances": lambda problem, own: replace(own, samples=squares(problem, 1)),
        "n squared": lambda problem, own: replace(own, samples=own.samples**2 / 20),
        "root of n": lambda problem, own: replace(own, samples=5 * own.samples**0.5),
    },
    "head-equivalence": {
        "one mode less": minimiser_of(
            lambda p, own: theory.spectral(
                p.moments, min(p.rows.shape[1], p.moments.dim) - 1, throw=False
            )
        ),
        "twice the Gram": minimiser_of(lambda p, own: replace(own, gram=2 * own.gram)),
        "signal fractions not squared": minimiser_of(
            lambda p, own: replace(
                own, loss=-jnp.sum(own.signal_fraction[: min(p.rows.shape[1], p.moments.dim)])
            )
        ),
        "the Gram seen through a head": minimiser_of(lambda p, own: theory_gram(p, own)),
    },
    "sorted-matching": {
        "kappa^(i / 2) for kappa^i": with_weights(
            lambda p, h, decay: (p.cross - decay / (4 * h**2)) / (h * p.second**2)
        ),
        "h^-4 for h^-2": with_weights(
            lambda p, h, decay: (p.cross - decay / (4 * h**2)) / (h**2 * p.second) ** 2
        ),
        "h times w": with_weights(
            lambda p, h, decay: (p.cross - decay / (4 * h**2)) * (h / p.second) ** 2
        ),
        "half the deviation": with_weights(
            lambda p, h, decay: (p.cross - decay / (8 * h**2)) / (h * p.second) ** 2
        ),
        "h for h^2 in the deviation": with_weights(
            lambda p, h, decay: (p.cross - decay / (4 * h)) / (h * p.second) ** 2
        ),
        "no deviation": with_weights(lambda p, h, decay: p.cross / (h * p.second) ** 2),
        "a deviation of the second order": with_weights(
            lambda p, h, decay: (p.cross - decay**2 / (4 * h**2)) / (h * p.second) ** 2
        ),
        "q for q^2": with_weights(
            lambda p, h, decay: (p.cross - decay / (4 * h**2)) / (h**2 * p.second)
        ),
        "sorted by second moment": with_pairing(lambda p: jnp.argsort(-p.second)),
    },
    "kappa-emulation": {
        "the weights themselves": layers_to(1.0),
        "the cube root": layers_to(1 / 3),
        "the factor squared": lambda problem, own: replace(own, factor=own.factor**2),
        "the root of the factor": lambda problem, own: replace(own, factor=jnp.sqrt(own.factor)),
    },
    "best-kappa": {
        "the rank itself, not twice it": exponents(lambda r: r),
        "four times the rank": exponents(lambda r: 4 * r),
        "less of the heavier": exponents(lambda r: jnp.abs(r)),
        "the other way": exponents(lambda r: -2 * r),
        "weights not squared": predicting(lambda p, w: predict_from(jnp.sqrt(w), p.strength, p)),
        "strengths not squared": predicting(lambda p, w: predict_from(w, jnp.sqrt(p.strength), p)),
    },
    "threshold-law": {
        "A_1 for A_1 / phi": orbits(law=first_amplitude(lambda a, w, phi: a**2 - w**2)),
        "2 w_2^2": orbits(law=first_amplitude(lambda a, w, phi: (a / phi) ** 2 - 2 * w**2)),
        "phi for phi^2": orbits(law=first_amplitude(lambda a, w, phi: a**2 / phi - w**2)),
        "not squared": orbits(law=first_amplitude(lambda a, w, phi: a / phi - w)),
        "the product": orbits(law=first_amplitude(lambda a, w, phi: a * w)),
        "2 for 4": orbits(time=lambda *x: 2 * theory.threshold_time(*x)),
        "rho for its root": orbits(limit=lambda p, limit: limit.at[-1].set(p.rho)),
    },
    "retained-when-vanishing": {
        "phi b_2": kept(lambda p: p.strength * p.thresholds[1]),
        "b_1 for b_2": kept(lambda p: jnp.sqrt(p.strength * p.thresholds[0])),
        "root of b_2": kept(lambda p: jnp.sqrt(p.thresholds[1])),
        "all of it": kept(lambda p: p.weights[0] * p.strength - p.thresholds[0]),
        "slope -1": sloping(-1.0),
        "slope -1/4": sloping(-0.25),
        "16 for 8": lambda problem, own: dataclasses.replace(
            own,
            orbits=dataclasses.replace(own.orbits, time=lambda *x: theory.threshold_time(*x) / 2),
        ),
    },
    "absent-features": {
        "w_2 for its inverse": reaching(
            lambda w, b: jnp.stack([b[0], b[0] + b[1] * jnp.abs(w[1])]) / jnp.abs(w[0])
        ),
        "b_1 / w_1 left out": reaching(
            lambda w, b: jnp.stack([b[0] / jnp.abs(w[0]), b[1] / jnp.abs(w[0] * w[1])])
        ),
        "b_1 by both weights": reaching(
            lambda w, b: jnp.stack([b[0] / jnp.abs(w[0]), (b[0] + b[1]) / jnp.abs(w[0] * w[1])])
        ),
        "w_1^2": reaching(lambda w, b: theory.threshold_reach(w, b) / jnp.abs(w[0])),
        "half of b_2": reaching(lambda w, b: theory.threshold_reach(w, b.at[1].divide(2))),
    },
    "discrete-homogeneity": {
        "eta for eta^2": stepping(second=lambda own: 1 / own.step),
        "minus for plus": stepping(second=lambda own: -1.0),
        "half the second order": stepping(second=lambda own: 0.5),
        "1 - eta gamma, not squared": stepping(
            decay=lambda own: (1 - jnp.sqrt(1 - own.step * own.decay)) / own.step
        ),
        "no shrinking": stepping(decay=lambda own: 0.0),
    },
    "scl-minimiser": {
        "S^-1/2 for S^-1": class_gram(
            lambda g, c, s: psd_power(s, -0.5, len(s)) @ c @ psd_power(s, -0.5, len(s))
        ),
        "the class means alone": class_gram(lambda g, c, s: c),
        "S^-1 on one side": class_gram(lambda g, c, s: jnp.linalg.solve(s, c)),
        "the groups for the classes": class_gram(
            lambda g, c, s: jnp.linalg.solve(s, jnp.linalg.solve(s, g.between).T)
        ),
        "(l / L)^2": with_exponents(lambda level, depth: (level / depth) ** 2),
    },
    "class-collapse": {
        "sigma_s for sigma_c": pair_weights(
            lambda pc, ps, sc, ss, r: r * ps * ss**2 / (pc * (ps**2 * (1 - r**2) + sc**2))
        ),
        "the class means": pair_weights(lambda pc, ps, sc, ss, r: r * ps / pc),
        "no correlation needed": pair_weights(lambda pc, ps, sc, ss, r: ps / (ps**2 + ss**2)),
        "noise of the subclass left out": pair_weights(
            lambda pc, ps, sc, ss, r: r * ps * (sc**2 + ss**2) / (pc * ps**2)
        ),
    },
    "subclass-retention": {
        "the exponents of regression": faded(slope=3.0),
        "half the rate": faded(rate=0.5),
        "twice the exponents": faded(slope=2.0),
        "the variance, not its square": lambda p, own: replace(own, rate=jnp.sqrt(own.rate)),
        "e left out of the rate": lambda p, own: replace(own, rate=own.rate / (4 - 2 / p.depth)),
    },
    "mixed-positives": {
        "the share's root": mixed(jnp.sqrt),
        "the other share": mixed(lambda a: 1 - a),
        "the class alone": mixed(lambda a: 1.0),
        "the views alone": mixed(lambda a: 0.0),
        "(l / L)^2": with_exponents(lambda level, depth: (level / depth) ** 2),
    },
    "sl-minimiser": {
        "A": lambda p, own: with_map(p, own, p.moments.target),
        "A S^-1/2": lambda p, own: with_map(
            p, own, p.moments.target @ psd_power(p.moments.second, -0.5, p.moments.dim)
        ),
        "A S": lambda p, own: with_map(p, own, p.moments.target @ p.moments.second),
        "A S^-1, its largest kept": lambda p, own: with_map(
            p, own, jnp.linalg.solve(p.moments.second, p.moments.target.T).T
        ),
        "half the loss": lambda p, own: replace(own, loss=own.loss / 2),
    },
    "sl-times": {
        "twice the time": mode_paths(lambda t, a, q: (2 * t, a, q)),
        "q for q^2": mode_paths(lambda t, a, q: (t, a, q**2)),
        "L left out": mode_paths(lambda t, a, q: (t / 3, a, q)),
        "half the target": mode_paths(lambda t, a, q: (t, a / 2, q)),
        "one and the same weight in all layers": lambda p, own: jnp.broadcast_to(
            own[:, -1:], own.shape
        ),
    },
    "sl-retention": {
        "the exponent of the spectral loss": lambda p, own: replace(own, slopes=own.slopes / 3),
        "the same slope in all layers": lambda p, own: replace(
            own, slopes=jnp.full_like(own.slopes, own.slopes[0])
        ),
        "twice the exponents": lambda p, own: replace(own, slopes=2 * own.slopes),
        "half the logarithm": lambda p, own: replace(own, logs=own.logs / 2),
    },
    "coarse-to-fine": {
        "twice the blur": read(lambda p: replace(p, blur=2 * p.blur)),
        "blur squared": read(lambda p: replace(p, blur=p.blur**2)),
        "twice the time": read(lambda p: replace(p, times=2 * p.times)),
        "a start twice as large": read(lambda p: replace(p, start_weight=2 * p.start_weight)),
        "the worst for the average": lambda p, own: replace(
            own, average=own.worst, worst=own.average
        ),
    },
    "shift": {
        "twice the blur": read(lambda p: replace(p, blur=2 * p.blur)),
        "twice the time": read(lambda p: replace(p, times=2 * p.times)),
        "read-outs swapped": read(lambda p: replace(p, fitted=p.fitted[::-1])),
        "tested where the read-out is refitted": read(lambda p: replace(p, tested=p.fitted[1])),
        "the worst for the average": lambda p, own: replace(
            own, average=own.worst, worst=own.average
        ),
    },
}


def theory_gram(problem, own):
    """What sorting gives before the second head."""
    return replace(
        own, gram=theory.sorted_matching(problem.moments, problem.rows[1], throw=False).gram
    )

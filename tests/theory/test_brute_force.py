"""Closed forms against searches that know nothing of them, and accuracies against counts, random
problem by random problem.

A search that ends within some slack of the least value has the minimiser to the root of that slack.
"""

import itertools

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.linalg
import scipy.optimize
from helpers.draws import by_seed
from scipy.stats import norm

from projhead_theory import Moments
from projhead_theory.moments import TargetMoments
from projhead_theory.problems import Downstream, Groups
from projhead_theory.theory.decay import decay_minimiser, extinction_decay
from projhead_theory.theory.downstream import feature_complexity, margin_error
from projhead_theory.theory.heads import (
    best_kappa,
    decayed_matching,
    head_complexity,
    kappa_emulation,
    matching_limit,
    sorted_matching,
)
from projhead_theory.theory.supervised import group_accuracy, regression_minimiser

pytestmark = pytest.mark.x64

# Standard errors that a count may be off.
SIGMAS = 5


def minimise(value_and_gradient, start):
    found = scipy.optimize.minimize(
        value_and_gradient, start, jac=True, method="BFGS", options={"gtol": 1e-10, "maxiter": 5000}
    )
    return found.fun, found.x


def layers_of(flat, shapes):
    ends = np.cumsum([m * n for m, n in shapes])[:-1]
    return [x.reshape(shape) for x, shape in zip(np.split(flat, ends), shapes, strict=True)]


def product(layers, size):
    result = np.eye(size)
    for w in layers:
        result = w @ result
    return result


def through_layers(outer, layers):
    """Gradients of the layers, from that of their product."""
    d, p = layers[0].shape[1], layers[-1].shape[0]
    return [
        product(layers[i + 1 :], w.shape[0]).T.reshape(w.shape[0], p)
        @ outer
        @ product(layers[:i], d).T
        for i, w in enumerate(layers)
    ]


def turn(rng, d):
    return np.linalg.qr(rng.standard_normal((d, d)))[0]


def moments(rng, fractions):
    """C and S with these signal fractions, in random position."""
    d = len(fractions)
    values, v = rng.uniform(0.3, 2, d), turn(rng, d)
    root, t = v * np.sqrt(values) @ v.T, turn(rng, d)
    return root @ (t * fractions) @ t.T @ root, (v * values) @ v.T


@by_seed(6)
def test_decayed_network_of_least_energy(seed):
    """All layers at once, from every set of features learned, turned and shaken: none ends below,
    and the least has these weights.
    """
    rng = np.random.default_rng(seed)
    depth, d, width = seed % 3 + 1, 2, int(rng.integers(2, 4))
    while True:
        c = rng.uniform(0.2, 2, d)
        q = c / rng.uniform(0.2, 1, d)
        extinct = np.array([float(extinction_decay(*x, depth)) for x in zip(c, q, strict=True)])
        weight_decay = float(np.sqrt(extinct.prod())) * 10 ** rng.uniform(-1.5, 0.3)
        # Where a feature is as good as none, which of the two a search finds is chance.
        if (np.abs(weight_decay / extinct - 1) > 0.1).all():
            break
    shapes = [(width, d), *[(width, width)] * (depth - 1)]

    def energy(flat):
        layers = layers_of(flat, shapes)
        w = product(layers, d)
        inner = w * q @ w.T
        slope = through_layers(4 * (inner @ w * q - w * c), layers)
        value = -2 * np.sum(w**2 * c) + np.sum(inner**2) + weight_decay / 2 * np.sum(flat**2)
        return value, np.concatenate([g.ravel() for g in slope]) + weight_decay * flat

    ends = []
    for learned in itertools.product((0, 1), repeat=d):
        for jitter in (0.02, 0.3):
            layers, below = [], np.eye(d)
            for m, n in shapes:
                above = turn(rng, m)[:, : min(m, d)]
                size = (np.array(learned) * np.sqrt(c) / q) ** (1 / depth)
                layers.append(
                    (above * size @ below.T + jitter * rng.standard_normal((m, n))).ravel()
                )
                below = above
            ends.append(minimise(energy, np.concatenate(layers)))
    s = np.array([float(decay_minimiser(*x, weight_decay, depth)) for x in zip(c, q, strict=True)])
    want = np.sum(-2 * c * s**2 + q**2 * s**4 + weight_decay * depth / 2 * s ** (2 / depth))
    least, at = min(ends, key=lambda end: end[0])
    assert least == pytest.approx(want, abs=1e-10)
    w = product(layers_of(at, shapes), d)
    np.testing.assert_allclose(w.T @ w, np.diag(s**2), atol=1e-4)


@by_seed(4)
def test_regression_network_of_least_loss(seed):
    """Layers of any depth and a narrow width, from random starts."""
    rng = np.random.default_rng(seed)
    d, outputs, depth, width = 3, 2, seed % 3 + 1, seed % 2 + 1
    second = moments(rng, np.ones(d))[1]
    target = rng.standard_normal((outputs, d))
    power = float(np.trace(target @ np.linalg.solve(second, target.T))) + 0.3
    widths = [d, *[width] * (depth - 1), outputs]
    shapes = list(zip(widths[1:], widths[:-1], strict=True))

    def loss(flat):
        layers = layers_of(flat, shapes)
        w = product(layers, d)
        slope = through_layers(w @ second - target, layers)
        return np.sum(w @ second * w) / 2 - np.sum(w * target) + power / 2, np.concatenate(
            [g.ravel() for g in slope]
        )

    ends = [minimise(loss, rng.standard_normal(sum(m * n for m, n in shapes))) for _ in range(3)]
    found = regression_minimiser(
        TargetMoments(target, second, power), depth, width if depth > 1 else None
    )
    least, at = min(ends, key=lambda end: end[0])
    assert least == pytest.approx(float(found.loss), abs=1e-10)
    np.testing.assert_allclose(product(layers_of(at, shapes), d), found.matrix, atol=1e-4)


@by_seed(4)
def test_matching_of_least_norm(seed):
    """Every pairing of modes with rows, and searches over all turns between them, which have no
    other minimum.
    """
    rng = np.random.default_rng(seed)
    d, p = 3, (2, 3, 4)[seed % 3]
    cross, second = moments(rng, [0.9, 0.6, 0.3])
    rows = rng.permutation(np.array([2.0, 1.0, 0.5, 0.3])[:p] * rng.uniform(0.8, 1.2, p))
    matched = sorted_matching(Moments(cross, second), jnp.asarray(rows))
    values, t = np.linalg.eigh(second)
    root = t / np.sqrt(values) @ t.T
    fractions, v = np.linalg.eigh(root @ cross @ root)
    v = (root @ v)[:, ::-1][:, : min(p, d)]
    w, modes = np.linalg.svd(v * np.sqrt(fractions[::-1][: min(p, d)]))[1::-1]
    modes = modes[:, : min(p, d)]
    norms = [np.sum((w / np.array(chosen)) ** 2) for chosen in itertools.permutations(rows, w.size)]
    assert float(matched.squared_norm) == pytest.approx(min(norms), rel=1e-11)
    upper = np.triu_indices(p, 1)

    def turned(base, x):
        skew = np.zeros((p, p))
        skew[upper] = x
        return (base @ scipy.linalg.expm(skew - skew.T))[:, : w.size]

    for _ in range(2):
        base = turn(rng, p)
        norm_of = lambda x, base=base: np.sum((turned(base, x) * w / rows[:, None]) ** 2)
        end = scipy.optimize.minimize(
            norm_of, 0.1 * rng.standard_normal(upper[0].size), method="BFGS", options={"gtol": 1e-8}
        )
        assert end.fun == pytest.approx(min(norms), rel=1e-7)
        layer = turned(base, end.x) * w / rows[:, None] @ modes.T
        np.testing.assert_allclose(
            layer.T @ layer, matched.gram, atol=1e-3 * np.abs(matched.gram).max()
        )


@by_seed(6)
def test_matching_under_decay(seed):
    """The least energy of every row with every feature by search, and the best assignment of
    them.
    """
    rng = np.random.default_rng(seed)
    d = int(rng.integers(1, 5))
    c, rows = rng.uniform(0.05, 1, d), rng.uniform(0.2, 1, d)
    q = c / rng.uniform(0.1, 1, d)
    weight_decay = rng.uniform(0.1, 0.95) * float(matching_limit(c, q, jnp.asarray(rows)))

    def search(h, c, q):
        energy = lambda u: -2 * c * (h * u) ** 2 + (q * (h * u) ** 2) ** 2 + weight_decay / 2 * u**2
        found = scipy.optimize.minimize_scalar(
            energy,
            bounds=(0, 1.1 * np.sqrt(c) / (q * h)),
            method="bounded",
            options={"xatol": 1e-12},
        )
        return found.fun, found.x

    table = np.array([[search(h, *x) for x in zip(c, q, strict=True)] for h in rows])
    row, feature = scipy.optimize.linear_sum_assignment(table[..., 0])
    want = np.empty(d)
    want[feature] = table[row, feature, 1]
    np.testing.assert_allclose(
        decayed_matching(c, q, jnp.asarray(rows), weight_decay), want, rtol=1e-6
    )


@by_seed(12)
def test_kappas_on_a_fine_grid(seed):
    """The ratio of least scatter, and the one of least indicator: weights over twelve decades, one
    feature to six.
    """
    rng = np.random.default_rng(seed)
    d = seed % 6 + 1
    weights, strength = 10 ** rng.uniform(-6, 6, d), 10 ** rng.uniform(-2, 2, d)
    falling, rank = np.sort(weights)[::-1], np.argsort(np.argsort(-weights))
    found = kappa_emulation(jnp.asarray(weights))
    grid, step = np.linspace(-1, 30, 31_001), 1e-3
    best = (
        grid[np.argmin(np.var(grid[:, None] * np.arange(d) + np.log(falling) / 2, axis=1))]
        if d > 1
        else 0.0
    )
    assert np.log(float(found.kappa)) == pytest.approx(best, abs=step)
    ratios = float(found.kappa) ** np.arange(d) * np.sqrt(falling)
    factor = ratios.prod() ** (1 / d)
    assert float(found.factor) == pytest.approx(factor, rel=1e-11)
    assert 1 + float(found.spread) == pytest.approx(
        max((ratios / factor).max(), (factor / ratios).max()), rel=1e-11
    )

    j = int(rng.integers(d))
    grid, step = np.linspace(-30, 30, 60_001), 1e-3
    terms = (
        np.exp(2 * grid[:, None] * (rank - rank[j]))
        * (weights * strength / (weights[j] * strength[j])) ** 2
    )
    falls = terms @ (rank - rank[j]) < 0
    low, high = sorted(rng.uniform(-30, 30, 2)) if seed % 2 else (-30.0, 30.0)
    # The slope passes zero once, or never.
    best = np.clip(grid[0] if not falls[0] else grid[falls][-1], low, high)
    kappa = float(best_kappa(jnp.asarray(weights), strength, j, low=np.exp(low), high=np.exp(high)))
    assert np.log(kappa) == pytest.approx(best, abs=1.01 * step)
    inside = (grid >= low) & (grid <= high)
    value = float(head_complexity(kappa, jnp.asarray(weights), strength, j))
    assert value <= terms.sum(1)[inside].min(initial=np.inf) * (1 + 1e-9)
    some = rng.integers(grid.size)
    assert float(
        head_complexity(np.exp(grid[some]), jnp.asarray(weights), strength, j)
    ) == pytest.approx(terms[some].sum(), rel=1e-10)


def drawn(rng, groups, per_group, layer, noise):
    """A layer of drawn inputs, read with noise: as many of each group as asked for."""
    group = np.repeat(np.arange(len(per_group)), per_group)
    x = np.asarray(groups.means)[group] + np.asarray(groups.noise) * rng.standard_normal(
        (group.size, groups.dim)
    )
    return x @ layer.T + noise * rng.standard_normal((group.size, len(layer))), group


@by_seed(4)
def test_accuracies_of_fitted_readouts(seed):
    """Of classes and of subclasses, on the groups of another distribution: least squares on one
    sample, errors counted on others.

    The scatter over independent samples is that of fit and count; an error of the fit shifts
    accuracies by the width over its sample.
    """
    rng = np.random.default_rng(seed)
    batches, fit, count, blur = 60, 12_000, 1_500, 10 ** rng.uniform(-1, 0)
    if seed % 2:
        phi, sigma = rng.uniform(0.4, 1.5, 3), rng.uniform(0.2, 1, 3)
        fitted, tested = (
            Groups.signs(phi, sigma, rng.uniform(-0.9, 0.9, 2), balance=rng.uniform(0.2, 0.8))
            for _ in range(2)
        )
        if seed % 4 == 3:
            fitted, tested = fitted.read(1), tested.read(1)
    else:
        means, labels = rng.standard_normal((8, 3)), [0, 1, *rng.integers(0, 2, 6)]
        sigma = rng.uniform(0, 1, 3) * (rng.random(3) < 0.7)
        fitted, tested = (Groups(rng.dirichlet(np.ones(8)), means, sigma, labels) for _ in range(2))
    layers = [rng.standard_normal((2, 3)), rng.standard_normal((3, 3)) * [3.0, 1.0, 0.1]]
    found = group_accuracy(jnp.stack([w.T @ w for w in layers]), fitted, tested, blur)
    probability, labels = np.asarray(fitted.probability), np.asarray(fitted.labels)
    means = np.asarray(fitted.means)
    second = means.T * probability @ means + np.diag(np.asarray(fitted.noise) ** 2)
    for level, layer in enumerate(layers):
        noise, hits = blur * np.sqrt(np.sum(layer @ second * layer)), []
        for _ in range(batches):
            r, group = drawn(
                rng, fitted, rng.multinomial(fit, probability / probability.sum()), layer, noise
            )
            v = np.linalg.lstsq(r, 2.0 * labels[group] - 1, rcond=None)[0]
            r, group = drawn(rng, tested, np.full(8, count // 8), layer, noise)
            right = (r @ v > 0) == (np.asarray(tested.labels)[group] == 1)
            hits.append(right.reshape(8, -1).mean(1))
        hits = np.array(hits)
        off = len(layer) / fit + SIGMAS * hits.std(0, ddof=1) / batches**0.5
        # A count of none or all has no scatter: what it may hide is some mistakes in all of the
        # draws.
        off += SIGMAS**2 / (batches * (count // 8))
        assert (np.abs(hits.mean(0) - found.groups[level]) <= off).all()
        share = np.asarray(tested.probability)
        average = hits @ share
        assert abs(average.mean() - found.average[level]) <= share @ off
        assert abs(hits.mean(0).min() - found.worst[level]) <= off.max()


def largest_margin(points):
    """The shortest w with w.x >= 1 for all points, by non-negative least squares: Lawson and
    Hanson's least-distance problem.
    """
    a = np.vstack([points.T, np.ones(len(points))])
    aim = np.eye(len(a))[-1]
    left = (
        a
        @ scipy.optimize.lsq_linear(a, aim, (0, np.inf), method="bvls", tol=1e-15, max_iter=1000).x
        - aim
    )
    w = -left[:-1] / left[-1]
    assert (points @ w > 1 - 1e-9).all()
    return w


@by_seed(6)
def test_indicator_is_that_of_the_largest_margin(seed):
    """Of all inputs of a feature model, every sign of every feature: squared length over squared
    margin.
    """
    rng = np.random.default_rng(seed)
    d = seed % 4 + 1
    weights, strength, j, depth = (
        rng.uniform(0.2, 2, d),
        rng.uniform(0.3, 2, d),
        int(rng.integers(d)),
        3,
    )
    signs = np.array(list(itertools.product((-1.0, 1.0), repeat=d)))
    curve = feature_complexity(jnp.asarray(weights), strength, j)
    for level in range(1, depth + 1):
        points = signs * signs[:, j : j + 1] * strength * weights ** (level / depth)
        w = largest_margin(points)
        assert float(curve(level / depth)) == pytest.approx(
            np.sum(points[0] ** 2) * np.sum(w**2), rel=1e-9
        )


def task(rng, d):
    """A layer that mixes the label with d nuisance features: the mean of label times layer, the
    covariance of what is left, and more.
    """
    w = rng.standard_normal((d + 1, d + 1)) / d**0.5 + 0.3 * np.eye(d + 1)
    strength = np.concatenate([[rng.uniform(0.3, 1)], 10 ** rng.uniform(-0.5, 0.5, d)])
    down = Downstream(np.diag(strength**2), np.eye(d + 1)[0] / strength[0])
    return w[:, 0] * strength[0], w[:, 1:] * strength[1:], jnp.asarray(w.T @ w), down


@by_seed(4)
def test_margin_error_is_that_of_the_auxiliary_problem(seed):
    """Gordon's comparison: the shortest w with n E max(0, 1 - w.mean - |u| h)^2 <= (u.g)^2, u the
    nuisance root times w: a convex one.

    In the basis of the nuisance, along the mean and along g, whose square is one on average.
    """
    rng = np.random.default_rng(seed)
    d = (3, 5)[seed % 2]
    mean, nuisance, gram, down = task(rng, d)
    n = rng.uniform(0.3, 1.2) * d
    spread, v = np.linalg.eigh(nuisance @ nuisance.T)
    spread, mean = np.maximum(spread, 0), v.T @ mean

    def parts(z):
        along, across = z[: d + 1], z[d + 1 :]
        return (
            along @ mean**2,
            np.sqrt(spread @ (along**2 * mean**2 + across**2)),
            np.sqrt(spread) @ across,
        )

    def room(z):
        a, sigma, aligned = parts(z)
        x = (1 - a) / sigma
        return aligned - sigma * np.sqrt(n * ((x**2 + 1) * norm.cdf(x) + x * norm.pdf(x)))

    def slope(z):
        a, sigma, _ = parts(z)
        x = (1 - a) / sigma
        cdf = norm.cdf(x)
        short = x * cdf + norm.pdf(x)
        pull = np.sqrt(n / (cdf + x * short))
        stretch = np.concatenate([spread * z[: d + 1] * mean**2, spread * z[d + 1 :]]) / sigma
        return np.concatenate([pull * short * mean**2, np.sqrt(spread)]) - pull * cdf * stretch

    unit = np.concatenate([mean**2, np.ones(d + 1)])
    found = scipy.optimize.minimize(
        lambda z: unit @ z**2,
        np.concatenate([np.full(d + 1, 1 / np.sum(mean**2)), np.ones(d + 1)]),
        jac=lambda z: 2 * unit * z,
        constraints=[{"type": "ineq", "fun": room, "jac": slope}],
        method="SLSQP",
        options={"ftol": 1e-15, "maxiter": 500},
    )
    a, sigma, _ = parts(found.x)
    # The root of the tolerance is 3e-8, in units of w.
    assert float(margin_error(gram, down, n)) == pytest.approx(norm.cdf(-a / sigma), abs=1e-6)


@by_seed(2)
def test_margin_error_is_that_of_fitted_separators(seed):
    """Separators of drawn samples, at two sizes: finite size falls as 1 / n, so that twice the
    larger less the smaller has none left.

    What is left of it is less than what is taken away.
    """
    rng = np.random.default_rng(seed)
    base, repeats, copies = 4, 250, (3, 6)
    strength, spread = rng.uniform(0.4, 1), 10 ** rng.uniform(-0.5, 0.5, base)
    share, means, variances = rng.uniform(0.4, 1.1), [], []
    for copy in copies:
        deviations = np.sqrt(np.tile(spread, copy))
        n, d = round(share * base * copies[0]) * copy // copies[0], base * copy
        errors = []
        for _ in range(repeats):
            points = np.column_stack(
                [np.full(n, strength), rng.standard_normal((n, d)) * deviations]
            )
            w = largest_margin(points)
            errors.append(norm.cdf(-w[0] * strength / np.linalg.norm(w[1:] * deviations)))
        means.append(np.mean(errors))
        variances.append(np.var(errors) / repeats)
    second = np.concatenate([[strength**2], deviations**2])
    down = Downstream(np.diag(second), np.eye(d + 1)[0] / np.sqrt(second[0]))
    limit = float(margin_error(jnp.eye(d + 1), down, float(n)))
    off = SIGMAS * np.sqrt(4 * variances[1] + variances[0]) + abs(means[1] - means[0])
    assert 2 * means[1] - means[0] == pytest.approx(limit, abs=off)

"""Closed forms against mpmath, random problem by random problem: minimisers and their layers, flow
times, thresholds.

Moments are whole numbers times powers of two, so that the numbers given are the numbers meant, in
either dtype: also the rank of a singular moment. Tolerances are the errors that the library
reports, or what a rounding of each number given would change.
"""

import itertools

import mpmath
import numpy as np
import pytest
from helpers.draws import by_seed
from mpmath import mpf

from projhead_theory import Moments
from projhead_theory.moments import TargetMoments
from projhead_theory.theory import dynamics
from projhead_theory.theory.dynamics import regression
from projhead_theory.theory.layers import layerwise
from projhead_theory.theory.supervised import regression_minimiser, subclass_weights
from projhead_theory.theory.thresholds import threshold_law, threshold_time

pytestmark = pytest.mark.x64

DIGITS = 60
# A number below this times the largest is zero, at sixty digits of matrices over 24 decades.
NOTHING = mpf(10) ** -25
KINDS = ("mixed", "decades", "diagonal", "singular", "nearly singular", "tied")
FIRST = [(4, 2, 3, np.float64), (5, 8, 2, np.float64), (3, 2, 4, np.float32), (1, 4, 6, np.float64)]
SHAPES = [
    s
    for s in itertools.product(range(1, 7), range(1, 10), range(1, 7), (np.float64, np.float32))
    if s[1] <= s[0] + 3
]


def spectrum(a):
    """Eigenvalues, descending, and eigenvectors in columns."""
    values, vectors = mpmath.eigsy(a)
    order = sorted(range(a.rows), key=lambda i: -values[i])
    return [values[i] for i in order], mpmath.matrix(
        [[vectors[row, i] for i in order] for row in range(a.rows)]
    )


def composed(values, v, rank):
    return v * mpmath.diag([x if i < rank else mpf(0) for i, x in enumerate(values)]) * v.T


def power(a, exponent, rank):
    """The power of a symmetric matrix over its `rank` largest eigenvalues."""
    values, v = spectrum(a)
    return composed([x**exponent if i < rank else x for i, x in enumerate(values)], v, rank)


def floats(a):
    return np.array(a.tolist(), float)


def distance(seen, want):
    """In Frobenius norm, relative to what is seen; absolute if that is zero."""
    seen, want = np.asarray(seen, float), floats(want)
    unit = np.abs(seen).max() if seen.any() else 1
    return np.linalg.norm((seen - want) / unit) / (np.linalg.norm(seen / unit) if seen.any() else 1)


def condition(f):
    """Of S = F F^T scaled to unit diagonal, on its range."""
    values = np.linalg.svd(f / np.linalg.norm(f, axis=1, keepdims=True), compute_uv=False)
    return (values[0] / values[-1]) ** 2


def factors(rng, d, kind, dtype):
    """`F` and `K` with S = F F^T and C = F K F^T, exact in the dtype; the rank of S is one that the
    dtype can tell.
    """
    rank = int(rng.integers(1, d)) if kind == "singular" and d > 1 else d
    while True:
        f = rng.integers(-3, 4, (d, rank)).astype(float)
        if kind == "diagonal":
            f = np.eye(d)
        if kind == "nearly singular":
            f[:, -1] /= 2.0 ** (rng.integers(3, 17) if dtype is np.float64 else rng.integers(1, 6))
        if (
            f.any(axis=1).all()
            and np.linalg.matrix_rank(f) == rank
            and 8 * d * np.finfo(dtype).eps * condition(f) < 1
        ):
            break
    a = rng.integers(-2, 3, (rank, int(rng.integers(1, rank + 1)))).astype(float)
    k = a @ a.T / 2.0 ** np.ceil(np.log2(max((a**2).sum(), 1)))
    if kind == "diagonal":
        k = np.diag(2.0 ** rng.integers(-30, 1, d) * rng.integers(0, 2, d))
    if kind == "tied":
        k = np.diag(rng.choice([0.75, 0.5, 0.25, 0.0], rank, p=[0.25, 0.35, 0.25, 0.15]))
    # Twelve decades of strengths.
    return f if kind == "mixed" else 2.0 ** rng.integers(-20, 21, d)[:, None] * f, k


@by_seed(24)
def test_minimiser_and_its_layers(seed):
    """S^(-1/2) T_p S^(-1/2) and its powers l/L, the signal fractions and the loss, each within the
    rounding reported of it.
    """
    rng = np.random.default_rng(seed)
    at = seed // len(KINDS)
    kind, (d, width, depth, dtype) = (
        KINDS[seed % len(KINDS)],
        FIRST[at] if at < len(FIRST) else SHAPES[rng.integers(len(SHAPES))],
    )
    f, k = factors(rng, d, kind, dtype)
    found = layerwise(
        Moments((f @ k @ f.T).astype(dtype), (f @ f.T).astype(dtype)),
        depth,
        width=width,
        throw=False,
    )
    m = found.minimiser
    noise, rounding = np.asarray(m.fraction_rounding, float), np.asarray(found.rounding, float)
    with mpmath.workdps(DIGITS):
        f, k = mpmath.matrix(f.tolist()), mpmath.matrix(k.tolist())
        cross, second = f * k * f.T, f * f.T
        root = power(second, mpf(-1) / 2, f.cols)
        fractions, v = spectrum(root * cross * root)
        fractions = [x if x > NOTHING else mpf(0) for x in fractions]
        gram = root * composed(fractions, v, int(m.kept)) * root
        grams = [power(gram, mpf(level) / depth, int(m.kept)) for level in range(1, depth + 1)]
    errors = [distance(seen, want) for seen, want in zip(found.grams, grams, strict=True)]
    assert (np.array(errors) <= rounding).all()
    if kind == "diagonal":
        for seen, want, relative in zip(found.grams, grams, rounding, strict=True):
            np.testing.assert_allclose(seen, floats(want), rtol=relative)
    exact, cut = np.array(fractions, float), min(width, d)
    assert (np.abs(np.asarray(m.signal_fraction, float) - exact) <= noise).all()
    within, error = exact[:cut], noise[:cut]
    slack = np.sum(2 * within * error + error**2) + d * np.finfo(dtype).eps * np.sum(within**2)
    assert abs(float(m.loss) + np.sum(within**2)) <= slack
    # How many modes there are, and whether the cut is through a tie, wherever the dtype can tell.
    below = exact[cut] if cut < d else 0
    tied = below > 0 and exact[cut - 1] - below < 1e-20
    if below > 2 * noise[cut - 1] and (tied or exact[cut - 1] - below > 4 * noise[cut - 1]):
        assert bool(m.unique) == (not tied)
    if not tied and ((within == 0) | (within > 4 * error)).all() and bool(m.unique):
        assert int(m.kept) == np.count_nonzero(within)
    if tied and not bool(m.unique):
        assert int(m.kept) == np.sum(exact > exact[cut - 1] + noise[cut - 1])


@by_seed(6)
def test_regression_minimiser_and_its_layers(seed):
    """(A S^(-1/2))_p S^(-1/2), from the spectrum of A S^+ A^T; powers of a PSD matrix move by the
    power of what moves it, at most.
    """
    rng = np.random.default_rng(seed)
    kind = [x for x in KINDS if x not in ("diagonal", "tied")][seed % 4]
    d, outputs, width, depth = (4, 3, 2, 3) if seed < 6 else rng.integers(1, [7, 5, 8, 5])
    f, _ = factors(rng, d, kind, np.float64)
    g = rng.integers(-3, 4, (outputs, f.shape[1])) * 2.0 ** rng.integers(-10, 11)
    found = regression_minimiser(
        TargetMoments(g @ f.T, f @ f.T, 2 * (g**2).sum()), int(depth), int(width), throw=False
    )
    kept, rounding = int(found.kept), float(found.rounding)
    with mpmath.workdps(DIGITS):
        f, g = mpmath.matrix(f.tolist()), mpmath.matrix(g.tolist())
        explained = g * f.T * power(f * f.T, mpf(-1), f.cols)
        squares, u = spectrum(explained * f * g.T)
        squares = [x if x > NOTHING * squares[0] else mpf(0) for x in squares]
        matrix = composed([mpf(1)] * g.rows, u, kept) * explained
        gram = matrix.T * matrix
        grams = [power(gram, mpf(level) / int(depth), kept) for level in range(1, int(depth) + 1)]
        least = float(spectrum(gram)[0][max(kept, 1) - 1])
        correlations = np.array([mpmath.sqrt(x) for x in squares], float)
    assert distance(found.matrix, matrix) <= rounding
    size = np.linalg.norm(np.asarray(found.matrix)) ** 2
    error = size * (2 * rounding + rounding**2)
    for level, (seen, want) in enumerate(zip(found.grams, grams, strict=True), 1):
        t = level / depth
        allowed = min(
            d ** ((1 - t) / 2) * error**t,
            2 * least ** (t - 1) * error if 2 * error < least else np.inf,
        )
        assert np.linalg.norm(np.asarray(seen) - floats(want)) <= allowed
    count = min(correlations.size, found.correlations.size)
    np.testing.assert_allclose(
        found.correlations[:count], correlations[:count], atol=rounding * correlations[0]
    )
    silent = float(2 * (floats(g) ** 2).sum())
    want = (silent - np.sum(correlations[: int(width)] ** 2)) / 2
    assert (
        abs(float(found.loss) - want)
        <= rounding * np.sum(correlations**2) + 4 * np.finfo(float).eps * silent
    )
    inside = correlations[: min(int(width), count)]
    if bool(found.unique) and ((inside == 0) | (inside > 4 * rounding * correlations[0])).all():
        assert kept == np.count_nonzero(inside)


def elapsed(speed, start, end, stop):
    """The integral of ds / speed(s), over pieces shorter than half the way to zero and to where the
    flow stops.
    """
    points = [start]
    while True:
        s = points[-1]
        step = min(s, abs(stop - s)) / 2
        s = s + step if end > start else s - step
        if (s >= end) == (end > start):
            return mpmath.quad(lambda x: 1 / speed(x), [*points, end], method="gauss-legendre")
        points.append(s)


@by_seed(6)
@pytest.mark.parametrize("flow", ["spectral", "regression"])
def test_flow_times_and_weights(flow, seed, eps):
    """Moments over twelve decades, starts below and above the end, no signal at all; to eight
    roundings of each number given.
    """
    rng = np.random.default_rng(seed)
    depth, signal = int(rng.integers(1, 7)), rng.random() < 0.85
    c, q = 10.0 ** rng.uniform(-6, 6, 2) * [signal, 1]
    module, top = (dynamics, np.sqrt(c) / q) if flow == "spectral" else (regression, c / q)
    if signal and rng.random() < 0.6:
        first, last = top * 10 ** rng.uniform(-4, -0.5), top * (1 - 10 ** rng.uniform(-5, -0.5))
    else:
        first, last = (top if signal else 1.0) * (
            1 + 10 ** np.array([rng.uniform(0.5, 3), rng.uniform(-5, 0.4)])
        )
    with mpmath.workdps(50):
        c_, q_, s0, s = mpf(c), mpf(q), mpf(first), mpf(last)
        if flow == "spectral":
            speed, stop = (
                (lambda x: 4 * depth * x ** (3 - mpf(2) / depth) * (c_ - (q_ * x) ** 2)),
                mpmath.sqrt(c_) / q_,
            )
        else:
            speed, stop = (lambda x: depth * x ** (2 - mpf(2) / depth) * (c_ - q_ * x)), c_ / q_
        time = elapsed(speed, s0, s, stop)
        moved = [float(abs(x / speed(x))) for x in (s0, s)]
        time = float(time)
    seen = float(module.time_to_weight(last, first, c, q, depth))
    assert abs(seen - time) <= 8 * eps * (time + sum(moved))
    # As far as the time tells the weight, to first order.
    relative = eps * (1 + (time + moved[0]) / moved[1])
    if relative < 1e-8:
        assert float(module.weight_at_time(time, first, c, q, depth)) == pytest.approx(
            last, rel=8 * relative
        )


def amplitudes(w, b, phi):
    a = [phi]
    for v, cut in zip(w, b, strict=True):
        a.append(v * a[-1] - cut)
    return a


def magnification(w, first, b, phi):
    """How many times a rounding is magnified where thresholds are subtracted, and weights are what
    is left of a difference.
    """
    a = amplitudes(w, b, phi)
    cut = np.prod(
        [float((v * below + c) / above) for v, c, below, above in zip(w, b, a, a[1:], strict=False)]
    )
    return cut * max(
        [
            1.0,
            *(
                float((w[1] ** 2 + first[1] ** 2 + u**2) / v**2)
                for u, v in zip(first[2:], w[2:], strict=True)
            ),
        ]
    )


@by_seed(4)
def test_threshold_law_and_times(seed, eps):
    """All weights of a network integrated by Taylor series at twenty digits: the amplitudes of all
    layers at that of the last, and when.
    """
    rng = np.random.default_rng(seed)
    depth = seed % 4 + 1
    while True:
        w, b = rng.uniform(0.4, 1.6, depth), rng.uniform(0, 0.3, depth) * (rng.random(depth) < 0.8)
        b[2:-1] = 0
        phi, rho = rng.uniform(0.5, 2), rng.choice([0, rng.uniform(0.05, 1)])
        if min(amplitudes(w, b, phi)) > 0.02:
            break
    with mpmath.workdps(20):
        cuts, phi_, rho_, time = (
            [mpf(x) for x in b],
            mpf(phi),
            mpf(rho),
            mpf(rng.uniform(0.05, 0.25)),
        )

        def slopes(w):
            """Of the last amplitude in each weight."""
            a, above, found = amplitudes(w, cuts, phi_), mpf(1), []
            for v, below in zip(reversed(w), reversed(a[:-1]), strict=True):
                found.append(above * below)
                above *= v
            return a[-1], found[::-1]

        def field(_, w):
            last, slope = slopes(w)
            return [4 * last * (rho_ - last**2) * x for x in slope]

        first = [mpf(x) for x in w]
        then = mpmath.odefun(field, 0, first)(time)
        # How long the last amplitude takes to change by itself.
        pace = 0.0
        for weights in (first, then):
            last, slope = slopes(weights)
            pace += float(1 / abs(4 * (rho_ - last**2) * sum(x**2 for x in slope)))
        want = np.array(amplitudes(then, cuts, phi_)[1:], float)
        magnified = max(magnification(x, first, cuts, phi_) for x in (first, then))
    given = want[-1:], w[:, None], b[:, None], np.array([phi])
    np.testing.assert_allclose(
        np.asarray(threshold_law(*given))[:, 0], want, rtol=16 * eps * magnified
    )
    assert abs(float(threshold_time(*given, np.array([rho]))[0]) - time) <= 16 * eps * magnified * (
        float(time) + pace
    )


@by_seed(8)
def test_class_and_subclass_weights(seed, eps):
    """The direction S^(-1) mu from the moments of the four groups, over twelve decades of strength
    and noise.
    """
    rng = np.random.default_rng(seed)
    phi, sigma, r, depth = (
        10 ** rng.uniform(-6, 6, 2),
        10 ** rng.uniform(-6, 6, 2),
        rng.uniform(-0.99, 0.99),
        3,
    )
    with mpmath.workdps(DIGITS):
        second, mean = mpmath.diag([mpf(x) ** 2 for x in sigma]), mpmath.matrix(2, 1)
        for y, z in itertools.product((-1, 1), repeat=2):
            x = mpmath.matrix([y * mpf(phi[0]), z * mpf(phi[1])])
            share = (1 + mpf(r) * y * z) / 4
            second, mean = second + share * x * x.T, mean + share * y * x
        u = mpmath.lu_solve(second, mean)
        size = mpmath.norm(u)
        want = [
            [float(abs(x) / size * size ** (mpf(level) / depth)) for x in u]
            for level in range(1, depth + 1)
        ]
    # 1 - r^2 loses what it cancels; a power multiplies its exponent's rounding by the logarithm of
    # the size.
    relative = 16 * eps * (1 / (1 - r**2) + abs(float(mpmath.log(size))))
    np.testing.assert_allclose(subclass_weights(phi, sigma, r, depth), want, rtol=relative)

"""Probes: their optimum is that of independent solvers, it transforms as its problem does, and what
cannot be fitted is said.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC

from projhead_theory.probes import HardMargin, Logistic, NearestMean, Ridge, SoftMargin, Status

PROBES = {
    "hard": HardMargin(),
    "hard, intercept": HardMargin(intercept=True),
    "soft": SoftMargin(0.7),
    "soft, intercept": SoftMargin(0.7, intercept=True),
    "ridge": Ridge(0.3),
    "ridge, intercept": Ridge(0.3, intercept=True),
    "logistic": Logistic(0.3),
    "logistic, intercept": Logistic(0.3, intercept=True),
    "nearest mean": NearestMean(),
}
MARGINS = ("hard", "soft")
SHAPES = [(8, 3), (6, 20), (12, 1), (5, 5)]
# A tolerance of 1e-9 on objectives leaves about its root in a minimiser, and the scale of the data.
HOST = 1e-6


def tolerance(name, eps):
    """What the probe's solver leaves: of the host's, in float64, or of the dtype."""
    return (
        10 * HOST
        if name.startswith(MARGINS)
        else 100 * eps**0.5
        if name.startswith("logistic")
        else 1e4 * eps
    )


def separable(n, r, seed=0, classes=2):
    """Standard normal inputs, moved away from the boundaries of their classes."""
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    x = rng.standard_normal((n, r))
    if classes == 2:
        x[:, 0] = (0.3 + np.abs(x[:, 0])) * (2 * y - 1)
    else:
        x[:, :2] += 20 * np.stack(
            [np.cos(2 * np.pi * y / classes), np.sin(2 * np.pi * y / classes)], 1
        )
    return x.astype(jnp.result_type(float)), y


def overlapping(n=40, r=3, seed=0, classes=2):
    rng = np.random.default_rng(seed)
    y = np.arange(n) % classes
    return (rng.standard_normal((n, r)) + y[:, None] * 0.5).astype(jnp.result_type(float)), y


def said(readout, x):
    return np.asarray(readout(jnp.asarray(x)))


def host(readout):
    return np.asarray(readout.weights, float), np.asarray(readout.intercepts, float)


def least_distance(x, y):
    """The separator of largest margin from non-negative least squares (Lawson and Hanson's
    least-distance dual).
    """
    g = (2 * y - 1)[:, None] * x
    u, _ = scipy.optimize.nnls(
        np.concatenate([g.T, np.ones((1, len(g)))]), np.concatenate([np.zeros(x.shape[1]), [1]])
    )
    residual = np.concatenate([g.T @ u, [u.sum() - 1]])
    return -residual[:-1] / residual[-1]


@pytest.mark.parametrize("shape", SHAPES)
def test_hard_margin_is_the_least_distance_solution(shape, eps):
    x, y = separable(*shape)
    readout = HardMargin().fit(x, y)
    want = least_distance(np.asarray(x, float), y)
    np.testing.assert_allclose(
        readout.weights[0], want, atol=max(HOST, 8 * eps) * np.abs(want).max()
    )
    assert float(readout.margin[0]) == pytest.approx(
        1 / np.linalg.norm(want), rel=max(HOST, 8 * eps)
    )
    np.testing.assert_array_equal(said(readout, x), y)


def test_hard_margin_with_intercept_is_the_best_line_of_a_fine_search():
    """In two dimensions: for each direction the best margin is half the gap between the classes."""
    x, y = separable(9, 2, seed=4)
    x = x + np.asarray([3.0, -1.0], x.dtype)
    angles = np.linspace(0, 2 * np.pi, 200_001)
    along = np.asarray(x, float) @ np.stack([np.cos(angles), np.sin(angles)])
    best = ((along[y == 1].min(0) - along[y == 0].max(0)) / 2).max()
    readout = HardMargin(intercept=True).fit(x, y)
    # A search in steps of h misses a maximum by at most the slope times h: here the size of the
    # data.
    assert float(readout.margin[0]) == pytest.approx(
        best, abs=2 * np.pi / 200_000 * np.abs(along).max()
    )
    np.testing.assert_array_equal(said(readout, x), y)


@pytest.mark.x64
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("shape", SHAPES)
def test_hard_margin_satisfies_the_optimality_conditions(shape, intercept):
    """Feasible, and a combination of the inputs on the margin with non-negative coefficients (which
    sum to zero over the classes).
    """
    x, y = separable(*shape, seed=2)
    weights, offsets = host(HardMargin(intercept).fit(x, y))
    signed = (2 * y - 1)[:, None] * (
        np.concatenate([x, np.ones((len(x), 1))], 1) if intercept else x
    )
    slack = signed @ np.concatenate([weights[0], offsets])[: signed.shape[1]] - 1
    assert slack.min() > -HOST
    target = np.concatenate([weights[0], [0.0]])[: signed.shape[1]]
    on = signed[slack < 1e-4]
    _, residual = scipy.optimize.nnls(on.T, target)
    assert residual < 1e-3 * np.linalg.norm(weights)


@pytest.mark.x64
@pytest.mark.parametrize("cost", [1e-3, 0.5, 30.0])
def test_soft_margin_is_that_of_scikit_learn(cost):
    x, y = overlapping()
    reference = SVC(kernel="linear", C=cost, tol=1e-10).fit(x, y)
    readout = SoftMargin(cost, intercept=True).fit(x, y)
    np.testing.assert_allclose(
        readout.weights, reference.coef_, atol=1e-5 * np.abs(reference.coef_).max()
    )
    # Where both classes have a sample on their line, which the smallest cost does not bring about,
    # the intercept is unique.
    if cost > 0.1:
        np.testing.assert_allclose(readout.intercepts, reference.intercept_, atol=1e-5)
        assert float(readout.margin[0]) == pytest.approx(
            1 / np.linalg.norm(reference.coef_), rel=1e-5
        )


@pytest.mark.x64
@pytest.mark.parametrize("shape", [(40, 3), (10, 30)])
def test_soft_margin_without_intercept_minimises_its_objective(shape):
    """No step in any direction, and no other cost, does better by more than rounding."""
    x, y = overlapping(*shape)
    signed = (2 * y - 1)[:, None] * x
    objective = lambda v: v @ v / 2 + 0.7 * np.maximum(0, 1 - signed @ v).sum()
    found = host(SoftMargin(0.7).fit(x, y))[0][0]
    # The dual, by projected quasi-Newton, bounds the optimum from below.
    gram = signed @ signed.T
    dual = scipy.optimize.minimize(
        lambda a: (a @ gram @ a / 2 - a.sum(), gram @ a - 1),
        np.zeros(len(x)),
        jac=True,
        bounds=[(0, 0.7)] * len(x),
        method="L-BFGS-B",
    )
    assert objective(found) <= -dual.fun * (1 + 1e-6)
    rng = np.random.default_rng(0)
    assert all(
        objective(found + 1e-3 * rng.standard_normal(found.size)) >= objective(found)
        for _ in range(20)
    )


def test_soft_margin_of_a_high_cost_is_the_hard_margin(eps):
    x, y = separable(10, 4)
    hard, soft = HardMargin().fit(x, y), SoftMargin(1e4).fit(x, y)
    np.testing.assert_allclose(
        soft.weights, hard.weights, atol=1e-4 * float(jnp.linalg.norm(hard.weights))
    )
    assert float(soft.margin[0]) == pytest.approx(float(hard.margin[0]), rel=1e-4)


@pytest.mark.x64
@pytest.mark.parametrize(
    ("shape", "intercept", "classes"),
    [((40, 3), True, 2), ((10, 30), False, 2), ((40, 3), False, 3), ((10, 30), True, 3)],
)
@pytest.mark.parametrize("penalty", [1e-3, 3.0])
def test_logistic_is_that_of_scikit_learn(shape, intercept, classes, penalty, eps):
    x, y = overlapping(*shape, classes=classes)
    reference = LogisticRegression(
        C=1 / penalty, fit_intercept=intercept, solver="newton-cg", tol=1e-10
    ).fit(x, y)
    readout = Logistic(penalty, intercept).fit(x, y)
    assert readout.status == Status.fitted
    # A gradient of the root of epsilon, where the curvature is at least this share of what it is at
    # the start.
    share = penalty / (penalty + np.linalg.norm(x, 2) ** 2 / 4)
    close = max(1e-7, eps**0.5 / share)
    np.testing.assert_allclose(
        readout.weights, reference.coef_, atol=close * np.abs(reference.coef_).max()
    )
    scores, wanted = (
        np.asarray(readout.scores(jnp.asarray(x))),
        reference.decision_function(x).reshape(len(x), -1),
    )
    centred = lambda s: s - s.mean(1, keepdims=True) if classes > 2 else s
    np.testing.assert_allclose(centred(scores), centred(wanted), atol=close * np.abs(wanted).max())


@pytest.mark.x64
@pytest.mark.parametrize("shape", [(40, 3), (10, 30), (7, 7)])
@pytest.mark.parametrize("intercept", [False, True])
@pytest.mark.parametrize("classes", [2, 3])
def test_ridge_is_that_of_scikit_learn(shape, intercept, classes):
    x, y = overlapping(*shape, classes=classes)
    reference = RidgeClassifier(alpha=0.3, fit_intercept=intercept, solver="svd").fit(x, y)
    readout = Ridge(0.3, intercept).fit(x, y)
    np.testing.assert_allclose(readout.weights, np.atleast_2d(reference.coef_), atol=1e-10)
    np.testing.assert_allclose(
        readout.intercepts,
        np.broadcast_to(reference.intercept_, readout.intercepts.shape),
        atol=1e-10,
    )


@pytest.mark.parametrize("classes", [2, 4])
def test_nearest_mean_is_that_of_scikit_learn(classes):
    x, y = overlapping(60, 5, classes=classes)
    test, _ = overlapping(200, 5, seed=9)
    np.testing.assert_array_equal(
        said(NearestMean().fit(x, y), test), NearestCentroid().fit(x, y).predict(test)
    )


@pytest.mark.parametrize("name", PROBES)
@given(seed=st.integers(0, 2**31), wide=st.booleans())
def test_rotations_of_the_representation_rotate_the_readout(name, seed, wide):
    """And so leave the classes of whatever is rotated along."""
    eps = float(jnp.finfo(jnp.result_type(float)).eps)
    shape = (8, 12) if wide and not name.startswith("logistic") else (8, 3)
    x, y = separable(*shape, seed=1)
    q = np.linalg.qr(np.random.default_rng(seed).standard_normal((shape[1], shape[1])))[0].astype(
        x.dtype
    )
    plain, turned = PROBES[name].fit(x, y), PROBES[name].fit(x @ q, y)
    size = float(jnp.max(jnp.abs(plain.weights)))
    np.testing.assert_allclose(
        turned.weights @ q.T, plain.weights, atol=tolerance(name, eps) * size
    )
    np.testing.assert_allclose(
        turned.intercepts, plain.intercepts, atol=tolerance(name, eps) * size * np.abs(x).max()
    )


@pytest.mark.parametrize("name", PROBES)
def test_order_of_samples_and_names_of_classes_do_not_matter(name, eps):
    x, y = separable(8, 3, seed=3)
    order = np.random.default_rng(0).permutation(8)
    plain, shuffled, renamed = (
        PROBES[name].fit(a, b) for a, b in ((x, y), (x[order], y[order]), (x, 1 - y))
    )
    size = float(jnp.max(jnp.abs(plain.weights)))
    for other, sign in ((shuffled, 1), (renamed, -1)):
        np.testing.assert_allclose(
            sign * other.weights, plain.weights, atol=tolerance(name, eps) * size
        )
        np.testing.assert_allclose(
            sign * other.intercepts,
            plain.intercepts,
            atol=tolerance(name, eps) * size * np.abs(x).max(),
        )


@pytest.mark.parametrize("unit", [2.0**-30, 2.0**20])
def test_units_scale_the_margin_and_nothing_else(unit):
    """Hard margins and nearest means have no scale of their own; the others have it in their
    penalty or cost.
    """
    x, y = separable(8, 3)
    cases = [
        (HardMargin(True), HardMargin(True)),
        (NearestMean(), NearestMean()),
        (SoftMargin(0.5), SoftMargin(0.5 / unit**2)),
    ]
    cases += [(kind(0.5), kind(0.5 * unit**2)) for kind in (Ridge, Logistic)]
    for plain, scaled in cases:
        one, other = plain.fit(x, y), scaled.fit(x * x.dtype.type(unit), y)
        power = 1 if isinstance(plain, NearestMean) else -1
        np.testing.assert_allclose(other.weights, one.weights * unit**power, rtol=1e-4)
        if one.margin is not None:
            np.testing.assert_allclose(other.margin, one.margin * unit, rtol=1e-5)


@pytest.mark.parametrize("name", [n for n in PROBES if not n.startswith("hard")])
def test_repeating_the_samples_is_repeating_their_cost(name, eps):
    x, y = overlapping(8)
    doubled = {
        "soft": SoftMargin(0.35, "intercept" in name),
        "ridge": Ridge(0.6, "intercept" in name),
    }
    doubled |= {"logistic": Logistic(0.6, "intercept" in name), "nearest mean": NearestMean()}
    one, two = (
        PROBES[name].fit(x, y),
        doubled[name.split(",")[0]].fit(np.concatenate([x, x]), np.concatenate([y, y])),
    )
    np.testing.assert_allclose(
        two.weights, one.weights, atol=tolerance(name, eps) * float(jnp.max(jnp.abs(one.weights)))
    )


def test_repeated_samples_leave_the_hard_margin():
    x, y = separable(6, 9)
    one, two = (
        HardMargin().fit(x, y),
        HardMargin().fit(np.concatenate([x, x]), np.concatenate([y, y])),
    )
    np.testing.assert_allclose(
        two.weights, one.weights, atol=10 * HOST * float(jnp.max(jnp.abs(one.weights)))
    )


@pytest.mark.parametrize(
    ("x", "y", "intercept"),
    [
        ([[1.0], [-1.0], [2.0]], [1, 0, 0], False),
        ([[1.0], [2.0], [3.0]], [1, 0, 1], True),
        ([[1.0, 2.0], [1.0, 2.0]], [0, 1], True),
        ([[0.0, 0.0], [1.0, 1.0]], [1, 0], False),
        ([[0.0, 0.0], [0.0, 0.0]], [1, 0], True),
        ([[1.0, 1.0], [-1.0, -1.0], [1.0, -1.0], [-1.0, 1.0]], [0, 0, 1, 1], True),
    ],
)
def test_what_cannot_be_separated_is_infeasible(x, y, intercept):
    """Between two of the other class; one and the same input in both; at the origin; parity."""
    readout = HardMargin(intercept).fit(x, y, throw=False)
    assert readout.status == Status.infeasible
    assert float(readout.margin[0]) == 0
    assert not np.asarray(readout.weights).any()
    with pytest.raises(
        ValueError, match=r"^representations: got HardMargin, fit 1 of 1: No separator exists"
    ):
        HardMargin(intercept).fit(x, y)
    soft = SoftMargin(1.0, intercept).fit(x, y)
    assert soft.status == Status.fitted
    assert np.isfinite(np.asarray(soft.weights)).all()


def test_the_same_can_be_separable_with_an_intercept_alone():
    x, y = [[1.0], [2.0]], [0, 1]
    assert HardMargin().fit(x, y, throw=False).status == Status.infeasible
    readout = HardMargin(intercept=True).fit(x, y)
    np.testing.assert_allclose(
        [readout.weights[0, 0], readout.intercepts[0], readout.margin[0]], [2, -3, 0.5], rtol=1e-5
    )


def test_one_sample_of_each_class_has_its_bisector():
    x = np.asarray([[3.0, 0.0, 1.0], [1.0, 0.0, 1.0]])
    readout = HardMargin(intercept=True).fit(x, [1, 0])
    np.testing.assert_allclose(readout.weights, [[1, 0, 0]], atol=1e-6)
    np.testing.assert_allclose(readout.margin, [1], rtol=1e-6)
    np.testing.assert_allclose(readout.scores(jnp.asarray([[2.0, 5.0, -7.0]])), [[0]], atol=1e-5)


@pytest.mark.parametrize("name", PROBES)
def test_three_classes_have_a_score_each(name):
    x, y = separable(30, 4, classes=3)
    # One cone through the origin does not hold a class against the rest with few dimensions.
    if name == "hard":
        x = np.concatenate([x, np.ones((30, 1), x.dtype)], 1)
    readout = PROBES[name].fit(x, y)
    assert readout.weights.shape == (3, x.shape[1])
    assert readout.scores(jnp.asarray(x)).shape == (30, 3)
    np.testing.assert_array_equal(said(readout, x), y)
    assert float(readout.error(jnp.asarray(x), jnp.asarray(y))) == 0
    assert float(readout.error(jnp.asarray(x), jnp.asarray((y + 1) % 3))) == 1


@pytest.mark.parametrize("name", PROBES)
def test_a_batch_is_its_members(name, eps):
    """Those that cannot be separated among them."""
    probe = PROBES[name]
    xs, ys = (
        np.stack(a)
        for a in zip(separable(8, 3), overlapping(8, 3), separable(8, 3, 5), strict=True)
    )
    batch = probe.fit_many(xs, ys, throw=False)
    each = [probe.fit(x, y, throw=False) for x, y in zip(xs, ys, strict=True)]
    for name_of in ("weights", "intercepts"):
        want = np.stack([getattr(r, name_of) for r in each])
        np.testing.assert_allclose(
            getattr(batch, name_of), want, atol=tolerance(name, eps) * max(1, np.abs(want).max())
        )
    np.testing.assert_array_equal(
        batch.status == Status.fitted, [bool(r.status == Status.fitted) for r in each]
    )
    errors = jax.vmap(lambda r, x, y: r.error(x, y))(batch, jnp.asarray(xs), jnp.asarray(ys))
    np.testing.assert_array_equal(
        errors,
        [r.error(jnp.asarray(x), jnp.asarray(y)) for r, x, y in zip(each, xs, ys, strict=True)],
    )


@pytest.mark.parametrize("name", PROBES)
def test_dtype_is_that_of_the_representations(name):
    x, y = separable(8, 3)
    readout = PROBES[name].fit(x.astype(np.float32), y)
    assert readout.weights.dtype == readout.intercepts.dtype == jnp.float32
    full = PROBES[name].fit(x, y)
    np.testing.assert_allclose(
        readout.weights, full.weights, atol=5e-3 * float(jnp.max(jnp.abs(full.weights)))
    )


@pytest.mark.parametrize("name", ["ridge", "nearest mean", "logistic"])
def test_closed_forms_and_jax_run_under_jit(name, eps):
    x, y = separable(8, 3)
    run = jax.jit(lambda x, y: PROBES[name].fit(x, y, classes=2).weights)
    weights = PROBES[name].fit(x, y).weights
    np.testing.assert_allclose(
        run(jnp.asarray(x), jnp.asarray(y)),
        weights,
        atol=tolerance(name, eps) * float(jnp.max(jnp.abs(weights))),
    )


def test_a_penalty_can_be_swept_without_compiling_again(eps):
    x, y = (jnp.asarray(a) for a in overlapping(8, 3))
    penalties = jnp.asarray([0.1, 1.0, 10.0])
    swept = jax.vmap(lambda p: Ridge(p).fit(x, y, classes=2).weights)(penalties)
    np.testing.assert_allclose(
        swept, [Ridge(p).fit(x, y).weights for p in penalties], atol=1e3 * eps
    )


def test_a_fit_cut_short_has_failed():
    x, y = overlapping(8)
    assert Logistic(1e-3, max_steps=2).fit(x, y, throw=False).status == Status.failed
    with pytest.raises(ValueError, match=r"Logistic, fit 1 of 1: The solver stopped"):
        Logistic(1e-3, max_steps=2).fit(x, y)


GOOD = [[1.0, 2.0], [2.0, 1.0], [0.0, 1.0]]


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (
            lambda: HardMargin().fit([1.0, 2.0], [0, 1]),
            r"^representations: got shape \(2,\); want an array \(n, r\)",
        ),
        (
            lambda: HardMargin().fit(np.zeros((2, 0)), [0, 1]),
            r"^representations: got shape \(2, 0\)",
        ),
        (
            lambda: Ridge(1.0).fit_many(GOOD, [0, 1, 0]),
            r"^representations: got shape \(3, 2\); want an array \(B, n, r\)",
        ),
        (
            lambda: Ridge(1.0).fit([[1.0], [float("nan")]], [0, 1]),
            r"^representations: got nan at index \(1, 0\); want finite",
        ),
        (
            lambda: Ridge(1.0).fit(GOOD, [0, 1]),
            r"^labels: got shape \(2,\), dtype int\d+; want whole numbers of shape \(3,\)",
        ),
        (
            lambda: Ridge(1.0).fit(GOOD, [0.0, 1.0, 0.0]),
            r"^labels: got shape \(3,\), dtype float\d+; want whole numbers",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, -1, 1]),
            r"^labels: got -1 at index 1; want whole numbers from 0",
        ),
        (
            lambda: NearestMean().fit(GOOD, [1, 1, 1]),
            r"^labels: got only class 1; want at least two classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 0, 0]),
            r"^labels: got only class 0; want at least two classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 2, 2]),
            r"^labels: got no sample of class 1; want at least one of each of 3 classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 4, 2]),
            r"^labels: got 3 samples; want at least one sample of each of 5 classes",
        ),
        (
            lambda: NearestMean().fit(GOOD, [0, 1, 2], classes=2),
            r"^labels: got class 2; want below 2",
        ),
        (lambda: SoftMargin(0.0), r"^cost: got 0\.0; want positive"),
        (lambda: SoftMargin([1.0, 2.0]), r"^cost: got shape \(2,\); want one number"),
        (lambda: Ridge(-1.0), r"^penalty: got -1\.0; want positive"),
        (lambda: Logistic(float("inf")), r"^penalty: got inf; want positive"),
        (
            lambda: jax.jit(lambda x: HardMargin().fit(x, [0, 1, 0], classes=2).weights)(
                jnp.asarray(GOOD)
            ),
            r"^representations: got a traced",
        ),
        (
            lambda: jax.jit(lambda y: Ridge(1.0).fit(GOOD, y).weights)(jnp.asarray([0, 1, 0])),
            r"^classes: got None, of labels that are traced",
        ),
    ],
)
def test_arguments_out_of_range_are_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()

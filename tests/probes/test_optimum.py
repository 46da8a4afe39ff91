"""The optimum of every probe is that of independent solvers."""

import jax.numpy as jnp
import numpy as np
import pytest
import scipy.optimize
from helpers.probes import HOST, host, overlapping, said, separable
from sklearn.linear_model import LogisticRegression, RidgeClassifier
from sklearn.neighbors import NearestCentroid
from sklearn.svm import SVC

from projhead_theory.probes import HardMargin, Logistic, NearestMean, Ridge, SoftMargin, Status

SHAPES = [(8, 3), (6, 20), (12, 1), (5, 5)]


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

"""Closed forms of supervised networks of aligned starts, against brute force."""

import functools

import numpy as np
import pytest
from helpers.experiments import commuting
from scipy import integrate

import projhead_theory as pt


@pytest.mark.x64
@pytest.mark.parametrize(
    ("depth", "loss"),
    [(2, "contrastive"), (2, "regression"), (3, "regression"), (4, "contrastive")],
)
def test_layers_of_an_aligned_start_against_brute_force(depth, loss):
    """Layers integrated as matrices by SciPy, to 1e-10 a step, in groups whose moments commute, and
    are not diagonal.
    """
    groups = commuting()
    second, mean = np.asarray(groups.second), np.asarray(groups.class_means[1])
    vectors = np.linalg.eigh(second - 10 * np.outer(mean, mean))[1]
    times, d = np.array([0.5, 2.0, 8.0]), 3
    layers = [
        np.diag(np.full(d, 0.4 ** (1 / depth))) @ vectors.T,
        *(np.diag(np.full(d, 0.4 ** (1 / depth))) for _ in range(depth - 1)),
    ]
    # Targets along the first output that the aligned start gives the class.
    target = vectors.T @ np.outer(mean / np.linalg.norm(mean), mean)
    chain = lambda factors: functools.reduce(lambda a, b: b @ a, factors, np.eye(d))

    def flow(_, flat):
        w = flat.reshape(depth, d, d)
        end = chain(w)
        contrast = -4 * end @ np.outer(mean, mean) + 4 * end @ second @ end.T @ end @ second
        slope = contrast if loss == "contrastive" else end @ second - target
        return -np.concatenate(
            [(chain(w[i + 1 :]).T @ slope @ chain(w[:i]).T).ravel() for i in range(depth)]
        )

    run = integrate.solve_ivp(
        flow, (0, times[-1]), np.ravel(layers), "DOP853", times, rtol=1e-10, atol=1e-12
    )
    problem = (
        pt.problems.SupervisedContrastiveProblem(groups)
        if loss == "contrastive"
        else pt.problems.SupervisedProblem.signs(groups, d)
    )
    grams = pt.theory.supervised.class_grams(problem, times, 0.4, depth)
    for t in range(len(times)):
        w = run.y[:, t].reshape(depth, d, d)
        for level in range(depth):
            product = chain(w[: level + 1])
            np.testing.assert_allclose(grams[t, level], product.T @ product, atol=1e-7)


@pytest.mark.parametrize(
    "groups",
    [
        pt.problems.Groups.signs([1.0, 1.2], 0.5, [0.5]),
        pt.problems.Groups([0.5, 0.5], [[1.0, 0.0], [-0.5, 0.0]], 0.3, [1, 0]),
    ],
)
def test_no_closed_form_where_moments_do_not_commute_or_classes_are_not_opposite(groups):
    for problem in (
        pt.problems.SupervisedContrastiveProblem(groups),
        pt.problems.SupervisedProblem.signs(groups),
    ):
        assert np.isnan(pt.theory.supervised.class_grams(problem, [1.0], 0.5, 2)).all()

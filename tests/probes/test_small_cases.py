"""Readouts from samples, the reduction of wide data and the coordinates of a fit: small cases with
values known by hand.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.stats import norm

import projhead_theory as pt
from projhead_theory.probes import Logistic, Status, group_accuracy
from projhead_theory.probes._margin import reduced

KEY = jax.random.key(0)


def exact(weights):
    """A linear network of one layer, so that the layer is known."""
    return pt.DeepLinear([jnp.asarray(weights, float)])


# Readouts of groups


@pytest.mark.parametrize("blur", [0.5, 2.0])
def test_noise_of_a_read_out_is_the_blur_times_the_size_of_the_layer(blur):
    """Two classes at plus and minus one point of a line: the answer is right if Gaussian noise of
    `blur` times the distance from zero to the point does not cross zero.
    """
    line = pt.problems.Groups([0.5, 0.5], [[1.0], [-1.0]], 0.0, [1, 0])
    seen = group_accuracy(exact([[3.0]]), line, line, blur, key=KEY)
    right = norm.cdf(1 / blur)
    # Six standard errors of as many answers as are drawn for a group.
    np.testing.assert_allclose(
        seen.groups, np.full((1, 2), right), atol=6 * (right * (1 - right) / (2048 * 8)) ** 0.5
    )


def test_read_out_is_least_squares_with_a_ridge_of_the_size_of_its_noise():
    """Groups without noise of their own, in as many classes as dimensions: weights from moments
    known exactly, answers drawn by NumPy.
    """
    rng = np.random.default_rng(0)
    p, labels, blur = np.array([0.3, 0.1, 0.2, 0.4]), np.array([0, 1, 2, 0]), 0.2
    means = np.array([[0.3, 0.05, 0.0], [0.3, -0.05, 0.02], [0.25, 0.0, -0.06], [-0.2, 0.1, 0.05]])
    layer = np.array([[0.5, 0.1, 0.0], [0.0, 0.5, 0.2], [0.1, 0.0, 0.6]])
    groups = pt.problems.Groups(p, means, 0.0, labels)
    seen = group_accuracy(exact(layer), groups, groups, blur, key=KEY, samples=64_000, repeats=4)
    r, targets = means @ layer.T, 2 * np.eye(3)[labels] - 1
    second = (p[:, None] * r).T @ r
    variance = blur**2 * np.trace(second)
    weights = np.linalg.solve(second + variance * np.eye(3), (p[:, None] * r).T @ targets)
    shown = r[:, None] + variance**0.5 * rng.standard_normal((4, 200_000, 3))
    want = ((shown @ weights).argmax(2) == labels[:, None]).mean(1)
    # Six standard errors, of 0.0025 from the answers and the drawn shares of the groups, which move
    # the weights; and a third more.
    np.testing.assert_allclose(seen.groups[0], want, atol=0.02)


def test_standard_errors_of_two_read_outs_are_half_their_difference():
    """The mean more or less the error is a whole number of right answers: of a group, and of all
    inputs on average.
    """
    groups = pt.problems.Groups.signs([1.0, 0.7, 0.8], [0.5, 0.9, 0.4], [0.0, 0.0])
    network, each = pt.DeepLinear.init(KEY, (3, 3, 2)), 50
    seen = group_accuracy(network, groups, groups, 0.7, key=KEY, samples=8 * each, repeats=2)
    assert (np.asarray(seen.groups_error) > 0).sum() > 10
    for mean, error, answers in (
        (seen.groups, seen.groups_error, each),
        (seen.average, seen.average_error, 8 * each),
    ):
        for either in (mean + error, mean - error):
            right = np.asarray(either) * answers
            np.testing.assert_allclose(right, right.round(), atol=1e-3)
    lowest = np.asarray(seen.groups).argmin(1)
    np.testing.assert_array_equal(seen.worst_error, np.asarray(seen.groups_error)[[0, 1], lowest])


# Data of more dimensions than samples, for a margin


@pytest.mark.parametrize(("n", "dim"), [(2, 5), (3, 3), (5, 2)])
def test_a_margin_is_sought_in_as_many_coordinates_as_the_fewer_of_samples_and_dimensions(n, dim):
    """Of more dimensions than samples, coordinates along an orthonormal basis that gives the
    samples back; else the samples as they are.
    """
    x = np.random.default_rng(0).standard_normal((4, n, dim))
    z, basis = reduced(x)
    assert z.shape == (4, n, min(n, dim))
    assert (basis is None) == (dim <= n)
    if basis is None:
        np.testing.assert_array_equal(z, x)
    else:
        np.testing.assert_allclose(
            np.swapaxes(basis, 1, 2) @ basis, np.broadcast_to(np.eye(n), (4, n, n)), atol=1e-14
        )
        np.testing.assert_allclose(z @ np.swapaxes(basis, 1, 2), x, atol=1e-14)


# Where a logistic fit starts


@pytest.mark.x64
def test_a_logistic_fit_starts_with_steps_of_the_right_size():
    """Of two classes all but alike the loss is quadratic, of curvature one in the coordinates of
    the fit, so that a step down its gradient all but ends it. Three steps do; to take the curvature
    for one and a half times or twice what it is needs more than seven.
    """
    points = np.random.default_rng(0).standard_normal((5, 3))
    x = np.concatenate([np.repeat(points, 200, 0), points])
    labels = np.concatenate([np.arange(1000) % 2, np.arange(5) % 2])
    assert bool(Logistic(1e-3, max_steps=4).fit(x, labels, throw=False).status == Status.fitted)

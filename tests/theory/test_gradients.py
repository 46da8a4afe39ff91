"""Gradients of closed forms that are found by bisection or from spectra, against central
differences, at ties as well.
"""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import some
from jax.flatten_util import ravel_pytree

from projhead_theory import theory
from projhead_theory.moments import TargetMoments
from projhead_theory.problems import Downstream

pytestmark = pytest.mark.x64

W = np.array([[1.1, 0.9, 1.5], [0.8, 1.2, 1.0], [1.0, 0.7, 1.2], [0.9, 1.1, 0.8]])
CUTS = np.array([[0.1, 0.2, 0.05], [0.05, 0.1, 0.2], [0.0, 0.0, 0.0], [0.02, 0.1, 0.1]])
PHI, RHO = np.array([1.0, 1.4, 0.8]), np.array([0.16, 0.3, 0.25])
MIXED = np.array(
    [[1.0, 0.3, -0.2, 0.1], [0.2, 0.8, 0.4, 0.0], [-0.1, 0.5, 1.2, 0.3], [0.4, 0.0, -0.3, 0.9]]
)
STRENGTH = np.array([0.8, 1.3, 0.6, 1.0])


def thresholded(depth, end=None):
    """The start of a thresholded network; and an amplitude of its last layer, half of the way to an
    end if there is one.
    """
    given = {
        "weights": W[:depth],
        "thresholds": np.array([CUTS[0], *CUTS[1 : depth - 1], CUTS[3]]),
        "strength": PHI,
    }
    last = PHI
    for weight, cut in zip(given["weights"], given["thresholds"], strict=True):
        last = weight * last - cut
    return given | {"last": last / 2 if end is None else (last + end) / 2}


@functools.cache
def margin(find):
    """Samples or error of the separator of largest margin, whose label is the first feature."""

    def value(layer, strength, given):
        first = jnp.zeros_like(strength).at[0].set(1 / strength[0])
        return find(layer.T @ layer, Downstream(jnp.diag(strength**2), first), given)

    return value


@functools.cache
def regression(width, depth=2):
    """Map, layers, weights and loss of the minimiser of regression."""

    def value(target, second):
        found = theory.supervised.regression_minimiser(
            TargetMoments(target, (second + second.T) / 2, 100.0), depth, width
        )
        return found.matrix, found.grams, found.weights, found.loss

    return value


def tied(correlations, inputs):
    """Targets of these correlations, with random frames, for inputs of this second moment."""
    rng = np.random.default_rng(0)
    u, v = (np.linalg.qr(rng.standard_normal((n, len(correlations))))[0] for n in (3, len(inputs)))
    values, q = np.linalg.eigh(inputs)
    return {"target": u * correlations @ v.T @ (q * np.sqrt(values)) @ q.T, "second": inputs}


def limit(last, **given):
    return theory.thresholds.threshold_limit(**given)


def crossing(noise, strength):
    """The strength of a feature at which the layers before and after the head are equally good."""

    def gap(s):
        phi = jnp.stack([strength[0], s, strength[2]])
        return theory.downstream.feature_complexity(phi / (phi**2 + noise**2), phi, 1).margin(3)

    return theory.downstream.boundary(gap, jnp.asarray(0.8), jnp.asarray(9.0))


SECOND = np.array(
    [[1.5, 0.3, -0.2, 0.1], [0.3, 0.9, 0.1, 0.0], [-0.2, 0.1, 0.7, 0.2], [0.1, 0.0, 0.2, 1.1]]
)
CASES = {
    "margin samples": (
        margin(theory.downstream.margin_samples),
        {"layer": MIXED, "strength": STRENGTH, "given": 0.15},
    ),
    "margin samples, tied": (
        margin(theory.downstream.margin_samples),
        {"layer": np.eye(4), "strength": np.ones(4), "given": 0.2},
    ),
    "margin error": (
        margin(theory.downstream.margin_error),
        {"layer": MIXED, "strength": STRENGTH, "given": 2.5},
    ),
    **{
        f"threshold law, depth {n}": (theory.thresholds.threshold_law, thresholded(n))
        for n in (2, 3, 4)
    },
    **{f"threshold limit, depth {n}": (limit, thresholded(n) | {"rho": RHO}) for n in (2, 4)},
    **{
        f"threshold speed, depth {n}": (theory.thresholds.threshold_speed, thresholded(n))
        for n in (2, 4)
    },
    **{
        f"threshold time, depth {n}": (
            theory.thresholds.threshold_time,
            thresholded(n, np.sqrt(RHO)) | {"rho": RHO},
        )
        for n in (2, 4)
    },
    "threshold time, no signal": (
        lambda **given: theory.thresholds.threshold_time(**given, rho=jnp.zeros(3)),
        thresholded(2),
    ),
    "threshold of a margin": (
        crossing,
        {"noise": np.array([0.3, 0.3, 0.5]), "strength": np.array([1.0, 1.0, 0.6])},
    ),
    "best layer": (
        lambda weights, strength: theory.downstream.feature_complexity(weights, strength, 1).best,
        {"weights": np.array([1.5, 0.9, 0.4]), "strength": np.array([0.7, 1.0, 1.6])},
    ),
    "best ratio of a head": (
        lambda weights, strength: theory.heads.best_kappa(weights, strength, 1),
        {"weights": np.array([1.1, 0.9, 0.8]), "strength": np.array([0.7, 1.0, 0.4])},
    ),
    "regression": (regression(3), tied([0.9, 0.6, 0.3], SECOND)),
    "regression, all tied": (regression(3), tied([0.6, 0.6, 0.6], SECOND)),
    "regression, tied above the cut": (regression(2), tied([0.6, 0.6, 0.2], SECOND)),
    "regression, tied below the cut": (regression(1), tied([0.6, 0.2, 0.2], SECOND)),
    "regression, inputs alike": (regression(2), tied([0.6, 0.6, 0.2], np.eye(4))),
}


@functools.cache
def graded(function):
    """A mixture of all values, and its gradient."""
    mix = np.random.default_rng(2).uniform(0.5, 1.5, 100)

    def value(given):
        out = ravel_pytree(function(**given))[0]
        return jnp.vdot(mix[: out.size], out)

    return jax.jit(jax.value_and_grad(value))


@pytest.mark.parametrize("name", some(CASES, *range(0, len(CASES), 2), kind="slow"))
def test_gradient_is_that_of_central_differences(name):
    """Along a random direction of all arguments."""
    function, given = CASES[name]
    point, restore = ravel_pytree(jax.tree.map(jnp.asarray, given))
    direction = jnp.asarray(np.random.default_rng(1).standard_normal(point.size))
    at = lambda h: graded(function)(restore(point + h * direction))
    own, gradient = at(0.0)
    slope = float(jnp.vdot(ravel_pytree(gradient)[0], direction))

    difference = lambda h: float(at(h)[0] - at(-h)[0]) / (2 * h)
    h = 1e-3
    wide, narrow = difference(h), difference(h / 2)
    # The error of the narrow difference is a third of its distance from the wide one, to leading
    # order, and the rounding of the values over the step: 1e3 eps of them, as conditions of the
    # problems are below a hundred.
    error = abs(narrow - wide) + 2 / h * 1e3 * float(jnp.finfo(float).eps) * abs(float(own))
    assert error < 1e-4 * abs(narrow)
    assert abs(slope - narrow) <= error

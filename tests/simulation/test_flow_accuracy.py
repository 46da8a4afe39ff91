"""Gradient flow ends where the closed form says, at every layer, on moments that do not commute."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.problems import random_moments

pytestmark = pytest.mark.x64

DIM = 8
FRACTIONS = np.linspace(0.92, 0.24, DIM)


def discrepancies(prediction, trajectory):
    """Relative Gram discrepancy of every layer, and the gap to the minimal loss."""
    grams = trajectory.grams[-1]
    relative = jnp.linalg.norm(grams - prediction.grams, axis=(1, 2)) / jnp.linalg.norm(
        prediction.grams, axis=(1, 2)
    )
    return np.asarray(relative), abs(float(trajectory.loss[-1] - prediction.loss))


def deep(*values):
    return pytest.param(*values, marks=pytest.mark.deep)


@pytest.mark.parametrize(
    ("width", "depth"),
    [
        (3, 2),
        (8, 3),
        deep(8, 1),
        deep(12, 2),
        deep(3, 4),
        deep(3, 1),
        deep(12, 1),
        deep(8, 2),
        deep(3, 3),
        deep(12, 3),
        deep(8, 4),
        pytest.param(12, 4, marks=pytest.mark.slow),
    ],
)
def test_balanced_start(width, depth):
    """From an exactly balanced start, all Grams to 1e-5 and the loss to 1e-9, and a verdict with a
    tolerance that tells layers apart.
    """
    moments = random_moments(jax.random.key(width), FRACTIONS)
    prediction = pt.theory.layers.layerwise(moments, depth, width=width)
    network = pt.DeepLinear.balanced(jax.random.key(depth), (DIM, *(width,) * depth), scale=0.5)
    trajectory = pt.simulation.gradient_flow(network, moments)
    assert bool(trajectory.ended == pt.simulation.Ended.converged)
    relative, gap = discrepancies(prediction, trajectory)
    assert relative.max() <= 1e-5
    assert gap <= 1e-9
    verdict = pt.compare(prediction, trajectory)
    assert verdict.name == "holds", str(verdict)
    assert float(verdict.tolerance.max()) <= 1e-3


@pytest.mark.parametrize("width", [pytest.param(3, marks=pytest.mark.slow), deep(8), deep(12)])
def test_gaussian_start(width):
    """From a Gaussian start of scale 1e-3, which waits at a saddle for every mode, with the
    implicit solver.
    """
    moments = random_moments(jax.random.key(width), FRACTIONS)
    prediction = pt.theory.layers.layerwise(moments, 2, width=width)
    network = pt.DeepLinear.init(jax.random.key(2), (DIM, width, width), scale=1e-3)
    trajectory = pt.simulation.gradient_flow(
        network, moments, solver=pt.simulation.implicit(), t1=1e10, save_at=8
    )
    assert bool(trajectory.ended == pt.simulation.Ended.converged), pt.simulation.Ended[
        trajectory.ended
    ]
    relative, gap = discrepancies(prediction, trajectory)
    assert relative.max() <= 1e-5
    assert gap <= 1e-9
    assert pt.compare(prediction, trajectory).name == "holds"


@pytest.mark.slow
def test_gaussian_start_error_is_quadratic_in_the_scale():
    """The law holds up to O(scale^2): a start ten times larger is wrong by a hundred times more."""
    moments = random_moments(jax.random.key(0), FRACTIONS[::3])
    prediction = pt.theory.layers.layerwise(moments, 2)
    errors = []
    for scale in (0.2, 0.02):
        network = pt.DeepLinear.init(jax.random.key(1), (3, 3, 3), scale=scale)
        trajectory = pt.simulation.gradient_flow(network, moments)
        assert bool(trajectory.ended == pt.simulation.Ended.converged)
        relative, _ = discrepancies(prediction, trajectory)
        errors.append(relative[0])
    assert errors[0] / errors[1] == pytest.approx(100, rel=0.1)


@pytest.mark.slow
def test_singular_second_moment_is_compared_on_its_range():
    """Directions without variance keep their start for ever and are not counted against the law."""
    inner = random_moments(jax.random.key(3), FRACTIONS[:4])
    frame = jnp.linalg.qr(jax.random.normal(jax.random.key(4), (6, 4)))[0]
    moments = pt.Moments(frame @ inner.cross @ frame.T, frame @ inner.second @ frame.T)
    network = pt.DeepLinear.balanced(jax.random.key(5), (6, 3, 3), scale=0.5)
    kept = network.layers[0] @ frame @ frame.T
    restricted = pt.DeepLinear([kept, network.layers[1]])
    trajectory = pt.simulation.gradient_flow(network, moments)
    prediction = pt.theory.layers.layerwise(moments, 2, width=3)
    outside = jnp.eye(6) - frame @ frame.T
    # What lies outside the range does not move: not at all but for rounding of S.
    np.testing.assert_allclose(
        trajectory.final.layers[0] @ outside, network.layers[0] @ outside, atol=1e-10
    )
    # Of the start only what lies in the range counts; the rest unbalances it, and the verdict
    # grants as much.
    assert float(pt.measure.imbalance_norms(restricted)[0]) > 0.01
    assert pt.compare(prediction, trajectory).name in ("holds", "undecidable")
    within = pt.simulation.gradient_flow(
        pt.DeepLinear.balanced(jax.random.key(6), (4, 3, 3), scale=0.5), moments.restrict()
    )
    assert (
        pt.compare(pt.theory.layers.layerwise(moments.restrict(), 2, width=3), within).name
        == "holds"
    )

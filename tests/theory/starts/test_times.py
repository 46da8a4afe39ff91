"""Times of an aligned feature from an isotropic start: against quadrature, and against a run."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy.integrate import quad

import projhead_theory as pt
from projhead_theory.theory import dynamics, starts

pytestmark = pytest.mark.x64


@pytest.mark.parametrize(
    ("cross", "second", "total", "start", "weight"),
    [
        (1.0, 0.5, 1.0, 0.01, 1.0),
        (1.0, 0.5, 1.0, 3.0, 2.1),
        (1.0, 0.5, 1.0, 1.0, 0.01),
        (0.7, 0.9, 0.0, 0.01, 0.5),
        (0.7, 0.9, 1e-6, 0.01, 0.5),
        (0.7, 0.9, 1e4, 0.01, 0.5),
        (0.0, 0.9, 0.6, 1.0, 0.05),
        (0.0, 0.9, 0.1, 1.0, 0.5),
        (0.0, 0.9, 0.0, 1.0, 0.5),
        (0.0, 0.9, 50.0, 1.0, 0.5),
    ],
)
def test_time_is_the_integral_of_one_over_the_speed(cross, second, total, start, weight):
    speed = lambda s: 4 * s * (cross - second**2 * s**2) * np.sqrt(total**2 + 4 * s**2)
    wanted, error = quad(lambda s: 1 / speed(s), start, weight, epsabs=0, epsrel=1e-12)
    found = starts.time_to_weight(
        weight, start, cross, second, encoder=0.3 * total, head=0.7 * total
    )
    np.testing.assert_allclose(found, wanted, rtol=1e-11, atol=10 * error)


def test_without_scales_it_is_the_balanced_flow():
    weights = jnp.asarray([0.0, 0.005, 0.01, 0.3, 1.9, 2.0, 5.0])
    for start in (0.01, 3.0, 0.0):
        for cross in (1.0, 0.0):
            np.testing.assert_allclose(
                starts.time_to_weight(weights, start, cross, 0.5, encoder=0.0, head=0.0),
                dynamics.time_to_weight(weights, start, cross, 0.5, depth=2),
                rtol=1e-12,
            )


def test_values_without_a_finite_time():
    time = lambda *given: float(starts.time_to_weight(*given, encoder=1.0, head=0.5))
    assert time(2.0, 0.5, 1.0, 0.5) == np.inf
    assert time(5.0, 0.5, 1.0, 0.5) == np.inf
    assert time(0.0, 0.5, 1.0, 0.5) == -np.inf
    assert time(0.3, 0.0, 1.0, 0.5) == np.inf
    assert time(0.3, 0.3, 0.0, 0.0) == 0
    assert time(0.0, 0.3, 0.0, 0.5) == np.inf
    assert time(0.1, 0.5, 1.0, 0.5) < 0
    with pytest.raises(ValueError, match=r"^head: got -1.0"):
        starts.time_to_weight(1.0, 0.1, 1.0, 0.5, encoder=1.0, head=-1.0)


@pytest.mark.parametrize("cross", [1.0, 0.0])
def test_the_derivative_is_one_over_the_speed(cross):
    """At the end and at the start; also near a ratio at which the formula changes."""
    for weight, total in ((0.9, 0.9 - 1e-9), (0.9, 0.9 + 1e-9), (0.4, 3.0)):
        time = lambda s, w=weight, c=total: starts.time_to_weight(
            s, 1.2, cross, 0.5, encoder=c, head=0.0
        )
        speed = 4 * weight * (cross - 0.25 * weight**2) * np.sqrt(total**2 + 4 * weight**2)
        np.testing.assert_allclose(jax.grad(time)(weight), 1 / speed, rtol=1e-9)


def test_a_run_takes_these_times():
    """A network of the start law aligned with the features, in integration tolerance."""
    problem = pt.ContrastiveProblem(pt.Features([1.5, 0.8]), pt.AdditiveNoise([0.4, 0.6]))
    moments, product = problem.moments(), jnp.diag(jnp.asarray([0.02, 0.05]))
    start = pt.DeepLinear.isotropic(jax.random.key(0), (2, 4, 2), 0.7, 0.2, product=product)
    run = pt.gradient_flow(start, moments, t1=1.0, save_at=jnp.linspace(0.05, 1.0, 8))
    found = starts.time_to_weight(
        run.weights()[:-1, -1],
        jnp.diagonal(product),
        jnp.diagonal(moments.cross),
        jnp.diagonal(moments.second),
        encoder=0.7,
        head=0.2,
    )
    # Close to saturation the time has as many digits as what is left to learn.
    late = run.weights()[:-1, -1] > 0.99 * run.weights()[-1, -1]
    times = np.broadcast_to(run.times[:-1, None], found.shape)
    assert (~late).sum() >= 4
    np.testing.assert_allclose(found[~late], times[~late], rtol=1e-8)

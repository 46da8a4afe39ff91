"""`gaussian-start`: near misses of its formula, and the symmetry that its training relies on."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.misses import Transformation, predicting

import projhead_theory as pt
from projhead_theory.theorems._common.tasks import replace
from projhead_theory.theorems.starts import gaussian_start
from projhead_theory.theory.starts import Start

# Near misses of h^(-1/2), a = h var(W_1), b = h var(W_2)


def exponent(value: float) -> Transformation:
    return predicting(
        lambda problem, own: replace(own, exponent=jnp.asarray(value, own.exponent.dtype))
    )


def scaled(encoder: float, head: float) -> Transformation:
    return predicting(
        lambda problem, own: replace(
            own, start=Start(encoder * own.start.encoder, head * own.start.head)
        )
    )


MISSES = {
    "h^-1": exponent(-1.0),
    "h^0": exponent(0.0),
    "h^(-1/4)": exponent(-0.25),
    "h^(-3/4)": exponent(-0.75),
    "the balanced law": scaled(0.0, 0.0),
    "twice the variance of the encoder": scaled(2.0, 1.0),
    "half the variance of the head": scaled(1.0, 0.5),
    "variance d / h of the encoder": scaled(gaussian_start.DIM, 1.0),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 2.04e-05,
    "sampling": 0.276,
    "second order": 0.337,
}


@pytest.mark.x64
def test_a_network_of_the_triangular_factor_has_the_grams_of_the_wide_one():
    """At all times: gradient flow commutes with rotations of the hidden units."""
    problem = replace(
        gaussian_start.random_start(jax.random.key(0)), tied=jnp.zeros(()), t1=jnp.asarray(2.0)
    )
    entries = np.random.default_rng(0).standard_normal((64, 7)) / 8
    factor = np.linalg.cholesky(entries.T @ entries).T
    networks = [
        pt.DeepLinear([jnp.asarray(x[:, :4]), jnp.asarray(x[:, 4:].T)]) for x in (entries, factor)
    ]
    wide, narrow = (
        pt.gradient_flow(n, problem.moments, t1=2.0, save_at=4, stationarity=0.0) for n in networks
    )
    np.testing.assert_allclose(wide.grams, narrow.grams, atol=1e-10)


@pytest.mark.x64
def test_frames_have_the_variances_and_the_correlation_of_the_layers():
    """Products of columns of a factor are means over the hidden units, off by their root."""
    problem = replace(gaussian_start.random_start(jax.random.key(0)), tied=jnp.asarray(0.5))
    factor = gaussian_start.frames(problem, jax.random.key(1))[-1]
    wanted = np.eye(7)
    for j in range(3):
        wanted[j, 4 + j] = wanted[4 + j, j] = 0.5
    slack = 6 * 2**0.5 / gaussian_start.WIDTHS[-1] ** 0.5
    assert (np.abs(factor.T @ factor - wanted) < slack).all()

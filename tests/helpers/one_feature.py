"""One feature of cross moment `C` and root second moment `Q`: closed times to fifty digits."""

import functools

import jax
import jax.numpy as jnp
import mpmath
import numpy as np
from mpmath import mpf

from helpers.draws import cast
from projhead_theory.theory import dynamics

C, Q = 0.7, 1.3
TOP = np.sqrt(C) / Q


def antiderivative(s, c, q, depth):
    """4L times the time, up to a constant, at the working precision: hypergeometric below
    saturation, its mirror image above.
    """
    s, c, q = mpf(s), mpf(c), mpf(q)
    a = 3 - mpf(2) / depth
    p = (q * s) ** 2 / c if c else mpmath.inf
    if depth == 1 and c:
        return (mpmath.log(s) - mpmath.log(abs(c - (q * s) ** 2)) / 2) / c
    if p > 1:
        return s ** (-1 - a) / (q**2 * (1 + a)) * mpmath.hyp2f1(1, (1 + a) / 2, (3 + a) / 2, 1 / p)
    return s ** (1 - a) / ((1 - a) * c) * mpmath.hyp2f1(1, (1 - a) / 2, (3 - a) / 2, p)


def exact_time(s, s0, c, q, depth):
    return (antiderivative(s, c, q, depth) - antiderivative(s0, c, q, depth)) / (4 * depth)


def speed(s, c, q, depth):
    return 4 * depth * s ** (3 - 2 / depth) * (c - q**2 * s**2)


LANES = 256


def lanes(function, first, start, cross, second, depth):
    """The function at these points, in batches of one size, so that each depth is compiled once for
    all tests.
    """
    columns = [np.ravel(x) for x in np.broadcast_arrays(first, start, cross, second)]
    padded = [np.resize(x, (-(-x.size // LANES), LANES)) for x in columns]
    values = [function(*(cast(x) for x in batch), depth) for batch in zip(*padded, strict=True)]
    return np.concatenate([np.asarray(v) for v in values])[: columns[0].size]


def check(seen, want, slack):
    """Relative errors within `slack`, entry by entry."""
    seen, want = np.asarray(seen, np.float64), np.asarray(want, np.float64)
    assert np.isfinite(seen).all()
    excess = np.abs(seen - want) / (np.abs(want) * slack)
    assert excess.max() <= 1, (excess.max(), np.argmax(excess))


INF = float("inf")


@functools.cache
def everything(depth):
    """All three functions of the time at once, and their derivatives in all arguments, compiled
    once.
    """

    def stacked(x):
        functions = (dynamics.weight_at_time, dynamics.saturation_gap, dynamics.layer_weights)
        return jnp.concatenate([jnp.atleast_1d(function(*x, depth)) for function in functions])

    return jax.jit(jax.jacrev(stacked))


@functools.cache
def slopes_of_time(depth):
    return jax.jit(jax.grad(lambda x: dynamics.time_to_weight(*x, depth)))

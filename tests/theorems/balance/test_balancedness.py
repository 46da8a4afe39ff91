"""`balancedness`: near misses of its formula."""

from collections.abc import Callable
from typing import Any

import jax.numpy as jnp
from helpers import misses
from helpers.misses import Transformation

# Near misses of W_(l+1)^T W_(l+1) - W_l W_l^T


def conserving(quantity: Callable[[Any, Any], Any]) -> Transformation:
    """The claim that another function of two neighbouring layers, below and above, is conserved."""
    pairs = lambda network: tuple(
        quantity(b, a) for b, a in zip(network.layers, network.layers[1:], strict=False)
    )
    return misses.conserving(pairs)


def padded(a, b):
    """The difference of two square matrices, the smaller one with zero rows and columns."""
    n = max(a.shape[0], b.shape[0])
    grow = lambda x: jnp.pad(x, (0, n - x.shape[0]))
    return grow(a) - grow(b)


MISSES = {
    "plus for minus": conserving(lambda below, above: above.T @ above + below @ below.T),
    "2 W W^T": conserving(lambda below, above: above.T @ above - 2 * below @ below.T),
    "half of W W^T": conserving(lambda below, above: above.T @ above - below @ below.T / 2),
    "both products transposed": conserving(
        lambda below, above: padded(above @ above.T, below.T @ below)
    ),
    "upper product transposed": conserving(lambda below, above: above @ above.T - below @ below.T),
    "sum of the norms": conserving(
        lambda below, above: (jnp.sum(above**2) + jnp.sum(below**2))[None, None]
    ),
    "norm of the upper layer": conserving(lambda below, above: jnp.sum(above**2)[None, None]),
    "weights, not their squares": conserving(lambda below, above: above - below[:, :4]),
}

# Each part of the tolerance as a share of the effect

PARTS = {
    "integration": 7.87e-14,
    "rounding": 4.69e-14,
}

"""The power law of layers: layer $l$ of $L$ has the power $l/L$ of the last one."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .linalg import psd_power


def layer_shares(depth: int, dtype: Any) -> Float[Array, " L"]:
    r"""The exponents $l/L$ of the layers $l = 1, \dots, L$."""
    return jnp.arange(1, depth + 1, dtype=dtype) / depth


def layer_powers(last: Float[Array, "..."], depth: int) -> Float[Array, "... L"]:
    """Weights of all layers, on a new last axis, from the weights of the last layer.

    The root at zero has no derivative: a weight of zero keeps derivative zero.
    """
    last = last[..., None]
    return jnp.where(last > 0, jnp.where(last > 0, last, 1) ** layer_shares(depth, last.dtype), 0)


def gram_powers(
    last: Float[Array, "d d"], kept: Int[Array, ""], depth: int
) -> Float[Array, "L d d"]:
    """Grams of all layers, from the Gram of the last layer and the number of its kept modes.

    The last Gram is returned as it came.
    """
    shares = layer_shares(depth, last.dtype)[:-1]
    return jnp.concatenate([jax.vmap(lambda t: psd_power(last, t, kept))(shares), last[None]])

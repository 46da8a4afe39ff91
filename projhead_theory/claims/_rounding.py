"""What rounding alone does to an imbalance."""

import jax.numpy as jnp
from jaxtyping import Array

from ..networks import DeepLinear


def largest(networks: DeepLinear) -> Array:
    r"""The largest $\|W_l\|_F^2$, over the layers and, if the networks are stacked, over the stack."""
    return jnp.max(jnp.stack([jnp.max(jnp.sum(w * w, axis=(-1, -2))) for w in networks.layers]))


def imbalance_rounding(networks: DeepLinear, events: int = 1) -> Array:
    """Each of so many updates and products rounds an imbalance by a few epsilon, times inner dimension, times squared norm."""
    size = largest(networks)
    return 8 * max(networks.sizes) * jnp.finfo(size.dtype).eps * size * events

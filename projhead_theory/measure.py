r"""What a trained network weights, layer by layer, read off the network alone."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from ._spectra import frobenius, matmul
from .networks import LinearNetwork


def layer_grams(network: LinearNetwork) -> Float[Array, "L d d"]:
    r"""$M_l = W_{l:1}^\top W_{l:1}$ for every layer, and last, if there is a fixed head, that after it."""
    return jnp.stack([matmul(w.T, w) for w in network.products()])


def layer_weights(network: LinearNetwork, directions: Float[Array, "d k"] | None = None) -> Float[Array, "L k"]:
    r"""Weight of each feature direction at each layer, $\|W_{l:1} v_i\|$; the coordinate axes if no directions are given."""
    products = network.products()
    images = products if directions is None else [matmul(w, directions) for w in products]
    return jnp.stack([jnp.sqrt(jnp.sum(w * w, axis=0)) for w in images])


def imbalance(network: LinearNetwork) -> tuple[Float[Array, "..."], ...]:
    r"""$D_l = W_{l+1}^\top W_{l+1} - W_l W_l^\top$ for $l = 1, \dots, L-1$; balanced means that all are zero."""
    pairs = zip(network.layers, network.layers[1:], strict=False)
    return tuple(matmul(above.T, above) - matmul(below, below.T) for below, above in pairs)


def imbalance_norms(network: LinearNetwork) -> Float[Array, " J"]:
    r"""$\|D_l\|_F$ for $l = 1, \dots, L-1$ (empty at depth 1)."""
    dtype = network.layers[0].dtype
    return jnp.asarray([frobenius(d) for d in imbalance(network)], dtype)

r"""What a trained network weights, layer by layer, read off the network alone."""

import jax.numpy as jnp
from jaxtyping import Array, Float

from . import _checks
from ._spectra import frobenius, matmul
from .networks import LinearNetwork, Network, ShallowThresholded, ThresholdedDiagonal
from .problems import Downstream


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


def sample_complexity(network: LinearNetwork, downstream: Downstream) -> Float[Array, " L"]:
    r"""Squared radius over squared margin of the separator of least norm on each layer: $\mathrm{tr}(W S' W^\top)\, \|v\|^2$
    with $W = W_{l:1}$ and $v$ the shortest that gives the target, $W^\top v = \beta$ wherever downstream inputs vary.

    By a singular value decomposition of the layer itself; nothing of a closed form enters. Infinite where no $v$ does.

    **Raises:** `ValueError` if the dimensions differ.
    """
    if network.sizes[0] != downstream.dim:
        raise _checks.bad("downstream", f"dimension {downstream.dim}", f"the network's inputs, {network.sizes[0]}")
    spread, v = jnp.linalg.eigh(downstream.second)
    inside = spread > downstream.dim * jnp.finfo(spread.dtype).eps * spread[-1]
    p = jnp.where(jnp.all(inside), jnp.eye(downstream.dim, dtype=v.dtype), matmul(jnp.where(inside, v, 0), v.T))
    target = matmul(p, downstream.target[:, None])[:, 0]
    products = network.products()
    radius = jnp.stack([jnp.sum(matmul(w, downstream.second) * w) for w in products])
    norm = jnp.stack([_separator(matmul(w, p), target) for w in products])
    return jnp.where(jnp.isfinite(norm), radius * jnp.where(jnp.isfinite(norm), norm, 1), jnp.inf)


def _separator(layer: Array, target: Array) -> Array:
    """The squared norm of the shortest separator."""
    eps = max(layer.shape) * jnp.finfo(layer.dtype).eps
    _, sizes, directions = jnp.linalg.svd(layer, full_matrices=False)
    kept = sizes > eps * sizes[0]
    along = jnp.where(kept, jnp.sum(directions * target, axis=1), 0)
    missed = target - jnp.sum(along[:, None] * directions, axis=0)
    # What the rounding of the vectors may leave: that of the layer, over the least singular value kept.
    slack = 8 * eps * sizes[0] / jnp.min(jnp.where(kept, sizes, jnp.inf))
    lost = jnp.sum(missed**2) > slack**2 * jnp.sum(target**2)
    return jnp.where(lost | ~kept[0], jnp.inf, jnp.sum((along / jnp.where(kept, sizes, 1)) ** 2))


def homogeneity(network: Network) -> tuple[Float[Array, " p"], ...]:
    r"""$\|\text{weights into unit } k\|^2 + b_k^2 - \|\text{weights out of it}\|^2$ for the units of every layer but the last; $b_k$ only
    where thresholds are trained. Of a linear network it is the diagonal of the imbalance, less its sign.
    """
    if isinstance(network, ThresholdedDiagonal):
        cuts = tuple(network.thresholds) if network.trained else ()
    else:
        cuts = network.thresholds if isinstance(network, ShallowThresholded) and network.trained else ()
    result = []
    for level, (below, above) in enumerate(zip(network.layers, network.layers[1:], strict=False)):
        kept = jnp.sum(below**2, axis=1) - jnp.sum(above**2, axis=0)
        result.append(kept + cuts[level] ** 2 if cuts else kept)
    return tuple(result)

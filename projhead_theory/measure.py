r"""What a trained network weights, layer by layer, read off the network alone."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from . import _checks
from ._spectra import frobenius, matmul
from .networks import LinearNetwork
from .problems import Downstream, Groups


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


def group_accuracy(network: LinearNetwork, fitted: Groups, tested: Groups, blur: Float[Array, ""] | float = 0.1) -> Float[Array, "L G"]:
    r"""Accuracy on each group of `tested` of the least-squares read-out of each layer, fitted on the two classes of `fitted` when every
    coordinate of the layer is read with Gaussian noise of `blur` times the root mean square length of the layer.

    From the layers and the moments of the groups, exactly; nothing of a closed form for a Gram enters.

    **Raises:** `ValueError` for dimensions that differ, other than two classes, or a blur that is not positive.
    """
    noise = _checks.positive("blur", blur).astype(network.layers[0].dtype)
    for name, groups in (("fitted", fitted), ("tested", tested)):
        if groups.classes != 2:
            raise _checks.bad(name, f"{groups.classes} classes", "two classes")
        if groups.dim != network.sizes[0]:
            raise _checks.bad(name, f"dimension {groups.dim}", f"the network's inputs, {network.sizes[0]}")
    side = jnp.asarray([-1, 1], noise.dtype)
    rows = []
    for layer in network.products():
        seen, shown = matmul(fitted.means, layer.T), matmul(tested.means, layer.T)
        spread = matmul(layer * fitted.noise**2, layer.T) + matmul(seen.T, fitted.probability[:, None] * seen)
        added = noise**2 * jnp.trace(spread)
        v = jnp.linalg.solve(
            spread + jnp.where(added > 0, added, 1) * jnp.eye(len(layer), dtype=noise.dtype),
            jnp.sum((fitted.probability * side[fitted.labels])[:, None] * seen, axis=0),
        )
        across = jnp.sum((matmul(layer.T, v[:, None])[:, 0] * tested.noise) ** 2) + added * jnp.sum(v**2)
        scores = side[tested.labels] * matmul(shown, v[:, None])[:, 0]
        rows.append(jax.scipy.stats.norm.cdf(jnp.where(across > 0, scores / jnp.sqrt(jnp.where(across > 0, across, 1)), 0)))
    return jnp.stack(rows)

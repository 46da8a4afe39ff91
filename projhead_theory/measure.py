"""Layer-by-layer feature weights of a trained network, measured on the network alone."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ._core import checks
from ._core.linalg import explained, frobenius, matmul, whiten
from .networks import AbstractLinearNetwork, AbstractNetwork
from .problems import ContrastiveProblem, Downstream, Groups


def layer_grams(network: AbstractLinearNetwork) -> Float[Array, "L d d"]:
    r"""Gram $M_l = W_{l:1}^\top W_{l:1}$ of every layer, and of the output of a fixed head last."""
    return jnp.stack([matmul(w.T, w) for w in network.products()])


def layer_weights(
    network: AbstractLinearNetwork, directions: Float[Array, "d k"] | None = None
) -> Float[Array, "L k"]:
    r"""Weight $\|W_{l:1} v_i\|$ of each feature direction at each layer.

    The directions $v_i$ are the coordinate axes if none are given.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear.aligned(jnp.eye(2), [4.0, 1.0], (2, 2, 2))
        >>> np.round(pt.measure.layer_weights(network), 3)
        Array([[2., 1.],
               [4., 1.]], dtype=float64)

        ```
    """
    products = network.products()
    images = products if directions is None else [matmul(w, directions) for w in products]
    return jnp.stack([jnp.sqrt(jnp.sum(w * w, axis=0)) for w in images])


def imbalance(network: AbstractNetwork) -> tuple[Float[Array, "..."], ...]:
    r"""Imbalance $D_l = W_{l+1}^\top W_{l+1} - W_l W_l^\top$ for $l = 1, \dots, L-1$.

    A network is balanced if all are zero.
    """
    pairs = zip(network.layers, network.layers[1:], strict=False)
    return tuple(matmul(above.T, above) - matmul(below, below.T) for below, above in pairs)


def imbalance_norms(network: AbstractNetwork) -> Float[Array, " J"]:
    r"""Frobenius norms $\|D_l\|_F$ of the imbalance for $l = 1, \dots, L-1$ (empty at depth 1).

    !!! example

        ```pycon
        >>> scaled = jnp.diag(jnp.asarray([2.0, 1.0]))
        >>> np.round(pt.measure.imbalance_norms(pt.DeepLinear([scaled, jnp.eye(2)])), 3)
        Array([3.], dtype=float64)
        >>> np.round(pt.measure.imbalance_norms(pt.DeepLinear([scaled, scaled])), 3)
        Array([0.], dtype=float64)

        ```
    """
    dtype = network.dtype
    return jnp.asarray([frobenius(d) for d in imbalance(network)], dtype)


def sample_complexity(network: AbstractLinearNetwork, downstream: Downstream) -> Float[Array, " L"]:
    r"""Squared radius over squared margin of the separator of least norm on each layer.

    $$\mathrm{tr}(W S' W^\top)\, \|v\|^2, \qquad W = W_{l:1}$$

    $v$ is the shortest separator that gives the target, $W^\top v = \beta$, wherever downstream
    inputs vary. It is found by a singular value decomposition of the layer itself; no closed form
    is used. The value is infinite where no such $v$ exists.

    **Raises:** `ValueError` if the dimensions differ.
    """
    if network.sizes[0] != downstream.dim:
        raise checks.bad(
            "downstream", f"dimension {downstream.dim}", f"the network's inputs, {network.sizes[0]}"
        )
    p = whiten(downstream.second).projector
    target = matmul(p, downstream.target[:, None])[:, 0]
    products = network.products()
    radius = jnp.stack([jnp.sum(matmul(w, downstream.second) * w) for w in products])
    norm = jnp.stack([_separator(matmul(w, p), target) for w in products])
    return jnp.where(jnp.isfinite(norm), radius * jnp.where(jnp.isfinite(norm), norm, 1), jnp.inf)


def _separator(layer: Array, target: Array) -> Array:
    """Squared norm of the shortest separator."""
    eps = max(layer.shape) * jnp.finfo(layer.dtype).eps
    _, sizes, directions = jnp.linalg.svd(layer, full_matrices=False)
    kept = sizes > eps * sizes[0]
    along = jnp.where(kept, jnp.sum(directions * target, axis=1), 0)
    missed = target - jnp.sum(along[:, None] * directions, axis=0)
    # Rounding of the singular vectors may miss this share of the target: the rounding of the
    # layer, over the least singular value kept.
    slack = 8 * eps * sizes[0] / jnp.min(jnp.where(kept, sizes, jnp.inf))
    lost = jnp.sum(missed**2) > slack**2 * jnp.sum(target**2)
    return jnp.where(lost | ~kept[0], jnp.inf, jnp.sum((along / jnp.where(kept, sizes, 1)) ** 2))


def homogeneity(network: AbstractNetwork) -> tuple[Float[Array, " p"], ...]:
    r"""Difference of squared weights into and out of each unit, in every layer but the last.

    $$\|\text{weights into unit } k\|^2 + b_k^2 - \|\text{weights out of unit } k\|^2$$

    $b_k$ enters only if thresholds are trained. For a linear network it is the diagonal of the
    imbalance with the opposite sign.
    """
    cuts = network.trained_thresholds
    result = []
    for level, (below, above) in enumerate(zip(network.layers, network.layers[1:], strict=False)):
        kept = jnp.sum(below**2, axis=1) - jnp.sum(above**2, axis=0)
        result.append(kept + cuts[level] ** 2 if cuts else kept)
    return tuple(result)


class FeatureWeights(eqx.Module):
    """Weights of every feature in every layer, `(L, d)` each.

    - `gain`: the weight, not negative.
    - `square`: its square; where the weight is estimated, an unbiased estimate, which may be
        negative.
    - `error`: the standard error of `square`, zero where the weight is exact.
    - `readout`: the share of the feature's variance that the best linear readout of the layer
        explains.
    """

    gain: Float[Array, "L d"]
    square: Float[Array, "L d"]
    error: Float[Array, "L d"]
    readout: Float[Array, "L d"]


GROUPS = 32


def feature_weights(
    network: AbstractNetwork,
    problem: ContrastiveProblem,
    *,
    key: PRNGKeyArray | None = None,
    samples: int = 2**14,
) -> FeatureWeights:
    r"""Weight of each feature in each layer, on natural inputs.

    $$\|E[r_l z_i]\| / \varphi_i$$

    This is the size of the best linear prediction of the layer $r_l$ from the feature
    $u_i = \varphi_i z_i$.

    - Linear networks, exactly: $\|W_{l:1} q_i\|$ with $q_i$ the feature's column of the mixing. For
        columns of unit length this is `layer_weights`.
    - Diagonal networks with features $\pm\varphi$, exactly: $A_l / \varphi$.
    - Other networks: an estimate from drawn inputs, in groups. The products of the means of
        different groups are unbiased. A jackknife over groups gives the standard error, which is up
        to twice too large for a feature of weight zero.

    **Arguments:**

    - `network`: the network to measure.
    - `problem`: the problem with the features to weigh, not necessarily the one trained on.
    - `key`, `samples`: the seed and the number of draws, for an estimate.

    **Returns:** `FeatureWeights`. The readout is of natural inputs too. Estimated from `samples`
    draws, it is too large by about a layer's width over the number of draws.

    **Raises:** `ValueError` for inputs of another dimension, or if an estimate needs a key.
    """
    if network.sizes[0] != problem.dim:
        raise checks.bad(
            "problem",
            f"inputs of dimension {problem.dim}",
            f"the network's inputs, {network.sizes[0]}",
        )
    exact = network.exact_weights(problem.features)
    if exact is not None:
        gain, readout = exact
        return FeatureWeights(gain, gain**2, jnp.zeros_like(gain), readout)
    if key is None:
        raise checks.bad("key", "None", "a PRNG key: of this network the weights are estimated")
    return _estimated(network, problem, key, checks.count("samples", samples, 2 * GROUPS) // GROUPS)


@eqx.filter_jit
def _estimated(
    network: AbstractNetwork,
    problem: ContrastiveProblem,
    key: PRNGKeyArray,
    each: int,
) -> FeatureWeights:
    features = problem.features
    phi = features.strength

    def group(key: PRNGKeyArray) -> tuple[tuple[Array, Array], ...]:
        u = features.sample(key, each)
        layers = network.representations(features.embed(u))
        return tuple((matmul(r.T, u / phi) / each, matmul(r.T, r) / each) for r in layers)

    rows = []
    for means, seconds in jax.lax.map(group, jax.random.split(key, GROUPS)):
        # Sums over pairs of different groups, with all groups and with one left out.
        pairs = lambda total, own, n: (jnp.sum(total**2, axis=-2) - own) / (n * (n - 1))
        own, total = jnp.sum(means**2, axis=1), jnp.sum(means, axis=0)
        square = pairs(total, jnp.sum(own, axis=0), GROUPS) / phi**2
        without = pairs(total - means, jnp.sum(own, axis=0) - own, GROUPS - 1) / phi**2
        error = jnp.sqrt(
            (GROUPS - 1) / GROUPS * jnp.sum((without - jnp.mean(without, axis=0)) ** 2, axis=0)
        )
        readout = explained(jnp.mean(means, axis=0), jnp.mean(seconds, axis=0))
        rows.append((jnp.sqrt(jnp.maximum(square, 0)), square, error, readout))
    return FeatureWeights(*(jnp.stack(column) for column in zip(*rows, strict=True)))


def group_accuracy(
    network: AbstractLinearNetwork,
    fitted: Groups,
    tested: Groups,
    blur: Float[Array, ""] | float = 0.1,
) -> Float[Array, "L G"]:
    """Accuracy of the least-squares readout of each layer on each group of `tested`.

    The readout is fitted on the two classes of `fitted`, with Gaussian readout noise on every
    coordinate of the layer. The accuracy is exact, from the layers and the moments of the groups;
    no closed form for a Gram is used.

    **Arguments:**

    - `network`: the linear network to measure.
    - `fitted`, `tested`: the groups to fit the readout on, and to test it on.
    - `blur`: the standard deviation of the readout noise, in units of the root mean square length
        of the layer.

    **Raises:** `ValueError` for dimensions that differ, other than two classes, or a `blur` that is
    not positive.
    """
    noise = checks.positive("blur", blur).astype(network.dtype)
    for name, groups in (("fitted", fitted), ("tested", tested)):
        if groups.classes != 2:
            raise checks.bad(name, f"{groups.classes} classes", "two classes")
        if groups.dim != network.sizes[0]:
            raise checks.bad(
                name, f"dimension {groups.dim}", f"the network's inputs, {network.sizes[0]}"
            )
    side = jnp.asarray([-1, 1], noise.dtype)
    rows = []
    for layer in network.products():
        seen, shown = matmul(fitted.means, layer.T), matmul(tested.means, layer.T)
        spread = matmul(layer * fitted.noise**2, layer.T) + matmul(
            seen.T, fitted.probability[:, None] * seen
        )
        added = noise**2 * jnp.trace(spread)
        v = jnp.linalg.solve(
            spread + jnp.where(added > 0, added, 1) * jnp.eye(len(spread), dtype=noise.dtype),
            jnp.sum((fitted.probability * side[fitted.labels])[:, None] * seen, axis=0),
        )
        across = jnp.sum((matmul(layer.T, v[:, None])[:, 0] * tested.noise) ** 2) + added * jnp.sum(
            v**2
        )
        scores = side[tested.labels] * matmul(shown, v[:, None])[:, 0]
        rows.append(
            jax.scipy.stats.norm.cdf(
                jnp.where(across > 0, scores / jnp.sqrt(jnp.where(across > 0, across, 1)), 0)
            )
        )
    return jnp.stack(rows)

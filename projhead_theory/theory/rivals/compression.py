r"""Compression of classes from layer to layer: within- over between-class variance.

At layer $l$ of a linear network the ratio is $\mathrm{tr}(M_l \Sigma_W) / \mathrm{tr}(M_l
\Sigma_B)$, with the Gram $M_l = M_L^{l/L}$ of a balanced network.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import eigh, symmetric

__all__ = ["CompressionRate", "compression", "compression_rate", "geometric_law"]


class CompressionRate(eqx.Module):
    r"""Slope and curvature of the log ratio $\ln \kappa$ in the share $t = l / L$.

    - `rate`: $E_W[\ln\mu] - E_B[\ln\mu]$.
    - `bend`: $\mathrm{Var}_W[\ln\mu] - \mathrm{Var}_B[\ln\mu]$.
    """

    rate: Float[Array, ""]
    bend: Float[Array, ""]


def compression(
    grams: Float[Array, "*L d d"], within: Float[Array, "d d"], between: Float[Array, "d d"]
) -> Float[Array, "*L"]:
    r"""Within- over between-class variance of representations with these Grams.

    $$\kappa_l = \frac{\mathrm{tr}(M_l \Sigma_W)}{\mathrm{tr}(M_l \Sigma_B)}$$

    It is infinite where the class means coincide.

    **Arguments:**

    - `grams`: $M_l$ of every layer, such as the `grams` of `layerwise`.
    - `within`: the covariance $\Sigma_W$ of the inputs around the mean of their class.
    - `between`: the covariance $\Sigma_B$ of the class means.

    **Raises:** `ValueError` if the shapes differ, or a covariance is not symmetric and positive
    semi-definite.

    !!! example

        ```pycon
        >>> grams = jnp.stack([jnp.diag(jnp.asarray([1.0, m])) for m in (0.1, 0.01)])
        >>> within, between = jnp.diag(jnp.asarray([0.0, 1.0])), jnp.diag(jnp.asarray([1.0, 0.0]))
        >>> np.round(pt.theory.rivals.compression(grams, within, between), 3)
        Array([0.1 , 0.01], dtype=float64)

        ```

    Theorem: layerwise-compression.

    Source: beyond Wang et al. (JMLR 2025), who bound the ratio of successive layers.
    """
    grams, within, between = _arguments(grams, within, between)
    return _ratio(grams, within, between)


def compression_rate(
    gram: Float[Array, "d d"],
    within: Float[Array, "d d"],
    between: Float[Array, "d d"],
    share: checks.Scalar = 1.0,
) -> CompressionRate:
    r"""Slope and curvature of the log ratio of variances at the layer $l = t L$.

    $$\frac{d \ln\kappa}{dt} = E_W[\ln\mu] - E_B[\ln\mu], \qquad
    \frac{d^2 \ln\kappa}{dt^2} = \mathrm{Var}_W[\ln\mu] - \mathrm{Var}_B[\ln\mu]$$

    Here $\mu$ is an eigenvalue of $M_L$, with probabilities proportional to
    $\mu^t\, v^\top \Sigma v$. The law is geometric, $\kappa_l = \kappa_0 \rho^l$, if and only if
    the curvature vanishes for all $t$: for instance if each covariance lives on one eigenvalue. If
    $\Sigma_B$ alone does, the log ratio is convex, and every layer compresses less than the one
    before it.

    **Arguments:**

    - `gram`: $M_L$ of the last layer.
    - `within`, `between`: as in `compression`.
    - `share`: $t$, in $(0, 1]$.

    **Raises:** `ValueError` as `compression`, or for a share that is not positive.

    !!! example

        ```pycon
        >>> gram = jnp.diag(jnp.asarray([1.0, 0.01]))
        >>> one, both = jnp.diag(jnp.asarray([1.0, 0.0])), jnp.eye(2)
        >>> at = pt.theory.rivals.compression_rate(gram, both, one)
        >>> round(float(at.rate), 3), round(float(at.bend), 3)
        (-0.046, 0.208)

        ```

    Theorem: layerwise-compression.
    """
    gram, within, between = _arguments(gram, within, between)
    return _rate(gram, within, between, checks.positive("share", share).astype(gram.dtype))


def geometric_law(ratios: Float[Array, " L"]) -> Float[Array, " L"]:
    r"""Geometric law through the first and the last of these ratios.

    $$\kappa_1 (\kappa_L / \kappa_1)^{(l - 1) / (L - 1)}$$

    **Arguments:**

    - `ratios`: positive, of every layer.

    **Raises:** `ValueError` for fewer than two ratios, or one that is not positive.

    !!! example

        ```pycon
        >>> np.round(pt.theory.rivals.geometric_law(jnp.asarray([1.0, 0.3, 0.25])), 3)
        Array([1.  , 0.5 , 0.25], dtype=float64)

        ```

    Theorem: layerwise-compression, which refutes it in general (Wang et al. 2025).
    """
    ratios = checks.positive("ratios", ratios)
    if ratios.ndim != 1 or ratios.size < 2:
        raise checks.bad("ratios", f"shape {ratios.shape}", "(L,) with at least two layers")
    steps = jnp.arange(ratios.size, dtype=ratios.dtype) / (ratios.size - 1)
    return ratios[0] * (ratios[-1] / ratios[0]) ** steps


def _arguments(*matrices: Array) -> list[Array]:
    names = ("grams", "within", "between")
    arrays = [checks.floating(n, x) for n, x in zip(names, matrices, strict=True)]
    d = arrays[0].shape[-1] if arrays[0].ndim > 1 else 0
    for name, x in zip(names, arrays, strict=True):
        if x.shape[-2:] != (d, d) or (name != "grams" and x.ndim != 2):
            wanted = "square matrices, all of one size"
            raise checks.bad(name, f"shape {x.shape}", wanted)
    for name, x in zip(names[1:], arrays[1:], strict=True):
        if (known := checks.concrete(x)) is not None:
            slack = 16 * d * float(jnp.finfo(x.dtype).eps) * float(abs(known).max())
            uneven = abs(known - known.T).max()
            least = np.linalg.eigvalsh((known + known.T) / 2)[0]
            if not (uneven <= slack and least >= -slack * d**0.5):
                raise checks.bad(
                    name,
                    f"asymmetry {uneven:.2g}, least eigenvalue {float(least):.2g}",
                    "a symmetric positive semi-definite matrix",
                )
    dtype = jnp.result_type(*arrays)
    return [x.astype(dtype) for x in arrays]


@jax.jit
def _ratio(grams: Array, within: Array, between: Array) -> Array:
    trace = lambda sigma: jnp.sum(grams * sigma, axis=(-2, -1))
    apart = trace(between)
    return jnp.where(apart > 0, trace(within) / jnp.where(apart > 0, apart, 1), jnp.inf)


@jax.jit
def _rate(gram: Array, within: Array, between: Array, share: Array) -> CompressionRate:
    spectrum = eigh(symmetric(gram))
    there = spectrum.values > gram.shape[0] * jnp.finfo(gram.dtype).eps * spectrum.values[-1]
    logs = jnp.log(jnp.where(there, spectrum.values, 1))

    def moments(sigma: Array) -> tuple[Array, Array]:
        on = jnp.einsum("ik,ij,jk->k", spectrum.vectors, sigma, spectrum.vectors)
        weights = jnp.where(there, on * jnp.exp(share * logs), 0)
        weights = weights / jnp.sum(weights)
        mean = jnp.sum(weights * logs)
        return mean, jnp.sum(weights * (logs - mean) ** 2)

    (mean_w, spread_w), (mean_b, spread_b) = moments(within), moments(between)
    return CompressionRate(mean_w - mean_b, spread_w - spread_b)

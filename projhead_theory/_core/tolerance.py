"""Rounding errors for the dtype in use: of chains of operations, of minimisers and of layers."""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, Int

from .linalg import Whitening, diagonal, eigh, frobenius, matmul
from .powers import layer_shares

SHORT = 16
"""Rounding of a few products in a row, in epsilons of the largest term."""

CHAIN = 64
"""Rounding of some dozens of operations in a row, as in a closed form or the readout of a run."""

SOLVED = 256
"""Rounding of a number that solves an equation, whose terms are themselves chains of operations."""


def epsilons(count: float, dtype: Any) -> float:
    """So many times the machine epsilon of a dtype."""
    return count * float(jnp.finfo(dtype).eps)


def solver_tolerance(dtype: Any) -> float:
    r"""Relative tolerance of a flow, $\epsilon^{3/4}$.

    A solver of high order takes few steps to it, and the rounding of these stays far below.
    """
    return float(jnp.finfo(dtype).eps) ** 0.75


def gram_rounding(
    gram: Float[Array, "d d"], whitening: Whitening, gap: Float[Array, ""]
) -> Float[Array, ""]:
    r"""Relative rounding error of the Gram $M = U T_p U^\top$.

    The two factors $U$ contribute the relative error of $U$ each. The error of $T_p$, which the gap
    at the cut amplifies, may be as large on all of $U U^\top = S^+$.
    """
    size = frobenius(gram)
    everything = frobenius(matmul(whitening.inverse, whitening.inverse.T))
    return whitening.rounding * (2 + (1 + 1 / gap) * everything / jnp.where(size > 0, size, 1))


def power_rounding(
    grams: Float[Array, "L d d"], kept: Int[Array, ""], relative: Float[Array, ""]
) -> Float[Array, " L"]:
    r"""Relative errors of the powers $M^{l/L}$, in Frobenius norm.

    `relative` is the relative error of $M$, and $M$ has `kept` positive eigenvalues. With $\delta$
    the absolute error of $M$ and $\mu$ its least positive eigenvalue, $\mu^{t-1} \delta$ is a bound
    to first order, while $\delta$ is below $\mu$. $d^{(1-t)/2} \delta^t$ is always a bound.
    """
    depth, d = grams.shape[:2]
    levels = layer_shares(depth, grams.dtype)
    least = eigh(jax.lax.stop_gradient(grams[-1])).values[d - jnp.maximum(kept, 1)]
    size = frobenius(grams)
    size = jnp.where(size > 0, size, 1)
    error = relative * size[-1]
    near = jnp.where(
        2 * error < least, jnp.where(least > 0, least, 1) ** (levels - 1) * error, jnp.inf
    )
    return jnp.minimum(near, d ** ((1 - levels) / 2) * error**levels) / size


def outputs_rounding(
    product: float, grams: Float[Array, "L d d"], second: Float[Array, "d d"]
) -> Float[Array, ""]:
    r"""Rounding error of $\mathrm{tr}(W S W^\top)$, for layers of these Grams.

    The layers are multiplied with the relative error `product`. Every column of $W$ has the error
    $c_j = \|M_L\|^{(L-1)/2L} (M_1)_{jj}^{1/2}$ times `product`, whatever the size of the others;
    its input has the variance $S_{jj}$. The error of the trace is `product` times
    $\sum_j c_j^2 S_{jj}$.
    """
    depth = grams.shape[0]
    columns = frobenius(grams[-1]) ** ((depth - 1) / depth) * diagonal(grams[0])
    return product * jnp.sum(columns * diagonal(second))


def product_rounding(sizes: tuple[int, ...], dtype: Any) -> float:
    r"""Relative rounding error of a product of layers, $4 L \max_l n_l\, \epsilon$.

    `sizes` are the widths $n_0, \dots, n_L$.
    """
    return epsilons(4 * (len(sizes) - 1) * max(sizes), dtype)

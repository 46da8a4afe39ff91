r"""The ratio $\kappa$ of a fixed head $h_i = \kappa^{-i}$.

It may emulate a trained head, or be chosen to need the fewest labels.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from .._common.exponentials import minimiser, total
from ..downstream.complexity import feature_arguments

__all__ = [
    "Emulation",
    "best_kappa",
    "emulating_head",
    "head_complexity",
    "kappa_emulation",
]


def emulating_head(weights: Float[Array, " d"]) -> Float[Array, " d"]:
    r"""Diagonal of the fixed head that emulates the upper layer of a trained two-layer network.

    It is $h_{(i)} = \sqrt{w_{(i)}}$, descending. Before it the least-norm encoder has weights
    $w_{(i)} / \sqrt{w_{(i)}} = \sqrt{w_{(i)}}$, which by the layer-wise law are the weights of
    the lower layer, for any spectrum. In matrices, its Gram is $\sqrt{M^\star}$.

    **Arguments:**

    - `weights`: $w \ge 0$, after the head, in any order. In a mixed problem they are the roots
      of the eigenvalues of $M^\star$.

    **Raises:** `ValueError` for weights that are negative or not finite.

    !!! example

        ```pycon
        >>> weights = jnp.asarray([1.0, 4.0, 0.25])
        >>> head = pt.theory.heads.emulating_head(weights)
        >>> np.round(head, 3)
        Array([2. , 1. , 0.5], dtype=float64)
        >>> np.round(pt.theory.heads.matched_weights(weights, head), 3)
        Array([1. , 2. , 0.5], dtype=float64)

        ```

    Theorem: kappa-emulation.

    Source: beyond the paper.
    """
    weights = _vector("weights", checks.nonnegative("weights", weights))
    return -jnp.sort(-jnp.where(weights > 0, jnp.sqrt(jnp.where(weights > 0, weights, 1)), 0))


class Emulation(eqx.Module):
    r"""Fit of the fixed head $h_i = \kappa^{-i}$ to a trained head.

    The weights before the fixed head are $\kappa^i w_{(i)} = a_i \sqrt{w_{(i)}}$, and
    $\sqrt{w_{(i)}}$ are the weights before the trained head.

    - `kappa`: the ratio $\kappa$ at which the $\ln a_i$ vary least, or the given one.
    - `factor`: the geometric mean $f$ of the $a_i$.
    - `spread`: $\max_i \max(a_i / f, f / a_i) - 1$. It is zero exactly for weights that fall as
      $\kappa^{-2i}$, where $f = \sqrt{w_{(0)}}$.
    """

    kappa: Float[Array, ""]
    factor: Float[Array, ""]
    spread: Float[Array, ""]


def kappa_emulation(weights: Float[Array, " d"], kappa: ArrayLike | None = None) -> Emulation:
    r"""A fixed head $h_i = \kappa^{-i}$ in place of the upper layer of a trained two-layer network.

    Since $\ln a_i = i \ln\kappa + \frac12 \ln w_{(i)}$, the best $\ln\kappa$ is half of the
    least-squares slope of $-\ln w_{(i)}$ over the rank. The best ratio is at least 1, and 1 for
    one feature.

    **Arguments:**

    - `weights`: $w > 0$, after the head, in any order.
    - `kappa`: the ratio, the best one if not given.

    **Returns:** an `Emulation`.

    **Raises:** `ValueError` for weights or a ratio that are not positive and finite.

    !!! example

        ```pycon
        >>> fit = pt.theory.heads.kappa_emulation(jnp.asarray([4.0, 1.0, 0.25]))
        >>> round(float(fit.kappa), 3), round(float(fit.spread), 3)
        (2.0, 0.0)

        ```

    Theorem: kappa-emulation.

    Source: beyond the paper, which proposes the fixed head as a controllable alternative.
    """
    weights = _vector("weights", checks.positive("weights", weights))
    ratio = None if kappa is None else checks.positive("kappa", kappa).astype(weights.dtype)
    return _emulation(weights, ratio)


@eqx.filter_jit
def _emulation(weights: Array, kappa: Array | None) -> Emulation:
    halves = -jnp.sort(-jnp.log(weights)) / 2
    rank = jnp.arange(weights.size, dtype=weights.dtype)
    off = rank - jnp.mean(rank)
    # One feature has no slope.
    slope = (
        -jnp.sum(off * halves) / jnp.sum(off**2)
        if weights.size > 1
        else jnp.zeros((), weights.dtype)
    )
    logarithm = slope if kappa is None else jnp.log(kappa)
    ratios = rank * logarithm + halves
    factor = jnp.mean(ratios)
    return Emulation(
        jnp.exp(logarithm), jnp.exp(factor), jnp.expm1(jnp.max(jnp.abs(ratios - factor)))
    )


def head_complexity(
    kappa: ArrayLike, weights: Float[Array, " d"], strength: Any, target: Any
) -> Float[Array, "..."]:
    r"""Sample-complexity indicator before a fixed head $h_i = \kappa^{-i}$, in a feature model.

    $$\mathrm{SC}(\kappa) = \sum_i \kappa^{2 (r_i - r_j)} (w_i / w_j)^2 (\phi'_i / \phi'_j)^2$$

    The encoder is at sorted matching, and $r_i$ is the rank of weight $i$, from 0. At
    $\kappa = 1$ it is the indicator after the head. It is convex in $\ln\kappa$, and infinite
    if the target has weight zero. For other heads and for mixed problems use
    `sample_complexity` of `sorted_matching(...).gram`.

    **Arguments:**

    - `kappa`: one number, or an array of numbers.
    - `weights`: end-to-end weights $w_i \ge 0$.
    - `strength`: downstream strengths $\phi'_i \ge 0$, positive for the target.
    - `target`: $j$, from 0 to $d - 1$.

    **Raises:** `ValueError` for arguments out of range, or tied weights, which have no ranks.

    Theorem: best-kappa.

    Source: beyond the paper.
    """
    weights, strength, j = _downstream(weights, strength, target)
    return _complexity(checks.positive("kappa", kappa).astype(weights.dtype), weights, strength, j)


def best_kappa(
    weights: Float[Array, " d"],
    strength: Any,
    target: Any,
    *,
    low: ArrayLike = 1.0,
    high: ArrayLike = np.inf,
) -> Float[Array, ""]:
    r"""The ratio $\kappa^\star \in [\text{low}, \text{high}]$ at which `head_complexity` is least.

    - If every other feature that counts has a larger weight than the target, a steeper head is
      always better, and the result is `high`, infinite if not given.
    - If no such feature has a larger weight, the result is `low`; its default of 1 is no head.
    - With one feature $m$ ranks above and one $n$ ranks below, of terms $B$ and $A$ at
      $\kappa = 1$, it is $(m B / (n A))^{1 / (2 (m + n))}$.

    It is differentiable in weights and strengths, and NaN if the target has weight zero.

    **Arguments:**

    - `weights`: end-to-end weights $w_i \ge 0$.
    - `strength`: downstream strengths $\phi'_i \ge 0$, positive for the target.
    - `target`: $j$, from 0 to $d - 1$.
    - `low`, `high`: bounds with $0 < \text{low} \le \text{high}$.

    **Raises:** `ValueError` for arguments out of range, or tied weights, which have no ranks.

    !!! example

        ```pycon
        >>> weights, strength = jnp.asarray([4.0, 2.0, 1.0]), [1.0, 1.0, 1.0]
        >>> round(float(pt.theory.heads.best_kappa(weights, strength, target=1)), 3)
        2.0
        >>> kappas = jnp.asarray([1.0, 2.0, 3.0])
        >>> np.round(pt.theory.heads.head_complexity(kappas, weights, strength, target=1), 3)
        Array([5.25 , 3.   , 3.694], dtype=float64)

        ```

    Theorem: best-kappa.

    Source: beyond the paper.
    """
    weights, strength, j = _downstream(weights, strength, target)
    least, most = checks.positive("low", low), checks.floating("high", high)
    ends = checks.concrete(least), checks.concrete(most)
    if ends[0] is not None and ends[1] is not None and not ends[0] <= ends[1]:
        raise checks.bad("high", ends[1], f"at least low, {ends[0]}")
    return _best(weights, strength, j, least.astype(weights.dtype), most.astype(weights.dtype))


def _terms(weights: Array, strength: Array, j: Array) -> tuple[Array, Array]:
    r"""Amplitudes of the indicator, and rates in $\ln \kappa$."""
    ranks = jnp.argsort(jnp.argsort(-weights, stable=True), stable=True)
    there = weights[j] > 0
    ratio = weights / jnp.where(there, weights[j], 1) * strength / strength[j]
    return ratio**2, (2 * (ranks - ranks[j])).astype(weights.dtype)


@jax.jit
def _complexity(kappa: Array, weights: Array, strength: Array, j: Array) -> Array:
    amplitudes, rates = _terms(weights, strength, j)
    value = jax.vmap(lambda t: total(amplitudes, rates, t))(jnp.log(kappa).reshape(-1)).reshape(
        kappa.shape
    )
    return jnp.where(weights[j] > 0, value, jnp.inf)


@jax.jit
def _best(weights: Array, strength: Array, j: Array, low: Array, high: Array) -> Array:
    amplitudes, rates = _terms(weights, strength, j)
    found = jnp.exp(minimiser(amplitudes, rates, jnp.log(low), jnp.log(high)))
    return jnp.where(weights[j] > 0, found, jnp.nan)


def _vector(name: str, x: Array) -> Array:
    if x.ndim != 1 or x.size == 0:
        raise checks.bad(name, f"shape {x.shape}", "a non-empty vector, one number a feature")
    return x


def _downstream(weights: Any, strength: Any, target: Any) -> tuple[Array, Array, Array]:
    weights, strength, j = feature_arguments(weights, strength, target)
    known = checks.concrete(weights)
    if known is not None:
        falling = -np.sort(-known[known > 0])
        tied = np.flatnonzero(np.diff(falling) == 0)
        if tied.size:
            raise checks.bad(
                "weights",
                f"{falling[tied[0]]:.6g} twice",
                "weights that differ: ties have no ranks",
            )
    return weights, strength, j

r"""Boundaries at which the representation before the projection head beats the one after it.

Up to a factor, the head adds to the indicator of the target $j$

$$\sum_{i \ne j} \phi_i'^2 \left[ (w_i/w_j)^2 - (w_i/w_j)^{2\tau} \right], \qquad \tau = 1 - h/L.$$

As a function of $w_j$ this is $B / w_j^2 - A / w_j^{2\tau}$, which has one zero. Every
parameter that acts on the target's weight alone has its boundary there, whatever the number of
features.
"""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from ..._core import checks
from ..._core.bisect import bisect
from .complexity import ComplexityCurve, target_index

__all__ = [
    "boundary",
    "boundary_weight",
    "disruption_boundary",
    "downstream_boundary",
    "excess_boundary",
    "pre_beats_post",
    "weakness_boundary",
]

BISECTIONS = 60


def pre_beats_post(curve: ComplexityCurve, depth: int, head_depth: int = 1) -> Bool[Array, ""]:
    r"""Test that the layer before the projection head needs fewer labels than the last layer.

    $$\mathrm{SC}(1 - h/L) < \mathrm{SC}(1)$$

    False where the target is lost, and where both layers are equal. `ComplexityCurve.margin`
    gives the logarithm of the ratio.

    **Arguments:**

    - `curve`: the indicator of every layer.
    - `depth`: the number of layers $L$.
    - `head_depth`: the number $h$ of last layers that form the head, from 1 to $L$.

    **Raises:** `ValueError` for a depth below 1, or a head of no layers or of more than there
    are.

    !!! example

        ```pycon
        >>> weights = jnp.asarray([0.5, 2.0])
        >>> curve = pt.theory.downstream.feature_complexity(weights, [1.0, 1.0], target=0)
        >>> bool(pt.theory.downstream.pre_beats_post(curve, depth=2))
        True

        ```

    Theorem: when-pre-wins (paper section 3).
    """
    return curve.margin(depth, head_depth) > 0


def boundary_weight(
    weights: Float[Array, " d"], strength: Any, target: int, depth: int, head_depth: int = 1
) -> Float[Array, ""]:
    r"""Weight of the target below which the pre-projection representation is better.

    $$w_j^\star = \left( \frac{\sum_{i \ne j} \phi_i'^2 w_i^2}
    {\sum_{i \ne j} \phi_i'^2 w_i^{2 - 2h/L}} \right)^{L / 2h}$$

    This is a power mean of the other weights, so it lies between the least and the largest of
    them. With one other feature it is that feature's weight. It is zero if there is no other
    feature: all layers are then equally good.

    **Arguments:**

    - `weights`: end-to-end weights $w_i \ge 0$, `(d,)`; the target's own weight is not used.
    - `strength`: downstream strengths $\phi'_i \ge 0$, `(d,)`.
    - `target`: the index $j$ of the target feature.
    - `depth`: the number of layers $L$.
    - `head_depth`: the number of layers $h$ of the head, from 1 to $L$.

    **Raises:** `ValueError` for arguments out of range or lengths that differ.

    Theorem: when-pre-wins (beyond the paper, which has it for two features).
    """
    weights, strength = _vectors(weights, strength)
    j, share = target_index(target, weights.shape[0]), _share(depth, head_depth)
    dtype = jnp.result_type(weights, strength)
    return _boundary_weight(
        weights.astype(dtype), strength.astype(dtype), jnp.asarray(j), jnp.asarray(share, dtype)
    )


def _vectors(weights: Any, strength: Any) -> tuple[Array, Array]:
    weights, strength = (
        checks.nonnegative("weights", weights),
        checks.nonnegative("strength", strength),
    )
    if weights.ndim != 1 or strength.shape != weights.shape:
        raise checks.bad(
            "strength",
            f"shape {strength.shape} beside weights {weights.shape}",
            "two vectors of one length",
        )
    return weights, strength


def _share(depth: int, head_depth: int) -> float:
    depth, head_depth = checks.within_depth(depth, "head_depth", head_depth)
    return head_depth / depth


@jax.jit
def _boundary_weight(weights: Array, strength: Array, j: Array, share: Array) -> Array:
    counts = (weights > 0) & (strength > 0) & (jnp.arange(weights.shape[0]) != j)
    size = 2 * jnp.log(jnp.where(counts, strength, 1))
    logarithm = jnp.log(jnp.where(counts, weights, 1))
    add = lambda power: jax.nn.logsumexp(jnp.where(counts, size + power * logarithm, -jnp.inf))
    there = jnp.any(counts)
    ratio = jnp.where(there, add(2.0) - add(2 - 2 * share), 0)
    return jnp.where(there, jnp.exp(ratio / (2 * share)), 0)


def disruption_boundary(
    strength: Any,
    noise: Any,
    target: int,
    depth: int,
    *,
    downstream: Any = None,
    head_depth: int = 1,
) -> Float[Array, ""]:
    r"""Noise on the target feature above which pre-projection beats post-projection.

    $$\sigma_j^\star = \sqrt{\phi_j / w_j^\star - \phi_j^2}$$

    The augmentation disrupts the useful feature, and everything else is fixed. The boundary is
    zero if pre-projection is better without any noise on $j$ (then for all noise), and infinite
    if there is no other feature.

    **Arguments:**

    - `strength`: training strengths $\phi$, `(d,)`.
    - `noise`: scales $\sigma$ of the additive noise, `(d,)`; the target's own noise is not
      used.
    - `target`: the index $j$ of the target feature.
    - `depth`: the number of layers $L$.
    - `downstream`: downstream strengths $\phi'$, `(d,)`, the training strengths by default.
    - `head_depth`: the number of layers $h$ of the head.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> boundary = pt.theory.downstream.disruption_boundary
        >>> round(float(boundary([1.0, 1.0], [0.0, 0.5], target=0, depth=2)), 3)
        0.5

        ```

    Theorem: when-pre-wins (paper section 3, in closed form beyond it).
    """
    return _disruption(*_others(strength, noise, target, depth, downstream, head_depth))


@jax.jit
def _disruption(phi: Array, sigma: Array, weight: Array) -> Array:
    there = weight > 0
    square = phi / jnp.where(there, weight, 1) - phi**2
    root = jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)
    return jnp.where(there, root, jnp.inf)


def weakness_boundary(
    strength: Any,
    noise: Any,
    target: int,
    depth: int,
    *,
    downstream: Any = None,
    head_depth: int = 1,
) -> Float[Array, ""]:
    r"""Strength of the target feature below which pre-projection beats post-projection.

    $$\phi_j^\star = \frac{1 - \sqrt{1 - 4 w_j^{\star 2} \sigma_j^2}}{2 w_j^\star}$$

    The useful feature is too weak. Without noise on the target no strength is too weak, and the
    boundary is zero. Where $2 w_j^\star \sigma_j \ge 1$ even the largest weight, at
    $\phi_j = \sigma_j$, is too small: pre-projection is better at every strength, and both
    boundaries are $\sigma_j$. Downstream strengths that follow the training strengths leave the
    boundary unchanged.

    **Arguments:**

    - `strength`: training strengths $\phi$, `(d,)`; the target's own strength is not used.
    - `noise`: scales $\sigma$ of the additive noise, `(d,)`.
    - `target`, `depth`, `downstream`, `head_depth`: as in `disruption_boundary`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: when-pre-wins (paper section 3, in closed form beyond it).
    """
    return _weakness(*_others(strength, noise, target, depth, downstream, head_depth))


@jax.jit
def _weakness(phi: Array, sigma: Array, weight: Array) -> Array:
    # The product of both roots is the squared noise: no digits are lost where the noise is small.
    return sigma * (2 * weight * sigma) / (1 + _spread(weight, sigma))


def excess_boundary(
    strength: Any,
    noise: Any,
    target: int,
    depth: int,
    *,
    downstream: Any = None,
    head_depth: int = 1,
) -> Float[Array, ""]:
    r"""Strength of the target feature above which pre-projection beats post-projection.

    $$\phi_j^\star = \frac{1 + \sqrt{1 - 4 w_j^{\star 2} \sigma_j^2}}{2 w_j^\star}$$

    The useful feature is too strong. The boundary is infinite if there is no other feature.
    Where $2 w_j^\star \sigma_j \ge 1$ it is $\sigma_j$, like `weakness_boundary`.

    **Arguments:**

    - `strength`, `noise`, `target`, `depth`, `downstream`, `head_depth`: as in `weakness_boundary`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: when-pre-wins (paper section 3, in closed form beyond it).
    """
    return _excess(*_others(strength, noise, target, depth, downstream, head_depth))


@jax.jit
def _excess(phi: Array, sigma: Array, weight: Array) -> Array:
    there = weight > 0
    high = (1 + _spread(weight, sigma)) / (2 * jnp.where(there, weight, 1))
    return jnp.where(there, jnp.where(2 * weight * sigma >= 1, sigma, high), jnp.inf)


def _spread(weight: Array, sigma: Array) -> Array:
    r"""Root $\sqrt{1 - 4 w^2 \sigma^2}$, replaced by $2 w \sigma - 1$ where it is not real.

    With the replacement the boundary is $\sigma$ itself.
    """
    product = 2 * weight * sigma
    inside = product < 1
    root = jnp.sqrt(jnp.where(inside, (1 - product) * (1 + product), 1))
    return jnp.where(inside, root, product - 1)


def _others(
    strength: Any, noise: Any, target: int, depth: int, downstream: Any, head_depth: int
) -> tuple[Array, Array, Array]:
    """Strength and noise of the target, and the boundary of its weight."""
    phi, sigma = checks.positive("strength", strength), checks.nonnegative("noise", noise)
    after = phi if downstream is None else checks.nonnegative("downstream", downstream)
    for name, value in (("noise", sigma), ("downstream", after)):
        if value.shape != phi.shape or phi.ndim != 1:
            raise checks.bad(
                name, f"shape {value.shape} beside strengths {phi.shape}", "vectors of one length"
            )
    j = target_index(target, phi.shape[0])
    phi, sigma, weights, after = _own(phi, sigma, after, jnp.asarray(j))
    return phi, sigma, boundary_weight(weights, after, j, depth, head_depth)


@jax.jit
def _own(phi: Array, sigma: Array, after: Array, j: Array) -> tuple[Array, Array, Array, Array]:
    """Strength and noise of a feature, and the weights and later strengths of all."""
    dtype = jnp.result_type(phi, sigma, after)
    phi, sigma, after = (v.astype(dtype) for v in (phi, sigma, after))
    return phi[j], sigma[j], phi / (phi**2 + sigma**2), after


def downstream_boundary(
    weights: Float[Array, " d"],
    strength: Any,
    target: int,
    feature: int,
    depth: int,
    head_depth: int = 1,
) -> Float[Array, ""]:
    r"""Downstream strength of another feature at which pre and post are equally good.

    $$\phi_i'^2 = -\sum_{k \ne i, j} \phi_k'^2 g_k / g_i,
    \qquad g_k = (w_k / w_j)^2 - (w_k / w_j)^{2 - 2h/L}$$

    Everything but the strength of feature $i$ is fixed. Above the boundary pre beats post if
    $i$ is heavier than the target, and post beats pre if $i$ is lighter. NaN if there is no
    boundary: the other features then decide, whatever the strength of $i$. The downstream
    strength of the target itself never decides.

    **Arguments:**

    - `weights`, `strength`, `target`, `depth`, `head_depth`: as in `boundary_weight`, with
      $w_j > 0$.
    - `feature`: the index $i \ne j$ of the other feature.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: when-pre-wins (beyond the paper).
    """
    weights, strength = _vectors(weights, strength)
    d = weights.shape[0]
    i, j, share = (
        checks.count("feature", feature, 0),
        target_index(target, d),
        _share(depth, head_depth),
    )
    if i >= d or i == j:
        raise checks.bad(
            "feature", i, f"the index of another feature than the target, from 0 to {d - 1}"
        )
    checks.require(
        "weights", weights[j], lambda v: v > 0, f"a positive weight of the target, feature {j + 1}"
    )
    logarithm = jnp.log(jnp.where(weights > 0, weights, weights[j]) / weights[j])
    cost = jnp.exp(2 * (1 - share) * logarithm) * jnp.expm1(2 * share * logarithm)
    cost = jnp.where(weights > 0, cost, 0)
    rest = jnp.sum((strength**2 * cost).at[jnp.asarray([i, j])].set(0))
    square = -rest / jnp.where(cost[i] == 0, jnp.nan, cost[i])
    return jnp.sqrt(jnp.where(square >= 0, square, jnp.nan))


def boundary(margin: Callable[[Array], Array], low: ArrayLike, high: ArrayLike) -> Float[Array, ""]:
    """Sign change of a margin between two values of any parameter of any problem, by bisection.

    Differentiable, by the implicit function theorem, with respect to the values that `margin`
    closes over. NaN if the margin has the same sign at both ends, or is NaN at one.

    **Arguments:**

    - `margin`: a continuous function of a number, such as `lambda s: curve(s).margin(depth)`.
    - `low`, `high`: the ends of the interval.

    **Raises:** `ValueError` if `low` is not below `high`.

    Theorem: when-pre-wins (beyond the paper).
    """
    low, high = checks.floating("low", low), checks.floating("high", high)
    dtype = jnp.result_type(low, high)
    low, high = low.astype(dtype), high.astype(dtype)
    checks.require("high", high - low, lambda v: v > 0, "a number above low")
    ends = jax.lax.stop_gradient(margin(low)), jax.lax.stop_gradient(margin(high))
    bracketed = jnp.sign(ends[0]) * jnp.sign(ends[1]) <= 0
    rising = jnp.where(ends[1] > ends[0], 1, -1).astype(dtype)
    found = bisect(lambda x: rising * margin(x), low, high, BISECTIONS)
    return jnp.where(bracketed, found, jnp.nan)

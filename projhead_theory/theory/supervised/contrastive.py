"""Minimisers of supervised contrastive learning, and the weight of each feature in every layer.

The class minimiser covers any number of classes, the subclass weights two classes with
subclasses.
"""

import functools
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float

from ..._core import checks
from ..._core.linalg import matmul, symmetric
from ..._core.powers import layer_powers, layer_shares
from ...moments import Moments

__all__ = [
    "class_minimiser",
    "collapses",
    "collapsing_weight",
    "mixed_subclass_weight",
    "subclass_weights",
]

# (class, subclass), or one number for both
Pair = Any


def class_minimiser(moments: Moments) -> Float[Array, "d d"]:
    r"""Gram $M^\star = S^{-1} C S^{-1}$ after the projection head, for any number of classes.

    The network is at least as wide as the rank of $C$. With positives of one class,
    $C = \sum_k \pi_k \mu_k \mu_k^\top$, the Gram spans the $K$ discriminant directions
    $S^{-1} \mu_k$. It equals `spectral` at a width that cuts nothing, without a decomposition:
    it is solved for, so that $S$ must be invertible.

    Theorem: scl-minimiser (paper section 5).
    """
    return _solved(moments.cross, moments.second)


@jax.jit
def _solved(cross: Array, second: Array) -> Float[Array, "d d"]:
    half = jnp.linalg.solve(second, cross)
    return symmetric(jnp.linalg.solve(second, half.T))


def subclass_weights(
    strength: Pair, noise: Pair, correlation: Any, depth: int
) -> Float[Array, "L 2"]:
    r"""Layer weights of a class and a subclass feature at the minimum, for two balanced classes.

    $$M^\star = u u^\top, \qquad u = S^{-1} \mu
    = (\phi_c (\phi_s^2 (1 - r^2) + \sigma_s^2),\ r \phi_s \sigma_c^2) / \det S$$

    Since $M^\star$ has rank one, $M_l = |u|^{2l/L}\, \hat u \hat u^\top$: the *ratio* of the
    two weights is the same in all layers. The subclass has no weight in any layer if and only
    if `collapses`. Weights are not negative; the subclass counts against the class where
    $r < 0$.

    **Arguments:**

    - `strength`: $(\phi_c, \phi_s)$, positive.
    - `noise`: $(\sigma_c, \sigma_s)$, not negative.
    - `correlation`: the correlation $r$ of the subclass with the class, in [-1, 1].
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range, or a second moment without an inverse
    ($|r| = 1$ and no noise).

    !!! example

        ```pycon
        >>> np.round(pt.theory.supervised.subclass_weights([1.0, 1.0], [0.5, 0.5], 0.5, depth=2), 3)
        Array([[0.869, 0.109],
               [0.762, 0.095]], dtype=float64)

        ```

    Theorem: scl-minimiser, class-collapse (paper section 5).
    """
    phi, sigma, r = _features(strength, noise, correlation)
    weights, det = _weights(phi, sigma, r, checks.count("depth", depth))
    checks.require("noise", det, lambda v: v > 0, "a second moment with an inverse")
    return weights


@functools.partial(jax.jit, static_argnums=3)
def _weights(
    phi: Array, sigma: Array, r: Array, depth: int
) -> tuple[Float[Array, "L 2"], Float[Array, ""]]:
    """Weights of all layers, and the determinant of the second moment."""
    (pc, ps), (sc, ss) = phi**2, sigma**2
    rest = ps * (1 - r**2) + ss
    # (phi_c^2 + sigma_c^2)(phi_s^2 + sigma_s^2) - r^2 phi_c^2 phi_s^2, as a sum of non-negative
    # terms.
    det = pc * rest + sc * (ps + ss)
    u = jnp.stack([phi[0] * rest, r * phi[1] * sc]) / det
    size = jnp.sqrt(jnp.sum(u**2))
    return jnp.abs(u) / size * layer_powers(size, depth)[:, None], det


def collapses(noise: Pair, correlation: Any) -> Bool[Array, ""]:
    r"""Test that the subclass has zero weight in every layer at the minimum.

    This holds if and only if $\sigma_c = 0$ or $r = 0$.

    **Arguments:**

    - `noise`: $(\sigma_c, \sigma_s)$, not negative.
    - `correlation`: the correlation $r$ of the subclass with the class, in [-1, 1].

    Theorem: class-collapse (paper section 5).
    """
    sigma, r = checks.nonnegative("noise", noise), _correlation(correlation)
    return (sigma[..., 0] == 0) | (r == 0)


def mixed_subclass_weight(
    share: Any, strength: Any, noise: Any, depth: int
) -> Float[Array, "... L"]:
    r"""Layer weights of a subclass that is independent of the class, under mixed positive pairs.

    $$\left( \sqrt{1 - a}\, \frac{\phi_s}{\phi_s^2 + \sigma_s^2} \right)^{l/L}$$

    A positive is of the same class with probability $a$, and a view of the same input
    otherwise. Near $a = 1$ layer $l$ falls like $(1 - a)^{l/(2L)}$: any share of views keeps
    the subclass, and lower layers keep more of it.

    **Arguments:**

    - `share`: the probability $a$, in [0, 1].
    - `strength`: $\phi_s$, positive.
    - `noise`: $\sigma_s$, not negative.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> np.round(pt.theory.supervised.mixed_subclass_weight(0.99, 1.0, 0.0, depth=2), 3)
        Array([0.316, 0.1  ], dtype=float64)

        ```

    Theorem: mixed-positives (beyond the paper).
    """
    a, phi, sigma = (
        checks.probability("share", share),
        checks.positive("strength", strength),
        checks.nonnegative("noise", noise),
    )
    depth = checks.count("depth", depth)
    shares, kept = layer_shares(depth, phi.dtype), (1 - a)[..., None]
    root = jnp.where(kept > 0, jnp.where(kept > 0, kept, 1) ** (shares / 2), 0)
    return root * (phi / (phi**2 + sigma**2))[..., None] ** shares


def collapsing_weight(
    time: Any, moments: Moments, direction: Float[Array, " d"], depth: int
) -> Float[Array, "... L"]:
    r"""Layer weights, late in training, of the one direction that the minimiser collapses.

    $$(4 L e\, q^2 t)^{-l/(Le)}, \qquad e = 4 - 2/L, \qquad q = 1 / (v^\top S^{-1} v)$$

    Here $v$ is the unit vector orthogonal to the range of $M^\star$, and $q$ is the variance
    along $v$ that remains after everything learned has been regressed out. This is the leading
    term for any balanced start and any $C$, $S$, also where they do not commute, if $v$ is the
    only such direction. Corrections fall at least as fast as the last layer's weight. Where $v$
    is a coordinate that is uncorrelated with all others, it is the law of *vanishing-features*.

    **Arguments:**

    - `time`: $t > 0$.
    - `moments`: cross and second moment of the views, each `(d, d)`.
    - `direction`: $v$, `(d,)`, of any length.
    - `depth`: the number of layers $L \ge 1$.

    **Raises:** `ValueError` for arguments out of range, or a direction with weight in the
    minimiser.

    Theorem: subclass-retention (beyond the paper).
    """
    t, v = checks.positive("time", time), checks.floating("direction", direction)
    depth = checks.count("depth", depth)
    if v.shape != (moments.dim,):
        raise checks.bad("direction", f"shape {v.shape}", f"({moments.dim},)")
    gram = class_minimiser(moments)
    left = matmul(gram, v[:, None])[:, 0]
    share = jnp.sqrt(jnp.sum(left**2) / jnp.sum(v**2)) / jnp.trace(gram)
    eps = float(jnp.finfo(gram.dtype).eps)
    checks.require("direction", share, lambda x: x <= eps**0.5, "one of no weight in the minimiser")
    q = jnp.sum(v**2) / jnp.sum(v * jnp.linalg.solve(moments.second, v))
    e = 4 - 2 / depth
    return (4 * depth * e * q**2 * t)[..., None] ** (-layer_shares(depth, q.dtype) / e)


def _features(strength: Pair, noise: Pair, correlation: Any) -> tuple[Array, Array, Array]:
    phi, sigma = checks.positive("strength", strength), checks.nonnegative("noise", noise)
    for name, x in (("strength", phi), ("noise", sigma)):
        if x.shape != (2,):
            raise checks.bad(
                name, f"shape {x.shape}", "two numbers: of the class and of the subclass"
            )
    r = _correlation(correlation)
    dtype = jnp.result_type(phi, sigma, r)
    return phi.astype(dtype), sigma.astype(dtype), r.astype(dtype)


def _correlation(value: Any) -> Array:
    r = checks.floating("correlation", value)
    checks.require("correlation", r, lambda v: np.abs(v) <= 1, "a correlation in [-1, 1]")
    return r

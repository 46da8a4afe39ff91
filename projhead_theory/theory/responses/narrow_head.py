r"""Features that survive a network of smaller width than their number, by training objective.

In a feature model each objective ranks the features by a score and keeps the $p$ largest:

- joint embedding, $c_i / q_i$, the signal fraction;
- denoising reconstruction, $a_i^2 / q_i$ with $a_i = E[x_i \bar x_i]$, the part of the feature's
  variance that its noisy view $\bar x_i$ explains;
- Barlow Twins without normalisation, $c_i$;
- principal components, $E[x_i^2]$.
"""

from functools import partial
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float

from ..._core import checks
from ..._core.linalg import diagonal
from ...problems import ContrastiveProblem
from .._common.scalars import quotient, scalars

__all__ = [
    "NarrowHead",
    "NarrowHeads",
    "joint_embedding",
    "joint_embedding_limit",
    "narrow_heads",
    "principal_components",
    "reconstruction",
    "reconstruction_limit",
    "unnormalised_barlow_twins",
]


class NarrowHead(eqx.Module):
    """Features that an objective keeps in a network of bounded width.

    - `score` `(d,)`: the number by which the objective ranks the features.
    - `kept` `(d,)`: true for the features of largest score, as many as the width. Features
      of score zero, and features that tie at the cut, are not among them.
    - `weights` `(d,)`: the end-to-end weights: zero for features that are lost, NaN for features
      that tie at the cut.
    - `unique`: false if features tie at the cut.
    """

    score: Float[Array, " d"]
    kept: Bool[Array, " d"]
    weights: Float[Array, " d"]
    unique: Bool[Array, ""]


class NarrowHeads(eqx.Module):
    """Features kept by four objectives on one problem, at one width."""

    joint_embedding: NarrowHead
    reconstruction: NarrowHead
    unnormalised_barlow_twins: NarrowHead
    principal_components: NarrowHead


def joint_embedding(cross: Any, second: Any, width: int) -> NarrowHead:
    r"""Features kept by joint embedding, with weights of the spectral contrastive loss.

    The score is the signal fraction $c/q$, and the weight of a kept feature is $\sqrt c / q$.
    Neither the order nor the choice depends on the unit of a feature.

    **Arguments:**

    - `cross`: $c \ge 0$ of each feature, `(d,)`.
    - `second`: $q \ge 0$ of each feature, `(d,)`, with $c = 0$ where it is zero.
    - `width`: the smallest width $p \ge 1$ of the network.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> head = pt.theory.responses.joint_embedding([4.0, 1.0], [20.0, 1.25], width=1)
        >>> head.kept, np.round(head.weights, 3)
        (Array([False,  True], dtype=bool), Array([0. , 0.8], dtype=float64))

        ```

    Theorem: narrow-head, spectral-minimiser.

    Source: beyond the paper; paper, section 3, for the weights.
    """
    width, (c, q) = _features(width, cross, second)
    return _joint(c, q, width)


def reconstruction(target: Any, second: Any, width: int) -> NarrowHead:
    r"""Features kept by a linear denoising autoencoder of bottleneck `width`.

    The autoencoder minimises $E\|W \bar x - x\|^2$ over maps $W$ of rank $p$, with $x$ the natural
    input and $\bar x$ its noisy view. The score is $a^2/q$, and the weight of a kept feature in
    $W$, decoder included, is $a/q$. For additive noise $a = c$.

    **Arguments:**

    - `target`: $a = E[x \bar x] \ge 0$ of each feature, `(d,)`.
    - `second`: $q = E[\bar x^2] \ge 0$ of each feature, `(d,)`, with $a = 0$ where it is zero.
    - `width`: the smallest width $p \ge 1$ of the network.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> head = pt.theory.responses.reconstruction([4.0, 1.0], [20.0, 1.25], width=1)
        >>> head.score, head.weights
        (Array([0.8, 0.8], dtype=float64), Array([nan, nan], dtype=float64))

        ```

    Theorem: narrow-head, sl-minimiser.

    Source: beyond the paper; Van Assel et al. (NeurIPS 2025).
    """
    width, (a, q) = _features(width, target, second, signal="target")
    return _reconstruction(a, q, width)


def unnormalised_barlow_twins(cross: Any, width: int) -> NarrowHead:
    r"""Features kept by Barlow Twins without normalisation, at least norm.

    The score is the cross moment $c$, and the weight of a kept feature is $c^{-1/2}$. Noise does
    not enter.

    !!! warning

        The loss itself does not choose: every subspace of $p$ directions with signal reaches its
        minimum, zero. The minimiser of least norm, which a weight decay that goes to zero
        selects, keeps the largest $c$; features with the largest $c$ are also learned first
        from a small start.

    **Arguments:**

    - `cross`: $c \ge 0$ of each feature, `(d,)`.
    - `width`: the smallest width $p \ge 1$ of the network.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> pt.theory.responses.unnormalised_barlow_twins([4.0, 1.0], width=1).weights
        Array([0.5, 0. ], dtype=float64)

        ```

    Theorem: narrow-head, barlow-stepwise.

    Source: beyond the paper; Simon et al. (ICML 2023).
    """
    width, (c,) = _features(width, cross)
    return _barlow(c, width)


def principal_components(power: Any, width: int) -> NarrowHead:
    r"""Features kept by principal components of the natural inputs.

    The score is the variance $E[x^2]$, and the weight of a kept feature is one: the projection onto
    the components, which is also the minimiser of a linear autoencoder without noise.

    **Arguments:**

    - `power`: $E[x^2] \ge 0$ of each feature, `(d,)`.
    - `width`: the number of components $p \ge 1$.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> pt.theory.responses.principal_components([4.0, 1.0], width=1).kept
        Array([ True, False], dtype=bool)

        ```

    Theorem: narrow-head.

    Source: Eckart and Young (1936); Baldi and Hornik (1989) for the autoencoder.
    """
    width, (power,) = _features(width, power, signal="power")
    return _principal(power, width)


def narrow_heads(problem: ContrastiveProblem, width: int) -> NarrowHeads:
    r"""Features that joint embedding, reconstruction, Barlow Twins and PCA keep of one problem.

    The augmented view is the input of the denoising autoencoder, and the natural input its target.
    An augmentation with exact moments maps a feature to $\rho x$ in the mean. So
    $c = \rho^2 E[x^2]$ and $|a| = |\rho|\, E[x^2] = \sqrt{c\, E[x^2]}$. No score depends on the
    sign of $a$.

    **Arguments:**

    - `problem`: unmixed features with an augmentation that has exact moments.
    - `width`: the smallest width $p \ge 1$ of every network.

    **Raises:** `ValueError` for a width below 1, mixed features, or an augmentation without exact
    moments.

    !!! example

        ```pycon
        >>> features = pt.Features([2.0, 1.4, 0.8])
        >>> problem = pt.ContrastiveProblem(features, pt.AdditiveNoise([4.0, 0.7, 0.1]))
        >>> heads = pt.theory.responses.narrow_heads(problem, width=1)
        >>> [int(jnp.argmax(head.kept)) for head in (heads.joint_embedding, heads.reconstruction)]
        [2, 1]
        >>> int(jnp.argmax(heads.unnormalised_barlow_twins.kept))
        0

        ```

    Theorem: narrow-head.

    Source: beyond the paper.
    """
    if problem.features.mixing is not None or not problem.exact:
        raise checks.bad(
            "problem",
            "mixed features" if problem.exact else "an augmentation without exact moments",
            "unmixed features with an augmentation that has exact moments",
        )
    moments, power = problem.moments(), problem.features.strength**2
    cross, second = diagonal(moments.cross), diagonal(moments.second)
    target = jnp.sqrt(cross * power)
    return NarrowHeads(
        joint_embedding(cross, second, width),
        reconstruction(target, second, width),
        unnormalised_barlow_twins(cross, width),
        principal_components(power, width),
    )


def joint_embedding_limit(
    strength: ArrayLike, other_strength: ArrayLike, other_noise: ArrayLike
) -> Float[Array, "..."]:
    r"""Largest additive noise at which joint embedding keeps a feature rather than another one.

    $$\sigma = \phi\, \sigma_n / \phi_n$$

    At width one, the feature is kept if its own noise is smaller. All arrays broadcast.

    **Arguments:**

    - `strength`: $\phi \ge 0$ of the feature.
    - `other_strength`: $\phi_n \ge 0$ of the other feature.
    - `other_noise`: $\sigma_n \ge 0$ of the other feature.

    **Returns:** the limit, infinite beside a feature of strength zero.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: narrow-head.

    Source: beyond the paper.
    """
    return _joint_limit(*_rivals(strength, other_strength, other_noise))


def reconstruction_limit(
    strength: ArrayLike, other_strength: ArrayLike, other_noise: ArrayLike
) -> Float[Array, "..."]:
    r"""Largest additive noise at which denoising keeps a feature rather than another one.

    $$\sigma^2 = \max\Big(0,\; \phi^4\, \frac{\phi_n^2 + \sigma_n^2}{\phi_n^4} - \phi^2\Big)$$

    At width one, the feature is kept if its own noise is smaller. A limit of zero means that it is
    lost at any noise. All arrays broadcast.

    **Arguments:**

    - `strength`: $\phi \ge 0$ of the feature.
    - `other_strength`: $\phi_n \ge 0$ of the other feature.
    - `other_noise`: $\sigma_n \ge 0$ of the other feature.

    **Returns:** the limit, infinite beside a feature of strength zero.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: narrow-head.

    Source: beyond the paper.
    """
    return _reconstruction_limit(*_rivals(strength, other_strength, other_noise))


def _rivals(strength: Any, other_strength: Any, other_noise: Any) -> tuple[Array, Array, Array]:
    """Check the strength of a feature, and strength and noise of another one."""
    _, (other, noise, phi) = scalars(
        1, strength, signal="strength", other_strength=other_strength, other_noise=other_noise
    )
    return phi, other, noise


def _features(
    width: Any, first: Any, second: Any = None, *, signal: str = "cross"
) -> tuple[int, list[Array]]:
    """Check a width, and moments of features, `(d,)` each; a number holds for all features."""
    width = checks.count("width", width)
    _, arrays = scalars(1, first, second, signal=signal)
    shape = jnp.broadcast_shapes(*(x.shape for x in arrays))
    if len(shape) != 1:
        raise checks.bad(signal, f"shape {arrays[0].shape}", "one number a feature, (d,)")
    return width, arrays


def _head(score: Array, weights: Array, width: int) -> NarrowHead:
    """Keep the features of largest score."""
    width = min(width, score.shape[0])
    above = jnp.sum(score[None, :] > score[:, None], axis=1)
    level = jnp.sum(score[None, :] >= score[:, None], axis=1)
    present = score > 0
    kept = present & (level <= width)
    tied = present & (above < width) & (level > width)
    weights = jnp.where(kept, weights, jnp.where(tied, jnp.nan, 0))
    return NarrowHead(score, kept, weights, ~jnp.any(tied))


@partial(jax.jit, static_argnums=2)
def _joint(cross: Array, second: Array, width: int) -> NarrowHead:
    cross, second = jnp.broadcast_arrays(cross, second)
    root = jnp.where(cross > 0, jnp.sqrt(jnp.where(cross > 0, cross, 1)), 0)
    return _head(quotient(cross, second), quotient(root, second), width)


@partial(jax.jit, static_argnums=2)
def _reconstruction(target: Array, second: Array, width: int) -> NarrowHead:
    target, second = jnp.broadcast_arrays(target, second)
    weights = quotient(target, second)
    return _head(target * weights, weights, width)


@partial(jax.jit, static_argnums=1)
def _barlow(cross: Array, width: int) -> NarrowHead:
    weights = jnp.where(cross > 0, jnp.where(cross > 0, cross, 1) ** -0.5, 0)
    return _head(cross, weights, width)


@partial(jax.jit, static_argnums=1)
def _principal(power: Array, width: int) -> NarrowHead:
    return _head(power, jnp.ones_like(power), width)


@jax.jit
def _joint_limit(phi: Array, other: Array, noise: Array) -> Array:
    return jnp.where(other > 0, phi * noise / jnp.where(other > 0, other, 1), jnp.inf)


@jax.jit
def _reconstruction_limit(phi: Array, other: Array, noise: Array) -> Array:
    square = jnp.where(other > 0, other, 1) ** 2
    ratio = phi**2 / square * (1 + noise**2 / square)
    excess = jnp.maximum(ratio - 1, 0)
    limit = phi * jnp.where(excess > 0, jnp.sqrt(jnp.where(excess > 0, excess, 1)), 0)
    return jnp.where(other > 0, limit, jnp.inf)

r"""Dimensional collapse under the distance critic, with exchangeable views and with a clean anchor.

Near zero weights the loss of `losses.DistanceContrastive` is quadratic,
$\mathcal L = -\frac{1}{2\tau} \mathrm{tr}(W X W^\top)$ to leading order, and $\dot W = W X / \tau$.
A direction collapses if $X$ is negative there.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from ...moments import Moments

__all__ = [
    "anchored_growth",
    "anchored_square",
    "anchored_square_gaussian",
    "exchangeable_growth",
]


def exchangeable_growth(moments: Moments, temperature: checks.Scalar = 1.0) -> Float[Array, "d d"]:
    r"""Growth of small weights under the distance critic, for two views drawn alike.

    $$\dot W = W X / \tau, \qquad X = E[(x - x')(x - x')^\top] - E[(x_1 - x_2)(x_1 - x_2)^\top]
    = 2S - (2S - 2C) = 2C \succeq 0$$

    No augmentation, however strong, makes a direction shrink; without signal it does not grow.

    **Arguments:**

    - `moments`: cross and second moment of the views, of mean zero.
    - `temperature`: $\tau > 0$.

    **Returns:** $X / \tau$.

    **Raises:** `ValueError` for a temperature that is not positive.

    Theorem: augmentation-collapse.

    Source: beyond Jing et al. (ICLR 2022); Ziyin et al. (ICLR 2023) for other losses.
    """
    return 2 * moments.cross / checks.positive("temperature", temperature)


def anchored_growth(
    signal: Float[Array, "d d"], noise: Float[Array, "d d"], temperature: checks.Scalar = 1.0
) -> Float[Array, "d d"]:
    r"""Growth of small weights under the distance critic, for clean anchors and negatives.

    $$\dot W = W X / \tau, \qquad X = 2 \Phi - \Sigma$$

    The anchor and the negatives are inputs with second moment $\Phi$, and the positive adds noise
    of covariance $\Sigma$ to the anchor.

    **Arguments:**

    - `signal`: $\Phi$.
    - `noise`: $\Sigma$.
    - `temperature`: $\tau > 0$.

    **Returns:** $X / \tau$.

    **Raises:** `ValueError` for shapes that differ, or a temperature that is not positive.

    Theorem: augmentation-collapse (Jing et al. 2022).
    """
    signal, noise = checks.floating("signal", signal), checks.floating("noise", noise)
    if signal.shape != noise.shape or signal.ndim != 2 or signal.shape[0] != signal.shape[1]:
        raise checks.bad("noise", f"shape {noise.shape}", f"that of signal, {signal.shape}")
    return (2 * signal - noise) / checks.positive("temperature", temperature)


def anchored_square(
    strength: ArrayLike, noise: ArrayLike, temperature: ArrayLike = 1.0
) -> Float[Array, "..."]:
    r"""Squared weight of a feature of random sign, for clean anchors and negatives.

    $$w^2 = \frac{\tau}{2\varphi^2} \ln\frac{4 - r}{r}, \qquad r = \sigma^2 / \varphi^2 < 2$$

    It is zero for $r \ge 2$: the feature collapses. The loss is convex in the Gram and a sum over
    independent features, so that this is the minimum in the presence of any others. Arguments
    broadcast against one another.

    **Arguments:**

    - `strength`: $\varphi > 0$ of the feature $\pm\varphi$.
    - `noise`: $\sigma > 0$ of the positive.
    - `temperature`: $\tau > 0$.

    **Raises:** `ValueError` for arguments that are not positive: without noise the weight is
    infinite.

    !!! example

        ```pycon
        >>> noise = jnp.asarray([0.5, 1.0, 1.5])
        >>> np.round(pt.theory.rivals.anchored_square(1.0, noise), 3)
        Array([1.354, 0.549, 0.   ], dtype=float64)

        ```

    Theorem: augmentation-collapse.

    Source: beyond Jing et al. (ICLR 2022).
    """
    return _square_signs(*_positive(strength, noise, temperature))


def anchored_square_gaussian(
    strength: ArrayLike, noise: ArrayLike, temperature: ArrayLike = 1.0
) -> Float[Array, "..."]:
    r"""Squared weight of a Gaussian feature, for clean anchors and negatives.

    $$w^2 = \frac{\tau}{\varphi^2} \Big(\frac 1u - 1\Big), \qquad
    u = \frac{\sqrt{1 + 4 r} - 1}{2}, \qquad r = \sigma^2 / \varphi^2 < 2$$

    It is zero for $r \ge 2$, where $u \ge 1$: the threshold does not depend on the distribution.

    **Arguments:**

    - `strength`, `noise`, `temperature`: as in `anchored_square`.

    **Raises:** `ValueError` for arguments that are not positive.

    !!! example

        ```pycon
        >>> noise = jnp.asarray([0.5, 1.0, 1.5])
        >>> np.round(pt.theory.rivals.anchored_square_gaussian(1.0, noise), 3)
        Array([3.828, 0.618, 0.   ], dtype=float64)

        ```

    Theorem: augmentation-collapse.

    Source: beyond Jing et al. (ICLR 2022).
    """
    return _square_gaussian(*_positive(strength, noise, temperature))


def _positive(strength: Any, noise: Any, temperature: Any) -> list[Array]:
    named = {"strength": strength, "noise": noise, "temperature": temperature}
    arrays = [checks.positive(name, value) for name, value in named.items()]
    dtype = jnp.result_type(*arrays)
    return [x.astype(dtype) for x in arrays]


@jax.jit
def _square_signs(strength: Array, noise: Array, temperature: Array) -> Array:
    r = (noise / strength) ** 2
    keeps = r < 2
    inside = jnp.where(keeps, r, 1)
    # ln((4 - r) / r), near the threshold without cancellation.
    log = jnp.log1p((4 - 2 * inside) / inside)
    return jnp.where(keeps, temperature / (2 * strength**2) * log, 0)


@jax.jit
def _square_gaussian(strength: Array, noise: Array, temperature: Array) -> Array:
    r = (noise / strength) ** 2
    keeps = r < 2
    root = jnp.sqrt(1 + 4 * jnp.where(keeps, r, 1))
    # 1 / u - 1 with u = (root - 1) / 2, and 3 - root = (8 - 4 r) / (3 + root).
    excess = (8 - 4 * jnp.where(keeps, r, 1)) / ((3 + root) * (root - 1))
    return jnp.where(keeps, temperature / strength**2 * excess, 0)

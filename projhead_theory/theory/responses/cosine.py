r"""InfoNCE of cosines, the loss of SimCLR, in the limit of many features of about equal share.

The square of a Gaussian output's length, relative to its mean, has the variance $2 \sum_i x_i^2$,
where $x_i$ is the share of feature $i$ in the mean, $\sum_i x_i = 1$. If that is small, a cosine is
an inner product of outputs of mean square length one.
"""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from .._common.scalars import each_feature

__all__ = ["CosineShares", "cosine_shares"]


class CosineShares(eqx.Module):
    r"""Shares of the features in the outputs under InfoNCE of cosines.

    - `share` `(d,)`: squared weight of each feature times its second moment, relative to the sum.
    - `extinction`: $\nu$, the signal fraction up to which features are extinct; negative if none
      is.
    """

    share: Float[Array, " d"]
    extinction: Float[Array, ""]


def cosine_shares(fraction: Any, temperature: Any) -> CosineShares:
    r"""Shares of the features in the outputs under InfoNCE of cosines, for many features.

    $$x_i = \tau \max(0, \lambda_i - \nu), \qquad \sum_i x_i = 1$$

    The cosine fixes the length of the outputs, so the temperature decides on the shares, as it does
    not for [inner products][projhead_theory.theory.responses.InfoNCE]. At $\tau = 1 / \sum_i
    \lambda_i$ both agree. A lower temperature makes the shares more equal. A higher one makes them
    less equal, and features of signal fraction up to $\nu$ are lost.

    !!! warning

        This is the leading order for small $\sum_i x_i^2$ and for scores whose variance
        $\sum_i x_i^2 / \tau^2$ is below the logarithm of the number of negatives. It is not a
        theorem of the library: `experiments.cosine_gap` measures the distance.

    **Arguments:**

    - `fraction`: the signal fractions $\lambda$ of independent Gaussian features, `(d,)`, in
      $[0, 1]$.
    - `temperature`: $\tau > 0$.

    **Returns:** the shares and $\nu$. A feature in a direction of second moment $q$ has the squared
    weight $x_i / q_i$, up to one factor for all features.

    **Raises:** `ValueError` for fractions or a temperature out of range.

    !!! example

        ```pycon
        >>> shares = lambda tau: pt.theory.responses.cosine_shares([0.9, 0.5, 0.1], tau).share
        >>> for temperature in (0.2, 0.5, 2.0):
        ...     print(np.round(shares(temperature), 2))
        [0.41 0.33 0.25]
        [0.53 0.33 0.13]
        [0.9 0.1 0. ]

        ```

    Source: beyond the paper.
    """
    x = each_feature("fraction", fraction)
    checks.require("fraction", x, lambda v: v <= 1, "signal fractions in [0, 1]")
    tau = checks.positive("temperature", temperature)
    if tau.ndim:
        raise checks.bad("temperature", f"shape {tau.shape}", "one number")
    return _shares(x, tau.astype(x.dtype))


@jax.jit
def _shares(fraction: Array, temperature: Array) -> CosineShares:
    # Shares less the largest one, so that no digits are lost at high temperatures.
    behind = temperature * (fraction - jnp.max(fraction))
    ordered = jnp.sort(behind, descending=True)
    kept = jnp.arange(1, fraction.size + 1, dtype=fraction.dtype)
    # The largest share if these many features are kept, as many as then have a positive one.
    first = (1 - jnp.cumsum(ordered)) / kept
    largest = first[jnp.sum(ordered + first > 0) - 1]
    extinction = jnp.max(fraction) - largest / temperature
    return CosineShares(jnp.maximum(behind + largest, 0), extinction)

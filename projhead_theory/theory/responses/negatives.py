r"""Finitely many negatives: the bias of the weights under InfoNCE on batches of Gaussian pairs.

In a batch of $n$ pairs the mean exponential score of an anchor, over its expectation, is
$1 + \epsilon$ with $\epsilon = O(n^{-1/2})$. With $y_i = q_i m_i / \tau$ the expected loss is
$\sum_i (y_i^2 / 2 - \lambda_i y_i) + D_1 / n + D_2 / n^2 + \dots$, from
$E \log(1 + \epsilon) = E[\epsilon - \epsilon^2/2 + \epsilon^3/3 - \epsilon^4/4 + \dots]$.
"""

from typing import Any

import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from .._common.scalars import each_feature

__all__ = ["negatives_bias", "negatives_second_order"]


def negatives_bias(fraction: Any) -> Float[Array, " d"]:
    r"""First-order bias $a_i$ of the responses under InfoNCE on batches of $n$ Gaussian pairs.

    $$g_i = \tau \Big( \lambda_i + \frac{a_i}{n} + O(n^{-2}) \Big), \qquad
    a_i = \frac{\lambda_i}{1 - 2\lambda_i^2} \prod_j (1 - 2\lambda_j^2)^{-1/2}
    - \frac{\lambda_i}{1 - \lambda_i^2} \prod_j (1 - \lambda_j^2)^{-1}$$

    The first term is the scatter of the negatives, which raises weights, the second the positive
    pair among them. Small signal fractions have $a_i \approx \lambda_i^3$. If some
    $\lambda_j^2 \ge 1/2$ the scatter has no variance, the bias falls more slowly than $1/n$, and
    the result is infinite.

    **Arguments:**

    - `fraction`: the signal fractions $\lambda$ of independent features, `(d,)`, in [0, 1).

    **Returns:** $a$, `(d,)`.

    **Raises:** `ValueError` for fractions out of range.

    !!! example

        ```pycon
        >>> np.round(pt.theory.responses.negatives_bias([0.5, 0.2]), 3)
        Array([0.548, 0.031], dtype=float64)

        ```

    Theorem: infonce-negatives.

    Source: beyond the paper.
    """
    return _first(_fractions(fraction))


def negatives_second_order(fraction: Any) -> Float[Array, " d"]:
    r"""Second-order bias $b_i$ of the responses under InfoNCE on batches of $n$ Gaussian pairs.

    $$g_i = \tau \Big( \lambda_i + \frac{a_i}{n} + \frac{b_i}{n^2} + \dots \Big), \qquad
    b = -\big( \nabla^2 D_1\, a + \nabla D_2 \big)(\lambda)$$

    It needs three moments of the exponential scores, and is infinite unless
    $\max_j \lambda_j^2 < 1/6$. The series is asymptotic.

    **Arguments:**

    - `fraction`: as in `negatives_bias`.

    **Raises:** `ValueError` for fractions out of range.

    Theorem: infonce-negatives.

    Source: beyond the paper.
    """
    return _second(_fractions(fraction))


def _fractions(fraction: Any) -> Array:
    x = each_feature("fraction", fraction)
    checks.require("fraction", x, lambda v: v < 1, "signal fractions in [0, 1)")
    return x


@jax.jit
def _first(fraction: Array) -> Array:
    square = fraction**2
    finite = jnp.all(2 * square < 1)
    spread = jnp.where(finite, 1 - 2 * square, 1)
    negatives = fraction / spread * jnp.prod(1 / jnp.sqrt(spread))
    positive = fraction / (1 - square) * jnp.prod(1 / (1 - square))
    return jnp.where(finite, negatives - positive, jnp.inf)


def _mean(rate: Array) -> Array:
    r"""$E \exp(\sum_i r_i x_i^2)$ of standard normal $x$."""
    return jnp.prod(1 / jnp.sqrt(1 - 2 * rate))


def _of_order_one(y: Array, fraction: Array) -> Array:
    """$D_1$: the positive pair, less half the variance of the negatives."""
    own = _mean(y * fraction - (y * fraction) ** 2 / 2)
    return own - 1 - (_mean(y**2) - 1) / 2


def _of_order_two(y: Array, fraction: Array) -> Array:
    """$D_2$, from the moments of the positive pair and of the negatives given the anchor."""
    rate = y * fraction - (y * fraction) ** 2 / 2
    own, squared = _mean(rate), _mean(2 * y * fraction + y**2 - 2 * (y * fraction) ** 2)
    variance, third = _mean(y**2) - 1, _mean(3 * y**2) - 3 * _mean(y**2) + 2
    variances = _mean(2 * y**2) - 2 * _mean(y**2) + 1
    both = _mean(rate + y**2) - own - variance
    return -(squared - 2 * own + 1) / 2 + variance / 2 + third / 3 + both - 3 * variances / 4


@jax.jit
def _second(fraction: Array) -> Array:
    finite = jnp.all(6 * fraction**2 < 1)
    at = jnp.where(finite, fraction, 0)
    bend = jax.hessian(_of_order_one)(at, at)
    total = jnp.sum(bend * _first(at), axis=1) + jax.grad(_of_order_two)(at, at)
    return jnp.where(finite, -total, jnp.inf)

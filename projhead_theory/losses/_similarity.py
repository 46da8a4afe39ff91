"""Normalised outputs, their similarity, and the softmax over all other rows."""

import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .._core.linalg import diagonal, matmul
from ._arguments import Number


def unit(
    y: Float[Array, "n p"], axis: int = 1, floor: Float[Array, "..."] | None = None
) -> Float[Array, "n p"]:
    r"""Rows (`axis=1`) or columns (`axis=0`) divided by their norm.

    Where no entry is above `floor`, by default the smallest normal number, there is no direction:
    the result and its gradient are zero.
    """
    size = jnp.max(jnp.abs(y), axis=axis, keepdims=True)
    live = size > (jnp.finfo(y.dtype).tiny if floor is None else floor)
    # Divide by the largest entry first, so that no square overflows or underflows. The result does
    # not depend on that scale, which may therefore count as a constant.
    scaled = jnp.where(live, y, 1) / jax.lax.stop_gradient(jnp.where(live, size, 1))
    return jnp.where(live, scaled / jnp.sqrt(jnp.sum(scaled * scaled, axis=axis, keepdims=True)), 0)


def similarity(
    y1: Float[Array, "n p"], y2: Float[Array, "m p"], temperature: Number
) -> Float[Array, "n m"]:
    """Inner products of rows, divided by the temperature, in the dtype of the rows."""
    # The product comes last, because it is stored. A quotient of it would be fused into the next
    # operations and rounded there in another way than in its own maximum. The exponential does not
    # survive that difference where scores are large.
    return matmul(y1 / jnp.asarray(temperature, y1.dtype), y2.T)


def of_pairs(scores: Float[Array, "n n"]) -> Float[Array, ""]:
    """InfoNCE of the scores of first with second views, with both views as anchors in turn."""
    log_shares = [diagonal(jax.nn.log_softmax(scores, axis=axis)) for axis in (1, 0)]
    return -(jnp.mean(log_shares[0]) + jnp.mean(log_shares[1])) / 2


def softmax_over_others(
    scores: Float[Array, "n n"], positive: Bool[Array, "n n"]
) -> Float[Array, ""]:
    r"""Negative log-softmax of the positives of each row over all other rows.

    $$-\frac{1}{|P(i)|} \sum_{p \in P(i)} \log \frac{\exp s_{ip}}{\sum_{a \ne i} \exp s_{ia}}$$

    The average is over the rows $i$ that have positives $P(i)$ other than themselves; it is zero
    if there is no such row.
    """
    apart = ~jnp.eye(scores.shape[0], dtype=bool)
    log_share = jax.nn.log_softmax(scores, axis=1, where=apart)
    positive = positive & apart
    count = jnp.sum(positive, axis=1, dtype=scores.dtype)
    each = -jnp.sum(jnp.where(positive, log_share, 0), axis=1) / jnp.maximum(count, 1)
    return jnp.sum(each) / jnp.maximum(jnp.sum(count > 0, dtype=scores.dtype), 1)

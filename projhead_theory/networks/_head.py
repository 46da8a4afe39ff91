r"""Fixed projection heads: untrained diagonal matrices on top of an encoder.

$$H = \mathrm{diag}(h_1, \dots, h_p)$$
"""

import abc
import math
from typing import Any

import equinox as eqx
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import checks


class AbstractHead(eqx.Module):
    """Fixed diagonal head. The encoder under it sets its width and dtype."""

    @abc.abstractmethod
    def diagonal(self, p: int, dtype: Any = None) -> Float[Array, " p"]:
        r"""Diagonal $h_1, \dots, h_p$ of the head for an encoder of width `p`.

        The dtype is JAX's default float if no `dtype` is given.

        **Raises:** `ValueError` if the head does not fit that width, or an entry leaves the range
        of the dtype.
        """


class DiagonalHead(AbstractHead):
    r"""Head $H = \mathrm{diag}(h)$ with any weights.

    A weight of zero hides that output of the encoder from the loss: gradient flow then never
    moves it, and weight decay takes it to zero. The head is invertible if no weight is zero.

    **Arguments:**

    - `weights`: $h$, `(p,)`, non-negative and finite, not all zero.

    **Raises:** `ValueError` for other weights. On an encoder also if its width differs, or if a
    positive weight leaves the range of its dtype.
    """

    weights: Float[Array, " p"]

    def __init__(self, weights: Any):
        weights = checks.nonnegative("weights", weights)
        if weights.ndim != 1 or weights.size == 0:
            raise checks.bad(
                "weights", f"shape {weights.shape}", "one weight for each row, (p,) with p >= 1"
            )
        known = checks.concrete(weights)
        if known is not None and not known.any():
            raise checks.bad("weights", "zeros alone", "at least one positive weight")
        self.weights = weights

    def diagonal(self, p: int, dtype: Any = None) -> Float[Array, " p"]:
        if self.weights.shape[-1] != p:
            raise checks.bad(
                "weights", f"{self.weights.shape[-1]} weights", f"{p}, the width of the encoder"
            )
        dtype = jnp.dtype(dtype or jnp.result_type(float))
        result = self.weights.astype(dtype)
        before, after = checks.concrete(self.weights), checks.concrete(result)
        if before is not None and after is not None:
            limits = jnp.finfo(dtype)
            out = ((before > 0) & (after < limits.tiny)) | (after > limits.max)
            if out.any():
                came = f"{before[out][0]:.6g}, which leaves the range of {dtype.name}"
                raise checks.bad(
                    "weights",
                    came,
                    f"zeros and weights from {float(limits.tiny):.2g} to {float(limits.max):.2g}",
                )
        return result


class ReweightingHead(AbstractHead):
    r"""Head $H = \mathrm{diag}(1, 1/\kappa, 1/\kappa^2, \dots, 1/\kappa^{p-1})$ (paper).

    $\kappa = 1$ is no head at all. $\kappa < 1$ lists the outputs in the reverse order of
    importance: the diagonal is $\kappa^{1-p}$ times the diagonal for $1/\kappa$, reversed.

    **Arguments:**

    - `kappa`: $\kappa > 0$, one number.

    **Raises:** `ValueError` for any other value. On an encoder also if $\kappa^{1-p}$ underflows or
    overflows the encoder's dtype.

    !!! example

        ```pycon
        >>> head = pt.networks.ReweightingHead(2.0)
        >>> np.round(head.diagonal(4), 3)
        Array([1.   , 0.5  , 0.25 , 0.125], dtype=float64)

        ```
    """

    kappa: Float[Array, ""]

    def __init__(self, kappa: checks.Scalar):
        self.kappa = _one("kappa", checks.positive("kappa", kappa))

    def diagonal(self, p: int, dtype: Any = None) -> Float[Array, " p"]:
        p, dtype = checks.count("p", p), jnp.dtype(dtype or jnp.result_type(float))
        known = checks.concrete(self.kappa)
        if known is not None:
            _within(known.max(), p, dtype)
            _within(known.min(), p, dtype)
        return self.kappa.astype(dtype) ** -np.arange(p, dtype=dtype)

    def participation_ratio(self, p: int) -> Float[Array, ""]:
        r"""Participation ratio of the head at width $p$: its effective number of outputs.

        $$(\sum h^2)^2 / \sum h^4 = \tanh(p \ln\kappa) / \tanh(\ln\kappa)$$

        $p$ at $\kappa = 1$; $|\coth(\ln\kappa)| = |\kappa^2 + 1| / |\kappa^2 - 1|$ for large $p$;
        equal for $\kappa$ and $1/\kappa$. The diagonal is never formed, so no entry underflows.

        **Raises:** `ValueError` for $p < 1$.

        Formula: beyond the paper.
        """
        p = checks.count("p", p)
        slope = jnp.log(self.kappa)
        # At kappa = 1 numerator and denominator vanish: the quotient is p, and its slope is zero,
        # as it is even in ln kappa.
        flat = slope == 0
        safe = jnp.where(flat, 1, slope)
        return jnp.where(flat, p, jnp.tanh(p * safe) / jnp.tanh(safe)).astype(self.kappa.dtype)


class TruncationHead(AbstractHead):
    """Head that passes the first `keep` outputs of the encoder and hides the others.

    The loss sees a part of the representation (Jing et al. 2022, DirectCLR). It is the limit of
    heads whose further weights go to zero. It is not invertible unless it keeps all outputs.

    **Arguments:**

    - `keep`: the number of outputs kept, at least 1.

    **Raises:** `ValueError` for any other `keep`, or on an encoder with fewer outputs than `keep`.
    """

    keep: int = eqx.field(static=True)

    def __init__(self, keep: int):
        self.keep = checks.count("keep", keep)

    def diagonal(self, p: int, dtype: Any = None) -> Float[Array, " p"]:
        if self.keep > checks.count("p", p):
            raise checks.bad("keep", self.keep, f"at most {p}, the width of the encoder")
        return (jnp.arange(p) < self.keep).astype(jnp.dtype(dtype or jnp.result_type(float)))


def participation_ratio(weights: Float[Array, "*b p"]) -> Float[Array, "*b"]:
    r"""Participation ratio of a head: its effective number of outputs, between 1 and $p$.

    $$(\sum_i h_i^2)^2 / \sum_i h_i^4$$

    It does not depend on the unit of $h$.

    **Arguments:**

    - `weights`: $h$, non-negative, not all zero.

    **Raises:** `ValueError` for other weights.

    Formula: beyond the paper.
    """
    weights = checks.nonnegative("weights", weights)
    largest = jnp.max(weights, axis=-1, keepdims=True)
    checks.require("weights", largest, lambda v: v > 0, "at least one positive weight")
    squares = (weights / largest) ** 2
    return jnp.sum(squares, axis=-1) ** 2 / jnp.sum(squares**2, axis=-1)


def _one(name: str, x: Array) -> Array:
    if x.ndim:
        raise checks.bad(
            name, f"shape {x.shape}", "one number (several at once: `jax.vmap` over the head)"
        )
    return x


def _within(kappa: Any, p: int, dtype: Any) -> None:
    """Raise unless the last of `p` diagonal entries is a normal number of the dtype.

    Beyond that range its inverse is wrong or not finite.
    """
    limits, slope = jnp.finfo(dtype), math.log(float(kappa))
    edge = math.log(float(limits.tiny)) if slope > 0 else math.log(float(limits.max))
    if slope == 0 or (1 - p) * slope / edge <= 1:
        return
    side, most = ("underflows", "most") if slope > 0 else ("overflows", "least")
    came = (
        f"{float(kappa):.6g} at width {p}, whose last row "
        f"kappa^-{p - 1} = 1e{(1 - p) * slope / math.log(10):.0f} {side} {dtype.name}"
    )
    # Rounded to the side on which the last entry is still a normal number.
    bound = math.exp(edge / (1 - p)) + (-5e-7 if slope > 0 else 5e-7)
    widest = math.floor(1 - edge / slope)
    raise checks.bad(
        "kappa", came, f"at {most} {bound:.6f} at this width, or a width of at most {widest}"
    )

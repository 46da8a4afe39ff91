r"""The start law: the Gram before the head, from the Gram after it, without balance.

Two layers start with $W_1^\top W_1 = a I$, $W_2 W_2^\top = b I$ and $W_2 W_1 = 0$, as wide layers
with independent entries nearly do. Under gradient flow, on any differentiable loss of $W_2 W_1$,

$$M_2 = (M_1 - a I)(M_1 + b I) \qquad \text{at all times.}$$

Weight decay $\gamma$ multiplies both scales by $e^{-2 \gamma t}$ and changes nothing else.
"""

from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.isotropic import above, below, gram_below
from ..._core.linalg import matmul, symmetric

__all__ = [
    "Start",
    "inverse_start_law",
    "start_law",
    "weights_after_head",
    "weights_before_head",
]


class Start(eqx.Module):
    r"""Scales of the two layers of a network at the start.

    **Arguments:**

    - `encoder`: $a \ge 0$, with $W_1^\top W_1 = a I$.
    - `head`: $b \ge 0$, with $W_2 W_2^\top = b I$.

    Layers with independent entries of mean zero, of variances $v_1$ and $v_2$ and hidden width
    $h$, have $a = h v_1$ and $b = h v_2$ up to $O(h^{-1/2})$. `Start(0, 0)` is a balanced start.

    **Raises:** `ValueError` for scales that are negative or not finite numbers.

    !!! example

        ```pycon
        >>> start = pt.theory.starts.Start.torch((3, 512, 3))
        >>> round(float(start.encoder), 3), round(float(start.head), 3)
        (56.889, 0.333)

        ```
    """

    encoder: Float[Array, ""]
    head: Float[Array, ""]

    def __init__(self, encoder: ArrayLike, head: ArrayLike):
        self.encoder, self.head = _scales(encoder, head)

    @classmethod
    def gaussian(cls, sizes: Sequence[int], encoder: ArrayLike, head: ArrayLike) -> "Start":
        r"""Scales of layers whose entries have given standard deviations, $(h s_1^2, h s_2^2)$.

        **Arguments:**

        - `sizes`: `(d, h, p)`.
        - `encoder`, `head`: standard deviations $s_1$ and $s_2$ of the entries of each layer.
        """
        _, hidden, _ = _sizes(sizes)
        first = checks.nonnegative("encoder", encoder)
        return cls(hidden * first**2, hidden * checks.nonnegative("head", head) ** 2)

    @classmethod
    def torch(cls, sizes: Sequence[int]) -> "Start":
        r"""Scales of PyTorch's `Linear` by default, $(h / 3d, 1/3)$, without its biases.

        Entries are uniform in $\pm 1 / \sqrt n$ for $n$ inputs, which has variance $1 / 3n$.

        **Arguments:**

        - `sizes`: `(d, h, p)`.
        """
        dim, hidden, _ = _sizes(sizes)
        return cls(hidden / (3 * dim), 1 / 3)

    @classmethod
    def flax(cls, sizes: Sequence[int]) -> "Start":
        r"""Scales of Flax's `Dense` by default, $(h / d, 1)$: entries have variance $1 / n$.

        **Arguments:**

        - `sizes`: `(d, h, p)`.
        """
        dim, hidden, _ = _sizes(sizes)
        return cls(hidden / dim, 1)

    def after(self, time: ArrayLike, weight_decay: ArrayLike) -> "Start":
        r"""Scales that take the place of the start's own after a time $t$ of weight decay.

        $$(a, b)\, e^{-2 \gamma t}$$

        **Arguments:**

        - `time`: $t \ge 0$.
        - `weight_decay`: $\gamma \ge 0$.

        **Raises:** `ValueError` for negative numbers.
        """
        faded = jnp.exp(
            -2 * checks.nonnegative("weight_decay", weight_decay) * checks.nonnegative("time", time)
        )
        return Start(self.encoder * faded, self.head * faded)


def _scales(encoder: Any, head: Any) -> tuple[Array, Array]:
    scales = checks.nonnegative("encoder", encoder), checks.nonnegative("head", head)
    dtype = jnp.result_type(*scales)
    for name, value in zip(("encoder", "head"), scales, strict=True):
        if value.ndim:
            raise checks.bad(name, f"shape {value.shape}", "one number")
    return scales[0].astype(dtype), scales[1].astype(dtype)


def _sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    if len(sizes) != 3:
        raise checks.bad("sizes", tuple(sizes), "(d, h, p): the start law is of two layers")
    return tuple(checks.count("width", size) for size in sizes)


def require_two_layers(depth: int) -> None:
    """Raise unless the depth is two, as the start law needs."""
    if depth != 2:
        raise checks.bad(
            "depth",
            depth,
            "2 with a start: deeper, the last Gram and the scales do not determine the others",
        )


def start_law(
    gram: Float[Array, "d d"],
    *,
    encoder: ArrayLike,
    head: ArrayLike,
    weight_decay: ArrayLike = 0.0,
    time: ArrayLike = 0.0,
) -> Float[Array, "d d"]:
    r"""Gram before the head, from the Gram after it.

    $$M_1 = \tfrac12 \big( (a - b) I + ((a + b)^2 I + 4 M_2)^{1/2} \big), \qquad
    M_2 = (M_1 - a I)(M_1 + b I)$$

    With weight decay, $a$ and $b$ are multiplied by $e^{-2 \gamma t}$. A balanced start,
    $a = b = 0$, gives the square root of the layer-wise law. The same function with the scales
    exchanged gives $W_2 W_2^\top$ from $W_2 W_1 W_1^\top W_2^\top$.

    **Arguments:**

    - `gram`: $M_2$, symmetric positive semi-definite, `(d, d)`.
    - `encoder`: $a \ge 0$.
    - `head`: $b \ge 0$.
    - `weight_decay`: $\gamma \ge 0$.
    - `time`: $t \ge 0$, the time since the start; used with weight decay alone.

    **Returns:** $M_1$, `(d, d)`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> gram = jnp.diag(jnp.asarray([4.0, 0.25]))
        >>> before = pt.theory.starts.start_law(gram, encoder=1.0, head=1.0)
        >>> np.round(before, 3)
        Array([[2.236, 0.   ],
               [0.   , 1.118]], dtype=float64)
        >>> np.round(pt.theory.starts.inverse_start_law(before, encoder=1.0, head=1.0), 3)
        Array([[4.  , 0.  ],
               [0.  , 0.25]], dtype=float64)

        ```

    Theorem: start-law.

    Source: beyond the paper; one scale zero: Kunin et al. 2024 and Dominé et al. 2025; equal
    scales: Tu, Aranguri and Jacot 2024.
    """
    gram, start = _given("gram", gram, encoder, head, weight_decay, time)
    return gram_below(gram, start.encoder, start.head, gram.shape[-1])


def inverse_start_law(
    gram: Float[Array, "d d"],
    *,
    encoder: ArrayLike,
    head: ArrayLike,
    weight_decay: ArrayLike = 0.0,
    time: ArrayLike = 0.0,
) -> Float[Array, "d d"]:
    r"""Gram after the head, from the Gram before it: $M_2 = (M_1 - a I)(M_1 + b I)$.

    **Arguments:**

    - `gram`: $M_1$, with no eigenvalue below $a$, `(d, d)`.
    - `encoder`, `head`, `weight_decay`, `time`: as in `start_law`.

    **Returns:** $M_2$, `(d, d)`.

    **Raises:** `ValueError` for arguments out of range, or an eigenvalue below $a$.

    Theorem: start-law.
    """
    gram, start = _given("gram", gram, encoder, head, weight_decay, time)
    one = jnp.eye(gram.shape[-1], dtype=gram.dtype)
    known = checks.concrete(gram)
    if known is not None and known.size:
        least = np.linalg.eigvalsh(known)[0]
        slack = 64 * len(known) * float(jnp.finfo(gram.dtype).eps) * np.abs(known).max()
        checks.require(
            "gram",
            jnp.asarray(least - start.encoder + slack),
            lambda v: v >= 0,
            "no eigenvalue below the scale of the encoder",
        )
    return symmetric(matmul(gram - start.encoder * one, gram + start.head * one))


def weights_before_head(
    weights: Any,
    *,
    encoder: ArrayLike,
    head: ArrayLike,
    weight_decay: ArrayLike = 0.0,
    time: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    r"""Weights of features before the head, from their weights after it.

    $$v_i^2 = \tfrac12 \Big( a - b + \sqrt{(a + b)^2 + 4 w_i^2} \Big)$$

    A feature of weight $w_i \ll (a + b) / 2$ has $v_i^2 \approx a + w_i^2 / (a + b)$, and one of
    weight $w_i \gg (a + b) / 2$ has $v_i^2 \approx w_i$.

    **Arguments:**

    - `weights`: $w_i \ge 0$, of any shape.
    - `encoder`, `head`, `weight_decay`, `time`: as in `start_law`.

    **Raises:** `ValueError` for arguments out of range.

    !!! example

        ```pycon
        >>> weights = jnp.asarray([1.0, 0.1])
        >>> before = pt.theory.starts.weights_before_head
        >>> np.round(before(weights, encoder=4.0, head=0.25), 3)
        Array([2.055, 2.001], dtype=float64)
        >>> np.round(before(weights, encoder=0.0, head=4.0), 3)
        Array([0.486, 0.05 ], dtype=float64)

        ```

    Theorem: start-law.
    """
    weights, start = _given("weights", weights, encoder, head, weight_decay, time)
    weights = checks.nonnegative("weights", weights)
    square = below(weights**2, start.encoder, start.head)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def weights_after_head(
    weights: Any,
    *,
    encoder: ArrayLike,
    head: ArrayLike,
    weight_decay: ArrayLike = 0.0,
    time: ArrayLike = 0.0,
) -> Float[Array, "..."]:
    r"""Weights of features after the head, $w_i^2 = (v_i^2 - a)(v_i^2 + b)$.

    **Arguments:**

    - `weights`: weights before the head, $v_i \ge \sqrt a$, of any shape.
    - `encoder`, `head`, `weight_decay`, `time`: as in `start_law`.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: start-law.
    """
    weights, start = _given("weights", weights, encoder, head, weight_decay, time)
    square = checks.nonnegative("weights", weights) ** 2
    eps = float(jnp.finfo(square.dtype).eps)
    checks.require(
        "weights",
        square - start.encoder + 4 * eps * square,
        lambda v: v >= 0,
        "no weight below the root of the encoder's scale",
    )
    square = above(square, start.encoder, start.head)
    return jnp.where(square > 0, jnp.sqrt(jnp.where(square > 0, square, 1)), 0)


def _given(
    name: str, value: Any, encoder: Any, head: Any, weight_decay: Any, time: Any
) -> tuple[Array, Start]:
    """Grams or weights, and the scales that take the place of the start's own, in one dtype."""
    array = (checks.square if name == "gram" else checks.floating)(name, value)
    start = Start(encoder, head).after(time, weight_decay)
    return array, jax.tree.map(lambda x: x.astype(array.dtype), start)

r"""Deep linear network $f(x) = W_L \cdots W_1 x$, with its initialisations."""

import functools
import itertools
from collections.abc import Sequence
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.isotropic import gram_below
from .._core.linalg import diagonal, matmul, psd_power
from ._base import AbstractLinearNetwork


def _sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    if len(sizes) < 2:
        raise checks.bad(
            "depth",
            f"{len(sizes) - 1} layers (sizes {tuple(sizes)})",
            "at least one layer: sizes (d, p_1, ..., p_L)",
        )
    return tuple(checks.count("width", size) for size in sizes)


def chained(name: str, matrices: Sequence[Any]) -> tuple[Float[Array, "..."], ...]:
    """Matrices of which each takes the outputs of the one before it, as arrays."""
    result = tuple(checks.floating(name, w) for w in matrices)
    shapes = f"shapes {[w.shape for w in result]}"
    if not result:
        raise checks.bad(name, "none (depth 0)", "at least one matrix")
    if any(w.ndim < 2 for w in result):
        raise checks.bad(name, shapes, "matrices")
    for below, above in itertools.pairwise(result):
        if above.shape[-1] != below.shape[-2]:
            raise checks.bad(name, shapes, "matrices whose widths chain")
    return result


@functools.partial(jax.jit, static_argnums=2)
def _along(directions: Array, weights: Array, sizes: tuple[int, ...]) -> list[Array]:
    """Layers that carry one direction each in every unit."""
    k = len(weights)
    root = weights ** (1 / (len(sizes) - 1))
    first = jnp.eye(sizes[1], k, dtype=directions.dtype) * root
    rest = [
        jnp.zeros((m, n), directions.dtype).at[jnp.arange(k), jnp.arange(k)].set(root)
        for n, m in itertools.pairwise(sizes[1:])
    ]
    return [matmul(first, directions.T), *rest]


def isotropic_factor(
    product: Float[Array, "p d"], encoder: Array, head: Array
) -> Float[Array, "k k"]:
    r"""Root of the Gram of $[W_1, W_2^\top]$, two layers of the start law with this product.

    Its blocks are $M_1$ and $W_2 W_2^\top$ on the diagonal, and the product off it. For a singular
    value $s$ the determinant is $v_1^2 v_2^2 - s^2 = ab \ge 0$: such layers exist.
    """
    p, d = product.shape
    first = gram_below(matmul(product.T, product), encoder, head, d)
    second = gram_below(matmul(product, product.T), head, encoder, p)
    return psd_power(jnp.block([[first, product.T], [product, second]]), 0.5, d + p)


def _orthonormal(key: PRNGKeyArray, rows: int, columns: int, dtype: Any) -> Array:
    """Uniformly random matrix with orthonormal columns (rows >= columns)."""
    q, r = jnp.linalg.qr(jax.random.normal(key, (rows, columns), dtype))
    return q * jnp.where(diagonal(r) < 0, -1, 1)


class DeepLinear(AbstractLinearNetwork):
    r"""Deep linear network $f(x) = W_L \cdots W_1 x$ (paper section 3).

    The encoder is the lower layers, the projection head the top ones: pre-projection is layer
    $L - 1$ for a head of one layer, post-projection is layer $L$.

    **Arguments:**

    - `layers`: $W_1, \dots, W_L$, with $W_l$ of shape `(p_l, p_{l-1})`.

    **Raises:** `ValueError` if there is no layer or the shapes do not chain.

    !!! example

        ```pycon
        >>> network = pt.DeepLinear([[[2.0, 0.0], [0.0, 1.0]], [[1.0, 1.0]]])
        >>> network.depth, network.sizes
        (2, (2, 2, 1))
        >>> np.round(network.matrix, 3)
        Array([[2., 1.]], dtype=float64)

        ```
    """

    layers: tuple[Float[Array, "..."], ...]

    def __init__(self, layers: Sequence[Any]):
        self.layers = chained("layers", layers)

    @property
    def factors(self) -> tuple[Float[Array, "..."], ...]:
        """The layers."""
        return self.layers

    @property
    def trainable(self) -> Any:
        """Flags in the shape of the network, all true."""
        return jax.tree.map(lambda _: True, self)

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        sizes: Sequence[int],
        scale: checks.Scalar | Sequence[float] = 1.0,
        dtype: Any = None,
    ) -> "DeepLinear":
        r"""Gaussian initialisation: entries of $W_l$ are $N(0, \text{scale}_l^2 / p_{l-1})$.

        **Arguments:**

        - `key`: the seed.
        - `sizes`: `(d, p_1, ..., p_L)`.
        - `scale`: one number, or one for each layer.
        - `dtype`: JAX's default float if not given.
        """
        sizes = _sizes(sizes)
        scales = jnp.broadcast_to(checks.nonnegative("scale", scale), (len(sizes) - 1,))
        keys = jax.random.split(key, len(sizes) - 1)
        dtype = dtype or jnp.result_type(float)
        return cls(
            [
                (s / n**0.5).astype(dtype) * jax.random.normal(k, (m, n), dtype)
                for k, s, n, m in zip(keys, scales, sizes, sizes[1:], strict=False)
            ]
        )

    @classmethod
    def orthogonal(
        cls, key: PRNGKeyArray, sizes: Sequence[int], scale: checks.Scalar = 1.0, dtype: Any = None
    ) -> "DeepLinear":
        """Orthogonal initialisation: `scale` times random orthonormal rows or columns.

        Balanced if all widths are equal.
        """
        sizes = _sizes(sizes)
        dtype = dtype or jnp.result_type(float)
        factor = checks.nonnegative("scale", scale).astype(dtype)
        layers = []
        for k, n, m in zip(jax.random.split(key, len(sizes) - 1), sizes, sizes[1:], strict=False):
            q = _orthonormal(k, max(m, n), min(m, n), dtype)
            layers.append(factor * (q if m >= n else q.T))
        return cls(layers)

    @classmethod
    def balanced(
        cls, key: PRNGKeyArray, sizes: Sequence[int], scale: checks.Scalar = 1.0, dtype: Any = None
    ) -> "DeepLinear":
        r"""Exactly balanced random initialisation, for any widths.

        $W_{l+1}^\top W_{l+1} = W_l W_l^\top$ to rounding: $W_l = Q_l \Sigma Q_{l-1}^\top$ with
        random orthonormal columns $Q_l$ and one random spectrum $\Sigma$, uniform in
        $[\text{scale}/2, 3\,\text{scale}/2]$. The rank is the smallest size.
        """
        sizes = _sizes(sizes)
        dtype = dtype or jnp.result_type(float)
        factor = checks.nonnegative("scale", scale).astype(dtype)
        first, *rest = jax.random.split(key, len(sizes) + 1)
        spectrum = factor * jax.random.uniform(first, (min(sizes),), dtype, 0.5, 1.5)
        frames = [
            _orthonormal(k, size, min(sizes), dtype) for k, size in zip(rest, sizes, strict=True)
        ]
        return cls(
            [matmul(above * spectrum, below.T) for below, above in itertools.pairwise(frames)]
        )

    @classmethod
    def aligned(cls, directions: Any, weights: Any, sizes: Sequence[int]) -> "DeepLinear":
        r"""Balanced initialisation along given directions.

        End to end it maps $v_i$ to $s_i e_i$, every layer carrying $s_i^{1/L}$.

        **Arguments:**

        - `directions`: orthonormal columns $v_i$, `(d, k)`.
        - `weights`: the product weights $s_i \ge 0$, `(k,)`.
        - `sizes`: `(d, p_1, ..., p_L)`, with every width at least $k$.
        """
        sizes = _sizes(sizes)
        directions = checks.floating("directions", directions)
        weights = checks.nonnegative("weights", weights)
        k = weights.shape[0] if weights.ndim else 0
        if directions.shape != (sizes[0], k):
            raise checks.bad(
                "directions",
                f"shape {directions.shape}",
                f"({sizes[0]}, {k}): one column for each weight",
            )
        if min(sizes[1:]) < k:
            raise checks.bad("width", min(sizes[1:]), f"at least {k}, the number of directions")
        known = checks.concrete(directions)
        if (
            known is not None
            and abs(known.T @ known - np.eye(k)).max() > 1e3 * jnp.finfo(directions.dtype).eps
        ):
            raise checks.bad(
                "directions", "columns that are not orthonormal", "orthonormal columns"
            )
        return cls(_along(directions, weights, sizes))

    @classmethod
    def isotropic(
        cls,
        key: PRNGKeyArray,
        sizes: Sequence[int],
        encoder: checks.Scalar = 1.0,
        head: checks.Scalar = 1.0,
        *,
        product: Any = None,
        dtype: Any = None,
    ) -> "DeepLinear":
        r"""Exact isotropic initialisation of two layers, as in the start law.

        $W_1^\top W_1 = a I$, $W_2 W_2^\top = b I$ and $W_2 W_1 = 0$, in a random frame. Wide
        Gaussian layers are close to it. The spectral contrastive loss is stationary at
        $W_2 W_1 = 0$, and training from there goes nowhere: with a `product` $A$ the network starts
        elsewhere on the flow's invariant set, at $W_2 W_1 = A$, where $W_1^\top W_1 \ne a I$ is as
        if it had been trained from the start to that product.

        **Arguments:**

        - `key`: the seed.
        - `sizes`: `(d, h, p)`, with hidden width $h \ge d + p$.
        - `encoder`: $a \ge 0$.
        - `head`: $b \ge 0$.
        - `product`: $A$, `(p, d)`; zero if not given.
        - `dtype`: JAX's default float if not given.

        **Raises:** `ValueError` for other than two layers, a hidden width below $d + p$, negative
        scales, or a product of another shape.

        !!! example

            ```pycon
            >>> start = pt.DeepLinear.isotropic(jax.random.key(0), (2, 4, 1), 3.0, 0.5)
            >>> np.round(pt.measure.layer_grams(start)[0], 3)
            Array([[3., 0.],
                   [0., 3.]], dtype=float64)
            >>> bool(jnp.abs(start.matrix).max() < 1e-14)
            True

            ```
        """
        sizes = _sizes(sizes)
        if len(sizes) != 3:
            raise checks.bad("sizes", sizes, "(d, h, p): an isotropic start has two layers")
        d, hidden, p = sizes
        if hidden < d + p:
            raise checks.bad(
                "width", hidden, f"at least {d + p}: room for {d} inputs and {p} outputs"
            )
        dtype = dtype or jnp.result_type(float)
        scales = [
            checks.nonnegative(name, value).astype(dtype)
            for name, value in (("encoder", encoder), ("head", head))
        ]
        given = np.zeros((p, d)) if product is None else product
        matrix = checks.floating("product", given).astype(dtype)
        if matrix.shape != (p, d):
            raise checks.bad("product", f"shape {matrix.shape}", f"({p}, {d})")
        frame = _orthonormal(key, hidden, d + p, dtype)
        layers = matmul(frame, isotropic_factor(matrix, *scales))
        return cls([layers[:, :d], layers[:, d:].T])

    @classmethod
    def unbalanced(
        cls, key: PRNGKeyArray, sizes: Sequence[int], scales: Sequence[float], dtype: Any = None
    ) -> "DeepLinear":
        """Gaussian initialisation with a separate scale for each layer.

        It is the control for every statement about balanced initialisations.
        """
        if len(scales) != len(sizes) - 1:
            raise checks.bad(
                "scales", f"{len(scales)} numbers", f"{len(sizes) - 1}: one for each layer"
            )
        return cls.init(key, sizes, scales, dtype)

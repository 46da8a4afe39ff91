"""Balancedness: imbalance under gradient descent, and its effect on the layer-wise law."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from ..._core import checks
from ..._core.linalg import matmul, psd_power

__all__ = [
    "discrete_imbalance",
    "imbalance_bound",
    "unbalanced_grams",
]


def discrete_imbalance(
    imbalance: Sequence[Float[Array, "..."]],
    gradients: Sequence[Float[Array, "..."]],
    learning_rate: Array | float,
    weight_decay: Array | float = 0.0,
) -> tuple[Float[Array, "..."], ...]:
    r"""Imbalance after one step of gradient descent, exactly and for any loss of $f$.

    $$D_l \leftarrow (1 - \eta\gamma)^2 D_l + \eta^2 (G_{l+1}^\top G_{l+1} - G_l G_l^\top)$$

    The first order cancels because $W_{l+1}^\top G_{l+1} = G_l W_l^\top$. The $G_l$ are
    gradients of the loss without the penalty. Minibatch gradients obey the law; momentum and
    Adam do not.

    **Arguments:**

    - `imbalance`: $D_1, \dots, D_{L-1}$ before the step.
    - `gradients`: $G_1, \dots, G_L$.
    - `learning_rate`: the step size $\eta$.
    - `weight_decay`: the weight decay $\gamma$.

    **Returns:** $D_1, \dots, D_{L-1}$ after the step.

    **Raises:** `ValueError` unless there is one more gradient than imbalances.

    !!! example

        ```pycon
        >>> balanced, gradients = [jnp.zeros((2, 2))], [jnp.eye(2), 3 * jnp.eye(2)]
        >>> after = pt.theory.balance.discrete_imbalance(balanced, gradients, learning_rate=0.1)
        >>> np.round(after[0], 3)
        Array([[0.08, 0.  ],
               [0.  , 0.08]], dtype=float64)

        ```

    Theorem: discrete-balancedness.

    Source: beyond the paper.
    """
    if len(gradients) != len(imbalance) + 1:
        raise checks.bad(
            "gradients",
            f"{len(gradients)} layers",
            f"{len(imbalance) + 1}: one more than imbalances",
        )
    shrink = (1 - learning_rate * weight_decay) ** 2
    pairs = zip(imbalance, gradients, gradients[1:], strict=False)
    return tuple(
        shrink * d + learning_rate**2 * (matmul(above.T, above) - matmul(below, below.T))
        for d, below, above in pairs
    )


def unbalanced_grams(
    last: Float[Array, "d d"],
    pulled: Sequence[Float[Array, "d d"]],
    rank: Array | int | None = None,
) -> Float[Array, "L d d"]:
    r"""Grams of every layer of a slightly unbalanced network, to first order in its imbalance.

    With $P_j = W_{j:1}^\top D_j W_{j:1}$ and $A$ the first Gram,

    $$M_l = A^l + \sum_{j<l} \sum_{i<l-j} A^i P_j A^{l-j-1-i} + O(D^2).$$

    The equation of the last layer is solved for $A$ in the eigenbasis of $M_L$ and gives every
    other layer. With $P = 0$ it is the layer-wise law. Gradient descent leaves $D = O(\eta)$,
    so this predicts its gap to the law.

    **Arguments:**

    - `last`: $M_L$.
    - `pulled`: $P_1, \dots, P_{L-1}$.
    - `rank`: the rank of $M_L$, $d$ if not given.

    **Returns:** $M_1, \dots, M_L$, `(L, d, d)`.

    Theorem: unbalanced-grams.

    Source: beyond the paper.
    """
    depth = len(pulled) + 1
    rank = last.shape[-1] if rank is None else rank
    root = psd_power(last, 1 / depth, rank)
    eigenvalues, v = jnp.linalg.eigh(root)
    power = [jnp.ones_like(eigenvalues)]
    for _ in range(depth):
        power.append(power[-1] * jnp.maximum(eigenvalues, 0))
    turned = [matmul(matmul(v.T, p), v) for p in pulled]

    def spread(n: int) -> Array:
        r"""$\sum_{i<n} a^i b^{n-1-i}$ on all pairs of eigenvalues."""
        terms = [power[i][:, None] * power[n - 1 - i][None, :] for i in range(n)]
        return jnp.sum(jnp.stack(terms), axis=0)

    def correction(level: int) -> Array:
        parts = [turned[j - 1] * spread(level - j) for j in range(1, level)]
        return jnp.sum(jnp.stack(parts), axis=0) if parts else jnp.zeros_like(last)

    bottom = spread(depth)
    shift = jnp.where(bottom > 0, correction(depth) / jnp.where(bottom > 0, bottom, 1), 0)
    grams = [
        jnp.diag(power[level]) - spread(level) * shift + correction(level)
        for level in range(1, depth + 1)
    ]
    return jnp.stack([matmul(matmul(v, g), v.T) for g in grams])


def imbalance_bound(
    grams: Float[Array, "L d d"], imbalance: Float[Array, " J"]
) -> Float[Array, " L"]:
    r"""Bound on the distance of $M_l$ from $M_L^{l/L}$ in Frobenius norm, from the imbalance.

    $$\sqrt 2\,((a + s)^l - a^l), \qquad a = \|M_L\|^{1/L}, \quad s = \sum_j \|D_j\|_F$$

    At depth 2 it is proved, for an imbalance of any size. With $X = (W_1 W_1^\top)^{1/2}$ and
    $Y = (W_2^\top W_2)^{1/2}$, $\|(Y - X) X\|_F \le \|D_1\|_F$ because
    $\langle y | (Y - X) X | x \rangle = \langle y | D_1 | x \rangle\, x / (x + y)$, and
    absolute values are $\sqrt 2$-Lipschitz in Frobenius norm (Araki and Yamagami 1981).

    Beyond depth 2 it is a conjecture. Networks of one unit attain it without the $\sqrt 2$, and
    a search for counterexamples found none.

    **Arguments:**

    - `grams`: $M_1, \dots, M_L$, `(L, d, d)`; only the last is used.
    - `imbalance`: the Frobenius norms of $D_1, \dots, D_{L-1}$.

    **Returns:** absolute bounds, `(L,)`; zero for layer $L$.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> grams = pt.layerwise(problem.moments(), depth=3).grams
        >>> np.round(pt.theory.balance.imbalance_bound(grams, jnp.asarray([0.01, 0.01])), 3)
        Array([0.028, 0.056, 0.   ], dtype=float64)

        ```

    Theorem: imbalance-bound.

    Source: beyond the paper; derived in the documentation.
    """
    depth = grams.shape[0]
    top = jnp.maximum(jnp.linalg.eigvalsh(grams[-1])[-1], 0) ** (1 / depth)
    total = jnp.sum(imbalance).astype(grams.dtype)
    levels = jnp.arange(1, depth, dtype=grams.dtype)
    bounds = 2**0.5 * ((top + total) ** levels - top**levels)
    return jnp.concatenate([bounds, jnp.zeros(1, grams.dtype)])

"""Balancedness: what gradient flow conserves, what a finite step does to it, and what an imbalance does to the layer-wise law."""

from collections.abc import Sequence

import jax.numpy as jnp
from jaxtyping import Array, Float

from .. import _checks
from .._spectra import matmul, psd_power


def discrete_imbalance(
    imbalance: Sequence[Float[Array, "..."]],
    gradients: Sequence[Float[Array, "..."]],
    step: Array | float,
    decay: Array | float = 0.0,
) -> tuple[Float[Array, "..."], ...]:
    r"""Imbalance after one step of gradient descent:
    $D_l \leftarrow (1 - \eta\gamma)^2 D_l + \eta^2 (G_{l+1}^\top G_{l+1} - G_l G_l^\top)$.

    Exact, for any loss of $f$, since $W_{l+1}^\top G_{l+1} = G_l W_l^\top$ cancels the first order; the gradients are
    those of the loss without the penalty. Holds for minibatch gradients, not for momentum or Adam.

    **Arguments:** `imbalance`: $D_1, \dots, D_{L-1}$; `gradients`: $G_1, \dots, G_L$; `step`: $\eta$; `decay`:
    $\gamma$, the weight decay.

    Theorem: discrete-balancedness (beyond the paper).
    """
    if len(gradients) != len(imbalance) + 1:
        raise _checks.bad(
            "gradients",
            f"{len(gradients)} layers",
            f"{len(imbalance) + 1}: one more than imbalances",
        )
    shrink = (1 - step * decay) ** 2
    pairs = zip(imbalance, gradients, gradients[1:], strict=False)
    return tuple(
        shrink * d + step**2 * (matmul(above.T, above) - matmul(below, below.T))
        for d, below, above in pairs
    )


def unbalanced_grams(
    last: Float[Array, "d d"],
    pulled: Sequence[Float[Array, "d d"]],
    rank: Array | int | None = None,
) -> Float[Array, "L d d"]:
    r"""Grams of every layer of a slightly unbalanced network, to first order in its imbalance.

    With $P_j = W_{j:1}^\top D_j W_{j:1}$ and $A$ the first Gram,
    $M_l = A^l + \sum_{j<l} \sum_{i<l-j} A^i P_j A^{l-j-1-i} + O(D^2)$. Solving the last layer's equation for $A$ in the
    eigenbasis of $M_L$ gives every other layer; with $P = 0$ it is the layer-wise law. Since gradient descent leaves
    $D = O(\eta)$, this predicts its gap to the law.

    **Arguments:** `last`: $M_L$; `pulled`: $P_1, \dots, P_{L-1}$; `rank`: of $M_L$, $d$ if not given.

    Theorem: beyond the paper.
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
        """$\\sum_{i<n} a^i b^{n-1-i}$ on all pairs of eigenvalues."""
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
    r"""How far $M_l$ may be from $M_L^{l/L}$, in Frobenius norm.

    $\sqrt 2\,((a + s)^l - a^l)$ with $a = \|M_L\|^{1/L}$ and $s = \sum_j \|D_j\|_F$.

    At depth 2 it is proved, for an imbalance of any size: with $X = (W_1 W_1^\top)^{1/2}$ and
    $Y = (W_2^\top W_2)^{1/2}$, $\|(Y - X) X\|_F \le \|D_1\|_F$ because
    $\langle y | (Y - X) X | x \rangle = \langle y | D_1 | x \rangle\, x / (x + y)$, and absolute values are
    $\sqrt 2$-Lipschitz in Frobenius norm (Araki and Yamagami 1981). Beyond depth 2 it is a conjecture: without the
    $\sqrt 2$ it is attained by networks of one unit, and a search for counterexamples found none. Derived in the
    documentation; beyond the paper.

    **Arguments:** `grams`: `(L, d, d)`, of which only the last is used; `imbalance`: norms of $D_1, \dots, D_{L-1}$.

    **Returns:** absolute bounds, `(L,)`; zero for layer $L$.
    """
    depth = grams.shape[0]
    top = jnp.maximum(jnp.linalg.eigvalsh(grams[-1])[-1], 0) ** (1 / depth)
    total = jnp.sum(imbalance).astype(grams.dtype)
    levels = jnp.arange(1, depth, dtype=grams.dtype)
    bounds = 2**0.5 * ((top + total) ** levels - top**levels)
    return jnp.concatenate([bounds, jnp.zeros(1, grams.dtype)])

"""Distance of a nearly stationary network from the minimum."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..._spectra import Whitening, diagonal, eigh, frobenius, matmul, symmetric
from ...losses import AbstractLoss, spectral
from ...moments import Moments, TargetMoments
from ...simulation import Trajectory, layer_gradients


class Stationary(eqx.Module):
    r"""Newton's step from a network to the stationary point next to it, of the population spectral contrastive loss.

    - `step` `(d, d)`: the displacement of $M$ in the directions that are learned, and of these towards the others.
    - `left` `(d, d)`: what $M$ has in directions that are not learned, where it should have nothing.
    - `excess`: the loss that goes with both.
    - `learned`: the number of learned directions.
    - `saddle`: whether the loss still falls from that point, along a direction that is not learned.
    """

    step: Float[Array, "d d"]
    left: Float[Array, "d d"]
    excess: Float[Array, ""]
    learned: Int[Array, ""]
    saddle: Bool[Array, ""]


def nearest_stationary(
    moments: Moments, whitening: Whitening, matrix: Float[Array, "p d"], width: int, noise: Array
) -> Stationary:
    r"""The stationary point next to a network $W$ of smallest width $p$. Nothing of the closed form enters.

    In whitened coordinates $\tilde W = W F^\top$, of singular values $\sigma$ in directions $V$, and $T$, the gradient is
    $4 \tilde W (\tilde M - T)$, which vanishes where $V$ are eigenvectors of $T$, and $\sigma^2$ zero or the eigenvalues. A direction is
    learned if $T$ is positive along it, and $\sigma^2$ at least half of that. To first order Newton's step is
    $T_{ij} - \sigma_i^2 \delta_{ij}$ between learned $i, j$ and $\sigma_i^2 T_{ik} / (\sigma_i^2 - t_k)$ towards the eigenvectors of $T$
    among the others, of eigenvalues $t_k$. By the second derivative of the loss, a further direction grows if $t_k$ exceeds
    the least of $p$ learned $\sigma^2$; or, if fewer are learned, zero.

    **Arguments:** `whitening`: of the second moment; `width`: $p$; `noise`: what $\sigma^2$ and $t$ cannot be told from zero by.
    """
    d = moments.dim
    t = matmul(matmul(whitening.inverse.T, moments.cross), whitening.inverse)
    _, sizes, vt = jnp.linalg.svd(matmul(matrix, whitening.forward.T), full_matrices=True)
    # A singular value below the rounding of the largest is zero: else its root would widen the tolerance of the layers below.
    told = sizes > d * jnp.finfo(sizes.dtype).eps * sizes[0]
    squares = jnp.zeros(d, sizes.dtype).at[: sizes.size].set(jnp.where(told, sizes, 0) ** 2)
    t = symmetric(matmul(matmul(vt, t), vt.T))
    along = diagonal(t)
    learned = (jnp.arange(d) < width) & (along > noise) & (squares > noise) & (squares >= along / 2)
    both, neither = learned[:, None] & learned[None, :], ~learned[:, None] & ~learned[None, :]
    further, z, _ = eigh(jnp.where(neither, t, 0))
    full = jnp.sum(learned) == min(width, d)
    towards = jnp.where(learned[:, None] & ~learned[None, :], squares[:, None] * t, 0)
    apart = squares[:, None] - further[None, :]
    across = matmul(matmul(towards, z) / jnp.where(jnp.abs(apart) > noise, apart, noise), z.T)
    step = jnp.where(both, t - jnp.diag(squares), 0) + across + across.T
    left = jnp.where(neither & ~full, jnp.diag(squares), 0)
    outward = matmul(whitening.inverse, vt.T)
    back = lambda x: symmetric(matmul(matmul(outward, x), outward.T))
    return Stationary(
        step=back(step),
        left=back(left),
        # The loss is |M - T|^2 less a constant; leftovers are of first order where the others have signal of their own.
        excess=3 * frobenius(step) ** 2 + 2 * frobenius(left) ** 2 + 2 * jnp.abs(jnp.sum(left * t)),
        learned=jnp.sum(learned),
        saddle=further[-1] > jnp.where(full, jnp.min(jnp.where(learned, squares, jnp.inf)), noise),
    )


def reported_share(
    trajectory: Trajectory, moments: Moments | TargetMoments, loss: AbstractLoss = spectral
) -> Float[Array, ""]:
    """The gradient that a run reports over that of its final network, at most one.

    A run is granted no more than it reports: one of another objective may have stopped where this loss still has a gradient.
    """
    own = jnp.sqrt(sum(jnp.sum(g * g) for g in layer_gradients(trajectory.final, moments, loss)))
    reported = trajectory.gradient_norm[-1]
    return jnp.where(own > reported, reported / jnp.where(own > 0, own, 1), 1)

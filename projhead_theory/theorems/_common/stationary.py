"""Distance of a nearly stationary network from the minimum."""

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ..._core import Whitening, diagonal, eigh, epsilons, frobenius, matmul, symmetric
from ...losses import AbstractLoss, spectral
from ...moments import Moments, TargetMoments
from ...simulation import Trajectory, layer_gradients


class Stationary(eqx.Module):
    """Newton step to the nearest stationary point of the population spectral contrastive loss.

    - `step` `(d, d)`: the displacement of $M$ between learned directions, and from these towards
      the others.
    - `left` `(d, d)`: the part of $M$ in directions that are not learned, zero at the stationary
      point.
    - `excess`: the loss that `step` and `left` account for.
    - `learned`: the number of learned directions.
    - `saddle`: true if the loss still falls from that point, along a direction that is not
      learned.
    """

    step: Float[Array, "d d"]
    left: Float[Array, "d d"]
    excess: Float[Array, ""]
    learned: Int[Array, ""]
    saddle: Bool[Array, ""]


def nearest_stationary(
    moments: Moments, whitening: Whitening, matrix: Float[Array, "p d"], width: int, noise: Array
) -> Stationary:
    r"""The stationary point nearest to a network $W$ of smallest width $p$.

    Nothing of the closed form enters. In whitened coordinates $\tilde W = W F^\top$, of singular
    values $\sigma$ in directions $V$, the gradient is $4 \tilde W (\tilde M - T)$. It vanishes
    where $V$ are eigenvectors of $T$, and each $\sigma^2$ is zero or the eigenvalue. A direction
    is learned if $T$ is positive along it, and $\sigma^2$ at least half of that value.

    To first order Newton's step is $T_{ij} - \sigma_i^2 \delta_{ij}$ between learned $i, j$ and
    $\sigma_i^2 T_{ik} / (\sigma_i^2 - t_k)$ from a learned $i$ towards the eigenvectors of $T$
    among the other directions, of eigenvalues $t_k$. By the second derivative of the loss, a
    further direction grows if $t_k$ exceeds the least of $p$ learned $\sigma^2$; or, if fewer
    are learned, zero.

    **Arguments:**

    - `moments`: cross and second moment of the views.
    - `whitening`: of the second moment.
    - `matrix`: the end-to-end matrix $W$.
    - `width`: the smallest width $p$.
    - `noise`: the bound below which $\sigma^2$ and $t$ cannot be told from zero.
    """
    d = moments.dim
    t = matmul(matmul(whitening.inverse.T, moments.cross), whitening.inverse)
    _, sizes, vt = jnp.linalg.svd(matmul(matrix, whitening.forward.T), full_matrices=True)
    # A singular value below the rounding of the largest is zero: else its root would widen the
    # tolerance of the layers below.
    told = sizes > epsilons(d, sizes.dtype) * sizes[0]
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
        # The loss is |M - T|^2 less a constant. `left` enters to first order in directions that
        # have signal but are not learned.
        excess=3 * frobenius(step) ** 2 + 2 * frobenius(left) ** 2 + 2 * jnp.abs(jnp.sum(left * t)),
        learned=jnp.sum(learned),
        saddle=further[-1] > jnp.where(full, jnp.min(jnp.where(learned, squares, jnp.inf)), noise),
    )


def reported_share(
    trajectory: Trajectory, moments: Moments | TargetMoments, loss: AbstractLoss = spectral
) -> Float[Array, ""]:
    """Reported gradient norm of a run over the gradient norm of its final network, at most one.

    It scales the stationarity tolerance, so that a run is allowed no more than the gradient it
    reports: a run of another objective may have stopped where this loss still has a gradient.
    """
    own = jnp.sqrt(sum(jnp.sum(g * g) for g in layer_gradients(trajectory.final, moments, loss)))
    reported = trajectory.gradient_norm[-1]
    return jnp.where(own > reported, reported / jnp.where(own > 0, own, 1), 1)

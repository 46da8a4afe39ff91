"""Comparison of the Grams of a trained linear network with the predicted ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, Int

from ... import DeepLinear, measure, networks, simulation, theory
from ..._core import (
    Whitening,
    checks,
    diagonal,
    eigh,
    epsilons,
    frobenius,
    gram_rounding,
    layer_shares,
    matmul,
    nonzero,
    power_rounding,
    product_rounding,
    psd_power,
    symmetric,
)
from ...claims import Verdict, numbered
from ...losses import AbstractLoss, spectral
from ...moments import Moments, TargetMoments
from ...simulation import Trajectory, layer_gradients


def compare(
    prediction: theory.layers.LayerPrediction,
    trajectory: simulation.Trajectory,
    *,
    imbalance: Float[Array, "..."] | float | None = None,
    drift: Float[Array, "..."] | float | None = None,
) -> Verdict:
    r"""Compare the Grams of every layer at the end of a run with the predicted Grams.

    The discrepancy is relative, in the Frobenius norm, on the range of $S$. The tolerance of
    layer $l$ is the sum of

    - *stationarity*: the distance of the last Gram from the nearest stationary point, carried to
      layer $l$ through the derivative of $M \mapsto M^{l/L}$. The distance is bounded by twice a
      Newton step from the network's own residual, and scaled down to the gradient that the run
      reports;
    - *start*: the effect of the start's imbalance on the law (`theory.balance.imbalance_bound`);
    - *discretisation*: the same bound for the drift that integration error, or the finite steps
      of plain gradient descent, can have caused;
    - *noise*: the fluctuations of a stochastic run, three of their root mean squares, through the
      largest slope of $M \mapsto M^{l/L}$;
    - *rounding*: of the closed form in its dtype and of training in the network's dtype,
      conditioning included.

    **Arguments:**

    - `prediction`: the closed form of every layer.
    - `trajectory`: a run of a network of the same sizes, every layer trained.
    - `imbalance`: norms of $D_l$ to allow at the start; by default measured on the start.
    - `drift`: norms of the change of $D_l$ to allow for discretisation; by default
      `trajectory.drift`. A control is allowed the `imbalance` and `drift` of its claim.

    **Returns:** a `Verdict` with one row a layer. An effect is the relative distance to the
    nearest other layer's Gram: if the tolerance exceeds it, layers cannot be told apart and the
    outcome is undecidable. A run that ended at a saddle, where the loss still falls along some
    direction, has not converged.

    **Raises:** `ValueError` for anything but a run, such as matrices trained elsewhere, which
    `pt.inspect` takes; if depth, dimension or width differ, a part of a network is frozen, or the
    prediction is of a start that is not balanced.

    !!! example

        ```pycon
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> start = pt.DeepLinear([jnp.eye(2), jnp.eye(2)])
        >>> run = pt.gradient_descent(start, moments, learning_rate=0.1, steps=500)
        >>> pt.compare(pt.layerwise(moments, depth=2), run).name
        'holds'

        ```
    """
    if not isinstance(trajectory, simulation.Trajectory):
        raise checks.bad(
            "trajectory",
            type(trajectory).__name__,
            "a run of a simulator, such as gradient_flow; pt.inspect(x1, x2, weights) takes "
            "matrices trained elsewhere",
        )
    depth, d = prediction.grams.shape[:2]
    if prediction.start is not None:
        raise checks.bad(
            "prediction",
            "one of a start that is not balanced",
            "a balanced one; the claim start-law compares the others",
        )
    if not all(jax.tree.leaves(trajectory.networks.trainable)):
        raise checks.bad(
            "trajectory",
            "a network with frozen parts, such as a fixed head",
            "one whose layers are all trained: the prediction is of those",
        )
    if trajectory.networks.depth != depth:
        raise checks.bad(
            "trajectory", f"depth {trajectory.networks.depth}", f"the prediction's depth {depth}"
        )
    if trajectory.networks.sizes[0] != d:
        raise checks.bad(
            "trajectory",
            f"inputs of dimension {trajectory.networks.sizes[0]}",
            f"the prediction's {d}",
        )
    width = min(trajectory.networks.width, d)
    if width != prediction.width:
        raise checks.bad(
            "trajectory",
            f"a network {'-'.join(map(str, trajectory.networks.sizes))}, of width {width}",
            f"the prediction's width {prediction.width}",
        )
    grant = lambda name, value: (
        None if value is None else jnp.broadcast_to(checks.nonnegative(name, value), (depth - 1,))
    )
    return _compare(prediction, trajectory, grant("imbalance", imbalance), grant("drift", drift))


def layers_apart(grams: Float[Array, "L d d"]) -> Float[Array, " L"]:
    """Relative distance of each layer's Gram from the nearest other; one for a single layer."""
    apart = frobenius(grams[:, None] - grams[None, :]) / nonzero(frobenius(grams))[:, None]
    return jnp.min(jnp.where(jnp.eye(len(grams), dtype=bool), 1, apart), axis=1)


def on_range(network: networks.AbstractLinearNetwork, projector: Float[Array, "d d"]) -> DeepLinear:
    """Project the first layer of a network onto the range of $S$.

    The rest of that layer never moves and does not enter the loss, but would count as imbalance.
    """
    first, *rest = network.layers
    return DeepLinear([matmul(first, projector), *rest])


@eqx.filter_jit
def _compare(
    prediction: theory.layers.LayerPrediction,
    trajectory: simulation.Trajectory,
    imbalance: Array | None,
    drift: Array | None,
) -> Verdict:
    # A run and a prediction may differ in dtype: each has the rounding of its own.
    dtypes = trajectory.networks.layers[0].dtype, prediction.grams.dtype
    dtype = min(dtypes, key=lambda t: float(jnp.finfo(t).eps))
    prediction, trajectory, imbalance, drift = checks.in_dtype(
        (prediction, trajectory, imbalance, drift), dtype
    )
    eps = float(jnp.finfo(dtypes[0]).eps)
    minimiser, moments, grams = prediction.minimiser, prediction.moments, prediction.grams
    depth, d = grams.shape[:2]
    # Gradients are rounded like the closed form, but in the dtype of the network, whether features
    # mix or not.
    coarser = max(eps / float(jnp.finfo(dtypes[1]).eps), 1)
    whitening = minimiser.whitening._replace(rounding=minimiser.whitening.rounding * coarser)
    project = whitening.projector
    final = trajectory.final
    measured = measure.layer_grams(on_range(final, project))

    size = nonzero(frobenius(grams))
    near = nearest_stationary(
        moments, whitening, on_range(final, project).matrix, min(final.sizes), whitening.rounding
    )
    levels = layer_shares(depth, dtype)
    last = symmetric(measured[-1])
    carried = jax.vmap(
        lambda t: frobenius(
            jax.jvp(lambda m: psd_power(m, t, near.learned), (last,), (near.step,))[1]
        )
    )(levels)
    # A remainder in directions that are not learned enters the layers below as its root.
    left = jnp.asarray(d, dtype) ** ((1 - levels) / 2) * frobenius(near.left) ** levels
    # A Newton step errs by its square, so twice its length is a bound while it is short.
    share = reported_share(trajectory, moments)

    start = (
        measure.imbalance_norms(on_range(trajectory.start, project))
        if imbalance is None
        else imbalance
    )
    gap = jnp.where(minimiser.unique, minimiser.gap, jnp.inf)
    # A root of M magnifies the fluctuations of its smallest kept eigenvalue.
    spectrum = eigh(grams[-1]).values
    least = jnp.maximum(spectrum[d - jnp.maximum(minimiser.kept, 1)], eps * spectrum[-1])
    # Between nearly tied modes the residual is the gap times the sine and the cosine of the angle
    # by which the run has rotated one mode into the other. A small residual means an angle near
    # zero or near a right angle, and tells the two apart only if the gap is resolved well.
    turned = share * frobenius(near.step) / size[-1] > eps ** (1 / 3)
    tied = minimiser.gap < 0.01 * minimiser.signal_fraction[jnp.maximum(minimiser.kept, 1) - 1]
    directions = prediction.directions
    weights = (
        diagonal(measured)
        if directions is None
        else jnp.einsum("ik,lij,jk->lk", directions, measured, directions)
    )
    return Verdict(
        discrepancy=frobenius(measured - grams) / size,
        parts={
            "start": theory.balance.imbalance_bound(grams, start) / size,
            "discretisation": theory.balance.imbalance_bound(
                grams, trajectory.drift if drift is None else drift
            )
            / size,
            "stationarity": (2 * (carried + left) * share) / size,
            "noise": (nonzero(least) ** (levels - 1) * levels * 3 * trajectory.noise) / size,
            "rounding": prediction.rounding
            + power_rounding(grams, minimiser.kept, gram_rounding(grams[-1], whitening, gap))
            + product_rounding(final.sizes, dtypes[0]),
        },
        effect=layers_apart(grams),
        predicted=prediction.weights,
        measured=jnp.sqrt(jnp.maximum(weights, 0)),
        premises={"unique minimiser": minimiser.unique},
        converged=(trajectory.ended == simulation.Ended.converged)
        & ~(tied & turned)
        & ~near.saddle,
        finite=~(trajectory.ended == simulation.Ended.diverged),
        labels=numbered("layer", depth),
        what="relative Gram discrepancy",
    )


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

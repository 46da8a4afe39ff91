"""Hold a layer-wise prediction against a trajectory."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float

from .. import _checks, measure
from .._spectra import frobenius, matmul, psd_power, symmetric
from ..moments import Moments
from ..networks import Headed
from ..simulation import Ended, Trajectory
from ..theory import LayerPrediction, imbalance_bound, stationarity_defect
from ._verdict import Verdict


def compare(
    prediction: LayerPrediction,
    trajectory: Trajectory,
    *,
    imbalance: Float[Array, "..."] | float | None = None,
    drift: Float[Array, "..."] | float | None = None,
) -> Verdict:
    r"""Compare the Grams of every layer at the end of a run with the predicted ones, relative, in Frobenius norm, on
    the range of $S$.

    The tolerance of layer $l$ is the sum of

    - *stationarity*: how far the last Gram may still be from the minimiser, by twice a Newton step from its own residual, carried to
      layer $l$ through the derivative of $M \mapsto M^{l/L}$;
    - *start*: what the imbalance of the start does to the law (`theory.imbalance_bound`);
    - *discretisation*: the same for the drift that integration error, or the finite steps of plain gradient descent, can have caused;
    - *noise*: the fluctuations of a stochastic run, three of their root mean squares, through the largest slope of $M \mapsto M^{l/L}$;
    - *rounding*: of the closed form in its dtype, conditioning included.

    **Arguments:** `prediction`; `trajectory`; `imbalance`: the imbalance granted to the start, norms of $D_l$, if the
    hypothesis is to be other than what was measured on the start; `drift`: the same for what discretisation may have
    added. A control grants what the claim grants.

    **Returns:** a `Verdict` with one row a layer. An effect is the relative distance to the nearest other layer's Gram:
    if that is less than the tolerance, layers cannot be told apart and the outcome is undecidable. A run that ended where
    the loss still falls along some direction, at a saddle, has not converged.

    **Raises:** `ValueError` if depth or dimension differ, or there is a fixed head.
    """
    depth, d = prediction.grams.shape[:2]
    if isinstance(trajectory.networks, Headed):
        raise _checks.bad("trajectory", "a network under a fixed head", "one whose layers are all trained: the prediction is of those")
    if trajectory.networks.depth != depth:
        raise _checks.bad("trajectory", f"depth {trajectory.networks.depth}", f"the prediction's depth {depth}")
    if trajectory.networks.sizes[0] != d:
        raise _checks.bad("trajectory", f"inputs of dimension {trajectory.networks.sizes[0]}", f"the prediction's {d}")
    grant = lambda name, value: None if value is None else jnp.broadcast_to(_checks.nonnegative(name, value), (depth - 1,))  # noqa: E731
    return _compare(prediction, trajectory, grant("imbalance", imbalance), grant("drift", drift))


def at_saddle(moments: Moments, gram: Float[Array, "d d"], width: int) -> Bool[Array, ""]:
    r"""Whether a stationary Gram of a network of smallest width $p$ is one from which the spectral contrastive loss still falls.

    A gradient that is small in the units of the strongest directions says little of the weakest, which may yet be at the
    saddle they began at. In whitened coordinates, $\tilde M = S^{1/2} M S^{1/2}$ and $T = S^{-1/2} C S^{-1/2}$, a
    direction is learned if its eigenvalue $\mu$ in $\tilde M$ is at least half of what $T$ is along it. By the second
    derivative of the loss, a further direction of $T$ grows if it exceeds the least of $p$ learned ones; or, if fewer are
    learned, zero. Nothing of the closed form enters.
    """
    d, eps = moments.dim, jnp.finfo(gram.dtype).eps
    spread, v = jnp.linalg.eigh(moments.second)
    inside = spread > d * eps * spread[-1]
    roots = jnp.sqrt(jnp.where(inside, spread, 1))
    root, inverse = (matmul(jnp.where(inside, v * f, 0), v.T) for f in (roots, 1 / roots))
    t = symmetric(matmul(matmul(inverse, moments.cross), inverse))
    values, vectors = jnp.linalg.eigh(symmetric(matmul(matmul(root, gram), root)))
    values, vectors = values[::-1], vectors[:, ::-1]
    noise = 8 * d * eps * spread[-1] / jnp.min(jnp.where(inside, spread, jnp.inf))
    along = jnp.sum(vectors * matmul(t, vectors), axis=0)
    learned = (jnp.arange(d) < width) & (values > noise) & (values >= along / 2)
    off = jnp.eye(d, dtype=gram.dtype) - matmul(jnp.where(learned, vectors, 0), vectors.T)
    further = jnp.linalg.eigvalsh(symmetric(matmul(matmul(off, t), off)))[-1]
    full = jnp.sum(learned) == min(width, d)
    return further > jnp.where(full, jnp.min(jnp.where(learned, values, jnp.inf)), noise)


@eqx.filter_jit
def _compare(prediction: LayerPrediction, trajectory: Trajectory, imbalance: Array | None, drift: Array | None) -> Verdict:
    minimiser, moments, grams = prediction.minimiser, prediction.moments, prediction.grams
    depth, d = grams.shape[:2]
    eps = jnp.finfo(grams.dtype).eps
    spread, v = jnp.linalg.eigh(moments.second)
    inside = jnp.where(spread > d * eps * spread[-1], v, 0)
    project = matmul(inside, inside.T)
    measured = jax.vmap(lambda g: matmul(matmul(project, g), project))(measure.layer_grams(trajectory.final))

    size = frobenius(grams)
    size = jnp.where(size > 0, size, 1)
    discrepancy = frobenius(measured - grams) / size

    displacement, dropped, _ = stationarity_defect(minimiser, moments, measured[-1])
    levels = jnp.arange(1, depth + 1) / depth
    carried = [jax.jvp(lambda m, t=t: psd_power(m, t, minimiser.kept), (grams[-1],), (displacement,))[1] for t in levels]
    # A Newton step errs by its square, so twice its length is a bound while it is short. What is dropped spreads to the layers below by
    # its root, unless the rank forbids it: at a cut it is of second order in every layer.
    spectrum = jnp.linalg.eigvalsh(grams[-1])
    least = jnp.maximum(spectrum[d - jnp.maximum(minimiser.kept, 1)], eps * spectrum[-1])
    least = jnp.where(least > 0, least, 1)
    spread_out = jnp.where(
        jnp.isfinite(minimiser.gap),
        dropped * least ** (levels - 1),
        jnp.sqrt(jnp.asarray(d, grams.dtype)) ** (1 - levels) * dropped**levels,
    )
    spill = 2 * (jnp.stack([frobenius(c) for c in carried]) + spread_out)

    # What the first layer carries outside the range never moves and is not seen by the loss: it counts as imbalance of the rest.
    within = eqx.tree_at(lambda n: n.layers[0], trajectory.start, matmul(trajectory.start.layers[0], project))
    start = measure.imbalance_norms(within) if imbalance is None else imbalance
    # The run's own gradient is rounded at the size of S, and held against a force as small as S is in its weakest direction;
    # and what turns a kept mode towards a dropped one is weaker yet, by the gap.
    weakest = jnp.min(jnp.where(spread > d * eps * spread[-1], spread, jnp.inf))
    trained = 8 * d * eps * spread[-1] / weakest * (1 + 1 / jnp.where(minimiser.unique, minimiser.gap, jnp.inf))
    # A root of M magnifies the relative error of its smallest kept eigenvalue.
    rounding = depth * (minimiser.rounding + trained) * jnp.where(spectrum[-1] > 0, spectrum[-1] / least, 1) ** (1 - levels)
    noise = 3 * trajectory.noise
    flutter = least ** (levels - 1) * levels * noise
    parts = {
        "start": imbalance_bound(grams, start) / size,
        "discretisation": imbalance_bound(grams, trajectory.drift if drift is None else drift) / size,
        "stationarity": spill / size,
        "noise": flutter / size,
        "rounding": rounding,
    }
    # Between nearly tied modes the residual is the gap times the sine and the cosine of the angle by which the run has turned from
    # one to the other. It says that this is near zero or near a right angle, not which, unless the gap is resolved well.
    turned = frobenius(displacement) / size[-1] > eps ** (1 / 3)
    tied = minimiser.gap < 0.01 * minimiser.signal_fraction[jnp.maximum(minimiser.kept, 1) - 1]
    saddle = at_saddle(moments, measured[-1], min(trajectory.networks.sizes))
    between = frobenius(grams[:, None] - grams[None, :]) / size[:, None]
    effect = jnp.min(jnp.where(jnp.eye(depth, dtype=bool), 1, between), axis=1)
    directions = prediction.directions
    weights = (
        jnp.diagonal(measured, axis1=1, axis2=2) if directions is None else jnp.einsum("ik,lij,jk->lk", directions, measured, directions)
    )
    return Verdict(
        discrepancy=discrepancy,
        parts=parts,
        effect=effect,
        predicted=prediction.weights,
        measured=jnp.sqrt(jnp.maximum(weights, 0)),
        premises={"unique minimiser": minimiser.unique},
        settled=(trajectory.ended == Ended.converged) & ~(tied & turned) & ~saddle,
        finite=~(trajectory.ended == Ended.diverged),
        labels=tuple(f"layer {level}" for level in range(1, depth + 1)),
        what="relative Gram discrepancy",
    )

"""Comparison of the Grams of a trained linear network with the predicted ones."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ... import DeepLinear, measure, networks, simulation, theory
from ..._core import (
    checks,
    diagonal,
    eigh,
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
from .stationary import nearest_stationary, reported_share


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
        sizes = "-".join(map(str, trajectory.networks.sizes))
        raise checks.bad(
            "trajectory",
            f"a network {sizes}, of width {width}",
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
    flutter = nonzero(least) ** (levels - 1) * levels * 3 * trajectory.noise
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
            "noise": flutter / size,
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

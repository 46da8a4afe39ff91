"""head-equivalence: a fixed invertible head changes nothing after the head."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import (
    DeepLinear,
    Headed,
    Moments,
    gradient_flow,
    measure,
    networks,
    problems,
    simulation,
    theory,
)
from ..._core import (
    SHORT,
    checks,
    diagonal,
    epsilons,
    frobenius,
    gram_rounding,
    matmul,
    named,
    outputs_rounding,
    product_rounding,
    psd_power,
    solver_tolerance,
    symmetric,
)
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, rounded, verdict_of
from .._common import (
    drawn,
    gaussian,
    left_out,
    loss_rounding,
    nearest_stationary,
    replace,
    with_entries,
)

DIM = 3


def head(kappa: Any, p: int) -> Float[Array, " p"]:
    """Diagonal of a reweighting head."""
    return networks.ReweightingHead(kappa).diagonal(p, kappa.dtype)


class Ends(eqx.Module):
    """Ends of training under fixed heads, one entry a run.

    - `before`, `after`: Grams before and after the head.
    - `seen`: Grams after the head that a prediction is compared with. A control replaces them.
    - `loss`: the loss with its penalty.
    - `layer`: the layer before the head.
    - `step`: Newton's step of the layer, from the run's own gradient and curvature.
    - `inverse`: the inverse of that curvature, whose least part comes from weight decay.
    - `force`: the rounding that may be left in the gradient.
    - `converged`, `finite`: all runs converged, and all stayed finite.

    A stationary end does not depend on the accuracy of the integration before it.
    """

    before: Float[Array, "*k d d"]
    after: Float[Array, "*k d d"]
    seen: Float[Array, "*k d d"]
    loss: Float[Array, "*k"]
    layer: Float[Array, "*k p d"]
    step: Float[Array, "*k p d"]
    inverse: Float[Array, "*k n n"]
    force: Float[Array, "*k"]
    converged: Bool[Array, ""]
    finite: Bool[Array, ""]

    def moved(self, slopes: Float[Array, "*k d d"]) -> tuple[Array, Array]:
        """Stationarity error and rounding error of a number, one a run.

        Both are carried along the derivative of the number: a direction in which the layer is
        poorly determined matters as far as the number depends on it.

        **Arguments:**

        - `slopes`: the derivative of the number in the Gram before the head, `(k, d, d)`.

        **Returns:** the bound on the distance left to the stationary point, and the rounding.
        """
        towards = 2 * matmul(self.layer, slopes)
        # A Newton step errs by its square: twice its length is a bound while it is short.
        left = 2 * jnp.abs(jnp.sum(towards * self.step, axis=(-1, -2))) + 2 * frobenius(
            slopes
        ) * jnp.sum(self.step**2, axis=(-1, -2))
        flat = towards.reshape(*towards.shape[:-2], -1, 1)
        return left, self.force * frobenius(matmul(self.inverse, flat))


def train(
    key: PRNGKeyArray,
    moments: Moments,
    rows: Float[Array | np.ndarray, "k p"],
    weight_decay: Float[Array | np.ndarray, " k"],
) -> Ends:
    """Gradient flow of one start under each head with each decay, to stationarity."""
    start = gaussian(key, (moments.dim, rows.shape[-1]), np.full(1, 0.7, rows.dtype))
    # One run after another: any number of runs takes one compiled program, which all claims on
    # heads of the same size share.
    return _together(
        [
            _end(start, moments, checks.array(h), checks.array(penalty))
            for h, penalty in zip(np.asarray(rows), np.asarray(weight_decay), strict=True)
        ]
    )


@eqx.filter_jit
def _together(ends: list[Ends]) -> Ends:
    """The ends of several runs as one, converged and finite if all are."""
    stacked = jax.tree.map(lambda *x: jnp.stack(x), *ends)
    converged, finite = jnp.all(stacked.converged), jnp.all(stacked.finite)
    return replace(stacked, converged=converged, finite=finite)


@eqx.filter_jit
def _end(
    start: DeepLinear, moments: Moments, h: Float[Array, " p"], weight_decay: Float[Array, ""]
) -> Ends:
    """Train under one head: one entry of `Ends`."""
    # Directions that weight decay alone determines converge on their own time scale.
    t1 = (
        1e4
        * (1 + 1 / jnp.where(weight_decay > 0, weight_decay, 1))
        / jnp.min(jnp.where(h > 0, h, 1)) ** 2
    )

    run = gradient_flow(
        Headed(start, networks.DiagonalHead(h)),
        moments,
        weight_decay=weight_decay,
        t1=t1,
        save_at=2,
        solver=simulation.implicit(),
        rtol=float(jnp.finfo(h.dtype).eps) ** 0.5,
        stationarity=solver_tolerance(h.dtype),
        max_steps=4_000,
    )
    grams = measure.layer_grams(run.final)
    layer = run.final.layers[0]
    step, inverse, largest = newton_step(layer, h, weight_decay, moments)
    # Without weight decay some directions are not determined at all.
    determined = jnp.all(diagonal(inverse) > 0)
    return Ends(
        before=grams[0],
        after=grams[-1],
        seen=grams[-1],
        loss=run.loss[-1],
        layer=layer,
        step=step,
        inverse=inverse,
        # Gradients, chains of a few small products, are rounded at the largest curvature's size.
        force=epsilons(SHORT, h.dtype) * largest * frobenius(layer),
        converged=(run.ended == simulation.Ended.converged) & (determined | (weight_decay == 0)),
        finite=~(run.ended == simulation.Ended.diverged),
    )


def newton_step(
    layer: Array, rows: Array, weight_decay: Array, moments: Moments
) -> tuple[Array, Array, Array]:
    """Newton's step of the layer, the inverse curvature, and the largest curvature.

    The inverse covers the directions of positive curvature. With weight decay the objective
    determines every direction.
    """

    def slope(w: Array) -> Array:
        return (
            simulation.layer_gradients(
                Headed(DeepLinear([w]), networks.DiagonalHead(rows)), moments
            )[0]
            + weight_decay * w
        )

    curvature = jax.jacfwd(slope)(layer).reshape(layer.size, layer.size)
    values, vectors = jnp.linalg.eigh(symmetric(curvature))
    # With weight decay, one direction that is not determined makes the whole inverse zero.
    usable = (values > 0) & ((values[0] > 0) | (weight_decay == 0))
    inverse = matmul(vectors * jnp.where(usable, 1 / jnp.where(usable, values, 1), 0), vectors.T)
    return matmul(inverse, slope(layer).reshape(-1, 1)).reshape(layer.shape), inverse, values[-1]


def weights_of(grams: Float[Array, "*k d d"]) -> Float[Array, "*k d"]:
    """Feature weights of Grams, for plots."""
    return jnp.sqrt(jnp.maximum(diagonal(grams), 0))


def rounded_fields(problem: Any, *names: str) -> Offers:
    """Simpler problems with the named fields rounded.

    The other fields have to fit one another and are left as they are.
    """
    return rounded(
        lambda r: replace(problem, **{name: r(getattr(problem, name)) for name in names})
    )


class Heads(eqx.Module):
    """Moments, a start, and the heads that it is trained under.

    The diagonals of the heads are `rows`; the first head is the identity.
    """

    moments: Moments
    key: PRNGKeyArray
    rows: Float[Array, "k p"]

    @property
    def label(self) -> str:
        return f"{self.rows.shape[0]} heads of {self.rows.shape[1]} rows"

    def shrinks(self) -> Offers:
        """Simpler problems: fewer heads, rounder numbers."""
        for keep in left_out(self.rows.shape[0]):
            yield lambda keep=keep: replace(self, rows=self.rows[keep])
        yield from rounded_fields(self, "rows")


def train_heads(p: Heads, weight_decay: float = 0.0) -> Ends:
    """Train the same start under every head, with a weight decay or none."""
    return train(p.key, p.moments, p.rows, np.full(len(p.rows), weight_decay, p.rows.dtype))


class Equivalence(eqx.Module):
    """One minimiser for all heads, with the moments that it was computed from."""

    minimiser: theory.layers.SpectralMinimiser
    moments: Moments


def predict_heads(problem: Heads) -> Equivalence:
    return Equivalence(
        theory.heads.headed_minimiser(
            problem.moments, checks.array(np.asarray(problem.rows)[0]), throw=False
        ),
        problem.moments,
    )


@eqx.filter_jit
def judge_heads(prediction: Equivalence, ends: Ends) -> Verdict:
    """Verdict on the Gram after every head and on the loss."""
    best, moments, width = prediction.minimiser, prediction.moments, min(ends.layer.shape[1:])
    size, scale, whitening = frobenius(best.gram), jnp.abs(best.loss), best.whitening
    near = jax.vmap(
        lambda g: nearest_stationary(
            moments, whitening, psd_power(g, 0.5, width), width, whitening.rounding
        )
    )(ends.after)
    rounding = best.rounding + gram_rounding(
        best.gram, whitening, jnp.where(best.unique, best.gap, jnp.inf)
    )
    outputs = outputs_rounding(
        product_rounding((moments.dim, width, width), size.dtype), best.gram[None], moments.second
    )
    plotted = jnp.broadcast_to(weights_of(best.gram), ends.seen.shape[:-1]), weights_of(ends.seen)
    count = ends.loss.size
    return verdict_of(
        Rows(
            numbered("Gram, head", count, 0),
            frobenius(ends.seen - best.gram) / size,
            {
                "stationarity": (2 * frobenius(near.step) + frobenius(near.left)) / size,
                "rounding": rounding,
            },
            # Effect: all of the Gram.
            1.0,
            *plotted,
        ),
        Rows(
            numbered("loss, head", count, 0),
            jnp.abs(ends.loss - best.loss) / scale,
            {"stationarity": near.excess / scale, "rounding": loss_rounding(best, outputs) / scale},
            # Effect: the loss of the best network with one mode less.
            best.signal_fraction[jnp.maximum(best.kept, 1) - 1] ** 2 / scale,
            *plotted,
        ),
        what="relative discrepancy after the head",
        premises={"unique minimiser": best.unique},
        converged=ends.converged,
        finite=ends.finite,
    )


@drawn
def _heads(key: PRNGKeyArray, dim: int, p: int, *, index: Array | int) -> Heads:
    """Moments that do not commute, the identity, two reweighting heads and an unsorted head."""
    k = jax.random.split(named(key, "fixed head", index), 4)
    grid = jnp.linspace(0.9, 0.4, dim)
    return Heads(
        problems.random_moments(
            k[0],
            grid + 0.2 / dim * jax.random.uniform(k[1], (dim,), grid.dtype, -0.5, 0.5),
            condition=3.0,
        ),
        k[3],
        jnp.concatenate(
            [
                jax.vmap(lambda kappa: head(kappa, p))(jnp.asarray([1.0, 1.3, 1.8], grid.dtype)),
                jax.random.uniform(k[2], (1, p), grid.dtype, 0.4, 1.6),
            ]
        ),
    )


def _instead(own: Ends, other: Ends) -> Ends:
    """The ends with the Grams and losses of other runs, and with the claim's own tolerances."""
    return replace(own, seen=other.after, loss=other.loss)


CLAIM = Claim(
    name="head-equivalence",
    statement=(
        "Under every invertible fixed head training reaches the same minimal loss and the same "
        "Gram after the head, those of no head at all."
    ),
    latex=r"\min_W \mathcal{L}(HW) = \min_W \mathcal{L}(W), \qquad W^\top H^2 W = M^\star",
    hypotheses=(
        "linear network",
        "invertible diagonal head",
        "unique minimiser",
        "no weight decay",
        "trained to stationarity",
    ),
    source="the paper",
    problems=lambda key: (
        _heads(key, dim, p, index=index)
        for dim, p, index in ((3, 3, 0), (4, 3, 0), (4, 3, 1), (3, 4, 0))
    ),
    predict=predict_heads,
    measure=train_heads,
    compare=judge_heads,
    sharpness={
        "Gram, head #": (6e-11, 0.09),
        "loss, head #": (3e-12, 0.005),
    },
    controls=(
        Control(
            "truncated",
            "trains under heads whose last row is zero",
            measure=lambda problem, own: _instead(
                own, train_heads(replace(problem, rows=with_entries(problem.rows, np.s_[:, -1], 0)))
            ),
        ),
        Control(
            "before-the-head",
            "measures the Gram before the head",
            measure=lambda problem, own: replace(own, seen=own.before),
        ),
        Control(
            "weight-decay",
            "trains with weight decay, which sees the head",
            measure=lambda problem, own: _instead(own, train_heads(problem, 0.05)),
        ),
    ),
    quick=1,
)

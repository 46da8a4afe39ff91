"""head-equivalence: a fixed invertible head changes nothing after the head."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import Moments, problems, theory
from ..._core import (
    checks,
    frobenius,
    gram_rounding,
    named,
    outputs_rounding,
    product_rounding,
    psd_power,
)
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, verdict_of
from .._common import drawn, left_out, loss_rounding, nearest_stationary, replace, with_entries
from ._training import Ends, head, rounded_fields, train, weights_of


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

"""feature-extinction: the weight decay at which a feature's weight jumps to zero."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import Moments, gradient_flow, theory
from ..._core import CHAIN, SOLVED, epsilons, named, solver_tolerance
from ...claims import Claim, Control, Measured, compare_measured
from .._common import COARSER, aligned, decades, drawn, local_error, over, uniform, with_entries
from .weight_decay_minimiser import left_to_go

SIDE = 0.02
"""Relative distance from the jump at which the minimum is measured, on either side."""


class Extinction(eqx.Module):
    """One feature, and a bracket `low`, `high` of the weight decay at its extinction."""

    cross: Float[Array, ""]
    second: Float[Array, ""]
    low: Float[Array, ""]
    high: Float[Array, ""]
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, one feature"


def _descend(
    p: Extinction, weight_decay: Array, weight: Array, factor: float | Array
) -> tuple[Array, Array, Array]:
    """Train one feature from a given weight.

    **Returns:** the final weight, the objective there, and the error of that weight.
    """
    moments = Moments(p.cross[None, None], p.second[None, None])
    rtol = factor * solver_tolerance(p.cross.dtype)
    run = gradient_flow(
        aligned(weight[None], p.depth),
        moments,
        weight_decay=weight_decay,
        save_at=2,
        t1=1e5 / p.cross,
        rtol=rtol,
        stationarity=10 * rtol,
    )
    end = jnp.abs(run.final.matrix[0, 0])
    share = 2 * p.depth * left_to_go(run.final, moments, weight_decay)[0]
    left = jnp.where(end > 0, share, 0) * end + local_error(end.dtype, p.depth) * end
    return end, run.loss[-1], left


@eqx.filter_jit
def follow_minimum(p: Extinction, factor: Array) -> tuple[Array, Array, Array]:
    """Find the extinction decay by bisection on trained networks, and the weights on either side.

    The decay is the one at which the minimum reached from above stops being the lower minimum.
    Each weight belongs to the lower of two minima, one reached from above and one from below.

    **Arguments:**

    - `p`: the feature and the bracket.
    - `factor`: of the solver's tolerances.

    **Returns:** the decay, the weight just below it and the weight just above it, `(3,)`; their
    errors by incomplete training, `(3,)`; and half of the last bracket.
    """
    large, small = 1.5 * jnp.sqrt(p.cross) / p.second, 1e-3 * jnp.sqrt(p.cross) / p.second
    halvings: int = 40 if p.cross.dtype == jnp.float64 else 18

    def lower(weight_decay: Array) -> tuple[Array, Array, Array]:
        weights, energies, errors = jax.vmap(lambda w: _descend(p, weight_decay, w, factor))(
            jnp.stack([large, small])
        )
        # Beyond the end of the upper minimum both runs end at zero: rounding alone would rank them.
        alive = (energies[0] < energies[1]) & (weights[0] > 0.05 * large)
        ends = jnp.stack([weights, errors])
        # The small weight has not gone all the way to zero, where the objective is zero: the decay
        # of the jump is off by what is left, over the rate L/2 s^(2/L) of the other minimum.
        left = jnp.maximum(energies[1], 0) / (p.depth / 2 * weights[0] ** (2 / p.depth))
        return jnp.where(alive, ends[:, 0], ends[:, 1]), alive, left

    def step(
        bracket: tuple[Array, Array], share: Array
    ) -> tuple[tuple[Array, Array], tuple[Array, Array]]:
        """Halve the bracket or, for a nonzero share, train at that relative distance from it."""
        a, b = bracket
        middle = (a + b) / 2
        end, alive, left = lower(middle * (1 + share))
        halve = share == 0
        a, b = jnp.where(halve & alive, middle, a), jnp.where(halve & ~alive, middle, b)
        return (a, b), (end, left)

    shares = jnp.zeros(halvings + 2, p.cross.dtype).at[-2:].set(jnp.asarray([-SIDE, SIDE]))
    (a, b), (ends, left) = jax.lax.scan(step, (p.low, p.high), shares)
    value, error = jnp.concatenate([jnp.stack([(a + b) / 2, left[-2]])[None], ends[-2:]]).T
    return value, error, (b - a) / 2


def _jump(problem: Extinction) -> Measured:
    """Measure the decay of the jump, and the weights just below and just above it."""
    fine, coarse = (
        follow_minimum(problem, jnp.asarray(factor, problem.cross.dtype)) for factor in (1, COARSER)
    )
    return _found(problem, *fine, coarse[0])


@eqx.filter_jit
def _found(
    problem: Extinction, fine: Array, error: Array, bracket: Array, coarse: Array
) -> Measured:
    chain = epsilons(CHAIN, fine.dtype)
    weight = jnp.maximum(fine[1], jnp.finfo(fine.dtype).tiny)
    # At the jump the objective is a difference of terms of this size. It changes with the decay at
    # the rate L/2 s^(2/L).
    terms = chain * (2 * problem.cross * weight**2 + problem.second**2 * weight**4)
    # The weight just below the jump is that at the decay found, and moves with it.
    both = lambda weight_decay: jnp.stack(
        [weight_decay, weight_decay / fine[0] * weight, jnp.zeros_like(weight_decay)]
    )
    # The effect to detect: the decay of the spinodal, an eighth larger; and the jump itself.
    effect = jnp.stack([fine[0] / 16, weight, weight])
    return Measured(
        fine,
        {
            "bisection": both(2 * bracket),
            "integration": jnp.abs(fine - coarse),
            "stationarity": both(error[0]) + error.at[0].set(0),
            "rounding": both(terms / (problem.depth / 2 * weight ** (2 / problem.depth)))
            + jnp.zeros(3, fine.dtype).at[2].set(chain * weight),
        },
        effect=effect,
    )


@eqx.filter_jit
def _vanishing_point(p: Extinction) -> Measured:
    """Measure the extinction decay at depth one, where the weight goes to zero without a jump.

    The squared weight, measured at two decays, is extrapolated to zero in a straight line.
    """
    decays = jnp.stack([p.low, (p.low + p.high) / 2])
    large = 1.5 * jnp.sqrt(p.cross) / p.second
    zero_of = lambda y: decays[0] + y[0] ** 2 * (decays[1] - decays[0]) / (y[0] ** 2 - y[1] ** 2)

    def ends(factor: int) -> tuple[Array, Array]:
        """The three values, and the error of each from incomplete training."""
        at = jax.vmap(lambda weight_decay: _descend(p, weight_decay, large, factor))
        weights, _, left = at(decays)
        weight_decay, moves = jax.value_and_grad(zero_of)(weights)
        sides, _, beside = at(weight_decay * (1 + jnp.asarray([-SIDE, SIDE], weight_decay.dtype)))
        return jnp.append(weight_decay, sides), jnp.append(jnp.sum(jnp.abs(moves) * left), beside)

    (value, left), (coarse, _) = ends(1), ends(COARSER)
    below = jnp.stack([value[0], value[1], value[1]])
    return Measured(
        value,
        {
            "integration": jnp.abs(value - coarse),
            "stationarity": left,
            "rounding": epsilons(SOLVED, value.dtype) * below,
        },
        effect=below.at[0].divide(16),
    )


def measure_end(problem: Extinction) -> Measured:
    """Measure the extinction, with a jump or at depth one without."""
    return (_vanishing_point if problem.depth == 1 else _jump)(problem)


@eqx.filter_jit
def predict_extinction(p: Extinction) -> Float[Array, " 3"]:
    weight_decay = theory.decay.extinction_decay(p.cross, p.second, p.depth)
    weight = lambda share: theory.decay.decay_minimiser(
        p.cross, p.second, weight_decay * share, p.depth
    )
    return jnp.stack([weight_decay, weight(1 - SIDE), weight(1 + SIDE)])


@drawn
def _end(key: PRNGKeyArray, depth: int, *, index: Array | int) -> Extinction:
    k1, k2 = jax.random.split(named(key, "extinction", index))
    cross = uniform(k1, 0.5, 1.5)
    return _bracketed(cross, cross / uniform(k2, 0.4, 0.95), depth)


@eqx.filter_jit
def _bracketed(cross: Array, second: Array, depth: int) -> Extinction:
    """Bracket in units of a decay, without the closed form.

    The feature survives a hundredth of the unit, and does not survive four. At depth one it
    survives one and two, where its weight is measured.
    """
    unit = cross * (cross / second**2) ** (1 - 1 / depth)
    low, high = (0.01, 4.0) if depth > 1 else (1.0, 3.0)
    return Extinction(cross, second, low * unit, high * unit, depth)


def _harder_ends(key: PRNGKeyArray, depth: int) -> Extinction:
    k1, k2 = jax.random.split(key, 2)
    cross = decades(k1, -3, 3)
    return _bracketed(cross, cross / uniform(k2, 0.02, 1.0), depth)


def _spinodal(p: Extinction, own: Array) -> Array:
    """Decay at which the upper minimum disappears altogether, and the weights on either side."""
    weight_decay = theory.decay.decay_limit(p.cross, p.second, p.depth)
    below = theory.decay.decayed_weight(p.cross, p.second, weight_decay * (1 - SIDE), p.depth)
    return jnp.asarray(np.stack([weight_decay, below, np.zeros_like(below)]))


CLAIM = Claim(
    name="feature-extinction",
    statement="As weight decay grows, the minimum jumps from a positive weight to zero, in all "
    "layers at once, at a decay known in closed form; at depth one it gets there continuously.",
    latex=r"\gamma_c(L) = \frac{4c}{2L-1} \left(\frac{(2L-2)\,c}{(2L-1)\,q^2}\right)^{1 - 1/L}",
    hypotheses=(
        "linear network",
        "feature model",
        "width at least the dimension",
        "global minimum",
    ),
    source="beyond the paper",
    problems=lambda key: (
        _end(key, depth, index=index) for depth, index in ((2, 0), (3, 0), (1, 0), (2, 1), (4, 0))
    ),
    predict=predict_extinction,
    measure=measure_end,
    compare=lambda prediction, measured: compare_measured(
        prediction,
        measured,
        labels=("decay of the jump", "weight just below", "weight just above"),
        what="relative discrepancy of the extinction",
    ),
    sharpness={
        "decay of the jump": (3e-8, 0.004),
        "weight just below": (3e-6, 0.002),
        "weight just above": (0.008, 0.01),
    },
    controls=(
        Control(
            "spinodal",
            "predicts the jump where the upper minimum disappears, not where it stops being the "
            "lower one",
            predict=_spinodal,
        ),
        Control(
            "continuous",
            "predicts a weight that goes to zero without a jump",
            # Just below extinction it falls as a square root.
            predict=lambda problem, own: with_entries(
                own, 1, np.sqrt(problem.cross) / problem.second * SIDE**0.5
            ),
        ),
    ),
    search=over(_harder_ends, "depth", (1, 2, 3)),
    quick=1,
)

"""min-norm: balanced layers are the factorisation of least norm."""

from collections.abc import Callable

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, measure, simulation, theory
from ..._core import CHAIN, epsilons, named, solver_tolerance
from ...claims import Claim, Control, Offers, Rows, Verdict, rounded, verdict_of
from .._common import COARSER, decades, gaussian, over, replace, widths


class Factorisation(eqx.Module):
    """A network, as one of the many factorisations of its product."""

    network: DeepLinear

    @property
    def label(self) -> str:
        return widths(self.network.sizes)

    def shrinks(self) -> Offers:
        """One layer less, rounder numbers."""
        if self.network.depth > 2:
            yield lambda: Factorisation(DeepLinear(self.network.layers[:-1]))
        yield from rounded(lambda r: r(self))


class Descended(eqx.Module):
    """Norm before and after the descent, and its integration error."""

    before: Float[Array, ""]
    after: Float[Array, ""]
    integration: Float[Array, ""]
    result: simulation.Rebalanced


@eqx.filter_jit
def _norm(network: DeepLinear) -> Array:
    return sum((jnp.sum(w * w) for w in network.layers), jnp.zeros((), network.layers[0].dtype))


def descend(problem: Factorisation, t1: float = 1e6) -> Descended:
    """Least norm that descent along the factorisations of the product finds."""
    network = problem.network
    rtol = solver_tolerance(network.layers[0].dtype)
    fine, coarse = (simulation.rebalance(network, rtol=f * rtol, t1=t1) for f in (1, COARSER))
    ends = [_norm(r.network) for r in (fine, coarse)]
    return Descended(_norm(network), ends[0], jnp.abs(ends[0] - ends[1]), fine)


@eqx.filter_jit
def judge_norm(prediction: Float[Array, ""], found: Descended) -> Verdict:
    r"""Two rows: no factorisation lies below the bound, and descent reaches the bound.

    Where descent has stopped at imbalances $D_l$, the norm is above the bound by at most $L
    \sum_l \|D_l\|_1$. For one layer pair this is the inequality of Powers and Stormer,
    $\|A^{1/2} - B^{1/2}\|_F^2 \le \|A - B\|_1$. For numbers it holds since an arithmetic mean
    exceeds the geometric mean by at most the distance between the numbers.
    """
    size, network = jnp.where(prediction > 0, prediction, 1), found.result.network
    rounding = epsilons(CHAIN * sum(network.sizes), size.dtype)
    total = jnp.sum(measure.imbalance_norms(network))
    return verdict_of(
        Rows(
            ("below the bound",),
            jnp.maximum(prediction - found.before, 0) / size,
            {"rounding": rounding},
            effect=1.0,
            predicted=prediction,
            measured=found.before,
        ),
        Rows(
            ("least norm",),
            jnp.abs(found.after - prediction) / size,
            {
                # The product is kept to a relative `moved`. The bound is a root of the product, so
                # that its relative error is at most twice as large.
                "integration": found.integration / size + 2 * found.result.moved,
                "stationarity": network.depth * max(network.sizes) ** 0.5 * total / size,
                "rounding": rounding,
            },
            # The effect to detect: the decrease of the norm from the start.
            effect=(found.before - found.after) / size,
            predicted=prediction,
            measured=found.after,
        ),
        what="relative norm of the factors",
        converged=found.result.converged,
    )


def predict(problem: Factorisation) -> Float[Array, ""]:
    return theory.balance.least_norm(problem.network.matrix, problem.network.depth)


def _harder(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Factorisation:
    k1, k2 = jax.random.split(key)
    return Factorisation(DeepLinear.init(k2, sizes, decades(k1, -1, 1, (len(sizes) - 1,))))


def with_power(
    power: Callable[[int], float], factor: Callable[[int], float] = float
) -> Callable[[Factorisation, Array], Array]:
    """Bound with another power of the singular values than 2 / L, or another factor than L."""

    @eqx.filter_jit
    def wrong(problem: Factorisation, own: Array) -> Array:
        depth = problem.network.depth
        values = jnp.linalg.svd(problem.network.matrix, compute_uv=False)
        return factor(depth) * jnp.sum(values ** power(depth))

    return wrong


CLAIM = Claim(
    name="min-norm",
    statement="Among all factorisations of a matrix into L layers, the sum of squared norms is at "
    "least L times the sum of its singular values to the power 2/L, with equality exactly for "
    "balanced ones.",
    latex=r"\min_{W_L \cdots W_1 = W} \sum_l \|W_l\|_F^2 = L \sum_i s_i(W)^{2/L}",
    hypotheses=("linear network", "inner widths at least the rank"),
    source="paper section 3, for depth 2; beyond the paper for any depth",
    problems=lambda key: (
        Factorisation(gaussian(named(key, "factorisation", index), sizes, jnp.ones(len(sizes) - 1)))
        for index, sizes in enumerate(
            ((4, 3, 4, 3), (4, 3, 3), (4, 3, 3), (3, 5, 5, 2), (1, 1, 1, 1, 1))
        )
    ),
    predict=predict,
    measure=descend,
    compare=judge_norm,
    sharpness={
        "below the bound": (2e-12, 0),
        "least norm": (8e-4, 1e-4),
    },
    controls=(
        Control(
            "stopped-early",
            "stops the descent half-way and takes it for the least",
            measure=lambda problem, own: replace(own, after=descend(problem, t1=0.1).after),
        ),
        Control(
            "wrong-exponent",
            "predicts the power 2 / (L + 1)",
            predict=with_power(lambda depth: 2 / (depth + 1)),
        ),
        Control(
            "nuclear",
            "predicts twice the nuclear norm, as at depth two",
            predict=with_power(lambda depth: 1.0, lambda depth: 2.0),
        ),
    ),
    search=over(_harder, "sizes", ((3, 2, 3), (2, 3, 3, 2), (1, 1, 1, 1, 1))),
    quick=1,
)

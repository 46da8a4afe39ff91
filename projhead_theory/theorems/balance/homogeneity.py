"""homogeneity: the conserved quantity of units that are homogeneous in weights and thresholds."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import ContrastiveProblem, Features, SignFlip, gradient_descent, losses, measure
from ..._core import named
from ...claims import Claim, Control
from ...networks import AbstractNetwork, ThresholdedDiagonal
from .._common import Run, drawn, even_steps, in_place_of, uniform
from .balancedness import WEIGHT_DECAY, Training, constant, judge_kept, step_controls, train

DIM, WIDTH, RECORDS = 3, 4, 16

TIMES = 10 * np.append(np.geomspace(1e-3, 1, RECORDS)[:-1], 1)


def columns(network: AbstractNetwork) -> tuple[Float[Array, "p 1"], ...]:
    """Conserved quantity of every unit, one column a layer pair."""
    return tuple(x[:, None] for x in measure.homogeneity(network))


@drawn
def _diagonal(key: PRNGKeyArray, depth: int, *, index: Array | int = 0) -> Training:
    """Trained thresholds; the third feature is not active."""
    k = jax.random.split(named(key, "homogeneous flow", index), 2)
    weights = uniform(k[0], 0.7, 1.4, (depth, DIM)).at[1, -1].set(0.01)
    number = lambda x: jnp.asarray(x, weights.dtype)
    problem = ContrastiveProblem(
        Features(number([1.0, 1.6, 0.8])), SignFlip(number([0.1, 0.0, 0.2]))
    )
    return Training(
        losses.spectral,
        problem,
        ThresholdedDiagonal(weights, uniform(k[1], 0.05, 0.2, (depth, DIM)), trained=True),
        number(TIMES),
        number(0),
    )


def _with_fixed(p: Training, own: Run) -> Run:
    """Train with fixed thresholds, in steps too small to move the quantity by themselves."""
    number = 1_000
    trajectory = gradient_descent(
        dataclasses.replace(p.start, trained=False),
        p.data,
        loss=p.loss,
        learning_rate=1e-3,
        steps=number,
        save_at=even_steps(number, RECORDS),
    )
    # As networks of the claim's own kind, so that the quantity includes the thresholds.
    leaves, kind = jax.tree.leaves(trajectory.networks), jax.tree.structure(own.fine.networks)
    return in_place_of(
        own, dataclasses.replace(trajectory, networks=jax.tree.unflatten(kind, leaves))
    )


CLAIM = Claim(
    name="homogeneity",
    statement="Under gradient flow every unit that is homogeneous in its weights and its "
    "threshold together conserves the squared norm of what goes in, the threshold included, "
    "less that of what goes out: w_l^2 + b_l^2 - w_(l+1)^2 in a diagonal network.",
    latex=r"\frac{d}{dt}\left(\|v_k\|^2 + b_k^2 - \|u_k\|^2\right) = 0; \qquad "
    r"\frac{d}{dt}\left(w_l^2 + b_l^2 - w_{l+1}^2\right) = 0",
    hypotheses=(
        "homogeneous units: thresholds are trained as well",
        "gradient flow",
        "no weight decay",
    ),
    source="beyond the paper; Du et al. 2018 for ReLU units",
    # Fully connected networks on views have a kink wherever a view meets a unit's threshold, and
    # the flow slides along it. The claim discrete-homogeneity covers them, in finite steps.
    problems=lambda key: (
        _diagonal(key, depth, index=index) for depth, index in ((2, 0), (3, 0), (2, 1), (4, 0))
    ),
    predict=lambda problem: constant(problem, columns),
    measure=train,
    compare=lambda prediction, run: judge_kept(prediction, run, columns),
    sharpness={
        "layers #, #": (9e-12, 0.01),
    },
    controls=(
        WEIGHT_DECAY,
        Control("fixed-thresholds", "trains the weights alone", measure=_with_fixed),
        *step_controls(adam=1e-3, coarse=2e-2, number=1_000),
    ),
    quick=1,
)

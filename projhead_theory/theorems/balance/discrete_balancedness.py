"""discrete-balancedness: the imbalance after finite steps."""

import functools
from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import ContrastiveProblem, gradient_descent, measure, problems, simulation, theory
from ..._core import frobenius, named
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from ...networks import AbstractLinearNetwork
from .._common import (
    decades,
    joints,
    largest,
    over,
    replace,
    rounded_data,
    rounding_of_steps,
    task,
    widths,
)
from .balancedness import SIZES, gaussian_features, harder_training, unbalanced

Follow = Callable[[tuple[Array, ...], Any, Array, Array], Any]


class Descent(eqx.Module):
    """Data, an unbalanced start and the steps, for the claims in discrete time.

    `data` are moments for full-batch steps, or a problem for minibatches.
    """

    data: problems.Data | ContrastiveProblem
    start: Any
    key: PRNGKeyArray
    learning_rate: Float[Array, ""]
    weight_decay: Float[Array, ""]
    steps: int = eqx.field(static=True, default=300)
    batch: int = eqx.field(static=True, default=32)

    @property
    def label(self) -> str:
        how = "full batch"
        if isinstance(self.data, ContrastiveProblem):
            how = f"minibatches of {self.batch}"
        return f"{type(self.start).__name__}, {how}, {widths(self.start.sizes)}"

    def batch_of(self, number: Array) -> Any:
        """Data of one step."""
        if isinstance(self.data, ContrastiveProblem):
            return simulation.minibatch(self.data, self.key, number, self.batch)
        return self.data

    def shrinks(self) -> Offers:
        return rounded_data(self)


class Law(eqx.Module):
    r"""Change of an imbalance in one step.

    It is multiplied by $(1 - \eta\gamma)^2$; then $\eta^2$ times the same quantity of the loss
    gradient is added. `follow` maps an imbalance, a gradient, step and decay to the next imbalance.
    """

    learning_rate: Float[Array, ""]
    weight_decay: Float[Array, ""]
    follow: Follow = eqx.field(static=True)


class Steps(eqx.Module):
    """Every step of a run.

    - `kept`: the imbalances at every step, one array a layer pair.
    - `gradients`: the loss gradients that led from each step to the next, as the law takes them.
    - `size`: the unit of the imbalance.
    - `rounding`: the rounding of the imbalance over all steps.
    - `second`: the sum of the second-order terms, one a layer pair.
    - `finite`: true if the run did not diverge.
    """

    kept: tuple[Float[Array, "T ..."], ...]
    gradients: tuple[Float[Array, "t ..."], ...]
    size: Float[Array, ""]
    rounding: Float[Array, ""]
    second: Float[Array, " J"]
    finite: Bool[Array, ""]


def descend(
    p: Descent, read: Callable[[Descent, Any], Steps], optimiser: Callable = optax.sgd
) -> Steps:
    """Every step of a run, `read` from the network at all of them."""
    options: dict[str, Any] = {
        "optimiser": optimiser,
        "learning_rate": p.learning_rate,
        "steps": p.steps,
        "weight_decay": p.weight_decay,
        "save_at": np.arange(p.steps + 1),
    }
    run: simulation.Trajectory = (
        simulation.stochastic(p.start, p.data, key=p.key, batch_size=p.batch, **options)
        if isinstance(p.data, ContrastiveProblem)
        else gradient_descent(p.start, p.data, **options)
    )
    return replace(read(p, run.networks), finite=~(run.ended == simulation.Ended.diverged))


def each_step(problem: Descent, networks: Any, one: Callable[[Any, Any], Any]) -> Any:
    """A function of the network before each step and of the data of that very step."""
    return jax.lax.map(
        lambda item: one(item[1], problem.batch_of(item[0])),
        (jnp.arange(problem.steps), jax.tree.map(lambda x: x[:-1], networks)),
    )


@eqx.filter_jit
def judge_discrete(
    p: Law,
    steps: Steps,
    *,
    distance: Callable[[Array], Array],
    labels: Callable[[int], tuple[str, ...]],
    what: str,
) -> Verdict:
    """Verdict on the imbalance at every step, followed by the law from the start.

    The law uses the run's gradients only.
    """

    def follow(kept: tuple[Array, ...], now: Any) -> tuple[tuple[Array, ...], Array]:
        gradients, measured = now
        following = tuple(p.follow(kept, gradients, p.learning_rate, p.weight_decay))
        apart = [distance(f - m) for f, m in zip(following, measured, strict=True)]
        return following, jnp.stack(apart)

    first, rest = (tuple(x[i] for x in steps.kept) for i in (0, slice(1, None)))
    error = jax.lax.scan(follow, first, (steps.gradients, rest))[1] / steps.size
    return verdict_of(
        Rows(
            labels(len(first)),
            jnp.max(error, axis=0),
            {"rounding": steps.rounding / steps.size},
            # The effect to detect: the whole second-order term.
            effect=steps.second / steps.size,
            predicted=jnp.zeros_like(error.T),
            measured=error.T,
        ),
        what=what,
        finite=steps.finite,
    )


def shrunk(
    kept: tuple[Array, ...], gradients: Any, step: Array, weight_decay: Array
) -> tuple[Array, ...]:
    """The imbalances after one step, to first order in its size."""
    return tuple((1 - step * weight_decay) ** 2 * x for x in kept)


def discrete_claim(
    read: Callable[[Descent, Any], Steps],
    follow: Follow,
    *,
    distance: Callable[[Array], Array],
    labels: Callable[[int], tuple[str, ...]],
    what: str,
    networks: str,
    **fields: Any,
) -> Claim:
    """Claim on what every step of gradient descent makes of an imbalance.

    **Arguments:**

    - `read`: reads the imbalances off the networks of a run.
    - `follow`: the law, as in `Law`.
    - `distance`, `labels`, `what`: the size of a discrepancy, the labels of the rows, and the
      compared quantity in words.
    - `networks`: the networks that it holds for, in words.
    - `fields`: further fields of the claim.
    """
    by = lambda optimiser: lambda problem, own: descend(problem, read, optimiser)
    momentum = jax.tree_util.Partial(optax.sgd, momentum=0.9)
    return Claim(
        predict=lambda problem: Law(problem.learning_rate, problem.weight_decay, follow),
        measure=lambda problem: descend(problem, read),
        compare=functools.partial(judge_discrete, distance=distance, labels=labels, what=what),
        hypotheses=(
            networks,
            "gradient descent without momentum",
            "any step, any decay, any batch",
        ),
        source="beyond the paper",
        controls=(
            Control("momentum", "trains with momentum 0.9", measure=by(momentum)),
            Control("adam", "trains with Adam", measure=by(optax.adam)),
            Control(
                "first-order",
                "predicts with the second-order term left out",
                predict=lambda problem, own: Law(own.learning_rate, own.weight_decay, shrunk),
            ),
        ),
        **fields,
    )


@eqx.filter_jit
def read(problem: Descent, networks: AbstractLinearNetwork) -> Steps:
    """Imbalances and loss gradients of all layers."""
    gradients = each_step(problem, networks, simulation.layer_gradients)
    squares = jnp.stack([jnp.sum(g * g) for g in gradients]) * problem.learning_rate**2
    return Steps(
        kept=jax.vmap(measure.imbalance)(networks),
        gradients=gradients,
        size=largest(networks),
        rounding=rounding_of_steps(networks, gradients, problem.learning_rate),
        second=squares[1:] + squares[:-1],
        finite=jnp.ones((), bool),
    )


def _descents(key: PRNGKeyArray) -> Iterator[Descent]:
    moments = [task(key, SIZES, index=index).moments for index in range(3)]
    for data, step, weight_decay in (
        (moments[0], 5e-2, 0.05),
        (gaussian_features(), 2e-2, 0.05),
        (moments[1], 2e-2, 0.05),
        (moments[2], 5e-2, 0.0),
    ):
        yield Descent(
            data,
            unbalanced(key),
            named(key, "minibatches"),
            jnp.asarray(step, jnp.result_type(float)),
            jnp.asarray(weight_decay, jnp.result_type(float)),
        )


def _harder_descent(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Descent:
    k = jax.random.split(key, 3)
    training = harder_training(k[0], sizes, weight_decay=True)
    step = 0.1 * training.times[-1] * decades(k[1], -2, 0)
    return Descent(training.data, training.start, k[2], step, training.weight_decay, steps=100)


CLAIM = discrete_claim(
    read,
    theory.balance.discrete_imbalance,
    networks="linear network",
    distance=frobenius,
    labels=joints,
    what="discrete law of the imbalance",
    name="discrete-balancedness",
    statement="At every step of gradient descent, on the full batch or on minibatches, D_l becomes "
    "(1 - step decay)^2 D_l + step^2 (G_(l+1)^T G_(l+1) - G_l G_l^T), exactly.",
    latex=r"D_l \leftarrow (1 - \eta\gamma)^2 D_l "
    r"+ \eta^2 \left(G_{l+1}^\top G_{l+1} - G_l G_l^\top\right)",
    problems=_descents,
    sharpness={
        "layers #, #": (1e-10, 0.01),
    },
    search=over(_harder_descent, "sizes", ((3, 2, 4), (2, 3, 2, 2))),
)

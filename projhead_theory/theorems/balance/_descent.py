"""Finite steps of gradient descent, and the verdict on what they change of an imbalance."""

import functools
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import ContrastiveProblem, gradient_descent, problems, simulation
from ...claims import Claim, Control, Offers, Rows, Verdict, verdict_of
from .._common import replace, rounded_data, widths

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

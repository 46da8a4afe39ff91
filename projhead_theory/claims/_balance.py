"""balancedness and discrete-balancedness: what training conserves, in continuous and in discrete time."""

from collections.abc import Callable, Iterator

import equinox as eqx
import jax
import jax.numpy as jnp
import optax
from jaxtyping import Array, PRNGKeyArray

from .. import measure
from .._spectra import frobenius
from ..moments import Moments
from ..networks import DeepLinear
from ..problems import AdditiveNoise, ContrastiveProblem, Features, Views
from ..simulation import Ended, Trajectory, gradient_descent, gradient_flow, layer_gradients
from ..theory import discrete_imbalance
from . import _settings as settings
from ._claim import Claim, Control
from ._rounding import imbalance_rounding, largest
from ._verdict import Verdict, judge

DEPTH, STEP, STEPS, DECAY = 3, 5e-3, 2_000, 0.01


def _report(discrepancy: Array, parts: dict[str, Array], effect: Array, measured: Array, trajectory: Trajectory, what: str) -> Verdict:
    outcome = judge(discrepancy, parts, effect, finite=~(trajectory.ended == Ended.diverged))
    labels = tuple(f"layers {level}, {level + 1}" for level in range(1, discrepancy.shape[0] + 1))
    return Verdict(discrepancy, parts, effect, outcome, jnp.zeros_like(measured), measured, labels=labels, what=what)


@eqx.filter_jit
def _conserved(trajectory: Trajectory, granted: Array) -> Verdict:
    imbalances = jax.vmap(measure.imbalance)(trajectory.networks)
    moved = jnp.stack([frobenius(d - d[0]) for d in imbalances])
    size = largest(trajectory.networks)
    parts = {"integration": granted / size, "rounding": jnp.full_like(granted, imbalance_rounding(trajectory.networks) / size)}
    # What the check must see: a drift as large as the weights themselves gained.
    gain = jnp.abs(jnp.stack([jnp.sum(w[-1] ** 2) - jnp.sum(w[0] ** 2) for w in trajectory.networks.layers]))
    effect = jnp.maximum(gain[1:], gain[:-1]) / size
    return _report(jnp.max(moved, axis=1) / size, parts, effect, moved / size, trajectory, "drift of the imbalance")


def judge_conserved(trajectory: Trajectory, granted: Array | None = None) -> Verdict:
    """The largest change of each imbalance along the run, against what integration error allows (or what another run was granted)."""
    return _conserved(trajectory, trajectory.drift if granted is None else granted)


def _start(key: PRNGKeyArray) -> DeepLinear:
    return DeepLinear.unbalanced(jax.random.fold_in(key, 3000), settings.sizes(DEPTH), [1.0, 0.6, 0.8])


def _views(key: PRNGKeyArray) -> Views:
    problem = ContrastiveProblem(Features(jnp.linspace(1.5, 0.7, settings.DIM), "gaussian"), AdditiveNoise(0.4))
    return problem.sample_pairs(jax.random.fold_in(key, 4000), 256)


def _flow(key: PRNGKeyArray, data: Moments | Views, decay: float = 0.0) -> Trajectory:
    return gradient_flow(_start(key), data, until=20.0, decay=decay, record=32)


def _run_conserved(key: PRNGKeyArray) -> Iterator[Verdict]:
    for index in range(settings.PROBLEMS):
        yield judge_conserved(_flow(key, settings.draw(key, index)))
    yield judge_conserved(_flow(key, _views(key)))


def _decay_conserved(key: PRNGKeyArray) -> Verdict:
    moments = settings.draw(key)
    return judge_conserved(_flow(key, moments, decay=0.05), _flow(key, moments).drift)


def _descend(key: PRNGKeyArray, optimiser: Callable, step: float) -> Trajectory:
    return gradient_descent(
        _start(key), settings.draw(key), optimiser=optimiser, step=step, steps=STEPS, decay=DECAY, record=jnp.arange(STEPS + 1)
    )


def _optimiser_conserved(optimiser: Callable, step: float):
    def run(key: PRNGKeyArray) -> Verdict:
        moments = settings.draw(key)
        trajectory = gradient_descent(_start(key), moments, optimiser=optimiser, step=step, steps=STEPS, record=32)
        return judge_conserved(trajectory, _flow(key, moments).drift)

    return run


CONSERVED = Claim(
    name="balancedness",
    statement="Under gradient flow on any differentiable loss of the network's output, every imbalance "
    "D_l = W_(l+1)^T W_(l+1) - W_l W_l^T is constant in time.",
    hypotheses=("linear network", "gradient flow", "no weight decay"),
    source="paper section 3; Arora et al. 2018 for deep linear networks",
    run=_run_conserved,
    controls=(
        Control("weight-decay", "trains with weight decay, under which every imbalance decays exponentially", _decay_conserved),
        Control("adam", "trains with Adam", _optimiser_conserved(optax.adam, 5e-3)),
        Control("finite-step", "trains by gradient descent with a large step", _optimiser_conserved(optax.sgd, 3e-2)),
    ),
)


@eqx.filter_jit
def _law(trajectory: Trajectory, moments: Moments, second_order: Array) -> Verdict:
    step, decay = jnp.asarray(STEP), jnp.asarray(DECAY)
    networks = jax.tree.map(lambda w: w[:-1], trajectory.networks)
    gradients = jax.lax.map(lambda n: layer_gradients(n, moments), networks)
    imbalances = jax.vmap(measure.imbalance)(trajectory.networks)

    def follow(predicted, now):
        """The law applied from the start to the end, with the run's gradients only."""
        g, seen = now
        following = discrete_imbalance(predicted, g, step, decay)
        shrunk = tuple((1 - step * decay) ** 2 * d for d in predicted)
        following = tuple(s + second_order * (f - s) for f, s in zip(following, shrunk, strict=True))
        return following, jnp.stack([frobenius(f - s) for f, s in zip(following, seen, strict=True)])

    first = tuple(d[0] for d in imbalances)
    _, error = jax.lax.scan(follow, first, (gradients, tuple(d[1:] for d in imbalances)))
    size = largest(trajectory.networks)
    joints = len(first)
    parts = {"rounding": jnp.full(joints, imbalance_rounding(trajectory.networks, STEPS) / size)}
    # What the check must see: the whole second-order term.
    squares = jnp.stack([jnp.sum(g * g) for g in gradients]) * step**2
    effect = (squares[1:] + squares[:-1]) / size
    return _report(jnp.max(error, axis=0) / size, parts, effect, error.T / size, trajectory, "discrete law of the imbalance")


def judge_discrete(trajectory: Trajectory, moments: Moments, second_order: float = 1.0) -> Verdict:
    """The imbalance followed by the law from the start, against the measured one, at every step."""
    return _law(trajectory, moments, jnp.asarray(second_order))


def _run_discrete(key: PRNGKeyArray) -> Iterator[Verdict]:
    yield judge_discrete(_descend(key, optax.sgd, STEP), settings.draw(key))


def _optimiser_discrete(optimiser: Callable):
    def run(key: PRNGKeyArray) -> Verdict:
        return judge_discrete(_descend(key, optimiser, STEP), settings.draw(key))

    return run


def _first_order(key: PRNGKeyArray) -> Verdict:
    return judge_discrete(_descend(key, optax.sgd, STEP), settings.draw(key), second_order=0.0)


MOMENTUM = jax.tree_util.Partial(optax.sgd, momentum=0.9)

DISCRETE = Claim(
    name="discrete-balancedness",
    statement="At every step of gradient descent, D_l becomes (1 - step decay)^2 D_l + step^2 (G_(l+1)^T G_(l+1) - G_l G_l^T), exactly.",
    hypotheses=("linear network", "gradient descent without momentum", "any step, any decay"),
    source="beyond the paper",
    run=_run_discrete,
    controls=(
        Control("momentum", "trains with momentum 0.9", _optimiser_discrete(MOMENTUM)),
        Control("adam", "trains with Adam", _optimiser_discrete(optax.adam)),
        Control("first-order", "predicts with the second-order term left out", _first_order),
    ),
)

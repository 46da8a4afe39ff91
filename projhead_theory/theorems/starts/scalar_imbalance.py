"""scalar-imbalance: the Grams of all layers from the last, at any depth, without balance."""

from collections.abc import Callable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from ... import DeepLinear, losses, measure, problems, theory
from ..._core import diagonal, epsilons, frobenius, matmul, named, nonzero, psd_power
from ...claims import Claim, Control, Offers, Rows, Verdict, numbered, verdict_of
from .._common import decades, drawn, harder, replace, rounded_data, uniform
from .start_law import Course, of_teacher, times_to, train

DIM = 4


class Shifted(eqx.Module):
    """Loss, data and a start whose imbalances are multiples of the identity.

    - `imbalance`: the multiples, one for each pair of layers.
    - `squares`: eigenvalues of the first layer's Gram.
    """

    loss: losses.AbstractLoss
    data: problems.Data
    imbalance: Float[Array, " J"]
    squares: Float[Array, " d"]
    key: PRNGKeyArray
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]

    @property
    def label(self) -> str:
        return f"{type(self.loss).__name__}, depth {len(self.imbalance) + 1}"

    def shrinks(self) -> Offers:
        return rounded_data(self)

    def network(self, uneven: float = 0.0) -> DeepLinear:
        """The start; or imbalances of the same trace that differ between directions."""
        return _network(self, jnp.asarray(uneven, self.squares.dtype))

    def holds_for(self, network: DeepLinear) -> Bool[Array, ""]:
        """True if the imbalances of a network are these multiples of the identity."""
        return _is_scalar(network, self.imbalance)


@eqx.filter_jit
def _network(problem: Shifted, uneven: Array) -> DeepLinear:
    d, one = len(problem.squares), jnp.eye(len(problem.squares), dtype=problem.squares.dtype)
    frames = jnp.linalg.qr(
        jax.random.normal(problem.key, (len(problem.imbalance) + 2, d, d), one.dtype)
    )[0]
    tilt = one + uneven * jnp.diag(jnp.linspace(-1, 1, d, dtype=one.dtype))
    layers = [matmul(frames[0] * jnp.sqrt(problem.squares), frames[-1])]
    for frame, multiple in zip(frames[1:-1], problem.imbalance, strict=True):
        above = matmul(layers[-1], layers[-1].T) + multiple * tilt
        layers.append(matmul(frame, psd_power(above, 0.5, d)))
    return DeepLinear(layers)


class Grams(eqx.Module):
    """The law at the save times of a run, the last of which is recorded twice.

    - `law`: Grams of all layers from the last Gram, the imbalances, the weight decay and the time.
    """

    imbalance: Float[Array, " J"]
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]
    law: Callable[..., Array] = eqx.field(static=True, default=theory.starts.scalar_imbalance_law)

    def __call__(self, last: Float[Array, "n d d"]) -> Float[Array, "n L d d"]:
        return jax.vmap(
            lambda gram, time: self.law(
                gram, self.imbalance, weight_decay=self.weight_decay, time=time
            )
        )(last, jnp.append(self.times, self.times[-1]))


def predict(problem: Shifted) -> Grams:
    """The law, from the imbalances of the start alone."""
    return Grams(problem.imbalance, problem.times, problem.weight_decay)


@eqx.filter_jit
def _is_scalar(network: DeepLinear, imbalance: Array) -> Bool[Array, ""]:
    one = jnp.eye(network.sizes[0], dtype=imbalance.dtype)
    off = [
        frobenius(seen - multiple * one)
        for seen, multiple in zip(measure.imbalance(network), imbalance, strict=True)
    ]
    return jnp.max(jnp.stack(off)) <= _rounding(_size(network), network)


def _size(network: DeepLinear) -> Array:
    """Sum of all squared weights."""
    return jnp.sum(jnp.stack([jnp.sum(w * w, axis=(-1, -2)) for w in network.layers]), axis=0)


def _rounding(size: Array, network: DeepLinear) -> Array:
    """Rounding of an imbalance of layers of this size together."""
    return epsilons(8 * max(network.sizes), size.dtype) * size


@eqx.filter_jit
def judge_grams(prediction: Grams, course: Course) -> Verdict:
    r"""Verdict on the Grams of all layers but the last along a run, in units of the largest.

    The law takes the last Gram from the run itself. With the least factors $f_k = x + \mu_k$, an
    error $e$ of the last Gram moves the Gram of layer $l$ by at most $e / \prod_{k > l} f_k$. An
    error $e$ of all $\mu_k$ moves it by at most $2 e \sum_{k \le l} f_k^{-1}$ of its size.
    """
    run = course.run
    (seen, law), (coarse, coarse_law) = (
        _sides(t.networks, prediction) for t in (run.fine, run.coarse)
    )
    largest = nonzero(jnp.max(frobenius(seen), axis=0))
    networks = run.fine.networks
    size = _size(networks)
    # The product of the norms of all layers bounds the root of the last Gram's.
    norms = jnp.prod(jnp.stack([jnp.sum(w * w, axis=(-1, -2)) for w in networks.layers]), axis=0)
    spectra = jnp.linalg.eigvalsh(law)[..., 0]
    factors = spectra / jnp.concatenate([jnp.ones_like(spectra[:, :1]), spectra[:, :-1]], axis=1)
    beyond = jnp.cumprod(factors[:, ::-1], axis=1)[:, ::-1][:, 1:]
    shares = jnp.cumsum(1 / factors, axis=1)[:, :-1]
    start = _rounding(size[0], networks)
    moved = _rounding(norms, networks)[:, None] * (1 + 1 / beyond) + 2 * start * shares * frobenius(
        law[:, :-1]
    )
    apart, error = seen - law, seen - law - (coarse - coarse_law)
    return verdict_of(
        Rows(
            numbered("layer", seen.shape[1])[:-1],
            jnp.max(frobenius(apart), axis=0)[:-1] / largest[:-1],
            {
                "integration": jnp.max(frobenius(error), axis=0)[:-1] / largest[:-1],
                "rounding": jnp.max(moved, axis=0) / largest[:-1],
            },
            # The effect to detect: the change of the Gram since the start.
            effect=(jnp.max(frobenius(seen - seen[0]), axis=0) / largest)[:-1],
            predicted=frobenius(law)[:, :-1].T,
            measured=frobenius(seen)[:, :-1].T,
        ),
        what="relative discrepancy of the Grams",
        premises={"imbalances are multiples of the identity": course.premise},
        converged=run.reached,
        finite=run.finite,
    )


def _sides(networks: DeepLinear, law: Grams) -> tuple[Array, Array]:
    """Grams of all layers along a run, and by the law from the last of them."""
    seen = jax.vmap(measure.layer_grams)(networks)
    return seen, law(seen[:, -1])


def _from_start(
    key: PRNGKeyArray,
    loss: losses.AbstractLoss,
    data: problems.Data,
    depth: int,
    weight_decay: Any,
) -> Shifted:
    """A problem whose imbalances add up to no less than -0.15, from squares of 0.3 to 1."""
    squares = jnp.linspace(0.3, 1.0, DIM, dtype=jnp.result_type(float))
    sums = uniform(key, -0.15, 0.8, (depth - 1,))
    return Shifted(
        loss,
        data,
        jnp.diff(sums, prepend=jnp.zeros(1, sums.dtype)),
        squares,
        key,
        times_to(jnp.asarray(3.0, squares.dtype)),
        jnp.asarray(weight_decay, squares.dtype),
    )


@drawn
def _contrastive(key: PRNGKeyArray, depth: int, *, weight_decay: Any = 0.0, index: Any = 0) -> Any:
    place, rest = jax.random.split(named(key, "scalar imbalance contrastive", index))
    moments = problems.random_moments(place, jnp.linspace(0.9, 0.3, DIM), condition=5.0)
    return _from_start(rest, losses.spectral, moments, depth, weight_decay)


@drawn
def _regression(key: PRNGKeyArray, depth: int, *, weight_decay: Any = 0.0, index: Any = 0) -> Any:
    teacher, spread, rest = jax.random.split(named(key, "scalar imbalance regression", index), 3)
    return _from_start(rest, losses.mse, of_teacher(teacher, spread, DIM, DIM), depth, weight_decay)


def _problems(key: PRNGKeyArray) -> Iterator[Shifted]:
    yield _contrastive(key, 3, weight_decay=0.05)
    yield _regression(key, 3)
    yield _regression(key, 3, weight_decay=0.1, index=1)
    yield _contrastive(key, 4, index=1)


def _harder(key: PRNGKeyArray) -> Shifted:
    """Draw imbalances and squares over three decades, strengths over twelve, and any decay."""
    k = jax.random.split(key, 5)
    moments = harder(k[0], (DIM, DIM)).moments
    squares = decades(k[1], -2, 0, (DIM,))
    sums = uniform(k[2], -0.9, 0, (2,)) * jnp.min(squares) + decades(k[3], -3, 0, (2,))
    reach = jnp.max(diagonal(moments.second))
    last = 0.3 / (reach * (1 + reach) * (1 + jnp.max(sums)) ** 3)
    decay = decades(k[4], -3, 0) / last
    imbalance = jnp.diff(sums, prepend=jnp.zeros(1, sums.dtype))
    return Shifted(losses.spectral, moments, imbalance, squares, key, times_to(last), decay)


def _with_imbalance(other: Callable[[Array], Array]) -> Callable:
    return lambda problem, own: replace(own, imbalance=other(own.imbalance))


CLAIM = Claim(
    name="scalar-imbalance",
    statement="If every imbalance of a linear network of any depth starts as a multiple of the "
    "identity, gradient flow on any differentiable loss of the product keeps M_l = (M_1 + mu_1) "
    "... (M_1 + mu_l): the weights in every layer follow from those after the last and the "
    "imbalances, at all times.",
    latex=r"M_l = \prod_{k=1}^{l} (M_1 + \mu_k I), \qquad \mu_k = \sum_{j<k} \lambda_j\, "
    r"e^{-2\gamma t}, \qquad W_{l+1}^\top W_{l+1} - W_l W_l^\top = \lambda_l I",
    hypotheses=(
        "linear network",
        "imbalances that are multiples of the identity",
        "gradient flow",
        "a differentiable loss of the output",
        "the same weight decay in all layers, or none",
    ),
    source="beyond the paper",
    problems=_problems,
    predict=predict,
    measure=train,
    compare=judge_grams,
    sharpness={"layer #": (1e-10, 1e-4)},
    controls=(
        Control(
            "uneven-imbalance",
            "starts with imbalances of the same trace that differ between directions",
            measure=lambda problem, own: train(problem, problem.network(uneven=0.3)),
        ),
        Control(
            "reversed-imbalances",
            "predicts for the imbalances in the reverse order",
            predict=_with_imbalance(lambda x: x[::-1]),
        ),
        Control(
            "balanced-law",
            "predicts the layer-wise law, as after a balanced start",
            predict=_with_imbalance(jnp.zeros_like),
        ),
    ),
    search=(_harder,),
    quick=1,
)

"""Problems for claims on linear networks. Problems of one shape compile once, for any numbers."""

import abc
import dataclasses
import functools
import inspect
import itertools
from collections.abc import Callable, Iterable, Iterator
from typing import Any, ClassVar, Generic, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from ... import AdditiveNoise, ContrastiveProblem, DeepLinear, Features, losses, problems
from ..._core import matmul, named, symmetric
from ...claims import Offers, rounded
from ...moments import Moments, TargetMoments
from ...theory import dynamics

P = ParamSpec("P")
T = TypeVar("T")


def drawn(draw: Callable[P, T]) -> Callable[P, T]:
    """Compile a draw once for all values of its keyword arguments.

    Positional arguments are the key, and whatever determines shapes. Keyword arguments are numbers,
    which become arrays, so that another number compiles nothing new.
    """
    signature = inspect.signature(draw)
    compiled: Callable[..., T] = eqx.filter_jit(draw)

    @functools.wraps(draw)
    def with_arrays(*args: P.args, **kwargs: P.kwargs) -> T:
        bound = signature.bind(*args, **kwargs)
        bound.apply_defaults()
        array = lambda x: jnp.asarray(x, jnp.result_type(float) if isinstance(x, float) else None)
        return compiled(*bound.args, **{name: array(x) for name, x in bound.kwargs.items()})

    return with_arrays


def over(
    draw: Callable[..., T], name: str, values: Iterable[Any], **fixed: Any
) -> tuple[Callable[..., T], ...]:
    """The draw with each of these values of one argument: one a shape, for a random search."""
    return tuple(functools.partial(draw, **{name: value}, **fixed) for value in values)


def orthonormal(key: PRNGKeyArray, rows: int, columns: int | None = None) -> Float[Array, "r c"]:
    """Random orthonormal columns, as many as rows by default."""
    return jnp.linalg.qr(jax.random.normal(key, (rows, columns or rows)))[0]


def uniform(
    key: PRNGKeyArray, low: float, high: float, shape: tuple[int, ...] = ()
) -> Float[Array, "*shape"]:
    """Uniform numbers of the default precision."""
    return jax.random.uniform(key, shape, jnp.result_type(float), low, high)


def decades(
    key: PRNGKeyArray, low: float, high: float, shape: tuple[int, ...] = ()
) -> Float[Array, "*shape"]:
    """Numbers with a uniform decimal logarithm."""
    return 10.0 ** uniform(key, low, high, shape)


DIM, WIDTH = 6, 4

M = TypeVar("M", bound=Moments | TargetMoments)


class AbstractTask(eqx.Module, Generic[M]):
    """Moments, and a balanced start of a network of these `sizes` that is trained on them.

    If `stiff`, the flow is solved implicitly, as suits strengths decades apart.
    """

    moments: M
    key: PRNGKeyArray
    scale: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)
    stiff: bool = eqx.field(static=True, default=False)
    loss: ClassVar[losses.AbstractLoss] = losses.spectral

    @property
    def label(self) -> str:
        return widths(self.sizes)

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def width(self) -> int:
        return min(self.sizes[1:])

    def start(self) -> DeepLinear:
        return balanced(self.key, self.sizes, self.scale)


def widths(sizes: tuple[int, ...]) -> str:
    """Widths of a network, in words."""
    return f"widths {'-'.join(map(str, sizes))}"


class Task(AbstractTask[Moments]):
    """Task of the spectral contrastive loss."""

    def shrinks(self) -> Offers:
        """One layer less, one unit less in every layer, one direction less, rounder numbers."""
        d, *above = self.sizes
        on = lambda change: Moments(change(self.moments.cross), change(self.moments.second))
        other = functools.partial(functools.partial, dataclasses.replace, self)
        if self.depth > 1:
            yield other(sizes=self.sizes[:-1])
        if self.width > 1:
            yield other(sizes=(d, *(w - 1 for w in above)))
        for keep in left_out(d):
            part = on(lambda a, keep=keep: a[jnp.ix_(keep, keep)])
            yield other(moments=part, sizes=(d - 1, *above))
        yield from rounded(lambda r: dataclasses.replace(self, moments=on(r), scale=r(self.scale)))


def fewer(problem: Any, *names: str) -> Offers:
    """The problem without one of the entries on the last axis of these fields, for each entry."""
    for keep in left_out(getattr(problem, names[0]).shape[-1]):
        yield lambda keep=keep: replace(
            problem, **{name: getattr(problem, name)[..., keep] for name in names}
        )


def left_out(count: int) -> Iterator[Array]:
    """The indices of all but one of so many directions, for each of them if there are several."""
    for i in range(count if count > 1 else 0):
        yield jnp.asarray([j for j in range(count) if j != i])


@drawn
def task(key: PRNGKeyArray, sizes: tuple[int, ...], *, index: Any = 0) -> Task:
    """Signal fractions spread over (0.2, 0.95) with gaps, in random position: nothing commutes."""
    place, jitter = jax.random.split(named(key, "moments", index))
    grid = jnp.linspace(0.9, 0.3, sizes[0])
    fractions = grid + 0.3 / sizes[0] * uniform(jitter, -0.5, 0.5, grid.shape)
    return Task(
        problems.random_moments(place, fractions, condition=5.0),
        named(key, "start", index),
        jnp.asarray(0.5, grid.dtype),
        sizes,
    )


@eqx.filter_jit
def conflict(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Task:
    """Feature model that ranks strengths and signal fractions in opposite orders.

    The strongest features carry the most noise.
    """
    strength = jnp.linspace(2.0, 1.0, sizes[0])
    return Task(
        ContrastiveProblem(Features(strength), AdditiveNoise(strength**2)).moments(),
        key,
        jnp.asarray(0.5, strength.dtype),
        sizes,
    )


def spread(key: PRNGKeyArray, d: int) -> Float[Array, " d"]:
    """Strengths over up to twelve decades; in some draws one direction has none, or hardly any."""
    k = jax.random.split(key, 6)
    reach = jnp.where(jax.random.bernoulli(k[0]), uniform(k[1], 0, 12), 0)
    strength = 10.0 ** (reach * uniform(k[2], -0.5, 0.5, (d,)))
    faint = jnp.where(jax.random.bernoulli(k[3]), 0, decades(k[4], -9, -3))
    some = jax.random.bernoulli(k[5], 0.3) & (d > 1)
    return jnp.where(some, strength.at[-1].multiply(faint), strength)


def nearly_tied(key: PRNGKeyArray, values: Float[Array, " n"]) -> Float[Array, " n"]:
    """The values, or a copy with the last equal or close to the first.

    The last is below the first by a gap down to less than the resolution of the dtype.
    """
    k1, k2, k3 = jax.random.split(key, 3)
    gap = jnp.where(jax.random.bernoulli(k1), 0, decades(k2, -12, -1))
    some = jax.random.bernoulli(k3, 0.3) & (values.size > 1)
    return jnp.where(some, values.at[-1].set(jnp.maximum(values[0] - gap, 0)), values)


def mixing(key: PRNGKeyArray, d: int) -> Float[Array, "d d"]:
    """The identity, a rotation, or a general matrix."""
    k1, k2 = jax.random.split(key)
    one = jnp.eye(d, dtype=jnp.result_type(float))
    q, r = jnp.linalg.qr(jax.random.normal(k1, (d, d), one.dtype))
    kind = jax.random.randint(k2, (), 0, 3)
    return jnp.where(kind == 0, one, jnp.where(kind == 1, q, matmul(q, one + r / 4)))


def harder(key: PRNGKeyArray, sizes: tuple[int, ...]) -> Task:
    """Draw moments that are hard for a dtype, for a random search.

    Strengths spread over up to twelve decades, and a direction may have no variance or nearly
    none. Signal fractions range from near zero to one, with ties and near-ties. Features are
    left as they are, or mixed by a rotation or a general matrix.
    """
    k, d = jax.random.split(key, 4), sizes[0]
    strength, mixed = spread(k[0], d), mixing(k[1], d)
    fractions = nearly_tied(k[2], uniform(k[3], 0, 1, (d,)))
    moments = Moments(
        *(symmetric(matmul(mixed * s, mixed.T)) for s in (fractions * strength**2, strength**2))
    )
    return Task(moments, key, jnp.max(strength) ** (-1 / (len(sizes) - 1)) / 2, sizes, stiff=True)


class AbstractAlignedTask(eqx.Module):
    """Aligned features, each of which evolves alone, and an aligned balanced network.

    - `cross`, `second`: cross moment $c_i$ and second moment $q_i$ of each feature. In a regression
      the cross moment belongs to target and input.
    - `start_weight`: the product weight of each feature at the start.
    - `times`: the save times.
    - `weight_decay`: the weight decay.
    - `depth`: the number of layers.

    A kind of task has its `loss`, its closed forms in `theory`, and the word for its features. In
    time a feature without signal falls at the rate $q^{o/2} s^{o - 2/L}$, with `order` $o$.
    """

    cross: Float[Array, " d"]
    second: Float[Array, " d"]
    start_weight: Float[Array, " d"]
    times: Float[Array, " T"]
    weight_decay: Float[Array, ""]
    depth: int = eqx.field(static=True)
    max_steps: int = eqx.field(static=True, default=100_000)
    loss: ClassVar[losses.AbstractLoss]
    theory: ClassVar[Any]
    word: ClassVar[str]
    order: ClassVar[int]

    @property
    @abc.abstractmethod
    def moments(self) -> Moments | TargetMoments:
        """Training data."""

    @property
    @abc.abstractmethod
    def final(self) -> Float[Array, " d"]:
        """Product weight of each feature at the end."""

    @property
    def label(self) -> str:
        return f"depth {self.depth}, {self.cross.shape[0]} {self.word}s"

    def start(self) -> DeepLinear:
        return aligned(self.start_weight, self.depth)

    def shrinks(self) -> Offers:
        """One layer less, one feature less, rounder numbers."""
        if self.depth > 1:
            yield lambda: dataclasses.replace(self, depth=self.depth - 1)
        yield from fewer(self, "cross", "second", "start_weight")
        yield from rounded(lambda r: valid(r(self)))


class FeatureTask(AbstractAlignedTask):
    """Feature model under the spectral contrastive loss."""

    loss: ClassVar[losses.AbstractLoss] = losses.spectral
    theory: ClassVar[Any] = dynamics
    word: ClassVar[str] = "feature"
    order: ClassVar[int] = 4

    @property
    def moments(self) -> Moments:
        return Moments(jnp.diag(self.cross), jnp.diag(self.second))

    @property
    def final(self) -> Float[Array, " d"]:
        return jnp.sqrt(self.cross) / self.second


class ModeTask(AbstractAlignedTask):
    """Modes of a regression under the squared error."""

    loss: ClassVar[losses.AbstractLoss] = losses.mse
    theory: ClassVar[Any] = dynamics.regression
    word: ClassVar[str] = "mode"
    order: ClassVar[int] = 2

    @property
    def moments(self) -> TargetMoments:
        return TargetMoments(jnp.diag(self.cross), jnp.diag(self.second))

    @property
    def final(self) -> Float[Array, " d"]:
        return self.cross / self.second


def valid(task: Any) -> Any:
    """The task, if its moments are valid.

    **Raises:** `ValueError` otherwise.
    """
    _ = task.moments
    return task


def rounded_data(problem: Any) -> Offers:
    """Copies of a problem with rounder numbers; moments are rounded only while they stay valid."""

    def one(r: Callable[[Any], Any]) -> Any:
        data = problem.data
        return eqx.tree_at(
            lambda p: p.data,
            r(problem),
            Moments(r(data.cross), r(data.second)) if isinstance(data, Moments) else data,
        )

    return rounded(one)


def replace(module: Any, **fields: Any) -> Any:
    """A module with some fields replaced, NumPy arrays among them by JAX arrays."""
    put = lambda x: jnp.asarray(x) if isinstance(x, np.ndarray) else x
    names, values = list(fields), [put(x) for x in fields.values()]
    return eqx.tree_at(lambda m: [getattr(m, n) for n in names], module, values)


def with_entries(values: Array | np.ndarray, at: Any, entries: Any) -> Array:
    """A copy with some entries replaced, made on the host, which compiles nothing."""
    copy = np.array(values)
    copy[at] = entries
    return jnp.asarray(copy)


@eqx.filter_jit
def balanced(key: PRNGKeyArray, sizes: tuple[int, ...], scale: Array) -> DeepLinear:
    """A balanced start, compiled once for these sizes."""
    return DeepLinear.balanced(key, sizes, scale=scale, dtype=scale.dtype)


@eqx.filter_jit
def aligned(
    weights: Float[Array, " d"],
    depth: int,
    directions: Float[Array | np.ndarray, "d d"] | None = None,
) -> DeepLinear:
    """Aligned start along the axes or `directions`, compiled once for their number and depth."""
    axes = jnp.eye(len(weights), dtype=weights.dtype) if directions is None else directions
    return DeepLinear.aligned(axes, weights, (len(weights),) * (depth + 1))


@eqx.filter_jit
def gaussian(
    key: PRNGKeyArray, sizes: tuple[int, ...], scales: Float[Array | np.ndarray, "*L"]
) -> DeepLinear:
    """A Gaussian start, compiled once for these sizes."""
    return DeepLinear.init(key, sizes, jnp.asarray(scales), dtype=scales.dtype)


@eqx.filter_jit
def scaled(network: DeepLinear, factors: Float[Array | np.ndarray, " L"]) -> DeepLinear:
    """Every layer times its factor: no longer balanced unless all factors are equal."""
    return DeepLinear([f * w for f, w in zip(factors, network.layers, strict=True)])


def lopsided(problem: Any) -> DeepLinear:
    """The problem's start with its lowest layer twice as large, and the others smaller to match."""
    start = problem.start()
    others = start.depth - 1
    return scaled(start, np.asarray([2.0] + [2.0 ** (-1 / others)] * others, start.dtype))


def joints(count: int) -> tuple[str, ...]:
    return tuple(f"layers {a}, {b}" for a, b in itertools.pairwise(range(1, count + 2)))

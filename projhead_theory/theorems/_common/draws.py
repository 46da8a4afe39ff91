"""Random problems, drawn by one compiled program for each shape."""

import functools
import inspect
from collections.abc import Callable, Iterable
from typing import Any, ParamSpec, TypeVar

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

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

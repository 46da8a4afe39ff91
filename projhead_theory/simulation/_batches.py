"""A function mapped over many problems, in batches."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax

from .._core import checks
from .._core.cores import in_pieces, separable
from ._lanes import leading


def in_batches(function: Callable[..., Any], *arguments: Any, batch_size: int = 128) -> Any:
    """Map a function over the leading axis of its arguments, on all cores of a CPU.

    The problems of a batch run side by side, as under `jax.vmap`. On a CPU a small batch stays in
    the cache, and there are as many batches at work as there are cores. The function is compiled
    once for each function object and shape of the arguments: define it once, outside loops.

    **Arguments:**

    - `function`: takes one problem, and returns arrays.
    - `arguments`: its arguments, with a leading axis of one length in every array.
    - `batch_size`: the number of problems side by side.

    **Returns:** the results, with a leading axis in every array.

    **Raises:** `ValueError` for leading axes of different lengths.

    !!! example

        ```pycon
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> start = lambda key: pt.DeepLinear.init(key, (2, 2, 2), scale=0.5)
        >>> def loss(key):
        ...     return pt.gradient_descent(start(key), moments, steps=100, save_at=2).loss[-1]
        >>> pt.simulation.in_batches(loss, jax.random.split(jax.random.key(0), 500)).shape
        (500,)

        ```
    """
    count = leading("arguments", arguments)
    size = min(checks.count("batch_size", batch_size), count)
    if not separable(arguments, function):
        return jax.lax.map(lambda given: function(*given), arguments, batch_size=size)
    return in_pieces(lambda piece: _batch(function, piece), arguments, count, size)


@eqx.filter_jit
def _batch(function: Callable[..., Any], arguments: Any) -> Any:
    return jax.vmap(function)(*arguments)

"""Work on all cores of the CPU at once, in threads."""

import contextlib
import functools
import itertools
import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from . import checks


def cores() -> int:
    """Number of cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def settings() -> Callable[[], contextlib.ExitStack]:
    """Settings of JAX in force in this thread, to be entered in another."""
    names = ("enable_x64", "numpy_dtype_promotion", "default_matmul_precision", "default_device")
    scopes = [(getattr(jax, name), getattr(jax.config, f"jax_{name}")) for name in names]

    def enter() -> contextlib.ExitStack:
        stack = contextlib.ExitStack()
        for scope, value in scopes:
            stack.enter_context(scope(value))
        return stack

    return enter


def separable(*given: Any) -> bool:
    """True if threads can share the work: nothing is being traced, and all arrays lie on the CPU.

    A trace belongs to one thread. What a function closes over counts as given.
    """
    leaves = list(jax.tree.leaves(given))
    for cell in (c for leaf in leaves for c in getattr(leaf, "__closure__", None) or ()):
        leaves += jax.tree.leaves(cell.cell_contents)
    arrays = [jnp.zeros(()), *(x for x in leaves if isinstance(x, jax.Array))]
    try:
        return all(device.platform == "cpu" for x in arrays for device in x.devices())
    except jax.errors.ConcretizationTypeError:
        return False


def in_pieces(function: Callable[[Any], Any], arguments: Any, count: int, size: int) -> Any:
    """Apply a compiled function to pieces along the leading axis, on all cores.

    XLA runs a program of small matrices on one core, and the others wait for it.

    **Arguments:**

    - `function`: takes a piece of the arguments, and returns arrays with the same leading axis.
    - `arguments`: a tree of arrays with a leading axis of length `count`.
    - `size`: the length of a piece, at most `count`. The last piece overlaps the one before it, so
      that all are of one shape and one program serves them.
    """
    starts = [min(start, count - size) for start in range(0, count, size)]
    if len(starts) == 1:
        return function(arguments)
    # The first call compiles; it returns before its work is done.
    results, enter = [function(_piece(arguments, starts[0], size))], settings()

    def apply(start: int) -> Any:
        with enter():
            return jax.block_until_ready(function(_piece(arguments, start, size)))

    with ThreadPoolExecutor(cores()) as pool:
        results += pool.map(apply, starts[1:])
    fresh = [size, *(b - a for a, b in itertools.pairwise(starts))]
    join = lambda *parts: checks.array(
        np.concatenate([np.asarray(x)[size - n :] for x, n in zip(parts, fresh, strict=True)])
    )
    return jax.tree.map(join, *results)


@functools.partial(jax.jit, static_argnums=2)
def _piece(arguments: Any, start: Any, size: int) -> Any:
    return jax.tree.map(lambda x: jax.lax.dynamic_slice_in_dim(x, start, size), arguments)

"""Checks of the hyper-parameters and the targets of losses."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import checks

# A NumPy array unless the user gave a JAX array. A loss may be made, as the default losses are,
# before the user has chosen a device or a precision. Both kinds are traced, so that another value
# does not recompile.
Number = Float[Array | np.ndarray, ""]


def _number(name: str, value: Any, test: Callable[[np.ndarray], np.ndarray], wanted: str) -> Any:
    if isinstance(value, jax.Array):
        x = checks.floating(name, value)
    else:
        try:
            x = np.array(value)
        except ValueError as error:
            raise checks.bad(name, repr(value), wanted) from error
        if not (jnp.issubdtype(x.dtype, jnp.floating) or jnp.issubdtype(x.dtype, jnp.integer)):
            raise checks.bad(name, repr(value), wanted)
        x = x.astype(np.float64)
        x.flags.writeable = False
    if x.ndim:
        raise checks.bad(
            name, f"shape {x.shape}", f"{wanted} (several at once: `jax.vmap` over the loss)"
        )
    if (known := checks.concrete(x)) is not None and not (np.isfinite(known) and test(known)):
        raise checks.bad(name, str(known), wanted)
    return x


def positive(name: str, value: Any) -> Any:
    return _number(name, value, lambda v: v > 0, "one positive finite number")


def nonnegative(name: str, value: Any) -> Any:
    return _number(name, value, lambda v: v >= 0, "one non-negative finite number")


def require_labels(outputs: Array, targets: Array) -> None:
    """Raise unless the targets are one class label for each output."""
    if targets.shape != outputs.shape[:1] or not jnp.issubdtype(targets.dtype, jnp.integer):
        raise checks.bad(
            "targets",
            f"shape {targets.shape}, dtype {targets.dtype}",
            f"{outputs.shape[0]} whole-number class labels",
        )


def require_numbers(outputs: Array, targets: Array) -> None:
    """Raise unless the targets are one number for each entry of the outputs."""
    if targets.shape != outputs.shape or not jnp.issubdtype(targets.dtype, jnp.floating):
        wanted = f"numbers in the shape of the outputs, {outputs.shape}"
        raise checks.bad("targets", f"shape {targets.shape}, dtype {targets.dtype}", wanted)

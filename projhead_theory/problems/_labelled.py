"""Labelled inputs as data for supervised losses, in full or in minibatches of rows."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul
from ..moments import Moments

# Class labels, or regression targets, or class probabilities.
Targets = Integer[Array, " n"] | Float[Array, "n k"]
"""Class numbers, or real targets of `k` outputs."""


class Labelled(eqx.Module):
    r"""Inputs with targets: row `i` of `inputs` belongs to entry `i` of `targets`.

    Two views of labelled inputs are stacked, with their labels repeated:
    `Labelled(jnp.concatenate([x1, x2]), jnp.concatenate([labels, labels]))`.

    **Arguments:**

    - `inputs`: `(n, d)`, with $n \ge 2$.
    - `targets`: `(n,)` class labels, whole numbers from 0, or `(n, k)` numbers: regression targets,
        one-hot classes or class probabilities.

    **Raises:** `ValueError` for other shapes, unequal lengths, fewer than two rows, negative
    labels, or an entry that is not finite.
    """

    inputs: Float[Array, "n d"]
    targets: Targets

    def __init__(self, inputs: Any, targets: Any):
        self.inputs, self.targets = checks.floating("inputs", inputs), _targets(targets)
        if self.inputs.ndim != 2:
            raise checks.bad("inputs", f"shape {self.inputs.shape}", "an array (n, d)")
        if self.targets.shape[0] != self.inputs.shape[0]:
            raise checks.bad(
                "targets",
                f"{self.targets.shape[0]} rows beside {self.inputs.shape[0]} inputs",
                "as many as inputs",
            )
        if self.inputs.shape[0] < 2:
            raise checks.bad("inputs", f"{self.inputs.shape[0]} rows", "at least two rows")
        checks.require("inputs", self.inputs, np.isfinite, "finite numbers")

    @property
    def dim(self) -> int:
        return self.inputs.shape[-1]

    def sample(self, key: PRNGKeyArray, n: int) -> "Labelled":
        """Draw `n` of the rows with replacement."""
        rows = jax.random.randint(key, (checks.count("n", n, 2),), 0, self.inputs.shape[0])
        return Labelled(self.inputs[rows], self.targets[rows])

    def moments(self) -> Moments:
        r"""Moments of a positive pair of two independent rows of the anchor's class.

        Cross moment $C = \sum_k \pi_k \mu_k \mu_k^\top$, second moment
        $S = \frac 1n \sum_i x_i x_i^\top$. $\pi_k$ and $\mu_k$ are the share and the mean of
        class $k$ among these rows; nothing is centred. The number of classes is a shape, so this
        cannot run under `jit`.

        **Raises:** `ValueError` if the targets are not class labels.
        """
        if self.targets.ndim != 1:
            raise checks.bad("targets", f"shape {self.targets.shape}", "class labels (n,)")
        classes, members, sizes = np.unique(
            np.asarray(self.targets), return_inverse=True, return_counts=True
        )
        sums = jax.ops.segment_sum(self.inputs, jnp.asarray(members), len(classes))
        n, weighted = self.inputs.shape[0], sums / jnp.asarray(sizes, sums.dtype)[:, None]
        return Moments(matmul(weighted.T, sums) / n, matmul(self.inputs.T, self.inputs) / n)


def _targets(value: Any) -> Array:
    try:
        array = value if isinstance(value, jax.Array) else np.asarray(value)
    except ValueError as error:  # rows of unequal length
        raise checks.bad("targets", repr(value), "class labels (n,), or numbers (n, k)") from error
    if array.ndim == 1 and jnp.issubdtype(array.dtype, jnp.integer):
        labels = jnp.asarray(array)
        checks.require("targets", labels, lambda v: v >= 0, "class labels from 0")
        return labels
    if array.ndim != 2:
        raise checks.bad(
            "targets",
            f"shape {array.shape}, dtype {array.dtype}",
            "whole-number class labels (n,), or numbers (n, k)",
        )
    array = checks.floating("targets", array)
    checks.require("targets", array, np.isfinite, "finite numbers")
    return array

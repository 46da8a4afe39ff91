"""Linear readouts of a representation, and the status of a fit."""

from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float, Integer

from .._core.linalg import matmul


class Status(eqx.Enumeration):
    """Outcome of a fit."""

    fitted = "The optimum was found."
    infeasible = (
        "No separator exists: the classes cannot be told apart by a linear function of this "
        "representation."
    )
    failed = "The solver stopped before it reached its tolerance."


class Readout(eqx.Module):
    """A linear readout of a representation $r$: the scores are $V r + b$.

    Two classes have one score ($K = 1$), positive for class 1; more have one each, and the
    largest wins. A batch of readouts has its axis in front of every array; `jax.vmap` runs over
    it. Where nothing separates, weights and margin are zero.

    - `weights`: $V$, `(K, r)`.
    - `intercepts`: $b$, `(K,)`.
    - `status`: an entry of `Status`.
    - `margin`: distance of the nearest training input from the boundary (hard margin), or of the
      lines $|s| = 1$ from it (soft margin), in the units of the representation, `(K,)`; None for
      other probes.
    """

    weights: Float[Array, "*B K r"]
    intercepts: Float[Array, "*B K"]
    status: Any
    margin: Float[Array, "*B K"] | None = None

    def scores(self, x: Float[Array, "n r"]) -> Float[Array, "n K"]:
        """One score for two classes, else one for each class."""
        return matmul(x, self.weights.T) + self.intercepts

    def __call__(self, x: Float[Array, "n r"]) -> Integer[Array, " n"]:
        """The class of each input; a score of exactly zero is class 0."""
        scores = self.scores(x)
        classes = scores[:, 0] > 0 if scores.shape[-1] == 1 else jnp.argmax(scores, axis=-1)
        return classes.astype(jnp.result_type(int))

    def error(self, x: Float[Array, "n r"], labels: Integer[Array, " n"]) -> Float[Array, ""]:
        """Share of inputs whose class differs from their label."""
        return jnp.mean((self(x) != labels).astype(x.dtype))

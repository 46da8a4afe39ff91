"""Paired views as data: a batch for a loss, or a finite sample that is a problem of its own."""

from collections.abc import Iterator
from typing import Any

import equinox as eqx
import jax
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from ..moments import Moments


class Views(eqx.Module):
    r"""Positive pairs: row `i` of `first` and row `i` of `second` are two views of one input.

    Unpacks as `x1, x2 = views`.

    **Arguments:**

    - `first`, `second`: `(n, d)` each, with $n \ge 2$.
    """

    first: Float[Array, "n d"]
    second: Float[Array, "n d"]

    def __init__(self, first: Any, second: Any):
        self.first, self.second = checks.floating("x1", first), checks.floating("x2", second)
        if self.first.ndim != 2 or self.first.shape != self.second.shape:
            raise checks.bad(
                "x2",
                f"shape {self.second.shape} beside x1 {self.first.shape}",
                "two arrays of equal shape (n, d)",
            )
        if self.first.shape[0] < 2:
            raise checks.bad("views", f"{self.first.shape[0]} rows", "at least two rows")

    def __iter__(self) -> Iterator[Array]:
        return iter((self.first, self.second))

    @property
    def dim(self) -> int:
        return self.first.shape[-1]

    def moments(self, chunk: int = 65_536) -> Moments:
        """Empirical moments, with standard errors; see `Moments.from_views`."""
        return Moments.from_views(self.first, self.second, chunk)

    def sample_pairs(self, key: PRNGKeyArray, n: int) -> "Views":
        """Draw `n` of the pairs with replacement."""
        rows = jax.random.randint(key, (checks.count("n", n, 2),), 0, self.first.shape[0])
        return Views(self.first[rows], self.second[rows])

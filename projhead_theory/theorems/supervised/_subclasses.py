"""One class feature and one subclass feature."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...problems import Groups
from .._common import drawn
from ._classes import ClassTask


class Collapse(eqx.Module):
    """A class and a subclass feature: strength and noise of each, and their correlation."""

    strength: Float[Array, " 2"]
    noise: Float[Array, " 2"]
    correlation: Float[Array, ""]
    key: PRNGKeyArray
    depth: int = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"depth {self.depth}, a class and a subclass"

    @eqx.filter_jit
    def classes(self, width: int = 1, scale: float = 0.7) -> ClassTask:
        """The classes, and a start of a network of this width and scale."""
        groups = Groups.signs(self.strength, self.noise, self.correlation[None])
        one = jnp.ones_like(self.correlation)
        return ClassTask(groups, one, self.key, scale * one, (2,) + (width,) * self.depth)


@drawn
def collapse(
    key: PRNGKeyArray,
    depth: int,
    *,
    noise: Array | float,
    correlation: Array | float,
    index: Array | int = 0,
) -> Collapse:
    """Features of random strength, with this noise of the class."""
    k1, k2 = jax.random.split(jax.random.fold_in(key, 19_000 + index))
    strength = jnp.asarray([1.5, 1.2], float) * jax.random.uniform(k1, (2,), float, 0.9, 1.1)
    both = jnp.stack([jnp.asarray(noise), jnp.asarray(0.5, float)])
    return Collapse(strength, both, jnp.asarray(correlation), k2, depth)

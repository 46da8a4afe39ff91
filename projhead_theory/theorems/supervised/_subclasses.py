"""One class feature and one subclass feature."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ...problems import Groups
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

    @property
    def task(self) -> ClassTask:
        return pair(self.strength, self.noise, self.correlation, self.key, (2,) + (1,) * self.depth)


@eqx.filter_jit
def pair(
    strength: Array, noise: Array, correlation: Array, key: PRNGKeyArray, sizes: tuple[int, ...]
) -> ClassTask:
    one = jnp.ones((), strength.dtype)
    return ClassTask(Groups.signs(strength, noise, correlation[None]), one, key, 0.7 * one, sizes)


def draw_collapse(
    key: PRNGKeyArray, noise: float, correlation: float, index: int, depth: int = 3
) -> Collapse:
    number = lambda x: jnp.asarray(x, jnp.result_type(float))
    return drawn(key, number(noise), number(correlation), jnp.asarray(index), depth)


@eqx.filter_jit
def drawn(
    key: PRNGKeyArray, noise: Array, correlation: Array, index: Array, depth: int
) -> Collapse:
    k1, k2 = jax.random.split(jax.random.fold_in(key, 19_000 + index))
    strength = jnp.asarray([1.5, 1.2], noise.dtype) * jax.random.uniform(
        k1, (2,), noise.dtype, 0.9, 1.1
    )
    return Collapse(strength, jnp.stack([noise, jnp.full_like(noise, 0.5)]), correlation, k2, depth)

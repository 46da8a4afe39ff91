"""Class problems under the supervised contrastive loss, and pairs of a class and a subclass."""

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from ... import DeepLinear, Moments, SupervisedContrastiveProblem, problems
from ..._core import named
from ...claims import Offers, rounded
from .._common import Run, balanced, drawn, flow, replace, unbalanced_start, widths


class ClassTask(eqx.Module):
    """Groups in classes, and a balanced start of a network of widths `sizes`.

    The share of positives drawn from the class is `share`.
    """

    groups: problems.Groups
    share: Float[Array, ""]
    key: PRNGKeyArray
    scale: Float[Array, ""]
    sizes: tuple[int, ...] = eqx.field(static=True)

    @property
    def label(self) -> str:
        return f"{self.groups.classes} classes, {widths(self.sizes)}"

    @property
    def depth(self) -> int:
        return len(self.sizes) - 1

    @property
    def moments(self) -> Moments:
        return moments_of(self.groups, self.share)

    def start(self) -> DeepLinear:
        return balanced(self.key, self.sizes, self.scale)

    def shrinks(self) -> Offers:
        """Simpler problems: rounder means and noise."""
        g = self.groups
        return rounded(
            lambda r: replace(self, groups=replace(g, means=r(g.means), noise=r(g.noise)))
        )


@eqx.filter_jit
def moments_of(groups: problems.Groups, share: Array) -> Moments:
    return SupervisedContrastiveProblem(groups, problems.MixedPositives(share)).moments()


def train(problem: ClassTask, start: DeepLinear | None = None) -> Run:
    """Gradient flow to stationarity."""
    return flow(problem.start() if start is None else start, problem.moments)


UNBALANCED = unbalanced_start(train)


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
        one = jnp.ones_like(self.correlation)
        return ClassTask(
            problems.Groups.signs(self.strength, self.noise, self.correlation[None]),
            one,
            self.key,
            scale * one,
            (2,) + (width,) * self.depth,
        )


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
    k1, k2 = jax.random.split(named(key, "collapse", index))
    return Collapse(
        jnp.asarray([1.5, 1.2], float) * jax.random.uniform(k1, (2,), float, 0.9, 1.1),
        jnp.stack([jnp.asarray(noise), jnp.asarray(0.5, float)]),
        jnp.asarray(correlation),
        k2,
        depth,
    )

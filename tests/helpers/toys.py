"""Claims about numbers, which take no time."""

import dataclasses

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from projhead_theory.claims import Claim, Control, Measured


class Number(eqx.Module):
    """A problem that takes no time."""

    value: Float[Array, ""]

    @property
    def label(self) -> str:
        return f"the number {float(self.value):.3g}"


def draw(key):
    """One fixed number, then three random ones."""
    yield Number(jnp.asarray(2.0))
    for k in jax.random.split(key, 3):
        yield Number(jax.random.uniform(k, minval=1.0, maxval=5.0))


def seen(value, **rest):
    return Measured(jnp.asarray(value)[None], {"rounding": 1e-9}, **rest)


def toy(*controls, **fields):
    """The claim that the square of a number is its square."""
    plain = Claim(
        name="toy",
        statement="A square is a square.",
        problems=draw,
        predict=lambda p: p.value[None] ** 2,
        measure=lambda p: seen(p.value * p.value),
        controls=controls,
    )
    return dataclasses.replace(plain, **fields)


CUBED = Control("cubed", "predicts the cube", predict=lambda problem, own: own * problem.value)
IDLE = Control("idle", "changes nothing", predict=lambda problem, own: own)


def refuted(problem):
    """A claim that nothing satisfies, with all problems it was asked about."""
    asked = []

    def predict(p):
        asked.append(p)
        return jnp.ones(1)

    claim = Claim(
        "false",
        "",
        lambda key: iter([problem]),
        predict,
        lambda p: Measured(jnp.full(1, 2.0), {"rounding": 1e-9}),
    )
    return claim, asked

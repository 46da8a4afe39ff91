"""Six small problems of one shape, for whatever trains many at once."""

import jax
import jax.numpy as jnp
from hypothesis import strategies as st

import projhead_theory as pt
from projhead_theory.problems import random_moments

KEYS = jax.random.split(jax.random.key(0), 6)
FRACTIONS = (0.9, 0.4)

# Starts of scale zero are at rest, and the largest diverge.
SCALES = st.lists(st.sampled_from([0.0, 0.3, 0.5, 1e200]), min_size=6, max_size=6)


def start(key, scale):
    return pt.DeepLinear.init(key, (2, 2, 2), scale=scale)


@jax.jit
def problems(scales):
    """Starts and moments, with a leading axis."""
    moments = jax.vmap(lambda key: random_moments(key, jnp.asarray(FRACTIONS)))(KEYS)
    return jax.vmap(start)(KEYS, scales), moments


def one(tree, i):
    return jax.tree.map(lambda x: x[i], tree)

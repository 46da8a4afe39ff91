"""Keys of random draws, from the names of what is drawn."""

import zlib

import jax
import numpy as np
from jaxtyping import Array, PRNGKeyArray


def named(key: PRNGKeyArray, name: str, index: Array | int = 0) -> PRNGKeyArray:
    """Key of the draw of that name and index.

    Draws of different names are independent, so that no numbers have to be kept apart by hand.
    """
    return jax.random.fold_in(jax.random.fold_in(key, np.uint32(zlib.crc32(name.encode()))), index)

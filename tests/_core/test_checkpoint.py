"""Fingerprints of arguments tell them apart, and are the same in every process."""

import functools

import jax
import numpy as np

from projhead_theory._core.checkpoint import fingerprint


def test_a_checkpoint_tells_arrays_of_the_same_bytes_apart():
    """By dtype and by shape."""
    x = np.arange(4, dtype=np.int32)
    others = (x, x.view(np.float32), x.reshape(2, 2), x[::-1], (x, 1), {"x": x}, jax.numpy.array(x))
    assert len({fingerprint(other) for other in others}) == len(others) - 1
    assert fingerprint(x) == fingerprint(jax.numpy.array(x))


def test_functions_are_told_apart_by_name_and_not_by_address():
    def one():
        def f(): ...

        return f

    assert one() != one()
    assert fingerprint(one()) == fingerprint(one()) != fingerprint(one)
    bound = [functools.partial(one(), k=k) for k in (1, 1, 2)]
    assert fingerprint(bound[0]) == fingerprint(bound[1]) != fingerprint(bound[2])


def test_keys_are_hashed_by_their_numbers():
    keys = [jax.random.key(0), jax.random.key(0), jax.random.key(1)]
    assert fingerprint(keys[0]) == fingerprint(keys[1]) != fingerprint(keys[2])

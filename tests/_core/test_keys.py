import itertools
import re
from pathlib import Path

import jax
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

import projhead_theory
from projhead_theory._core.keys import named

PACKAGE = Path(projhead_theory.__file__).parent
NAMED = re.compile(r'named\(\s*(?:\w|\.|\(|\))+,\s*"([^"]+)"')


@given(st.text(), st.integers(0, 2**31 - 1), st.integers(0, 100))
def test_a_name_and_an_index_determine_the_key(name, seed, index):
    first, second = (jax.random.key_data(named(jax.random.key(seed), name, index)) for _ in "ab")
    np.testing.assert_array_equal(first, second)


def test_an_index_may_be_traced():
    key = jax.random.key(0)
    traced = jax.jit(lambda index: named(key, "labels", index))(3)
    np.testing.assert_array_equal(
        jax.random.key_data(traced), jax.random.key_data(named(key, "labels", 3))
    )


def test_no_two_names_of_the_package_share_a_key():
    """Each name stands once, but in `images`, where every function draws from a key of its own."""
    found = {file: NAMED.findall(file.read_text()) for file in PACKAGE.rglob("*.py")}
    names = [name for file, own in found.items() if file.parent.name != "images" for name in own]
    assert len(names) > 30
    assert len(set(names)) == len(names)
    keys = {
        (name, index): tuple(np.asarray(jax.random.key_data(named(jax.random.key(0), name, index))))
        for name, index in itertools.product({n for own in found.values() for n in own}, range(6))
    }
    assert len(set(keys.values())) == len(keys)

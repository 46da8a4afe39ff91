"""Commands run in the process of a test, and leave it as it was."""

import jax
import pytest
from helpers.toys import toy

from projhead_theory.theorems import CLAIMS


@pytest.fixture(autouse=True)
def _leave_precision():
    """The command sets the process's precision; a test leaves it as it was. Optax's Adam mixes
    dtypes.
    """
    before = jax.config.read("jax_enable_x64")
    with jax.numpy_dtype_promotion("standard"):
        yield
    jax.config.update("jax_enable_x64", before)


@pytest.fixture
def library(monkeypatch):
    """Claims that take no time in place of the library's; a claim is added by the function that
    this gives.
    """
    for name in list(CLAIMS):
        monkeypatch.delitem(CLAIMS, name)

    def add(name, *controls, **fields):
        monkeypatch.setitem(CLAIMS, name, toy(*controls, name=name, **fields))

    return add

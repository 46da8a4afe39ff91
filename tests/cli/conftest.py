"""Commands run in the process of a test, and leave it as it was."""

import jax
import pytest


@pytest.fixture(autouse=True)
def _leave_precision():
    """The command sets the process's precision; a test leaves it as it was. Optax's Adam mixes
    dtypes.
    """
    before = jax.config.read("jax_enable_x64")
    with jax.numpy_dtype_promotion("standard"):
        yield
    jax.config.update("jax_enable_x64", before)

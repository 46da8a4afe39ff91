"""Commands run inside the process of a test."""

import jax
import pytest

from projhead_theory.cli import main


@pytest.fixture(autouse=True)
def _leave_precision():
    """The command sets the process's precision; a test leaves it as it was. Optax's Adam mixes
    dtypes.
    """
    before = jax.config.read("jax_enable_x64")
    with jax.numpy_dtype_promotion("standard"):
        yield
    jax.config.update("jax_enable_x64", before)


def run(capsys, *arguments):
    """Exit status, standard output and standard error of a command."""
    with pytest.raises(SystemExit) as stop:
        main(list(arguments))
    out, err = capsys.readouterr()
    return stop.value.code, out, err

"""Examples in docstrings run as printed, in the precision and promotion that users choose."""

import doctest
import importlib
import inspect
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt

ROOT = Path(pt.__file__).parent
DOORS = (
    *(path.parent.name for path in sorted(ROOT.glob("*/__init__.py"))),
    *(f"theory.{family}" for family in pt.theory.__all__),
    *("measure", "moments", "theory.dynamics.regression", "theory.dynamics.barlow_twins"),
    "theory.decay.regression",
)


def examples() -> dict[str, doctest.DocTest]:
    """Examples of public functions and classes and of their public methods, each once."""
    finder, found = doctest.DocTestFinder(exclude_empty=True), {}
    for door in DOORS:
        module = importlib.import_module(f"projhead_theory.{door}")
        for name in getattr(module, "__all__", None) or vars(module):
            value = inspect.unwrap(getattr(module, name))
            home = getattr(value, "__module__", "").removeprefix("projhead_theory.")
            if not (inspect.isclass(value) or inspect.isroutine(value)) or not home.startswith(
                door
            ):
                continue
            for test in finder.find(value, f"{door}.{name}", globs={}):
                if test.examples:
                    found[test.name] = test
    return found


EXAMPLES = examples()


@pytest.mark.slow
@pytest.mark.x64
@pytest.mark.parametrize("name", EXAMPLES)
def test_example_runs_as_printed(name):
    test = EXAMPLES[name]
    test.globs = {"jax": jax, "jnp": jnp, "np": np, "pt": pt}
    runner = doctest.DocTestRunner(optionflags=doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE)
    said: list[str] = []
    with jax.numpy_dtype_promotion("standard"), np.printoptions(legacy=False):
        runner.run(test, out=said.append)
    assert not runner.failures, "".join(said)

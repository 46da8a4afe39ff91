"""How the suite runs: in float64 with strict promotion, unless `PROJHEAD_TEST_X64=0` asks for
float32 (as on a GPU).
"""

import gc
import os
from pathlib import Path

import hypothesis
import jax
import jax.numpy as jnp
import jaxtyping
import matplotlib
import pytest

X64 = os.environ.get("PROJHEAD_TEST_X64", "1") != "0"

jax.config.update("jax_enable_x64", X64)
jax.config.update("jax_numpy_dtype_promotion", "strict")
matplotlib.use("Agg")

# JAX compiles on the first example of each shape, so a deadline for one example would measure the
# compiler.
hypothesis.settings.register_profile("local", deadline=None, max_examples=25)
hypothesis.settings.register_profile(
    "ci", deadline=None, max_examples=25, derandomize=True, database=None
)
hypothesis.settings.load_profile("ci" if os.environ.get("CI") else "local")


def pytest_sessionstart(session):
    """The default suite compiles as `projhead verify --quick` does, the slow and the deep one as
    `projhead verify`, and examples as the library does.
    """
    from projhead_theory.cli._compiler import for_small_programs

    for_small_programs()
    # Tracing makes millions of objects, hardly any of which are garbage.
    gc.set_threshold(200_000, 20, 100)
    jax.config.update(
        "jax_disable_most_optimizations", "not slow" in session.config.option.markexpr
    )


def _scope(nodeid: str) -> str:
    """What shares compiled programs: the tests of one claim, in whatever module; else a module."""
    from projhead_theory.theorems import CLAIMS

    module, *_, name = nodeid.split("::")
    parameter = name.partition("[")[2].removesuffix("]")
    file = Path(module).stem.removeprefix("test_").replace("_", "-")
    return next((claim for claim in (parameter, file) if claim in CLAIMS), module)


def pytest_collection_modifyitems(items):
    """Run what shares programs together, and skip what is marked `x64` when the suite runs in
    float32.
    """
    order = {}
    for item in items:
        order.setdefault(_scope(item.nodeid), len(order))
    items.sort(key=lambda item: order[_scope(item.nodeid)])
    both = [item.nodeid for item in items if {"slow", "deep"} <= set(item.keywords)]
    if both:
        raise pytest.UsageError(f"slow and deep at once: {both}")
    if X64:
        return
    skip = pytest.mark.skip(reason="needs float64; this run has PROJHEAD_TEST_X64=0")
    for item in items:
        if "x64" in item.keywords:
            item.add_marker(skip)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config, log):
    """With several workers, what shares programs belongs to one of them."""
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid):
            return _scope(nodeid)

    return ByScope(config, log)


@pytest.hookimpl(trylast=True)
def pytest_runtest_teardown(item, nextitem):
    """Compiled programs hold memory mappings, of which a process may have some 65,000: what shares
    them leaves none beyond a third of that, nor does a slow or deep test, which may compile as much
    as all of these.
    """
    if (
        nextitem is None
        or {"slow", "deep"} & set(item.keywords)
        or _scope(item.nodeid) != _scope(nextitem.nodeid)
    ):
        _forget()


@pytest.fixture(scope="session")
def eps() -> float:
    """The relative rounding of the dtype this run computes in."""
    return float(jnp.finfo(jnp.result_type(float)).eps)


def _forget():
    try:
        with open("/proc/self/maps", "rb") as maps:
            crowded = sum(1 for _ in maps) > 20_000
    except OSError:
        return
    if crowded:
        from helpers.measured import side

        jax.clear_caches()
        # Else a test might take a measurement from here and find that the next one compiles after
        # all.
        side.cache_clear()


@pytest.fixture(scope="module")
def standard_promotion():
    """JAX's default promotion, which Optax's own Adam needs: it mixes dtypes."""
    with jax.numpy_dtype_promotion("standard"):
        yield


@pytest.fixture
def untyped():
    """Without the type checker, which the suite runs under and users do not: what they then see for
    an argument of the wrong type.
    """
    jaxtyping.config.update("jaxtyping_disable", True)
    yield
    jaxtyping.config.update("jaxtyping_disable", False)

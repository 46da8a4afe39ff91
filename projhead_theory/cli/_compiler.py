"""What the compiler spends on programs that run once, and so cost more to compile than to run."""

import contextlib
import os
from collections.abc import Iterator
from importlib.metadata import version

FUSION_EMITTERS = "xla_cpu_use_fusion_emitters"
KNOWN = (0, 6), (0, 10)
"""The first and the last release of jaxlib that is known to know the flag: XLA aborts on one it does not know."""


def without_fusion_emitters() -> None:
    """Have XLA write code for the CPU in its older way, which takes half the time and is as good for small programs.

    It reads its flags when JAX first computes, so it must be told before. What the user says of this flag stands.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    release = tuple(int(part) for part in version("jaxlib").split(".")[:2])
    if KNOWN[0] <= release <= KNOWN[1] and FUSION_EMITTERS not in flags:
        os.environ["XLA_FLAGS"] = f"{flags} --{FUSION_EMITTERS}=false".strip()


@contextlib.contextmanager
def compiled_lightly() -> Iterator[None]:
    """Leave out most optimisations: a short run spends most of its time in the compiler."""
    import jax

    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)

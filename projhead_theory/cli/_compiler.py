"""What the compiler spends on programs that run once, and so cost more to compile than to run."""

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator
from importlib.metadata import version

LIGHT = {
    "xla_cpu_use_fusion_emitters": "false",
    "xla_cpu_parallel_codegen_split_count": "1",
    "xla_cpu_enable_concurrency_optimized_scheduler": "false",
}
"""Code for the CPU is written in the older way, which takes half the time and is as good for small programs; each in one piece; and run one
step after the other."""

KNOWN = (0, 6), (0, 10)
"""The first and the last release of jaxlib that is known to know these flags: XLA aborts on one it does not know."""


def for_small_programs() -> None:
    """Have XLA compile for programs that are small and run once.

    It reads its flags when JAX first computes, so it must be told before. What the user says of a flag stands.
    """
    flags = os.environ.get("XLA_FLAGS", "")
    release = tuple(int(part) for part in version("jaxlib").split(".")[:2])
    if KNOWN[0] <= release <= KNOWN[1]:
        ours = (f"--{name}={value}" for name, value in LIGHT.items() if name not in flags)
        os.environ["XLA_FLAGS"] = " ".join([flags, *ours]).strip()


@contextlib.contextmanager
def compiled_lightly() -> Iterator[None]:
    """Leave out most optimisations: a short run spends most of its time in the compiler.

    And do not look for cycles among the millions of objects that tracing makes: hardly any are garbage, and while they are looked
    through no thread runs. Nor when the process ends, and gives everything back at once.
    """
    import jax

    before, collected = jax.config.read("jax_disable_most_optimizations"), gc.isenabled()
    jax.config.update("jax_disable_most_optimizations", True)
    gc.disable()
    atexit.register(gc.freeze)
    try:
        yield
    finally:
        jax.config.update("jax_disable_most_optimizations", before)
        if collected:
            gc.enable()

"""Compiler settings for programs that run once and cost more to compile than to run."""

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
"""XLA flags for compilation on the CPU.

The older code generator takes half the time and is as good for small programs. Each program is
compiled in one piece, and its steps run one after the other.
"""

KNOWN = (0, 6), (0, 10)
"""First and last release of jaxlib that is known to know these flags.

XLA aborts on a flag that it does not know.
"""


def for_small_programs() -> None:
    """Have XLA compile for programs that are small and run once.

    XLA reads its flags when JAX first computes, so it must be told before. Flags that the user has
    set stay as they are.

    Equinox's checks inside programs are left out. They call back to Python, and a program that does
    is never kept in the compilation cache. Diffrax so checks its arguments, which the
    simulators check themselves.
    """
    os.environ.setdefault("EQX_ON_ERROR", "off")
    flags = os.environ.get("XLA_FLAGS", "")
    release = tuple(int(part) for part in version("jaxlib").split(".")[:2])
    if KNOWN[0] <= release <= KNOWN[1]:
        ours = (f"--{name}={value}" for name, value in LIGHT.items() if name not in flags)
        os.environ["XLA_FLAGS"] = " ".join([flags, *ours]).strip()


@contextlib.contextmanager
def compiled_lightly() -> Iterator[None]:
    """Leave out most optimisations: a short run spends most of its time in the compiler.

    The garbage collector is off too. Tracing makes millions of objects, of which hardly any are
    garbage, and no thread runs while the collector looks for cycles among them. Nor does it look
    at exit, when the process gives all memory back at once.
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

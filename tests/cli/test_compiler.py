"""What the command line tells the compiler: only what its release is known to understand, and
nothing against the user's word.
"""

import gc
import os
import subprocess
import sys
from pathlib import Path

import jax
import pytest

from projhead_theory.cli import _compiler

EMITTERS = "--xla_cpu_use_fusion_emitters=false"
OTHERS = (
    "--xla_cpu_parallel_codegen_split_count=1 "
    "--xla_cpu_enable_concurrency_optimized_scheduler=false"
)


@pytest.mark.parametrize(
    ("release", "before", "after"),
    [
        ("0.6.0", "", f"{EMITTERS} {OTHERS}"),
        ("0.10.2", "--xla_dump_to=x", f"--xla_dump_to=x {EMITTERS} {OTHERS}"),
        (
            "0.9.0.1",
            "--xla_cpu_use_fusion_emitters=true",
            f"--xla_cpu_use_fusion_emitters=true {OTHERS}",
        ),
        ("0.9.0.1", f"{EMITTERS} {OTHERS}", f"{EMITTERS} {OTHERS}"),
        ("0.5.3", "", ""),
        ("0.11.0", "", ""),
        ("1.0.0", "--xla_dump_to=x", "--xla_dump_to=x"),
    ],
)
def test_flags_are_set_for_known_releases_unless_the_user_has_set_them(
    monkeypatch, release, before, after
):
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setattr(_compiler, "version", lambda package: release)
    _compiler.for_small_programs()
    assert os.environ["XLA_FLAGS"] == after


@pytest.mark.parametrize("collected", [True, False])
def test_optimisations_and_collections_are_back_after_a_light_run_even_if_it_fails(collected):
    seen = []
    state = lambda: (jax.config.read("jax_disable_most_optimizations"), gc.isenabled())

    def fail():
        seen.append(state())
        raise ValueError("in between")

    enabled = gc.isenabled()
    (gc.enable if collected else gc.disable)()
    try:
        before = state()
        with pytest.raises(ValueError, match="in between"), _compiler.compiled_lightly():
            fail()
        assert seen == [(True, False)]
        assert state() == before
    finally:
        (gc.enable if enabled else gc.disable)()


BUDGET = 420
"""Programs that a quick run of all claims may compile (402 on jax 0.10)."""

COUNTED = """
import sys
sys.path.insert(0, {tests!r})
from projhead_theory.cli._compiler import compiled_lightly, for_small_programs
for_small_programs()
import jax
jax.config.update("jax_enable_x64", True)
from helpers.compiling import compiling
from projhead_theory.theorems import verify
with compiled_lightly():
    _, names = compiling(lambda: list(verify(quick=True, workers=1)))
print(len(names))
"""


@pytest.mark.slow
def test_a_quick_run_keeps_to_its_budget_of_programs():
    """Most of its time is spent on compiling them."""
    tests = str(Path(__file__).parents[1])
    process = subprocess.run(
        [sys.executable, "-c", COUNTED.format(tests=tests)], capture_output=True, text=True
    )
    assert process.returncode == 0, process.stderr
    assert 0 < int(process.stdout.split()[-1]) <= BUDGET

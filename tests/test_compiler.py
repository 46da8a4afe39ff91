"""What the command line tells the compiler: only what its release is known to understand, and nothing against the user's word."""

import os

import jax
import pytest

from projhead_theory.cli import _compiler

OFF = "--xla_cpu_use_fusion_emitters=false"


@pytest.mark.parametrize(
    ("release", "before", "after"),
    [
        ("0.6.0", "", OFF),
        ("0.10.2", "--xla_dump_to=x", f"--xla_dump_to=x {OFF}"),
        ("0.9.0.1", "--xla_cpu_use_fusion_emitters=true", "--xla_cpu_use_fusion_emitters=true"),
        ("0.5.3", "", ""),
        ("0.11.0", "", ""),
        ("1.0.0", "--xla_dump_to=x", "--xla_dump_to=x"),
    ],
)
def test_the_flag_is_set_for_known_releases_unless_the_user_has_set_it(monkeypatch, release, before, after):
    monkeypatch.setenv("XLA_FLAGS", before)
    monkeypatch.setattr(_compiler, "version", lambda package: release)
    _compiler.without_fusion_emitters()
    assert os.environ["XLA_FLAGS"] == after


def test_optimisations_are_back_after_a_light_run_even_if_it_fails():
    seen = []

    def fail():
        seen.append(jax.config.read("jax_disable_most_optimizations"))
        raise ValueError("in between")

    before = jax.config.read("jax_disable_most_optimizations")
    with pytest.raises(ValueError, match="in between"), _compiler.compiled_lightly():
        fail()
    assert seen == [True]
    assert jax.config.read("jax_disable_most_optimizations") == before

"""House rules: names of files, what is loaded when, and that public names are documented."""

import importlib
import inspect
import os
import subprocess
import sys
import types

import pytest
from helpers.walls import NAME, ROOT, within

import projhead_theory
from projhead_theory.theorems import CLAIMS, FAMILIES


def test_every_theorem_is_in_the_file_of_its_name():
    """Each public file of a folder is a claim, and its page is called alike."""
    folders = [p for p in (ROOT / "theorems").iterdir() if (p / "__init__.py").exists()]
    assert {p.name for p in folders if not p.name.startswith("_")} == set(FAMILIES)
    assert [name for name in CLAIMS if CLAIMS[name].name != name] == []
    pages = ROOT.parent / "docs" / "theorems"
    named = {(family, name) for family, names in FAMILIES.items() for name in names}
    assert {(p.parent.name, p.stem) for p in pages.glob("*/*.md")} >= named


def test_a_claim_is_loaded_without_those_of_other_families():
    run_python(
        f"import sys; from {NAME}.theorems import CLAIMS; CLAIMS['layerwise-law']; "
        f"loaded = [m for m in sys.modules if m.startswith('{NAME}.theorems.')]; "
        "assert not {m.split('.')[2] for m in loaded} & {'heads', 'supervised', 'balance'}, loaded"
    )


def run_python(source: str, **environment: str) -> None:
    result = subprocess.run(
        [sys.executable, "-c", source],
        cwd=ROOT.parent,
        env=os.environ | environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert result.returncode == 0, result.stderr


def test_importing_the_package_does_not_import_jax():
    run_python(
        f"import sys, {NAME}; heavy = {{'jax', 'equinox', 'matplotlib', 'numpy'}}; "
        "assert not heavy & set(sys.modules)"
    )


@pytest.mark.parametrize("x64", ["0", pytest.param("1", marks=pytest.mark.slow)])
def test_importing_everything_leaves_x64_as_it_was(x64):
    source = f"""
import pkgutil, importlib, jax, {NAME}
before = jax.config.jax_enable_x64
assert before == bool({x64})
for module in pkgutil.walk_packages({NAME}.__path__, "{NAME}."):
    if not module.name.endswith("__main__"):
        importlib.import_module(module.name)
assert jax.config.jax_enable_x64 == before
"""
    run_python(source, JAX_ENABLE_X64=x64)


FRONT_DOORS = [
    NAME,
    *(f"{NAME}.{path.parent.name}" for path in sorted(ROOT.glob("*/__init__.py"))),
    *(
        f"{NAME}.theory.{path.parent.name}"
        for path in sorted(ROOT.glob("theory/[a-z]*/__init__.py"))
    ),
]


@pytest.mark.parametrize("door", FRONT_DOORS)
def test_every_public_function_and_class_is_documented(door):
    module = importlib.import_module(door)
    silent = []
    ours = lambda value: within(getattr(value, "__module__", ""), NAME)
    named = [n for n, v in vars(module).items() if not n.startswith("_") and ours(v)]
    for name in getattr(module, "__all__", named):
        value = getattr(module, name)
        if isinstance(value, types.GenericAlias) or not (
            inspect.ismodule(value) or inspect.isclass(value) or callable(value)
        ):
            continue  # a table, an instance or a name for a type: it has no docstring of its own
        text = value.__doc__ if not inspect.isclass(value) else value.__dict__.get("__doc__")
        # A dataclass without a docstring is given its signature as one.
        if not text or not text.strip() or text.startswith(f"{name}("):
            silent.append(name)
    assert not silent, f"without a docstring: {silent}"


def test_the_front_page_is_short():
    """About twenty names at the top, beside the namespaces."""
    names = [
        n for n in projhead_theory.__all__ if not inspect.ismodule(getattr(projhead_theory, n))
    ]
    assert len(names) <= 24, sorted(names)

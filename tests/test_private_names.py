"""Tests reach what they check by public names; the private modules that they open are listed."""

import ast
from pathlib import Path

import projhead_theory

NAME = "projhead_theory"
ROOT = Path(projhead_theory.__file__).parent
TESTS = Path(__file__).parent


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


# Private modules that tests open: what lies there has no public way to it. `_core` is for all.
OPENED = {
    "claims._claim",
    "claims._search",
    "cli._cache",
    "cli._compiler",
    "cli._experiment",
    "images._foresight",
    "images._perform",
    "images._reading",
    "losses._similarity",
    "probes._curve",
    "probes._margin",
    "simulation._chebyshev",
    "simulation._descent",
    "simulation._driver",
    "simulation._objective",
    "simulation._trajectory",
    "sweeps._layout",
    "theorems._common.comparison",
    "theorems._common.exact",
    "theorems._common.law",
    "theorems._common.tasks",
    "theorems._common.training",
}


def hidden(source: str) -> tuple[set[str], set[str]]:
    """Private names of the package that a test uses, and the private modules that it opens."""
    names, modules, ours = set(), set(), set()
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and within(node.module or "", NAME):
            for alias in node.names:
                full = f"{node.module}.{alias.name}"
                ours.add(alias.asname or alias.name)
                parts = full.removeprefix(f"{NAME}.").split(".")
                private = [k for k, part in enumerate(parts) if part.startswith("_")]
                path = ROOT.joinpath(*parts)
                module = path.is_dir() or path.with_suffix(".py").is_file()
                if parts[-1].startswith("_") and not module:
                    names.add(full)
                elif private and parts[0] != "_core":
                    modules.add(".".join(parts if module else parts[:-1]))
        elif isinstance(node, ast.Import):
            ours |= {a.asname for a in node.names if within(a.name, NAME) and a.asname}
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute) and node.attr.startswith("_"):
            root = node.value
            while isinstance(root, ast.Attribute):
                root = root.value
            if isinstance(root, ast.Name) and root.id in ours and not node.attr.startswith("__"):
                names.add(ast.unparse(node))
    return names, modules


def test_tests_use_no_private_name():
    found = {path: hidden(path.read_text()) for path in sorted(TESTS.rglob("*.py"))}
    assert not {str(path): names for path, (names, _) in found.items() if names}
    assert set().union(*(modules for _, modules in found.values())) == OPENED


def test_the_checker_catches_a_private_name():
    source = (
        f"from {NAME}.claims._search import attempts, _tried\nimport {NAME} as pt\n"
        f"from {NAME}.theorems.rivals import _training\npt.measure._x\n_training.train._y.z\n"
    )
    names, modules = hidden(source)
    assert names == {f"{NAME}.claims._search._tried", "pt.measure._x", "_training.train._y"}
    assert modules == {"claims._search", "theorems.rivals._training"}

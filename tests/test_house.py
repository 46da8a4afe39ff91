"""House rules, read off the source: who may import whom, what is loaded when, and that public names
are documented.
"""

import ast
import importlib
import inspect
import os
import subprocess
import sys
import types
from pathlib import Path
from typing import NamedTuple

import pytest

import projhead_theory
from projhead_theory.theorems import CLAIMS, FAMILIES

NAME = "projhead_theory"
ROOT = Path(projhead_theory.__file__).parent
FILES = sorted(ROOT.rglob("*.py"))


class Import(NamedTuple):
    """One imported name, in full; `lazy` if it is imported only when a function runs."""

    name: str
    lazy: bool
    line: int


class Rule(NamedTuple):
    """No file of these units (all but these, with `outside`) may import any of these names; not
    even lazily, with `lazy_too`.
    """

    units: tuple[str, ...]
    forbidden: tuple[str, ...]
    lazy_too: bool = True
    outside: bool = False

    def applies(self, unit: str) -> bool:
        return (unit in self.units) != self.outside


def ours(*units: str) -> tuple[str, ...]:
    return tuple(f"{NAME}.{unit}" for unit in units)


FRONT = ours(
    *("claims", "theorems", "experiments", "sweeps", "inspect", "report", "figures"),
    *("gallery", "images", "cli"),
)
PRIVATE_JAX = ("jax._src", "jax.core", "jax.interpreters")

RULES = {
    "theory sees no training": Rule(
        ("theory",),
        (
            *ours("simulation", "measure", "probes", "losses"),
            *ours("claims", "theorems", "experiments", "report", "cli"),
            *("optax", "diffrax"),
        ),
    ),
    # A run may draw itself: figures import nothing of ours but the core.
    "simulation sees no theory": Rule(
        ("simulation",), (*ours("theory"), *(name for name in FRONT if name not in ours("figures")))
    ),
    "the objects of both wings see neither": Rule(
        ("moments", "problems", "networks", "_core"),
        (*ours("theory", "simulation", "losses", "probes"), *FRONT),
    ),
    "losses and measurements see no wing": Rule(
        ("losses", "measure"), (*ours("theory", "simulation"), *FRONT)
    ),
    "probes see no wing": Rule(
        ("probes",),
        ours("theory", "simulation", "claims", "theorems", "experiments", "report", "cli"),
    ),
    "the engine of claims sees no wing, and nothing that has moments": Rule(
        ("claims",),
        ours(
            *(
                "theory",
                "simulation",
                "measure",
                "probes",
                "losses",
                "moments",
                "problems",
                "networks",
            ),
            *("theorems", "experiments", "symbolic", "report", "cli"),
        ),
    ),
    "an inspection trains nothing and sees no claim": Rule(
        ("inspect",),
        (
            *ours("simulation", "losses", "claims", "theorems", "experiments", "report", "cli"),
            *("optax", "diffrax"),
        ),
    ),
    "theorems see no experiment": Rule(("theorems",), ours("experiments", "sweeps")),
    "experiments and sweeps see no claim": Rule(
        ("experiments", "sweeps"), ours("claims", "theorems")
    ),
    "theorems are for the command line, reports, the gallery and the top": Rule(
        ("theorems", "cli", "report", "gallery", "__init__"), ours("theorems"), outside=True
    ),
    "the gallery is for the command line and the top": Rule(
        ("gallery", "cli", "__init__"), ours("gallery"), outside=True
    ),
    "the gallery does not print": Rule(("gallery",), ours("report", "cli")),
    "the gallery loads theorems when it needs them": Rule(
        ("gallery",), ours("theorems", "claims"), lazy_too=False
    ),
    "images see no claim and no experiment": Rule(
        ("images",), ours("claims", "theorems", "experiments", "sweeps", "symbolic", "cli")
    ),
    "images are for the command line and the top": Rule(
        ("images", "cli", "__init__"), ours("images"), outside=True
    ),
    "theorems, experiments and sweeps do not print": Rule(
        ("theorems", "experiments", "sweeps"), ours("report", "cli")
    ),
    "results draw only when asked": Rule(
        (
            "theory",
            "simulation",
            "claims",
            "theorems",
            "experiments",
            "sweeps",
            "inspect",
            "images",
            "probes",
        ),
        ours("figures"),
        lazy_too=False,
    ),
    "figures take what they are given": Rule(
        ("figures",),
        ours(
            *(
                "theory",
                "simulation",
                "measure",
                "probes",
                "losses",
                "moments",
                "problems",
                "networks",
            ),
            *("claims", "theorems", "experiments", "sweeps", "symbolic", "report", "cli"),
            "gallery",
        ),
    ),
    "no private JAX": Rule((), PRIVATE_JAX, outside=True),
    "heavy plotting waits until it is used": Rule(
        ("figures",), ("matplotlib", "xarray"), lazy_too=False, outside=True
    ),
    "algebra stays in one folder": Rule(("symbolic",), ("sympy",), outside=True),
    "algebra proves formulas and runs nothing": Rule(
        ("symbolic",),
        (
            "jax",
            "equinox",
            *ours("moments", "problems", "networks", "theory", "simulation", "losses", "measure"),
            *FRONT,
        ),
    ),
    "no number is computed by algebra": Rule(
        (
            "theory",
            "simulation",
            "losses",
            "measure",
            "moments",
            "problems",
            "networks",
            "experiments",
            "sweeps",
        ),
        ours("symbolic"),
    ),
    "solvers stay in the simulators": Rule(
        ("simulation", "theorems", "images", "cli", "report", "gallery"),
        ("diffrax", "optax"),
        outside=True,
    ),
    # A command names an optimiser, and a report states versions; neither may pay for that before it
    # runs.
    "the command line loads solvers when it needs them": Rule(
        ("cli", "report", "gallery"), ("diffrax", "optax"), lazy_too=False
    ),
}


def imports(source: str, package: str) -> list[Import]:
    """Everything a module of `package` imports, relative names resolved, and every attribute of
    `jax` it spells out.
    """
    found = []

    def visit(node: ast.AST, lazy: bool) -> None:
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            return  # never run
        lazy = lazy or isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.Lambda)
        if isinstance(node, ast.Import):
            found.extend(Import(alias.name, lazy, node.lineno) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = (
                package.split(".")[: len(package.split(".")) - node.level + 1] if node.level else []
            )
            base = ".".join([*above, *([node.module] if node.module else [])])
            found.extend(Import(f"{base}.{alias.name}", lazy, node.lineno) for alias in node.names)
        elif isinstance(node, ast.Attribute) and ast.unparse(node).startswith("jax."):
            found.append(Import(ast.unparse(node), lazy, node.lineno))
        for child in ast.iter_child_nodes(node):
            visit(child, lazy)

    visit(ast.parse(source), False)
    return found


def module_of(path: Path) -> str:
    return ".".join([NAME, *path.relative_to(ROOT).with_suffix("").parts]).removesuffix(".__init__")


def graph(files: dict[str, tuple[str, str]]) -> dict[str, set[str]]:
    """Per module, given its package and source, the modules that it imports, lazily or not. A
    package that a file lies in is no import.
    """
    edges = {}
    for module, (package, source) in files.items():
        names = [i.name for i in imports(source, package)]
        found = {name if name in files else name.rpartition(".")[0] for name in names}
        edges[module] = {n for n in found & set(files) if n != module and not within(module, n)}
    return edges


def circle(edges: dict[str, set[str]]) -> list[str]:
    """Modules that import one another, directly or not; the first such circle, none if there is
    none.
    """
    done: set[str] = set()

    def walk(module: str, above: tuple[str, ...]) -> list[str]:
        if module in above:
            return [*above[above.index(module) :], module]
        if module in done:
            return []
        for other in sorted(edges[module]):
            if found := walk(other, (*above, module)):
                return found
        done.add(module)
        return []

    return next((found for module in edges if (found := walk(module, ()))), [])


def strangers(package: str, found: list[Import]) -> list[Import]:
    """Private names that a file of this package takes from another one; what lies in a private
    module at the root is for all.
    """
    return [
        i
        for i in found
        if within(i.name, NAME)
        and (
            private := [
                k
                for k, part in enumerate(i.name.split("."))
                if part.startswith("_") and not part.startswith("__") and k > 1
            ]
        )
        and not within(package, ".".join(i.name.split(".")[: private[0]]))
    ]


def within(name: str, module: str) -> bool:
    return name == module or name.startswith(module + ".")


def breaches(rule: Rule, unit: str, found: list[Import]) -> list[Import]:
    if not rule.applies(unit):
        return []
    return [
        i
        for i in found
        if (rule.lazy_too or not i.lazy)
        and any(within(i.name, module) for module in rule.forbidden)
    ]


def unit_of(path: Path) -> str:
    """The package or module just below the root that a file belongs to."""
    return path.relative_to(ROOT).parts[0].removesuffix(".py")


def package_of(path: Path) -> str:
    return ".".join([NAME, *path.relative_to(ROOT).parent.parts])


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_every_file_keeps_every_import_rule(path):
    found = imports(path.read_text(), package_of(path))
    broken = [
        f"{path.name}:{i.line} imports {i.name}: {why}"
        for why, rule in RULES.items()
        for i in breaches(rule, unit_of(path), found)
    ]
    assert not broken, "\n".join(broken)


def test_no_file_takes_a_private_name_of_another_package():
    taken = [
        f"{path}:{i.line} imports {i.name}"
        for path in FILES
        for i in strangers(package_of(path), imports(path.read_text(), package_of(path)))
    ]
    assert not taken, "\n".join(taken)


def test_no_files_import_one_another():
    """Lazy imports count: they hide a circle and do not open it."""
    assert not circle(
        graph({module_of(path): (package_of(path), path.read_text()) for path in FILES})
    )


def test_the_checker_catches_a_circle_and_a_private_name():
    lazy = {
        "p.a": ("p", "def f():\n    from .b import x"),
        "p.b": ("p", "from . import c"),
        "p.c": ("p", "from .a import f"),
    }
    assert circle(graph(lazy)) == ["p.a", "p.b", "p.c", "p.a"]
    assert not circle(graph(lazy | {"p.c": ("p", "if TYPE_CHECKING:\n    from .a import f")}))
    private = "from ..theory._common import scalars\nfrom ..theory import _common"
    source = f"{private}\nfrom .._core import bad\nfrom ._sibling import x"
    assert [i.line for i in strangers(f"{NAME}.losses", imports(source, f"{NAME}.losses"))] == [
        1,
        2,
    ]


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


def wings_of(unit_files: list[tuple[str, list[Import]]]) -> dict[str, dict[str, list[str]]]:
    """Per unit, the names it imports from theory and from simulation."""
    seen = {}
    for unit, found in unit_files:
        for i in found:
            for wing in ("theory", "simulation"):
                if within(i.name, f"{NAME}.{wing}"):
                    seen.setdefault(unit, {}).setdefault(wing, []).append(i.name)
    return seen


def meddlers(seen: dict[str, dict[str, list[str]]]) -> set[str]:
    """Units that use both wings: all but `cli`, the user's stand-in, and those that take no more
    than types to show.
    """
    both = {
        unit: [n for names in wings.values() for n in names]
        for unit, wings in seen.items()
        if len(wings) == 2
    }
    shows = {
        u
        for u, names in both.items()
        if u in ("report", "figures") and all(n.rpartition(".")[2][0].isupper() for n in names)
    }
    return set(both) - shows - {"cli"}


def test_few_hold_theory_against_simulation():
    """Report and figures may name both wings' result types, to show them, but call neither."""
    assert meddlers(
        wings_of([(unit_of(path), imports(path.read_text(), package_of(path))) for path in FILES])
    ) == {
        "theorems",
        "experiments",
        "sweeps",
        "gallery",
    }


@pytest.mark.parametrize("unit", ["measure", "figures"])
def test_the_checker_catches_a_second_place_where_the_wings_meet(unit):
    source = "from ..theory import layerwise\ndef f():\n    from ..simulation import Trajectory"
    assert meddlers(wings_of([(unit, imports(source, f"{NAME}.{unit}"))])) == {unit}


@pytest.mark.parametrize("why", RULES)
def test_the_checker_catches_an_offence_against_every_rule(why):
    """Each forbidden name is caught as an absolute, a relative and a conditional import; a lazy one
    where even that is forbidden.
    """
    rule = RULES[why]
    unit = "elsewhere" if rule.outside else rule.units[0]
    package = f"{NAME}.{unit}"
    for name in rule.forbidden:
        parent, _, leaf = name.rpartition(".")
        offences = [
            f"import {name}",
            f"from {name} import x",
            f"if True:\n    import {name} as y",
            f"class A:\n    from {name} import x",
        ]
        if parent:
            offences.append(f"from {parent} import {leaf}")
        if parent == NAME:
            offences += [
                f"from .. import {leaf}",
                f"from ..{leaf} import x",
                f"from ..{leaf}._deep import x",
            ]
        if parent == "jax":
            offences.append(f"import jax\njax.{leaf}.x")
        for source in offences:
            assert breaches(rule, unit, imports(source, package)), source
            lazily = "def f():\n" + "\n".join("    " + line for line in source.splitlines())
            assert bool(breaches(rule, unit, imports(lazily, package))) == rule.lazy_too, lazily


def test_the_checker_passes_what_no_rule_forbids():
    source = "import jax\nimport jax.numpy as jnp\nfrom ..moments import Moments\n"
    source += "from . import _sibling\nimport theory_of_something"
    for unit in ("theory", "simulation", "theorems", "problems"):
        found = imports(source, f"{NAME}.{unit}")
        assert not any(breaches(rule, unit, found) for rule in RULES.values())


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

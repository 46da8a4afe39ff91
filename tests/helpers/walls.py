"""Imports read off the source, and the rules that hold for them."""

import ast
from pathlib import Path
from typing import NamedTuple

import projhead_theory

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

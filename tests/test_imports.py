"""Who may import whom, and when, read off the source."""

import pytest
from helpers.walls import (
    FILES,
    NAME,
    ROOT,
    Import,
    Rule,
    breaches,
    circle,
    graph,
    imports,
    module_of,
    ours,
    package_of,
    strangers,
    unit_of,
    within,
)

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

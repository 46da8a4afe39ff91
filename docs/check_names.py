"""Check the docstrings of public names, and their entries in the reference.

Fails if a public name has no docstring or no entry, or if an entry has no public name.

python docs/check_names.py
"""

import importlib
import re
import sys
from pathlib import Path

import pages

PACKAGE = "projhead_theory"
ROOT = Path(importlib.import_module(PACKAGE).__file__).parent
FRONT_DOORS = [
    path.parent.name
    for path in sorted(ROOT.glob("[!_]*/__init__.py"))
    if hasattr(importlib.import_module(f"{PACKAGE}.{path.parent.name}"), "__all__")
]


FAMILIES = importlib.import_module(f"{PACKAGE}.theory").__all__


def public():
    """Every public name, once, under the first-level module whose `__all__` lists it."""
    names = {
        f"{module}.{name}"
        for module in FRONT_DOORS
        for name in importlib.import_module(f"{PACKAGE}.{module}").__all__
    }
    names -= {f"theory.{family}" for family in FAMILIES}
    names |= {
        name.removeprefix(PACKAGE + ".")
        for family in FAMILIES
        for name in pages.closed_forms(family)
    }
    leaves = {name.rsplit(".", 1)[1] for name in names}
    # Names that only the top level exports are listed under their own module.
    top = importlib.import_module(PACKAGE)
    for name in top.__all__:
        value = getattr(top, name)
        if name in leaves or name in FRONT_DOORS:
            continue
        if hasattr(value, "__path__") or not hasattr(value, "__qualname__"):
            names |= {
                f"{name}.{member}"
                for member, it in vars(value).items()
                if getattr(it, "__module__", None) == value.__name__ and member[0] != "_"
            }
        else:
            names.add(f"{value.__module__.removeprefix(PACKAGE + '.')}.{name}")
    return names


def main():
    reference = "\n".join(
        pages.on_page_markdown(page.read_text())
        for page in (Path(__file__).parent / "api").glob("*.md")
    )
    entries = re.findall(rf"^::: {PACKAGE}\.(\S+)$", reference, re.MULTILINE)
    names = public()
    complaints = [f"{name}: no entry in docs/api" for name in sorted(names - set(entries))]
    complaints += [
        f"{name}: an entry in docs/api, but not public" for name in sorted(set(entries) - names)
    ]
    complaints += [
        f"{name}: more than one entry in docs/api"
        for name in sorted({e for e in entries if entries.count(e) > 1})
    ]
    for name in sorted(names):
        module, leaf = name.rsplit(".", 1)
        value = getattr(importlib.import_module(f"{PACKAGE}.{module}"), leaf)
        # The docstring must be its own, not inherited; instances are described by their class.
        owner = (
            value
            if isinstance(value, type) or hasattr(value, "__code__")
            else getattr(value, "__wrapped__", type(value))
        )
        doc = vars(owner).get("__doc__") if isinstance(owner, type) else owner.__doc__
        if not (doc or "").strip():
            complaints.append(f"{name}: no docstring")
    print("\n".join(complaints) or f"{len(names)} public names, all with a docstring and an entry")
    return 1 if complaints else 0


if __name__ == "__main__":
    sys.exit(main())

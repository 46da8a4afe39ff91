"""Navigation, index and tables of the theorems, derived from the registry of claims."""

import importlib
from pathlib import Path
from typing import Any

from projhead_theory import gallery, theory
from projhead_theory.theorems import CLAIMS, FAMILIES

DOCS = Path(__file__).parent
FAMILY_LIST, CLAIM_TABLE, CLOSED_FORMS = "{{ families }}", "{{ claims }}", "{{ closed forms }}"
GALLERY = "{{ gallery }}"


def pages(family: str) -> dict[str, str]:
    """Addresses of a family's pages by title: its claims in their order, then other pages."""
    folder = DOCS / "theorems" / family
    claims = [folder / f"{name}.md" for name in FAMILIES[family]]
    others = sorted(set(folder.glob("*.md")) - set(claims))
    return {title(page): page.relative_to(DOCS).as_posix() for page in [*claims, *others]}


def title(page: Path) -> str:
    return page.read_text(encoding="utf-8").partition("\n")[0].removeprefix("# ")


def family_list() -> str:
    rows = []
    for family in FAMILIES:
        links = ", ".join(f"[{name}]({address})" for name, address in pages(family).items())
        rows.append(f"- **{family.capitalize()}**: {links}.")
    return "\n".join(rows)


def claim_table() -> str:
    rows = ["| claim | says | controls that must be caught | source |", "|---|---|---|---|"]
    for family, names in FAMILIES.items():
        for claim in (CLAIMS[name] for name in names):
            link = f"[`{claim.name}`](theorems/{family}/{claim.name}.md)"
            formula = claim.latex.replace("|", "\\vert ").replace("\\\\vert ", "\\Vert ")
            controls = ", ".join(f"`{c.name}`" for c in claim.controls)
            says = f"{claim.statement}<br>${formula}$"
            rows.append(f"| {link} | {says} | {controls} | {claim.source} |")
    return "\n".join(rows)


def closed_forms(family: str) -> list[str]:
    """Full names of the closed forms of a family, file by file.

    A file whose names the family does not export is one entry of its own.
    """
    package, found = importlib.import_module(f"projhead_theory.theory.{family}"), []
    for file in sorted(Path(package.__file__ or "").parent.glob("[a-z]*.py")):
        module = importlib.import_module(f"{package.__name__}.{file.stem}")
        names = getattr(module, "__all__", ())
        shared = [name for name in names if vars(package).get(name) is vars(module)[name]]
        found += [f"{package.__name__}.{name}" for name in shared]
        found += [module.__name__] if names and not shared else []
    return found


def reference() -> str:
    """Entries of the reference of closed forms, by family."""
    parts = []
    for family in theory.__all__:
        entries = "\n\n".join(f"::: {name}" for name in closed_forms(family))
        parts.append(f"## {family.capitalize()}\n\n{entries}")
    return "\n\n".join(parts)


def figures() -> str:
    """Every figure of the gallery with its command and the page of its claim."""
    parts = []
    homes = {page.stem: page.relative_to(DOCS) for page in DOCS.glob("theorems/*/*.md")}
    for entry in map(gallery.find, gallery.names()):
        names = ", ".join(f"`{name}`" for name in entry.parameters)
        page = homes[entry.theorem]
        link = f"[{title(DOCS / page)}]({page.as_posix()})."
        parts.append(
            f"## {entry.name.replace('-', ' ').capitalize()}\n\n"
            f"![{entry.caption}](figures/{entry.name}.svg)\n\n{entry.caption}\n{link}\n\n"
            f"```bash\nprojhead figures {entry.name} --out figures\n```\n\nParameters: {names}."
        )
    return "\n\n".join(parts)


def on_config(config: Any) -> Any:
    """Put the theorems into the navigation, family by family, in place of their marker."""
    families = [
        {family.capitalize(): [{name: address} for name, address in pages(family).items()]}
        for family in FAMILIES
    ]
    config.nav = [{"Theorems": families} if entry == FAMILY_LIST else entry for entry in config.nav]
    return config


def on_page_markdown(markdown: str, **_: object) -> str:
    """Fill the markers of a page."""
    for marker, text in (
        (FAMILY_LIST, family_list),
        (CLAIM_TABLE, claim_table),
        (CLOSED_FORMS, reference),
        (GALLERY, figures),
    ):
        markdown = markdown.replace(marker, text()) if marker in markdown else markdown
    return markdown

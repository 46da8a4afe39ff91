"""Fills the marker `{{ claims }}` of a page with a table of all registered claims, when the documentation is built."""

from projhead_theory.theorems import CLAIMS

MARKER = "{{ claims }}"


def table() -> str:
    rows = ["| claim | says | controls that must be caught | source |", "|---|---|---|---|"]
    for claim in CLAIMS.values():
        controls = ", ".join(f"`{c.name}`" for c in claim.controls)
        formula = claim.latex.replace("|", "\\vert ").replace("\\\\vert ", "\\Vert ")
        rows.append(
            f"| [`{claim.name}`](theorems/{claim.name}.md) | {claim.statement}<br>${formula}$ | {controls} | {claim.source} |"
        )
    return "\n".join(rows)


def on_page_markdown(markdown: str, **_: object) -> str:
    return markdown.replace(MARKER, table())

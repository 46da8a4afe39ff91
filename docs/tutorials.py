"""Tutorials: pages of the scripts in `examples`, with what these print and draw.

The pages are made when the site is built. Output and pictures are kept in `docs/tutorials`, because
the scripts take minutes; a test runs them and compares.

python docs/tutorials.py [NAME ...] makes them anew; --others prints the scripts of no tutorial
"""

import ast
import re
import subprocess
import sys
from pathlib import Path
from typing import Any, NamedTuple

DOCS = Path(__file__).parent
KEPT = DOCS / "tutorials"
EXAMPLES = DOCS.parent / "examples"
MARKER = "{{ tutorials }}"


class Tutorial(NamedTuple):
    """Title of a page, its script, and the words between both."""

    title: str
    script: str
    words: str


TUTORIALS = {
    "first-verdict": Tutorial(
        "A first verdict",
        "first_page",
        "State a problem, predict every layer, train a network, and let a verdict compare the two.",
    ),
    "own-features": Tutorial(
        "Your own features",
        "own_features",
        "Features mixed in the inputs, each with an augmentation of its own.",
    ),
    "own-loss": Tutorial(
        "Your own loss",
        "own_loss",
        "A loss in one method, which every simulator trains.",
    ),
    "own-conjecture": Tutorial(
        "Your own conjecture",
        "conjecture",
        "A statement with the check that could refute it; see "
        "[State your own claim](../claims.md) for the tolerances.",
    ),
    "own-network": Tutorial(
        "Your own network",
        "inspect_network",
        "A network that was trained elsewhere; see [Your own network](../inspect.md) for adaptors.",
    ),
    "sweep": Tutorial(
        "A sweep",
        "sweep",
        "Many networks over named axes, interrupted and resumed; see [Sweeps](../sweeps.md).",
    ),
    "paper-figure": Tutorial(
        "A figure of the paper",
        "paper_figure",
        "A figure of the [gallery](../gallery.md), with its data.",
    ),
}


def command(tutorial: Tutorial) -> str:
    return f"python examples/{tutorial.script}.py --quick"


def run(name: str, picture: Path) -> str:
    """Output of a script, which draws the picture."""
    script = EXAMPLES / f"{TUTORIALS[name].script}.py"
    arguments = [sys.executable, str(script), "--quick", "--plot", str(picture)]
    return subprocess.run(arguments, check=True, capture_output=True, text=True).stdout


def page(name: str) -> str:
    """A page as Markdown: words of the script, its code, its output, its picture."""
    tutorial = TUTORIALS[name]
    source = (EXAMPLES / f"{tutorial.script}.py").read_text(encoding="utf-8")
    words = ast.get_docstring(ast.parse(source)) or ""
    # The usage is in the command below.
    words = re.sub(r"^(?:Run: |    )python .*(?:\n    \[.*)?\n?", "", words, flags=re.MULTILINE)
    code = source.split('"""\n', 1)[1].strip("\n")
    output = (KEPT / f"{name}.txt").read_text(encoding="utf-8").rstrip("\n")
    return (
        f"# {tutorial.title}\n\n{tutorial.words}\n\n{words.strip()}\n\n"
        f"```bash\n{command(tutorial)}\n```\n\n```text\n{output}\n```\n\n"
        f"![Figure that the script saves](figures/{name}.svg)\n\n"
        f"## The script\n\n```python\n{code}\n```\n"
    )


def on_config(config: Any) -> Any:
    """Put the tutorials into the navigation, in place of their marker."""
    entries = [{t.title: f"tutorials/{name}.md"} for name, t in TUTORIALS.items()]
    config.nav = [{"Tutorials": entries} if entry == MARKER else entry for entry in config.nav]
    return config


def on_files(files: Any, config: Any) -> Any:
    """Add a page for each tutorial."""
    from mkdocs.structure.files import File

    for name in TUTORIALS:
        files.append(File.generated(config, f"tutorials/{name}.md", content=page(name)))
    return files


def others() -> list[str]:
    """Scripts that no tutorial shows."""
    shown = {tutorial.script for tutorial in TUTORIALS.values()}
    return [f"examples/{p.name}" for p in sorted(EXAMPLES.glob("*.py")) if p.stem not in shown]


def main(names: list[str]) -> None:
    if names == ["--others"]:
        print("\n".join(others()))
        return
    (KEPT / "figures").mkdir(parents=True, exist_ok=True)
    for name in names or TUTORIALS:
        output = run(name, KEPT / "figures" / f"{name}.svg")
        (KEPT / f"{name}.txt").write_text(output, encoding="utf-8")
        print(name)


if __name__ == "__main__":
    main(sys.argv[1:])

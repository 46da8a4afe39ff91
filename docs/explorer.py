"""The explorer as a file of the site, made when the site is built."""

from typing import Any

from mkdocs.structure.files import File

from projhead_theory.report import explorer_html

ADDRESS = "explorer/page.html"


def on_files(files: Any, config: Any) -> Any:
    """Add the page of sliders, which `explorer.md` shows."""
    files.append(File.generated(config, ADDRESS, content=explorer_html()))
    return files

"""The README is true: its samples print what is printed below them, and its commands are the ones
that are tested.
"""

import contextlib
import io
import re
import runpy
from pathlib import Path

import pytest
from helpers.printed import assert_prints

from projhead_theory.theorems import CLAIMS

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


def samples(text: str) -> list[tuple[str, str | None]]:
    """Python blocks of a page, each with the text block right below it, if there is one."""
    blocks = re.findall(r"```python\n(.*?)```(?:\n\n```text\n(.*?)```)?", text, re.DOTALL)
    return [(code, printed or None) for code, printed in blocks]


@pytest.mark.x64
def test_samples_print_what_is_below_them():
    """All Python blocks, one after the other, in the promotion that users have."""
    import jax
    import matplotlib.pyplot as plt

    names: dict = {}
    with jax.numpy_dtype_promotion("standard"):
        for code, printed in samples(README):
            with contextlib.redirect_stdout(io.StringIO()) as out:
                exec(compile(code, "README.md", "exec"), names)
            if printed is not None:
                assert_prints(out.getvalue(), printed)
    plt.close("all")
    assert names["verdict"].name == "holds"


@pytest.mark.slow
@pytest.mark.x64
@pytest.mark.parametrize("page", ["from-the-paper.md", "simclr.md"])
def test_a_page_prints_what_is_below_its_sample(page):
    import jax
    import numpy as np

    import projhead_theory as pt

    ((code, printed),) = samples((ROOT / "docs" / page).read_text())
    with (
        jax.numpy_dtype_promotion("standard"),
        contextlib.redirect_stdout(io.StringIO()) as out,
    ):
        exec(compile(code, page, "exec"), {"pt": pt, "np": np})
    assert printed is not None
    assert_prints(out.getvalue(), printed)


def test_the_page_on_the_paper_has_every_claim_that_is_the_papers():
    from projhead_theory.theorems import CLAIMS

    page = (ROOT / "docs" / "from-the-paper.md").read_text()
    ours = [name for name in CLAIMS.known() if CLAIMS[name].source.startswith("paper")]
    assert len(ours) > 10
    assert [name for name in ours if f"/{name}.md)" not in page] == []


def test_a_sample_that_prints_something_else_is_caught():
    assert samples("```python\n1\n```\n\n```text\n2\n```") == [("1\n", "2\n")]
    assert_prints("holds: 3e-14, weight 0.40", "holds: 1e-13, weight 0.4")
    for wrong in ("holds: 3e-14, weight 0.5", "violated: 3e-14, weight 0.4"):
        with pytest.raises(AssertionError):
            assert_prints("holds: 3e-14, weight 0.4", wrong)


def test_continuous_integration_runs_the_readmes_test_line():
    (line,) = [x for x in README.splitlines() if "pytest" in x and x.startswith("python3 -m venv")]
    assert line in (ROOT / ".ci" / "run").read_text().splitlines()


def test_the_lists_of_the_documentation_hold_every_claim():
    pages = runpy.run_path(str(ROOT / "docs" / "pages.py"))
    table, families = pages["claim_table"](), pages["family_list"]()
    assert all(f"[`{name}`]" in table and f"/{name}.md)" in families for name in CLAIMS)


def test_files_that_the_readme_names_exist():
    links = re.findall(r"\]\((?!http)([^)#]+)\)", README)
    assert len(links) > 8
    assert [link for link in links if not (ROOT / link).exists()] == []

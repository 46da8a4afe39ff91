"""The tutorials: each shows its script as it is, and what the script prints."""

import re
import runpy
from pathlib import Path

import pytest
from helpers.printed import assert_prints

ROOT = Path(__file__).parent.parent
HOOK = runpy.run_path(str(ROOT / "docs" / "tutorials.py"))
TUTORIALS = HOOK["TUTORIALS"]


@pytest.mark.parametrize("name", TUTORIALS)
def test_a_page_has_the_script_and_its_output(name):
    text, tutorial = HOOK["page"](name), TUTORIALS[name]
    assert text.startswith(f"# {tutorial.title}\n")
    script = (ROOT / "examples" / f"{tutorial.script}.py").read_text()
    code = text.split("```python\n")[-1].removesuffix("```\n")
    assert script.endswith(code)
    assert code.startswith("import ")
    assert "import projhead_theory as pt" in code
    assert f"examples/{tutorial.script}.py --quick\n" in text
    before = text.partition("```bash")[0]
    assert "python examples" not in before, "the usage stands in the command alone"
    assert len(before.split()) > 30
    (picture,) = re.findall(r"!\[[^]]+\]\((.*?)\)", text)
    assert (ROOT / "docs" / "tutorials" / picture).stat().st_size > 1000


def test_nothing_is_kept_of_no_tutorial():
    kept = ROOT / "docs" / "tutorials"
    assert {path.stem for path in kept.glob("*.txt")} == set(TUTORIALS)
    assert {path.stem for path in (kept / "figures").iterdir()} == set(TUTORIALS)


def test_every_script_is_a_tutorial_or_run_by_itself():
    shown = [f"examples/{tutorial.script}.py" for tutorial in TUTORIALS.values()]
    scripts = [f"examples/{path.name}" for path in (ROOT / "examples").glob("*.py")]
    assert sorted(shown + HOOK["others"]()) == sorted(scripts)


@pytest.mark.slow
@pytest.mark.parametrize("name", TUTORIALS)
def test_the_script_prints_what_is_kept(name, tmp_path):
    picture = tmp_path / "figure.svg"
    printed = HOOK["run"](name, picture)
    assert_prints(printed, (ROOT / "docs" / "tutorials" / f"{name}.txt").read_text())
    assert picture.stat().st_size > 1000

"""The documentation site: its formulas are MathML, and its pages ask no other host for anything."""

import re
import runpy
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).parent.parent
HOOK = runpy.run_path(str(ROOT / "docs" / "formulas.py"))
mathml = HOOK["mathml"]
# What a browser loads by itself, unlike the links that a reader clicks.
LOADED = re.compile(
    r"""<(?:script|img|iframe|source|link)\b[^>]*\b(?:src|href)=["']?(?:https?:)?//"""
    r"""|@import\s|url\(["']?(?:https?:)?//""",
)
RAW = re.compile(r"\\[()\[\]]|\$|\\[a-zA-Z]{2,}")


def formulas() -> list[str]:
    """Formulas of the pages' and the docstrings' text, without their code."""
    found = []
    for path in [*ROOT.glob("docs/**/*.md"), *ROOT.glob("projhead_theory/**/*.py")]:
        text = path.read_text(encoding="utf-8")
        if path.suffix == ".py":
            text = "\n".join(re.findall(r'r"""(.*?)"""', text, re.DOTALL))
        text = re.sub(r"^ *```.*?^ *```|`[^`\n]*`", "", text, flags=re.DOTALL | re.MULTILINE)
        found += re.findall(r"\$\$(.+?)\$\$", text, re.DOTALL)
        text = re.sub(r"\$\$.+?\$\$", "", text, flags=re.DOTALL)
        found += re.findall(r"(?<![\\$])\$(\S|\S[^$]*?\S)\$", text)
    return found


def test_all_formulas_convert():
    found = formulas()
    assert len(found) > 2000
    for latex in set(found):
        ElementTree.fromstring(f"<p>{mathml(latex, 'block')}</p>")


@pytest.mark.parametrize("latex", [r"\nonsense x", r"a & b", r"\left( x"])
def test_an_unknown_formula_is_named(latex):
    with pytest.raises(ValueError, match=re.escape(repr(latex))):
        mathml(latex)


@pytest.mark.parametrize(
    ("latex", "part"),
    [
        (r"\big\| x \big\|_F", "‖"),
        (r"M \succeq 0", "<mo>⪰</mo>"),
        (
            r"\mathcal L \in \mathbb R^p, \mathbf 1",
            "<mi>\u2112</mi><mo>∈</mo><msup><mi>\u211d</mi>",
        ),
        (r"\ln x", '<mi>ln</mi><mspace width="0.167em" /><mi>x</mi>'),
        (r"\arg\min_x f", "<munder><mi>arg\u2009min</mi>"),
        (r"\begin{pmatrix} p \end{pmatrix}", "<mo>(</mo><mtable>"),
        (r"x = 1 \tag{3}", '</math><span class="tag">(3)</span>'),
        (r"\begin{aligned} a &= b \\ &= c \end{aligned}", '<mtd style="text-align: right">'),
    ],
)
def test_formulas_keep_their_parts(latex, part):
    assert part in mathml(latex, "block")


def test_a_long_formula_of_a_line_may_have_its_own():
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    for latex, long in (("a = b", False), (" + ".join("abcdefghijklm"), True)):
        html = rf'<p><span class="arithmatex">\({latex}\)</span></p>'
        assert ('<span class="long"><math' in HOOK["on_page_content"](html, page=page)) == long


def test_a_formula_that_fails_is_a_warning_with_its_page(caplog):
    page = SimpleNamespace(file=SimpleNamespace(src_uri="page.md"))
    html = r'<p><span class="arithmatex">\(a &lt; b\)</span></p>'
    assert "<mo>&lt;</mo>" in HOOK["on_page_content"](html, page=page)
    assert not caplog.records
    html = r'<div class="arithmatex">\[\nonsense\]</div>'
    assert HOOK["on_page_content"](html, page=page) == html
    assert "page.md" in caplog.text
    assert "nonsense" in caplog.text


@pytest.mark.slow
def test_site_is_complete_in_itself(tmp_path):
    """No request to another host, and no LaTeX left."""
    pytest.importorskip("mkdocs")
    pytest.importorskip("mkdocstrings")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert built.returncode == 0, built.stderr
    pages = list(tmp_path.rglob("*.html"))
    assert len(pages) > 50
    for path in [*pages, *tmp_path.rglob("*.css")]:
        assert not LOADED.findall(path.read_text(encoding="utf-8")), path
    for path in pages:
        text = path.read_text(encoding="utf-8")
        text = re.sub(r"<(pre|code|script|style)\b.*?</\1>", "", text, flags=re.DOTALL)
        assert not RAW.findall(text), path
        for formula in re.findall(r"<math\b.*?</math>", text, re.DOTALL):
            ElementTree.fromstring(formula)


def test_requests_to_other_hosts_are_caught():
    for asked in (
        '<script src="https://cdn.example/x.js">',
        '<link rel="stylesheet" href="//fonts.example/x">',
        "@import 'x.css'",
        "url(https://fonts.example/x.woff2)",
    ):
        assert LOADED.search(asked)
    for local in ('<a href="https://example.org">', '<script src="assets/x.js">', "url(x.svg)"):
        assert not LOADED.search(local)

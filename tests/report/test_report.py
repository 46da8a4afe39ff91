"""Reports of claims: the documented schema, pages that stand alone, files written whole, figures of
every kind of verdict.
"""

import dataclasses
import json
import math
import os
import re
import warnings
from html.parser import HTMLParser
from xml.etree import ElementTree

import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import pytest
from helpers.schema import ENVIRONMENT, OUTCOMES, SEARCH, validate, validate_counterexample
from helpers.toys import CUBED, IDLE, Number, seen, toy

import projhead_theory as pt
from projhead_theory import report
from projhead_theory.claims import FAMILY_ERROR, Verdict, check, compare_values, search
from projhead_theory.claims._claim import compare_measured
from projhead_theory.theorems import CLAIMS

pytestmark = pytest.mark.x64

AWKWARD = 'a<b & "c"'


def dressed(claim):
    """What a claim says, on problems that take no time."""
    plain = toy(CUBED)
    fields = ("problems", "predict", "measure", "controls")
    return dataclasses.replace(
        claim, compare=compare_measured, tests=0, quick=2, **{f: getattr(plain, f) for f in fields}
    )


@pytest.fixture(scope="module")
def good():
    """Every claim of the library by its own words, all verified."""
    return [check(dressed(claim), quick=True) for claim in CLAIMS.values()]


@pytest.fixture(scope="module")
def poor():
    """One of each: a false claim, one with an uncaught control, one of every other outcome, and one
    whose name is not made for a page.
    """
    false = toy(CUBED, name="false", predict=lambda p: jnp.where(p.value == 2, 4.0, 7.0)[None])
    uncaught = toy(CUBED, IDLE, name="uncaught")
    unsettled = toy(CUBED, name="unsettled", measure=lambda p: seen(p.value, converged=False))
    lost = toy(CUBED, name="lost", measure=lambda p: seen(p.value * jnp.nan, finite=False))
    premise = toy(
        CUBED, name="premise", measure=lambda p: seen(p.value**2, premises={"x < y | z": False})
    )
    blunt = toy(CUBED, name="blunt", measure=lambda p: seen(p.value**2, effect=1e-10))
    awkward = toy(
        dataclasses.replace(CUBED, name="<script>alert(1)</script>", breaks="a | b & c"),
        name=AWKWARD,
        statement="If a < b & b < c then <b>a</b> | 'c' > \"a\".",
        latex=r"a < b \;\&\; \frac{b}{c} > \lambda_{i}^{2}",
        hypotheses=("x < y", "<i>"),
        source="me & <you>",
        problems=lambda key: iter([Number(jnp.asarray(2.0))]),
    )
    return [check(claim) for claim in (false, uncaught, unsettled, lost, premise, blunt, awkward)]


# Plain data


def test_the_report_follows_its_schema(good, poor):
    """Of claims that hold and of claims that do not, whatever came of them; `all_hold` only for the
    first.
    """
    data = report.claims_report(good, 3, quick=True)
    validate(data)
    assert (data["all_hold"], data["partial"], data["missing"], data["family_error"]) == (
        True,
        False,
        [],
        FAMILY_ERROR,
    )
    assert (
        data["environment"]["seed"],
        data["environment"]["quick"],
        data["environment"]["float"],
    ) == (3, True, "float64")
    assert [c["name"] for c in data["claims"]] == list(CLAIMS)
    data = report.claims_report(poor, 0)
    validate(data)
    assert data["all_hold"] is False
    assert data["environment"]["quick"] is False
    assert {c["name"]: c["outcome"] for c in data["claims"]} == {
        "false": "violated",
        "uncaught": "holds",
        "unsettled": "not_converged",
        "lost": "diverged",
        "premise": "premise_failed",
        "blunt": "undecidable",
        AWKWARD: "holds",
    }


def test_what_is_not_finite_is_null(poor):
    """Never a NaN, never a number that stands for one."""
    lost = next(r for r in poor if r.claim.name == "lost").to_dict()
    assert lost["discrepancy"] is None
    assert lost["verdicts"][0]["discrepancy"] == [None]


@pytest.mark.parametrize("field", ["latex", "hypotheses", "controls"])
def test_the_validator_sees_a_missing_field(good, field):
    data = json.loads(json.dumps(report.claims_report(good[:1], 0)))
    del data["claims"][0][field]
    with pytest.raises(AssertionError):
        validate(data)


def test_a_partial_report_says_so(good):
    """It lists what was not run and never says that all hold, though all that was run does."""
    data = report.claims_report(good[:2], 0, planned=[r.claim.name for r in good[:4]])
    validate(data)
    assert (data["partial"], data["all_hold"]) == (True, False)
    assert data["missing"] == [r.claim.name for r in good[2:4]]
    text = report.claims_markdown(good[:2], data)
    sentence = f"Partial: interrupted before {data['missing'][0]}, {data['missing'][1]}."
    assert report.summary(data) == sentence
    assert f"**{sentence}**" in text
    page = report.claims_html(good[:2], data)
    assert sentence in page
    assert '<p class="bad">Partial' in page
    whole = report.claims_report(good, 0, planned=list(CLAIMS))
    assert (whole["partial"], whole["all_hold"]) == (False, True)
    nothing = report.claims_report([], 0, planned=["a"])
    assert (nothing["partial"], nothing["all_hold"]) == (True, False)
    assert report.claims_report([], 0)["all_hold"] is False


def test_the_report_of_a_search_follows_its_schema():
    claims = toy(name="right"), toy(name="wrong", predict=lambda p: jnp.zeros(1))
    results = [search(claim, 4, 1) for claim in claims]
    data = report.search_report(results, 1, ["right", "wrong"])
    assert json.loads(json.dumps(data, allow_nan=False)) == data
    assert set(data) == {"schema", "search", "environment", "partial", "missing", "all_survive"}
    assert set(data["environment"]) == ENVIRONMENT
    assert (data["schema"], data["partial"], data["missing"], data["all_survive"]) == (
        2,
        False,
        [],
        False,
    )
    for item, survived in zip(data["search"], (True, False), strict=True):
        assert set(item) == SEARCH
        assert (item["survived"], item["seed"]) == (survived, 1)
        assert sum(item["outcomes"].values()) == item["tried"]
        assert set(item["outcomes"]) <= OUTCOMES
        validate_counterexample(item["counterexample"])
    part = report.search_report(results[:1], 1, ["right", "wrong"])
    assert (part["partial"], part["missing"], part["all_survive"]) == (True, ["wrong"], False)


# Pages


class Page(HTMLParser):
    """All text, all tags with their attributes, and whether every element that is opened is closed,
    in order.
    """

    VOID = ("meta", "br", "img", "link", "input", "hr")

    def __init__(self, text):
        super().__init__()
        self.words, self.tags, self.open = [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return "".join(self.words)


@pytest.fixture(scope="module")
def shown(good):
    """Every fourth claim: a page draws a figure of each, which takes most of the time."""
    return good[::4]


@pytest.fixture(scope="module")
def pages(shown, poor):
    return [report.claims_html(results) for results in (shown, poor)]


def elements(page, name):
    """Every such element, parsed as XML on its own."""
    return [
        ElementTree.fromstring(x)
        for x in re.findall(rf"<{name}\b.*?</{name}>", page, flags=re.DOTALL)
    ]


def test_pages_say_everything(shown, poor, pages):
    """Each statement, hypothesis, source, problem, control and outcome of every claim, on either
    page, as a reader sees it.
    """
    for results, page in zip((shown, poor), pages, strict=True):
        text, markdown = Page(page).text, report.claims_markdown(results)
        for result in results:
            claim = result.claim
            for word in (claim.name, claim.statement, claim.source, *claim.hypotheses):
                assert word in text
                assert word in markdown
            assert f"$$ {claim.latex} $$" in markdown or not claim.latex
            for words in (
                (t.label for t in result.trials),
                (c.control.name for c in result.controls),
                (c.control.breaks for c in result.controls),
            ):
                for word in words:
                    assert word in text
                    assert word.replace("|", "\\|") in markdown
            assert result.outcome.replace("_", " ") in text
    assert "Every claim holds and every control is caught." in Page(pages[0]).text
    assert "Not verified: false, uncaught, unsettled, lost, premise, blunt." in Page(pages[1]).text
    assert "not caught: holds" in Page(pages[1]).text


def test_a_page_stands_alone(pages):
    """Nothing is loaded: no script, no style sheet, no picture, no font."""
    for page in pages:
        for tag, attributes in Page(page).tags:
            assert tag not in ("script", "link", "img", "iframe", "object", "embed", "base", "form")
            assert not {"src", "srcset", "onload", "onclick", "onerror", "data", "action"} & set(
                attributes
            )
            for name in ("href", "xlink:href"):
                assert attributes.get(name, "#").startswith("#")
        assert not re.search(r"@import|url\((?!['\"]?#)", page)


def test_a_page_has_no_address(pages):
    """But the names of namespaces, which are never fetched."""
    for page in pages:
        outside = re.sub(r'xmlns(:\w+)?="[^"]*"', "", page)
        assert re.findall(r"https?://[^\s\"<]*", outside) == []


def test_a_page_has_figures_and_formulas_that_parse(shown, pages):
    """One figure and one typeset formula for each claim, well-formed by itself, with no text left
    as LaTeX.
    """
    for page, count in zip(pages, (len(shown), 7), strict=True):
        figures = elements(page, "svg")
        assert len(figures) == count
        for figure in figures:
            assert figure.tag == "{http://www.w3.org/2000/svg}svg"
            assert len(figure.findall(".//{http://www.w3.org/2000/svg}path")) > 10
            # Letters are drawn, so that no font is needed.
            assert figure.findall(".//{http://www.w3.org/2000/svg}text") == []
    formulas = elements(pages[0], "math")
    assert len(formulas) == sum(bool(r.claim.latex) for r in shown) == len(shown)
    for formula in formulas:
        assert "\\" not in "".join(formula.itertext())


def test_special_characters_are_escaped(pages):
    """A claim's words are words, not markup, in text, in links and in the formula."""
    page = pages[1]
    parsed = Page(page)
    assert "<script" not in page
    assert "<b>a</b>" not in page
    assert 'a<b & "c"' in parsed.text
    assert "<script>alert(1)</script>" in parsed.text
    ids = {
        attributes["id"] for tag, attributes in parsed.tags if tag == "h2" and "id" in attributes
    }
    links = {
        attributes["href"][1:]
        for tag, attributes in parsed.tags
        if tag == "a" and not attributes.get("href", "#_").startswith("#m")
    }
    assert AWKWARD in ids
    assert ids <= links
    (formula,) = [f for f in elements(page, "math") if "λ" in "".join(f.itertext())]
    assert "<" in "".join(formula.itertext())


def test_tables_of_markdown_have_whole_rows(good, poor):
    """As many cells in every row as in its head, whatever the words in it."""
    for results in (good, poor):
        width = None
        for line in report.claims_markdown(results).splitlines():
            if not line.startswith("|"):
                width = None
                continue
            cells = len(re.findall(r"(?<!\\)\|", line))
            width = width or cells
            assert cells == width, line


def test_a_counterexample_is_on_the_pages(poor, pages):
    """With its numbers, for the claim that was refuted and no other."""
    assert pages[1].count("Refuted by") == 1
    assert "Refuted by" not in pages[0]
    found = poor[0].to_dict()["counterexample"]
    markdown = report.claims_markdown(poor)
    assert markdown.count("**Refuted**") == 1
    assert f"> {found['sentence']}" in markdown
    block = re.search(r"```json\n(.*?)```", markdown, flags=re.DOTALL).group(1)
    assert json.loads(block) == found["numbers"]
    assert json.dumps(found["numbers"]) in Page(pages[1]).text


def test_a_page_without_a_formula_has_none():
    result = check(toy(CUBED))
    assert "<math" not in report.claims_html([result])
    assert "$$" not in report.claims_markdown([result])
    assert "none stated" in report.claims_markdown([result])


def test_a_page_is_reproduced(poor):
    """The same results give the same page, figures included: nothing in it depends on the hour."""
    data = report.claims_report(poor[:1], 0)
    assert report.claims_html(poor[:1], data) == report.claims_html(poor[:1], data)


def test_pages_leave_no_figure_open(good):
    before = plt.get_fignums()
    report.claims_html(good[:1])
    assert plt.get_fignums() == before


# Files

WRITERS = {
    "json": lambda path: report.write_json({"a": 1.5}, path),
    "html": lambda path: report.write_html("<p>é</p>", path),
    "markdown": lambda path: report.write_markdown("é", path),
}


@pytest.mark.parametrize("kind", WRITERS)
def test_files_are_written_whole_or_not_at_all(tmp_path, monkeypatch, kind):
    """A failure on the way leaves the old file as it was and nothing beside it."""
    path = tmp_path / "report"
    path.write_text("old")

    def full(*arguments):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os, "replace", full)
        with pytest.raises(
            ValueError,
            match=rf"^{kind}: got .*No space left on device.*; want a file that can be written",
        ):
            WRITERS[kind](path)
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
    WRITERS[kind](path)
    assert path.read_bytes() in (b'{\n  "a": 1.5\n}\n', "<p>é</p>".encode(), "é".encode())
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("kind", WRITERS)
def test_a_folder_that_is_not_there_is_named(tmp_path, kind):
    with pytest.raises(
        ValueError,
        match=rf"^{kind}: got .*nowhere.*; want a file in a folder that can be written to",
    ):
        WRITERS[kind](tmp_path / "nowhere" / "x")


def test_a_nan_is_an_error_and_not_a_value(tmp_path):
    path = tmp_path / "report"
    path.write_text("old")
    with pytest.raises(ValueError):
        report.write_json({"a": math.nan}, path)
    assert path.read_text() == "old"


def test_json_to_standard_output(capsys):
    report.write_json({"a": [1, None]}, "-")
    assert json.loads(capsys.readouterr().out) == {"a": [1, None]}


# Figures


def rows(k, m, value=1.0, **rest):
    """A verdict of so many rows and columns."""
    predicted = value * np.linspace(1, 2, k * m).reshape(k, m)
    labels = rest.pop("labels", None)
    return compare_values(
        predicted, predicted * (1 + 1e-6), {"rounding": 1e-3, "noise": 0.0}, labels=labels, **rest
    )


def with_numbers(verdict: Verdict, **fields) -> Verdict:
    return dataclasses.replace(
        verdict, **{name: jnp.asarray(value, float) for name, value in fields.items()}
    )


KINDS = {
    "layers": rows(3, 4, labels=("layer 1", "layer 2", "layer 3")),
    "series": rows(2, 40),
    "single column": rows(5, 1),
    "one row, one column": rows(1, 1),
    "one row of a series": rows(1, 200),
    "zeros": compare_values(np.zeros((2, 3)), np.zeros((2, 3)), {"rounding": 0.0}),
    "decades": rows(3, 2, np.array([[1e-12], [1.0], [1e12]])),
    "negative": rows(3, 2, -1.0),
    "many rows": rows(32, 1, labels=tuple(f"a rather long label of row {i}" for i in range(32))),
    "not finite": with_numbers(
        rows(2, 2), discrepancy=[np.nan, 1.0], measured=np.full((2, 2), np.nan)
    ),
    "endless": with_numbers(rows(2, 2), discrepancy=[np.inf, 0.0], effect=[np.inf, 1.0]),
    "zero discrepancy": with_numbers(rows(2, 2), discrepancy=[0.0, 0.0]),
    "failed premise": rows(2, 2, premises={"p": False}),
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_verdict_is_drawn_without_a_warning(kind):
    """Prediction beside measurement, the budget, and both together; drawn in earnest, into a
    file.
    """
    verdict = KINDS[kind]
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        figure = pt.figures.plot_report(verdict)
        figure.canvas.draw()
    left, right = figure.axes
    series = verdict.predicted.shape[1] >= 12
    assert left.get_title().startswith(verdict.name.replace("_", " "))
    assert len(left.lines) == 2 * verdict.predicted.shape[0 if series else 1]
    assert [t.get_text() for t in right.get_yticklabels()] == list(verdict.labels)
    plt.close("all")


def test_a_budget_shows_every_part_that_is_there():
    """Tolerance, discrepancy and effect always; a part that is zero everywhere is left out."""
    axes = pt.figures.plot_budget(rows(2, 2))
    labels = [line.get_label() for line in axes.lines]
    assert labels == ["rounding", "tolerance", "discrepancy", "effect to be seen"]
    plt.close(axes.figure)

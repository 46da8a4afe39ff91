"""The explorer in a browser: its tables show what `projhead predict --json` prints."""

import json
import shlex
import urllib.parse

import numpy as np
import pytest
from helpers.browser import MISSING, Browser, browser
from helpers.cli import run

from projhead_theory.report import explorer_html, write_html

pytestmark = [
    pytest.mark.slow,
    pytest.mark.x64,
    pytest.mark.skipif(MISSING, reason="needs Chromium and chromedriver, to open the page"),
]
# What the page promises, and JSON prints.
RTOL = 1e-9
TABLE = """
const rows = [...document.querySelectorAll(`#${arguments[0]} tbody tr`)];
return rows.map((row) => [...row.querySelectorAll("data")].map((data) =>
  [data.value, data.textContent]));
"""


@pytest.fixture(scope="module")
def window(tmp_path_factory):
    folder = tmp_path_factory.mktemp("browser")
    write_html(explorer_html(), folder / "page.html")
    with browser(folder) as opened:
        opened.page = (folder / "page.html").as_uri()
        yield opened


def open_at(window: Browser, **setting: str) -> None:
    window.show(1280, 900)
    window.open(f"{window.page}#{urllib.parse.urlencode(setting, safe=',')}")


def table(window: Browser, name: str) -> list[list[float]]:
    return [[float(value) for value, _ in row] for row in window.run(TABLE, name)]


def shown(window: Browser, name: str) -> list[list[str]]:
    return [[text for _, text in row] for row in window.run(TABLE, name)]


def command(window: Browser) -> list[str]:
    words = shlex.split(window.run("return document.getElementById('command').textContent"))
    assert words[0] == "projhead"
    return words[1:]


def require_the_prediction(window: Browser, capsys) -> dict:
    """The page's tables against the JSON of the command that the page itself names."""
    code, out, err = run(capsys, *command(window), "--json", "-")
    assert (code, err) == (0, "")
    report = json.loads(out)
    *features, _ = table(window, "weights-table")
    wanted = np.column_stack([report["signal_fraction"], np.transpose(report["weights"])])
    np.testing.assert_allclose(features, wanted, rtol=RTOL)
    if "downstream" in report:
        found = report["downstream"]
        _, *layers = table(window, "indicator-table")
        np.testing.assert_allclose(np.ravel(layers), found["sample_complexity"], rtol=RTOL)
        best = window.run("return document.querySelector('#indicator-table .best th').textContent")
        assert best == f"layer {found['best_layer']}"
        margin = float(window.run("return document.getElementById('answer').dataset.margin"))
        np.testing.assert_allclose(margin, found["margin"], rtol=RTOL, atol=RTOL)
    return report


@pytest.mark.parametrize(
    "setting",
    [
        {},
        {"strength": "2,1,0.5,0.3", "noise": "1,0.2,0.1,2", "depth": "5", "head-depth": "2"},
        {"strength": "2,1", "noise": "0.7,0", "flip": "0.1,0.2", "start": "0.3,1.1", "target": "2"},
        {"strength": "2,1,0.4", "noise": "1,1,1", "downstream": "0.5,1,3", "target": "3"},
        {"loss": "vicreg", "beta": "1.2", "depth": "4"},
        {"loss": "infonce-distance", "temperature": "0.3"},
        {"loss": "barlow-twins", "start": "2,0.1"},
        {"loss": "infonce-rademacher", "strength": "1,2", "noise": "0,0", "flip": "0.1,0.3"},
    ],
    ids=lambda setting: setting.get("loss", "spectral"),
)
def test_the_tables_show_the_prediction(window, capsys, setting):
    open_at(window, **setting)
    report = require_the_prediction(window, capsys)
    assert report["loss_function"] == setting.get("loss", "spectral")


def test_a_page_of_another_formula_is_caught(window, capsys, tmp_path):
    right, wrong = "return Math.sqrt(c)/q;", "return c/q;"
    text = explorer_html()
    assert text.count(right) == 1
    write_html(text.replace(right, wrong), tmp_path / "wrong.html")
    window.open((tmp_path / "wrong.html").as_uri())
    with pytest.raises(AssertionError):
        require_the_prediction(window, capsys)


def test_all_digits_can_be_read(window, capsys):
    open_at(window, digits="all", strength="2,1", noise="0.3,0.4")
    _, out, _ = run(capsys, *command(window), "--json", "-")
    *features, _ = shown(window, "weights-table")
    read = [[float(text) for text in row[1:]] for row in features]
    np.testing.assert_allclose(np.transpose(read), json.loads(out)["weights"], rtol=RTOL)


def test_a_slider_moves_with_the_keyboard(window, capsys):
    open_at(window, strength="2,1", noise="1,0.5")
    before = table(window, "weights-table")
    window.keys(
        "#features fieldset:nth-child(2) [data-number=noise] input[type=range]", "\ue014" * 3
    )
    window.wait("return location.hash.includes('noise=1,0.65')")
    window.wait("return document.getElementById('command').textContent.includes('--noise 1,0.65')")
    after = table(window, "weights-table")
    assert after[0] == before[0]
    assert after[1] != before[1]
    require_the_prediction(window, capsys)


def test_features_come_and_go(window, capsys):
    open_at(window, strength="2,1", noise="1,0.5", target="2")
    count = "return document.querySelectorAll('#features fieldset').length"
    window.run("document.getElementById('add').click()")
    assert window.run(count) == 3
    window.wait("return location.hash.includes('strength=2,1,1')")
    window.wait("return document.querySelectorAll('#weights-table tbody tr').length === 4")
    require_the_prediction(window, capsys)
    window.run("document.querySelector('#features .remove').click()")
    window.wait(
        "return location.hash.includes('strength=1,1') && location.hash.includes('target=1')"
    )
    window.run("document.querySelector('#features .remove').click()")
    assert window.run(count) == 2


def test_the_text_of_the_answer_follows(window):
    open_at(window, strength="2,1", noise="2,0", target="1", depth="2")
    answer = "return document.getElementById('answer').textContent"
    assert "pre-projection (layer 1) beats post-projection" in window.run(answer)
    open_at(window, strength="2,1", flip="0.5,0", target="1")
    assert "No layer keeps feature 1" in window.run(answer)
    open_at(window, strength="2,x", depth="9")
    assert "Not understood in the address: strength, depth" in window.run(answer)
    open_at(window, loss="infonce-rademacher")
    assert "set every noise to 0" in window.run(answer)
    assert window.run("return document.getElementById('results').hidden")


def test_the_page_loads_nothing_and_names_everything(window):
    open_at(window)
    assert window.run("return performance.getEntriesByType('resource').map((r) => r.name)") == []
    unnamed = """
      return [...document.querySelectorAll("input, select, button")].filter((control) =>
        !control.labels?.length && !control.getAttribute("aria-label") && !control.textContent
      ).map((control) => control.outerHTML)"""
    assert window.run(unnamed) == []
    told = """
      return [...document.querySelectorAll("main svg")].map((svg) =>
        [...svg.querySelectorAll("title, desc")].map((part) => part.textContent.length > 10))"""
    assert window.run(told) == [[True, True]] * 4


@pytest.mark.parametrize("width", [390, 768, 1280])
def test_nothing_is_wider_than_the_window(window, width):
    open_at(window, strength="2,1,1,1,1", depth="6", downstream="1,1,1,1,1", digits="all")
    window.show(width, 800)
    window.wait("return document.querySelector('#weights').clientWidth > 0")
    assert window.run("return document.documentElement.scrollWidth - window.innerWidth") <= 0

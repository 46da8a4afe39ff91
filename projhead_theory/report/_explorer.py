"""Explorer of the closed forms: one HTML page that computes in the browser, without a server.

Its formulas are printed from the statements of `symbolic`. The page asks no host for anything.
"""

import json
from collections.abc import Mapping
from html import escape
from importlib.resources import files

from .._core.errors import bad
from ..symbolic import Statement, statements
from ._html import typeset

# Function of the page -> the statement that it is printed from.
FORMULAS = {
    "crossMoment": "flip-noise-cross",
    "secondMoment": "flip-noise-second",
    "signalFraction": "signal-fraction",
    "spectralWeight": "spectral-minimiser",
    "responseWeight": "response-weight",
    "vicregResponse": "vicreg-response",
    "infonceResponse": "infonce-response",
    "infonceDistanceResponse": "infonce-distance-response",
    "infonceRademacherResponse": "infonce-rademacher-response",
    "whiteningSquare": "whitening-response",
    "barlowTwinsSquare": "barlow-twins-response",
    "layerWeight": "layerwise-law",
    "gainBeforeHead": "start-law-gain",
    "sampleComplexity": "sample-complexity",
    "infonceCross": "infonce-cross",
    "infonceSecond": "infonce-second",
    "vicregCross": "vicreg-cross",
    "barlowTwinsSecond": "barlow-twins-second",
    "flowTime1": "flow-times-depth-1",
    "logisticGrowth": "logistic-growth",
    "flowTime": "flow-times-normalised",
    **{f"flowPrimitive{depth}": f"flow-primitive-depth-{depth}" for depth in range(2, 7)},
    "vanishingWeight": "vanishing-features",
    "startTime": "start-times",
}
# Least and largest number that the page has a slider for; `features` is how many.
LIMITS = {
    "features": (2, 5),
    "strength": (0.05, 5),
    "noise": (0, 5),
    "flip": (0, 0.5),
    "downstream": (0.05, 5),
    "depth": (1, 6),
    "head-depth": (1, 6),
    "target": (1, 5),
    "phase": (1, 5),
    "encoder": (0, 10),
    "head": (0, 10),
    "temperature": (0.05, 5),
    "beta": (0.05, 5),
    "begin": (0.001, 0.5),
    "time": (0, 1),
}
OPENING = {"strength": "1.5,1,0.6", "noise": "1,0.7,0.3", "depth": "3", "target": "2"}
CHOICES = ("loss", "against", "digits")
SCRIPTS = ("model.js", "charts.js", "controls.js", "results.js")


def explorer_html(opening: Mapping[str, str] | None = None) -> str:
    """Page of sliders for the weights and the best layer of a linear network, as HTML.

    It shows the weights of every feature at every layer, the sample-complexity indicator, the phase
    diagram of the best layer and the learning curves, of two to five features. It computes in the
    browser, from formulas printed as JavaScript from the statements of `symbolic`, and needs no
    network.

    **Arguments:**

    - `opening`: the setting at first, by the names of the options of `projhead explore` without
        dashes in front, as text: `{"strength": "2,1", "noise": "1,0.2"}`. Without a strength, it
        changes the page's example.

    **Raises:** `ValueError` for a number that no slider reaches, or numbers that do not fit one
    another.

    !!! example

        ```pycon
        >>> page = pt.report.explorer_html({"strength": "2,1", "noise": "1,0.2"})
        >>> page.splitlines()[0], "function spectralWeight({ c, q })" in page
        ('<!DOCTYPE html>', True)

        ```
    """
    given = dict(opening or {})
    if "strength" not in given:
        given = OPENING | given
    _require_sliders(given)
    _require_one_problem(given)
    parts = {
        "style": _source("style.css"),
        "formulas": _typeset_formulas(),
        "script": "\n".join([_constants(given), explorer_formulas(), *map(_source, SCRIPTS)]),
    }
    text = _source("page.html")
    for name, part in parts.items():
        text = text.replace(f"{{{{ {name} }}}}", part.rstrip("\n"))
    return text


def explorer_formulas() -> str:
    """JavaScript functions of the explorer, printed from the statements of `symbolic`.

    Each takes one object with the symbols of its statement.
    """
    known = statements()
    return "\n\n".join(
        f"// {known[name].title}: {name}.\n{known[name].javascript(function)}"
        for function, name in FORMULAS.items()
    )


def _source(name: str) -> str:
    return (files("projhead_theory.report") / "explorer" / name).read_text(encoding="utf-8")


def _constants(opening: Mapping[str, str]) -> str:
    text = "&".join(f"{name}={value}" for name, value in opening.items())
    quoted = json.dumps(text).replace("</", "<\\/")
    return f"const LIMITS = {json.dumps(LIMITS)};\n\nconst OPENING = {quoted};\n"


def _typeset_formulas() -> str:
    return "\n".join(_typeset(statements()[name]) for name in FORMULAS.values())


def _typeset(statement: Statement) -> str:
    title, setting = escape(statement.title), escape(statement.setting)
    words = f'<strong>{title}</strong> <span class="note">{setting}</span>'
    return f'<div class="formula">{words}{typeset(statement.latex())}</div>'


def _numbers(name: str, text: str) -> list[float]:
    try:
        return [float(part) for part in text.split(",")]
    except ValueError:
        raise bad(name, repr(text), "numbers separated by commas, such as 2,1,0.5") from None


def _require_sliders(opening: Mapping[str, str]) -> None:
    """Raise unless every number of the setting has a slider that reaches it."""
    for name, text in opening.items():
        if name in CHOICES:
            continue
        if name not in (*LIMITS, "start") or name in ("features", "encoder", "head"):
            raise bad("opening", repr(name), "names of options of projhead explore")
        low, high = LIMITS["encoder" if name == "start" else name]
        outside = [value for value in _numbers(name, text) if not low <= value <= high]
        if outside:
            wanted = f"numbers from {low:g} to {high:g}, which the sliders reach"
            raise bad(name, f"{outside[0]:g}", wanted)


def _require_one_problem(opening: Mapping[str, str]) -> None:
    """Raise unless the numbers of the setting fit one another."""
    dim = len(_numbers("strength", opening["strength"]))
    fewest, most = LIMITS["features"]
    if not fewest <= dim <= most:
        raise bad("strength", f"{dim} features", f"{fewest} to {most} features")
    lengths = dict.fromkeys(("noise", "flip", "downstream"), dim) | {"start": 2}
    for name, length in lengths.items():
        found = len(_numbers(name, opening[name])) if name in opening else length
        if found != length:
            raise bad(name, f"{found} numbers ({opening[name]})", f"{length} numbers")
    depth = _whole("depth", opening, 2)
    if "start" in opening and depth != 2:
        raise bad("depth", depth, "2 with a start, whose law is of two layers")
    if _whole("head-depth", opening, 1) > depth:
        raise bad("head_depth", opening["head-depth"], f"from 1 to the depth, {depth}")
    if _whole("target", opening, 1) > dim:
        wanted = f"the number of a feature, from 1 to {dim}"
        raise bad("target", opening["target"], wanted)


def _whole(name: str, opening: Mapping[str, str], otherwise: int) -> int:
    text = opening.get(name, str(otherwise))
    if not text.isdecimal():
        raise bad(name, repr(text), "a whole number")
    return int(text)

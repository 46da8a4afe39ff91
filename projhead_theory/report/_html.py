"""Report of claims as one self-contained HTML file.

Formulas are MathML, figures inline SVG; nothing comes from a network.
"""

import io
import json
import re
from collections.abc import Sequence
from html import escape
from pathlib import Path
from typing import Any

from .._core.files import write_atomically
from ..claims import ClaimResult, Verdict
from ._claims import claims_report, short, summary
from ._markdown import budget

STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; \
padding: 0 1rem; color: #1a1a1a; background: #fff; }
h1, h2 { line-height: 1.2; } h2 { margin-top: 3rem; border-top: 1px solid #ddd; padding-top: 1rem; }
table { border-collapse: collapse; margin: 1rem 0; font-size: .88em; width: 100%; \
display: block; overflow-x: auto; }
th, td { text-align: left; padding: .25rem .6rem; border-bottom: 1px solid #e4e4e4; \
vertical-align: top; }
td.number { font-variant-numeric: tabular-nums; white-space: nowrap; }
.good { color: #00664a; } .bad { color: #a33b00; font-weight: 600; }
math { font-size: 1.15em; } figure { margin: 1rem 0; } figure svg { max-width: 100%; height: auto; }
nav { columns: 2; } pre { overflow-x: auto; background: #f6f6f6; padding: .6rem; \
font-size: .85em; } .note { color: #555; }
"""


def claims_html(results: Sequence[ClaimResult], data: dict[str, Any] | None = None) -> str:
    """Report of claims as one HTML page.

    Each claim has its statement typeset, hypotheses, predicted against measured with a figure,
    error budget and controls. The environment comes last.

    **Arguments:**

    - `results`: results of the claims.
    - `data`: the `claims_report` of these results, made anew if not given.
    """
    data = claims_report(results, seed=0) if data is None else data
    word = summary(data)
    style = "good" if data["all_hold"] else "bad"
    links = "".join(
        f'<li><a href="#{escape(r.claim.name)}">{escape(r.claim.name)}</a>: '
        f"{_outcome('verified' if r.verified else r.outcome, r.verified)}</li>"
        for r in results
    )
    sections = "".join(_section(r, c) for r, c in zip(results, data["claims"], strict=True))
    environment = "".join(
        f"<tr><td>{escape(k)}</td><td>{escape(str(v))}</td></tr>"
        for k, v in data["environment"].items()
    )
    return page(
        f"Claims: {word}",
        "<h1>Claims</h1>\n"
        f'<p class="{style}">{escape(word)}</p>\n'
        '<p class="note">Chance alone fails any of the significance tests with '
        "probability at most "
        f"{data['family_error']:g}.</p>\n<nav><ul>{links}</ul></nav>\n{sections}"
        f"<h2>Environment</h2>\n<table>{environment}</table>\n",
    )


def page(title: str, body: str) -> str:
    """A whole page in the common style."""
    return (
        '<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
        f"<body>\n{body}</body>\n</html>\n"
    )


def write_html(text: str, path: str | Path) -> None:
    """Write a page, atomically.

    **Raises:** `ValueError` if the file cannot be written.
    """
    write_atomically(path, lambda file: file.write(text.encode()), "html")


def _section(result: ClaimResult, values: dict[str, Any]) -> str:
    claim = result.claim
    hypotheses = "".join(f"<li>{escape(h)}</li>" for h in claim.hypotheses)
    trials = "".join(
        _row(
            escape(t.label),
            _outcome(t.verdict.name, t.verdict.name == "holds"),
            short(float(t.verdict.discrepancy[t.verdict.worst])),
            short(float(t.verdict.tolerance[t.verdict.worst])),
            escape(budget(t.verdict, t.verdict.worst)),
            escape(t.verdict.labels[t.verdict.worst]),
        )
        for t in result.trials
    )
    controls = "".join(
        _row(
            escape(c["name"]),
            escape(c["breaks"]),
            _outcome(("caught: " if c["caught"] else "not caught: ") + c["outcome"], c["caught"]),
            short(c["discrepancy"]),
            short(c["tolerance"]),
        )
        for c in values["controls"]
    )
    worst = result.worst
    rows = "".join(
        _row(
            escape(label),
            short(float(worst.verdict.discrepancy[i])),
            short(float(worst.verdict.effect[i])),
            escape(budget(worst.verdict, i)),
        )
        for i, label in enumerate(worst.verdict.labels)
    )
    refuted = ""
    if values["counterexample"] is not None:
        numbers = escape(json.dumps(values["counterexample"]["numbers"]))
        refuted = (
            '<h3>Refuted by</h3><p class="bad">'
            f"{escape(values['counterexample']['sentence'])}</p><pre>{numbers}</pre>"
        )
    return (
        f'<h2 id="{escape(claim.name)}">{escape(claim.name)}</h2>\n'
        f"<p>{escape(claim.statement)}</p>\n{typeset(claim.latex)}\n"
        f'<p class="note">Source: {escape(claim.source)}. {result.seconds:.1f} s.</p>\n'
        f"<h3>Hypotheses</h3>\n<ul>{hypotheses}</ul>\n"
        "<h3>Problems</h3>\n<table>"
        f"{_head('problem', 'outcome', 'discrepancy', 'tolerance', 'made of', 'worst at')}"
        f"{trials}</table>\n"
        f"<h3>Predicted and measured: {escape(worst.label)}</h3>\n"
        f"<figure>{picture(worst.verdict)}</figure>\n"
        "<table>"
        f"{_head(worst.verdict.what, 'discrepancy', 'effect to be seen', 'tolerance made of')}"
        f"{rows}</table>\n{refuted}"
        "<h3>Controls</h3>\n<table>"
        f"{_head('control', 'what it breaks', 'outcome', 'discrepancy', 'tolerance')}"
        f"{controls}</table>\n"
    )


def typeset(latex: str) -> str:
    """A formula as MathML, which browsers render by themselves; empty for an empty formula."""
    if not latex:
        return ""
    from latex2mathml.converter import convert

    return f"<p>{convert(latex, display='block')}</p>"


def picture(verdict: Verdict) -> str:
    """The figure of a verdict as an SVG element."""
    from ..figures import plot_report

    return svg(plot_report(verdict))


def svg(figure: Any) -> str:
    """A figure as an SVG element; the figure is closed.

    Its text is drawn as paths, so that no font is needed.
    """
    import matplotlib.pyplot as plt

    file = io.StringIO()
    with plt.rc_context({"svg.hashsalt": "projhead_theory", "svg.fonttype": "path"}):
        figure.savefig(
            file, format="svg", metadata=dict.fromkeys(("Creator", "Date", "Format", "Type"))
        )
    plt.close(figure)
    return re.sub(r"\A.*?(?=<svg)", "", file.getvalue(), flags=re.DOTALL)


def _outcome(name: str, good: bool) -> str:
    return f'<span class="{"good" if good else "bad"}">{escape(name.replace("_", " "))}</span>'


def _head(*names: str) -> str:
    return "<tr>" + "".join(f"<th>{escape(n)}</th>" for n in names) + "</tr>"


def _row(*cells: str) -> str:
    return (
        "<tr>"
        + "".join(
            f'<td class="number">{c}</td>' if re.fullmatch(r"[-\d.e+]+", c) else f"<td>{c}</td>"
            for c in cells
        )
        + "</tr>"
    )

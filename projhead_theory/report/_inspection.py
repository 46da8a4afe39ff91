"""The inspection of a network, as tables and as one HTML page."""

from html import escape

import numpy as np

from ..inspect import Inspection
from ._html import page, svg
from ._sheet import Sheet, Shown

# Columns of the table whose numbers have a standard error.
ERRORS = (
    *("signal", "effective rank", "spread", "exponent"),
    *("start gap", "few-shot", "indicator"),
)


def inspection_table(report: Inspection) -> Sheet:
    """Table of the layers, one row each; standard errors in brackets. See `print_table`."""
    title = f"{report.depth} layers on {report.pairs} pairs; standard errors in brackets"
    table = Sheet(title, box=None, pad_edge=False, padding=(0, 1, 0, 0))
    columns = ["layer", "signal", "effective rank", "spread", "exponent", "l/L", "law gap"]
    columns += ["start gap"] if report.start_gap is not None else []
    columns += ["imbalance"] if report.imbalance is not None else []
    columns += ["few-shot"] if report.accuracy else []
    columns += ["indicator"]
    for name in columns:
        error = name in ERRORS
        names = [name, f"{name} error"] if error else [name]
        names += ["recommended"] if name == "layer" else []
        table.column(name, names, no_wrap=True)
    for i in range(report.depth):
        best = i + 1 == report.recommended
        row = [
            Shown(f"{i + 1}{'*' if best else ''}", (i + 1, "yes" if best else "no")),
            _both(report.signal[i], report.signal_error[i]),
            _both(report.effective_rank[i], report.effective_rank_error[i]),
            _both(report.spread[i], report.spread_error[i]),
            Shown("-", (None, None))
            if report.exponents is None or report.exponents_error is None
            else _both(report.exponents[i], report.exponents_error[i]),
            _number(report.shares[i], ".2f"),
            _number(None if report.law_gap is None else report.law_gap[i]),
        ]
        if report.start_gap is not None and report.start_gap_error is not None:
            row.append(_both(report.start_gap[i], report.start_gap_error[i]))
        if report.imbalance is not None:
            row.append(_number(report.imbalance[i] if i < len(report.imbalance) else None))
        if report.accuracy:
            few = report.accuracy["few-shot"][i], report.accuracy_error["few-shot"][i]
            row.append(_both(*few))
        row.append(_both(report.indicator[i], report.indicator_error[i]))
        table.record(*row)
    return table


def hypotheses_lines(report: Inspection) -> list[str]:
    """One line a hypothesis: whether it holds here, and its number in words."""
    return [
        f"{'holds' if h.holds else 'fails'}: {name}. {h.sentence}"
        for name, h in report.hypotheses.items()
    ]


def start_line(report: Inspection) -> str | None:
    """The scales of encoder and head at the start, as the start law fits them; None without."""
    if report.start_scales is None or report.start_scales_error is None:
        return None
    encoder, head = map(_with_error, report.start_scales, report.start_scales_error)
    return (
        f"The start law fits best with a start of scale {encoder} of the encoder and {head} of "
        "the head (both zero after a balanced start)."
    )


def inspection_html(report: Inspection) -> str:
    """One self-contained page: the recommendation, figures, all layers and all hypotheses."""
    rows, head = _layer_rows(report)
    weights = _weight_rows(report)
    hypotheses = "".join(
        f'<tr><td>{escape(name)}</td><td class="{"good" if h.holds else "bad"}">'
        f"{'holds' if h.holds else 'fails'}</td><td>{escape(h.sentence)}</td></tr>"
        for name, h in report.hypotheses.items()
    )
    title = f"Layer {report.recommended} of {report.depth} recommended"
    return page(
        title,
        f"<h1>{escape(title)}</h1>\n<p>{escape(report.reason)}</p>\n"
        f"<p>{escape(start_line(report) or '')}</p>\n"
        f"<figure>{svg(report.plot())}</figure>\n"
        f"<h2>Layers</h2>\n<table>{head}{rows}</table>\n"
        '<p class="note">Standard errors in brackets, in units of the last digit.</p>\n'
        f"<h2>Hypotheses on this network</h2>\n<table>{hypotheses}</table>\n"
        f"<h2>Weights</h2>\n<table>{weights}</table>\n",
    )


def _layer_rows(report: Inspection) -> tuple[str, str]:
    names = ["layer", "signal", "largest signal fractions", "effective rank", "spread"]
    names += [
        "exponent",
        "law",
        "gap",
        "start law's gap",
        "imbalance",
        *report.accuracy,
        "label's share",
        "indicator",
    ]
    rows = []
    for i in range(report.depth):
        fractions = ", ".join(f"{x:.2f}" for x in report.signal_fractions[i, :4])
        at = lambda value, error, i=i: (
            "-" if value is None or error is None else _with_error(value[i], error[i])
        )
        cells = [
            str(i + 1),
            at(report.signal, report.signal_error),
            fractions,
            at(report.effective_rank, report.effective_rank_error),
            at(report.spread, report.spread_error),
            at(report.exponents, report.exponents_error),
            f"{report.shares[i]:.3g}",
            "-" if report.law_gap is None else f"{report.law_gap[i]:.2g}",
            at(report.start_gap, report.start_gap_error),
            "-"
            if report.imbalance is None or i >= len(report.imbalance)
            else f"{report.imbalance[i]:.2g}",
            *(at(report.accuracy[name], report.accuracy_error[name]) for name in report.accuracy),
            at(report.label_weight, report.label_weight_error),
            at(report.indicator, report.indicator_error),
        ]
        rows.append(
            "<tr>" + "".join(f'<td class="number">{escape(c)}</td>' for c in cells) + "</tr>"
        )
    head = "<tr>" + "".join(f"<th>{escape(n)}</th>" for n in names) + "</tr>"
    return "".join(rows), head


def _weight_rows(report: Inspection) -> str:
    head = "<tr><th></th>" + "".join(f"<th>layer {i + 1}</th>" for i in range(report.depth))
    rows = [head + "<th></th></tr>"]
    for k, name in enumerate(report.features):
        cells = [
            _with_error(w[k], e[k])
            for w, e in zip(report.weights, report.weights_error, strict=True)
        ]
        note = "" if report.kept[k] else "not told from zero in every layer"
        rows.append(f"<tr><td>{escape(name)}</td>{_numbers(cells)}<td>{note}</td></tr>")
    return "".join(rows)


def _numbers(cells: list[str]) -> str:
    return "".join(f'<td class="number">{escape(cell)}</td>' for cell in cells)


def _both(value: float, error: float) -> Shown:
    return Shown(_with_error(value, error), (float(value), float(error)))


def _number(value: float | None, digits: str = ".2g") -> Shown:
    if value is None:
        return Shown("-", (None,))
    return Shown(f"{value:{digits}}", (float(value),))


def _with_error(value: float, error: float) -> str:
    """A number to the digit of its error, which is in brackets: 0.912(8)."""
    if not error > 0:
        return f"{value:.4g}"
    places = max(0, -int(np.floor(np.log10(error))))
    if places > 4:
        return f"{value:.4f}"
    digits = round(error * 10**places)
    if digits == 10 and places:
        places, digits = places - 1, 1
    return f"{value:.{places}f}({digits:g})"

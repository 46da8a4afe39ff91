"""`projhead inspect`: a network of the user's own, layer by layer."""

from typing import Annotated

import typer

from . import _options as options


def inspect(
    file: Annotated[
        str,
        typer.Argument(
            metavar="FILE.npz|FOLDER",
            help="x1, x2 and weights_1, weights_2, ...; or layer_1_x1, layer_1_x2, layer_2_x1, "
            "..., in an npz file or as npy files of a folder.",
        ),
    ],
    labels: Annotated[
        str | None,
        typer.Option(
            metavar="NAME|FILE.npy",
            help="Array of class labels in the file, or an npy file; by default labels.",
        ),
    ] = None,
    shots: Annotated[int, typer.Option(help="Labels of each class of the few-shot probe.")] = 5,
    seed: options.Seed = 0,
    json: options.Json = None,
    csv: options.Csv = None,
    html: Annotated[
        str | None, typer.Option(metavar="FILE", help="Write one page with figures.")
    ] = None,
    precision: options.Precision = "float64",
) -> int:
    """Say what each layer of a network weights, which layer to keep, and which hypotheses of the
    theory hold on it.
    """
    options.set_precision(precision)
    options.require_outputs(json=json, csv=csv, html=html)
    from rich.console import Console

    from .. import report as reports
    from ..inspect import inspect_file

    found = inspect_file(file, labels=labels, shots=shots, seed=seed)
    if json is not None:
        reports.write_json(found.to_dict(), json)
    if html is not None:
        reports.write_html(reports.inspection_html(found), html)
    table = reports.inspection_table(found)
    if csv is not None:
        reports.write_csv(table, csv)
    if "-" not in (json, csv):
        console = Console()
        reports.print_table(table, console)
        console.print(found.reason, highlight=False, markup=False)
        if (start := reports.start_line(found)) is not None:
            console.print(start, highlight=False, markup=False)
        for line in reports.hypotheses_lines(found):
            console.print(line, highlight=False, markup=False)
    return 0

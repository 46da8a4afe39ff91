from ._claims import (
    SCHEMA,
    claim_rows,
    claims_report,
    claims_table,
    search_lines,
    search_report,
    search_table,
    summary,
)
from ._convergence import convergence_report, convergence_table
from ._downstream import (
    complexity_report,
    complexity_table,
    phase_report,
    phase_table,
)
from ._experiments import experiment_report, experiment_table
from ._explorer import explorer_formulas, explorer_html
from ._html import claims_html, write_html
from ._inspection import hypotheses_lines, inspection_html, inspection_table, start_line
from ._json import environment, write_json
from ._markdown import claims_markdown, write_markdown
from ._prediction import prediction_report, prediction_table
from ._printed import print_table
from ._run import comparison_table, trajectory_report
from ._sheet import Sheet, Shown, write_csv

__all__ = [
    "SCHEMA",
    "Sheet",
    "Shown",
    "claim_rows",
    "claims_html",
    "claims_markdown",
    "claims_report",
    "claims_table",
    "comparison_table",
    "complexity_report",
    "complexity_table",
    "convergence_report",
    "convergence_table",
    "environment",
    "experiment_report",
    "experiment_table",
    "explorer_formulas",
    "explorer_html",
    "hypotheses_lines",
    "inspection_html",
    "inspection_table",
    "phase_report",
    "phase_table",
    "prediction_report",
    "prediction_table",
    "print_table",
    "search_lines",
    "search_report",
    "search_table",
    "start_line",
    "summary",
    "trajectory_report",
    "write_csv",
    "write_html",
    "write_json",
    "write_markdown",
]

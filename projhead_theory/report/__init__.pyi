from ._claims import claims_report, claims_table
from ._json import environment, write_json
from ._prediction import prediction_report, prediction_table
from ._run import comparison_table, trajectory_report

__all__ = [
    "claims_report",
    "claims_table",
    "comparison_table",
    "environment",
    "prediction_report",
    "prediction_table",
    "trajectory_report",
    "write_json",
]

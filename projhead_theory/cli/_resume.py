"""Claims that an interrupted run of `projhead verify` has decided, read from its report."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ._options import bad


def decided(path: str, names: list[str], seed: int, quick: bool) -> list[dict[str, Any]]:
    """Entries of the claims that a report has, none if there is no such file.

    **Arguments:**

    - `path`: the file that `--json` names.
    - `names`: the claims of this run, which share one error rate.
    - `seed`, `quick`: options of this run.

    **Raises:** `ValueError` for a file that is no report of claims, and for one of a run with other
    claims, options, versions or device, with the first difference.
    """
    from .. import report

    if not Path(path).exists():
        return []
    wanted = "a report that --json has written, or a new file"
    try:
        data = json.loads(Path(path).read_bytes())
        schema, before, entries = data["schema"], dict(data["environment"]), data["claims"]
        begun = {entry["name"]: entry["verified"] for entry in entries}
        begun |= dict.fromkeys(data["missing"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise bad("resume", f"{path}, which is no report of claims", wanted) from error
    now = {**report.environment(), "seed": seed, "quick": quick}
    pairs = {"schema": (schema, report.SCHEMA)}
    pairs |= {name: (before.get(name), now.get(name)) for name in (*now, *before)}
    found = [f"with {name} {old}; now {new}" for name, (old, new) in pairs.items() if old != new]
    found += [f"with the claim {name}; now without it" for name in begun if name not in names]
    found += [f"without the claim {name}; now with it" for name in names if name not in begun]
    if found:
        more = f" ({len(found) - 1} more)" if len(found) > 1 else ""
        raise bad("resume", f"{path}, begun {found[0]}{more}", "the same as then, or a new file")
    return entries

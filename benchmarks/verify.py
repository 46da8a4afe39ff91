r"""Cost of checking every claim.

Claim: `projhead verify --quick` takes a fraction of the processor time and of the compiled programs
of an earlier release; its first row stands within seconds; and with `--cache` the second run takes
less again.

The work: the command itself, in a process of its own with one worker, as a user runs it with its
output piped. Processor seconds are those of the process, imports included. The first row is the
first line on standard output that names a claim. Programs are counted from JAX's own log. The runs
are made in turn: the earlier release, this one without a cache, one that fills the cache, one that
finds it full.

    git worktree add /tmp/earlier RELEASE
    python benchmarks/verify.py --earlier /tmp/earlier
    python benchmarks/verify.py --quick --json -
"""

import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

from common import parse, parser, place, surroundings, tell

HERE = Path(__file__).resolve().parents[1]
COMMAND = "import sys; from projhead_theory.cli import main; main(sys.argv[1:])"
FEW = "layerwise-law", "flow-times"


def ran(checkout, names, extra):
    """Costs of one run of the command in a checkout."""
    begin = time.perf_counter()
    process = subprocess.Popen(
        [sys.executable, "-c", COMMAND, "verify", *names, "--quick", "--workers", "1", *extra],
        cwd=tempfile.gettempdir(),
        env=os.environ | {"PYTHONPATH": str(checkout), "JAX_LOG_COMPILES": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stderr is not None
    log = []
    reader = threading.Thread(target=log.extend, args=(process.stderr,))
    reader.start()
    first = None
    for line in process.stdout:
        if first is None and (" holds " in line or " violated " in line):
            first = time.perf_counter() - begin
    reader.join()
    _, status, used = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        raise SystemExit(f"{checkout}: the command ended with {process.returncode}\n{log[-1:]}")
    return {
        "processor_seconds": used.ru_utime + used.ru_stime,
        "seconds": time.perf_counter() - begin,
        "first_row_seconds": first,
        "programs": sum("Finished XLA compilation of" in line for line in log),
        "peak_mebibytes": used.ru_maxrss / 1024,
    }


def measure(earlier, names, repeats):
    where = surroundings()
    runs = {}
    for _ in range(repeats):
        with tempfile.TemporaryDirectory() as folder:
            cases = {
                "this": (HERE, ()),
                "this, filling the cache": (HERE, (f"--cache={folder}",)),
                "this, cache full": (HERE, (f"--cache={folder}",)),
            }
            if earlier:
                cases = {"earlier": (earlier, ())} | cases
            for name, (checkout, extra) in cases.items():
                runs.setdefault(name, []).append(ran(checkout, names, extra))
    base = "earlier" if earlier else "this"
    ratios = {
        name: statistics.median(
            one["processor_seconds"] / other["processor_seconds"]
            for one, other in zip(costs, runs[base], strict=True)
        )
        for name, costs in runs.items()
    }
    return {
        "benchmark": "verify",
        "setup": {"claims": list(names) or "all", "repeats": repeats, "base": base},
        **where,
        "runs": runs,
        "ratio_of_processor_time": ratios,
    }


def table(report):
    yield f"projhead verify --quick --workers 1, claims: {report['setup']['claims']}"
    yield place(report)
    yield f"{'':26}{'processor s':>12}{'ratio':>8}{'first row s':>13}{'programs':>10}{'MiB':>8}"
    for name, costs in report["runs"].items():
        median = lambda key, costs=costs: statistics.median(cost[key] for cost in costs)
        first = (
            "-" if costs[0]["first_row_seconds"] is None else f"{median('first_row_seconds'):.1f}"
        )
        yield (
            f"{name:26}{median('processor_seconds'):12.1f}"
            f"{report['ratio_of_processor_time'][name]:8.2f}{first:>13}"
            f"{median('programs'):10.0f}{median('peak_mebibytes'):8.0f}"
        )


def main():
    wanted = parser(__doc__, repeats=(3, 1))
    wanted.add_argument("--earlier", metavar="DIR", help="a checkout of an earlier release")
    options = parse(wanted)
    report = measure(options.earlier, FEW if options.quick else (), options.repeats)
    tell(report, table, options.json)


if __name__ == "__main__":
    main()

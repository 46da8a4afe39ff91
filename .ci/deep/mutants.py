"""Mutants of the library's own code: each changes one expression, and its tests must fail.

    python .ci/deep/mutants.py --count 340 --workers 2 --json benchmarks/results/mutants.json

draws mutants from every file, runs the tests of the file on each, in a copy of the package, and
lists the survivors. Short files get more than their share. `--only FILE` takes the mutants of one
file, `--again RESULTS` the survivors of an earlier run.
"""

import argparse
import json
import os
import platform
import random
import shutil
import subprocess
import sys
import tempfile
import time
import tomllib
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from pathlib import Path

from mutations import Mutant, mutants_of

ROOT = Path(__file__).resolve().parents[2]
PACKAGE = "projhead_theory"

# By file of the package: the tests and the claims that should kill its mutants.
TESTS = tomllib.loads((Path(__file__).parent / "tests.toml").read_text())
# Folders whose files are for the tests of the folder of the same name, unless they have an entry.
FOLDERS = ("_core", "losses", "networks", "probes", "simulation", "theory")


def arguments(file: str) -> list[str]:
    """Pytest arguments for the tests of a file's mutants; none if the file has no mutants."""
    path, entry = Path(file), TESTS.get(file, {})
    if not entry and not path.name.startswith("__"):
        if path.parts[0] in FOLDERS:
            own = sorted((ROOT / "tests" / path.parent).glob("test_*.py"))
            entry = {"tests": [f"{path.parent}/{test.stem}" for test in own]}
        elif path.parts[0] == "theorems" and len(path.parts) == 3 and "/_" not in file:
            entry = {"claims": [path.stem.replace("_", "-")]}
    return [f"tests/{name}.py" for name in entry.get("tests", ())] + [
        "tests/theorems/test_claims.py::"
        f"test_claim_holds_its_controls_are_caught_and_other_numbers_compile_nothing[{claim}]"
        for claim in entry.get("claims", ())
    ]


def drawn(package: Path, count: int, seed: int, only: str | None) -> list[Mutant]:
    """Draw mutants from every file, with operators in turn.

    The share of a file is proportional to the square root of its number of mutants, so that short
    files are not left out.
    """
    rng = random.Random(seed)
    groups = {}
    for path in sorted(package.rglob("*.py")):
        file = str(path.relative_to(package))
        if arguments(file) and (only is None or file == only):
            groups[file] = mutants_of(path, package)
    groups = {file: found for file, found in groups.items() if found}
    weight = {file: len(found) ** 0.5 for file, found in groups.items()}
    total, chosen = sum(weight.values()), []
    for file, found in groups.items():
        share = max(1, round(count * weight[file] / total))
        by_operator: dict[str, list[Mutant]] = {}
        for mutant in rng.sample(found, len(found)):
            by_operator.setdefault(mutant.operator, []).append(mutant)
        by_operator = dict(sorted(by_operator.items(), key=lambda item: item[0] != "tolerance"))
        turns = [
            m
            for turn in zip(*(pad(v, len(found)) for v in by_operator.values()), strict=True)
            for m in turn
            if m is not None
        ]
        chosen += turns[:share]
    return chosen


def same(earlier: dict, package: Path) -> Mutant | None:
    """Mutant of an earlier run in the present code.

    The nearest if there are several, None if its expression or its file is gone.
    """
    path = package / earlier["file"]
    found = mutants_of(path, package) if path.exists() else []
    alike = [
        m
        for m in found
        if (m.operator, m.old, m.new) == (earlier["operator"], earlier["old"], earlier["new"])
    ]
    return min(alike, key=lambda m: abs(m.line - earlier["line"]), default=None)


def pad(items: list[Mutant], length: int) -> list[Mutant | None]:
    return [*items, *[None] * (length - len(items))]


# Third parties are imported once and each mutant runs in a fork, before JAX starts its threads.
SERVER = """import os, sys
import diffrax, equinox, jax, optax, pytest, scipy.optimize, scipy.stats, sympy
for line in sys.stdin:
    where, seconds, log, *args = line.rstrip("\\n").split("\\t")
    child = os.fork()
    if child == 0:
        import signal
        signal.signal(signal.SIGALRM, signal.SIG_DFL)
        signal.alarm(int(seconds))
        out = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(out, 1); os.dup2(out, 2)
        os.chdir(where)
        sys.path.insert(0, where)
        code = pytest.main(args)
        sys.stdout.flush()
        os._exit(int(code))
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


def run(
    mutants: list[Mutant],
    workers: int,
    seconds: int,
    unchanged: bool,
    keep: Callable[[list[dict]], None],
) -> list[dict]:
    """Outcome of each mutant.

    Mutants of one file follow one another in one worker, so that compiled programs are shared on
    disk. `keep` is called with the outcomes so far, in the order of the mutants, after each.
    """
    with tempfile.TemporaryDirectory() as temporary:
        folders = []
        for number in range(workers):
            folder = Path(temporary) / str(number)
            folder.mkdir()
            shutil.copytree(
                ROOT / PACKAGE, folder / PACKAGE, ignore=shutil.ignore_patterns("__pycache__")
            )
            for name in ("tests", "examples"):
                shutil.copytree(
                    ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__")
                )
            for name in ("pyproject.toml", "README.md"):
                shutil.copy(ROOT / name, folder / name)
            folders.append(folder)
        environment = os.environ | {
            "JAX_COMPILATION_CACHE_DIR": str(Path(temporary) / "programs"),
            "JAX_PERSISTENT_CACHE_MIN_COMPILE_TIME_SECS": "0",
            "JAX_PERSISTENT_CACHE_MIN_ENTRY_SIZE_BYTES": "-1",
            "PYTHONDONTWRITEBYTECODE": "1",
            "CI": "1",
        }
        begin, done = time.time(), 0
        free = list(folders)
        servers = {
            f: subprocess.Popen(
                [sys.executable, "-c", SERVER],
                stdin=-1,
                stdout=-1,
                text=True,
                env=environment,
                cwd=f,
            )
            for f in folders
        }

        def tested(folder: Path, tests: list[str], limit: int) -> tuple[int, list[str]]:
            log, server = folder / "log", servers[folder]
            flags = [
                "-x",
                "-q",
                "-n0",
                "-p",
                "no:cacheprovider",
                "--no-header",
                "-W",
                "ignore::pytest.PytestAssertRewriteWarning",
            ]
            assert server.stdin is not None
            assert server.stdout is not None
            print(
                "\t".join([str(folder), str(limit), str(log), *flags, *tests]),
                file=server.stdin,
                flush=True,
            )
            code = int(server.stdout.readline())
            return code, log.read_text(
                errors="replace"
            ).strip().splitlines() if log.exists() else []

        def plain(tests: tuple[str, ...]) -> str | None:
            """Failure of the tests without any mutation, None if they pass.

            After a failure no mutant can be told from the unchanged code.
            """
            folder = free.pop()
            try:
                code, lines = tested(folder, list(tests), 3600)
            finally:
                free.append(folder)
            print(
                f"unchanged: {'passed' if code == 0 else 'FAILED'} "
                f"{' '.join(test.split('::')[-1][-60:] for test in tests)}",
                flush=True,
            )
            return None if code == 0 else "\n".join(lines[-20:])

        def one(mutant: Mutant) -> dict:
            nonlocal done
            folder = free.pop()
            target = folder / PACKAGE / mutant.file
            original = target.read_bytes()
            start = time.time()
            try:
                target.write_bytes(
                    original[: mutant.start] + mutant.new.encode() + original[mutant.stop :]
                )
                code, lines = tested(folder, arguments(mutant.file), seconds)
                tail = lines
            finally:
                target.write_bytes(original)
                free.append(folder)
            by = next(
                (
                    row.split(" - ")[0].removeprefix("FAILED ").removeprefix("ERROR ")
                    for row in tail
                    if row.startswith(("FAILED", "ERROR"))
                ),
                "",
            )
            outcome = (
                "survived"
                if code == 0
                else "killed"
                if code in (1, 2)
                else "timeout"
                if code == -14
                else f"exit {code}"
            )
            done += 1
            left = (time.time() - begin) / done * (len(mutants) - done) / 60
            print(
                f"{done}/{len(mutants)} {outcome:9} {shown(mutant)} "
                f"[{time.time() - start:.0f} s, {left:.0f} min left] {by[-90:]}",
                flush=True,
            )
            return {
                **asdict(mutant),
                "outcome": outcome,
                "by": by,
                "seconds": round(time.time() - start, 1),
            }

        with ThreadPoolExecutor(workers) as pool:
            lists = dict.fromkeys(tuple(arguments(m.file)) for m in mutants) if unchanged else ()
            broken = [said for said in pool.map(plain, lists) if said]
            if broken:
                sys.exit("tests fail without any mutation:\n" + "\n".join(broken))
            begin, results = time.time(), []
            for result in pool.map(one, mutants):
                results.append(result)
                keep(results)
        for server in servers.values():
            server.kill()
        return results


def shown(mutant: Mutant) -> str:
    return (
        f"{mutant.file}:{mutant.line} {mutant.operator}: {short(mutant.old)} -> {short(mutant.new)}"
    )


def short(expression: str) -> str:
    line = " ".join(expression.split())
    return line if len(line) <= 70 else line[:67] + "..."


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--count", type=int, default=340)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", help="a file of the package, such as theory/_margin.py")
    parser.add_argument(
        "--again", type=Path, help="results of an earlier run, whose survivors are run again"
    )
    parser.add_argument("--workers", type=int, default=os.cpu_count() or 1)
    parser.add_argument("--seconds", type=int, default=400, help="the longest a mutant may run")
    parser.add_argument(
        "--no-unchanged",
        action="store_true",
        help="do not first run the tests on the code as it is",
    )
    parser.add_argument("--list", action="store_true", help="print the mutants and run none")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    package, converged, waiting = ROOT / PACKAGE, [], []
    if options.again:
        earlier = json.loads(options.again.read_text())["mutants"]
        converged = [r for r in earlier if r["outcome"] != "survived"]
        found = [(r, same(r, package)) for r in earlier if r["outcome"] == "survived"]
        waiting, chosen = [r for r, m in found if m], [m for _, m in found if m]
    else:
        chosen = drawn(package, options.count, options.seed, options.only)
    if options.list:
        for m in chosen:
            print(shown(m))
        print(len(chosen), dict(Counter(m.operator for m in chosen)))
        return
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, cwd=ROOT
    ).stdout.strip()

    def keep(results: list[dict]) -> Counter:
        """Write all outcomes in one move.

        With `--again`, also the earlier outcomes that stand and the mutants not yet run again.
        """
        merged = sorted(
            [*converged, *results, *waiting[len(results) :]], key=lambda r: (r["file"], r["line"])
        )
        counts = Counter(r["outcome"] for r in merged)
        if options.json:
            record = {
                "commit": commit,
                "machine": machine(),
                "seed": options.seed,
                "outcomes": counts,
                "mutants": merged,
            }
            temporary = options.json.with_suffix(".part")
            temporary.write_text(json.dumps(record, indent=1) + "\n")
            temporary.replace(options.json)
        return counts

    counts = keep(run(chosen, options.workers, options.seconds, not options.no_unchanged, keep))
    print(
        f"{counts.total()} mutants: {dict(counts)}; "
        f"survivors {counts['survived'] / counts.total():.1%}"
    )


def machine() -> str:
    model = next(
        (
            row.split(":")[1].strip()
            for row in Path("/proc/cpuinfo").read_text().splitlines()
            if "model name" in row
        ),
        platform.machine(),
    )
    return f"{model}, {os.cpu_count()} cores"


if __name__ == "__main__":
    main()

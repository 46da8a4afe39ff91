"""Exact networks that checks of claims must pass, and perturbed networks that they must fail.

    python .ci/deep/exact.py --tries 100000 --json benchmarks/results/exact.json

runs all claims whose networks can be set to the closed form, in both dtypes, at every width from 1
to three beyond the dimension and depths up to six, on moments of twelve decades, singular and
nearly singular moments among them. A perturbed network has a weight off by ten tolerances. Exits
with 1 at the first false alarm or miss.
"""

import argparse
import functools
import json
import os
import subprocess
import sys
from collections import Counter
from itertools import cycle
from pathlib import Path

NAMES = ("spectral-minimiser", "layerwise-law", "progressive-weighting", "sl-minimiser")
DEPTHS = cycle(range(1, 7))
SHAPES = tuple((d, *[width] * next(DEPTHS)) for d in range(1, 5) for width in range(1, d + 4))


def search(name: str, tries: int, seed: int, every: int) -> dict:
    import jax

    from projhead_theory.claims import search_exact
    from projhead_theory.cli._compiler import for_small_programs
    from projhead_theory.theorems import CLAIMS
    from projhead_theory.theorems._common.tasks import harder
    from projhead_theory.theorems.supervised.sl_minimiser import harder_regression

    for_small_programs()
    claim = CLAIMS[name]
    draw = harder_regression if name.startswith("sl-") else harder
    outcomes, off, seconds, found = Counter(), Counter(), 0.0, None
    shapes = SHAPES[::every]
    for number, sizes in enumerate(shapes):
        result = search_exact(
            claim, -(-tries // len(shapes)), seed + number, [functools.partial(draw, sizes=sizes)]
        )
        outcomes.update(result.outcomes)
        off.update(result.off)
        seconds += result.seconds
        shape = f"{name}, {jax.numpy.result_type(float)}, {'-'.join(map(str, sizes))}"
        print(f"{shape}: {result.outcomes}, off {result.off}", file=sys.stderr, flush=True)
        if not result.survived:
            found = result.to_dict()
            break
        jax.clear_caches()
    return {
        "name": name,
        "outcomes": outcomes,
        "off": off,
        "seconds": round(seconds, 1),
        "found": found,
    }


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument(
        "--tries", type=int, default=100_000, help="networks, over all claims and both dtypes"
    )
    parser.add_argument("--claims", nargs="+", default=NAMES, choices=NAMES)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--every", type=int, default=1, help="take one shape of so many: each compiles for itself"
    )
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--one",
        nargs=2,
        metavar=("CLAIM", "TRIES"),
        help="one claim in the dtype of this process, printed as JSON",
    )
    options = parser.parse_args()
    if options.one:
        print(json.dumps(search(options.one[0], int(options.one[1]), options.seed, options.every)))
        return
    results = {}
    for dtype, x64 in (("float64", "1"), ("float32", "0")):
        for name in options.claims:
            share = str(-(-options.tries // (2 * len(options.claims))))
            command = [
                sys.executable,
                __file__,
                "--seed",
                str(options.seed),
                "--every",
                str(options.every),
                "--one",
                name,
                share,
            ]
            output = subprocess.run(
                command,
                env=os.environ | {"JAX_ENABLE_X64": x64},
                stdout=subprocess.PIPE,
                text=True,
                check=True,
            ).stdout
            results[f"{name}, {dtype}"] = json.loads(output)
    total, off = (
        sum((Counter(r[key]) for r in results.values()), Counter()) for key in ("outcomes", "off")
    )
    print(
        f"{sum(total.values())} networks of the closed form: {dict(total)}; "
        f"{sum(off.values())} with a weight off: {dict(off)}"
    )
    if options.json:
        commit = subprocess.run(
            ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True
        ).stdout.strip()
        record = {
            "commit": commit,
            "seed": options.seed,
            "shapes": SHAPES[:: options.every],
            "exact": total,
            "off": off,
            "claims": results,
        }
        options.json.write_text(json.dumps(record, indent=1) + "\n")
    sys.exit(any(r["found"] for r in results.values()))


if __name__ == "__main__":
    main()

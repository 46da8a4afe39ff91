"""The experiments on images, with a record of each.

Claim: the side of the head that the theory prefers, from the layer below the head alone, is the one
that reads the labels better.

Each experiment is run at the size of `--quick`, and its record written as soon as it ends. Runs go
on from the checkpoints in `--out`.

    python benchmarks/images.py --seeds 5 --out DIR
"""

import argparse
import subprocess
import sys
from pathlib import Path

import jax
from common import surroundings

import projhead_theory as pt

NAMES = ("spurious_correlation", "coarse_to_fine", "digit_on_photograph", "shift")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seeds", type=int, default=5, help="seeds of each condition")
    parser.add_argument("--out", required=True, metavar="DIR", help="records and checkpoints")
    parser.add_argument("--names", nargs="*", default=NAMES, choices=NAMES)
    for name in ("strengths", "drops"):
        text = f"{name} of digit_on_photograph, instead of its own"
        parser.add_argument(f"--{name}", type=float, nargs="*", help=text)
    options = parser.parse_args()
    chosen = {name: getattr(options, name) for name in ("strengths", "drops")}
    given = {"digit_on_photograph": {k: v for k, v in chosen.items() if v}}
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for name in options.names:
        run = getattr(pt.images, name)
        result = run(quick=True, seeds=options.seeds, out=out, progress=True, **given.get(name, {}))
        record = {"commit": commit, **surroundings(), **result.to_dict()}
        pt.report.write_json(record, out / f"images-{result.name}-cpu-2core.json")
        pt.figures.save(result.plot(), out / f"{result.name}.png")
        pt.report.print_table(result.table())
        sys.stdout.flush()
        jax.clear_caches()


if __name__ == "__main__":
    main()

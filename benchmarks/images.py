"""The experiments on images, with a record of each.

Claim: before the head of a network trained on images, few labels are read at least as well as after
it where the training loss removes what the labels need; and the theory says on which side, from the
layer below the head alone.

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
    options = parser.parse_args()
    out = Path(options.out)
    out.mkdir(parents=True, exist_ok=True)
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=True
    ).stdout.strip()
    for name in options.names:
        run = getattr(pt.images, name)
        result = run(quick=True, seeds=options.seeds, out=out, progress=True)
        record = {"commit": commit, **surroundings(), **result.to_dict()}
        pt.report.write_json(record, out / f"images-{result.name}-cpu-2core.json")
        pt.figures.save(result.plot(), out / f"{result.name}.png")
        pt.report.print_table(result.table())
        sys.stdout.flush()
        jax.clear_caches()


if __name__ == "__main__":
    main()

"""Problems, surroundings, options and records that all benchmarks share."""

import argparse
import importlib.metadata
import json
import os
import platform
import sys
import time
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np

import projhead_theory as pt
from projhead_theory._core.files import write_atomically

try:
    import torch
except ImportError:
    torch = None

DIM = 8


def problems(count, dtype):
    """Random moments and Gaussian starts, one of each for every problem.

    The moments have signal fractions 0.9 to 0.2 in random position and condition number 5.
    """
    fractions = jnp.linspace(0.9, 0.2, DIM, dtype=dtype)
    draw = jax.vmap(lambda key: pt.problems.random_moments(key, fractions, condition=5.0))
    start = jax.vmap(lambda key: pt.DeepLinear.init(key, (DIM, DIM, DIM), scale=0.3, dtype=dtype))
    return start(jax.random.split(jax.random.key(0), count)), draw(
        jax.random.split(jax.random.key(1), count)
    )


@jax.jit
@jax.vmap
def closed_form(moments):
    """End-to-end Gram of a trained network of two layers."""
    return pt.theory.layers.layerwise(moments, 2).grams[-1]


def distances(layers, wanted):
    """Distance of each end-to-end Gram of two layers from the one wanted, relative to its norm."""
    product = np.asarray(layers[1]) @ np.asarray(layers[0])
    norm = lambda x: np.sqrt(np.sum(np.square(x), axis=(1, 2)))
    return norm(product.swapaxes(1, 2) @ product - wanted) / norm(wanted)


def torch_device():
    return "cuda" if torch.cuda.is_available() else "cpu"


def synchronise():
    if torch.cuda.is_available():
        torch.cuda.synchronize()


def processor():
    """Name of the processor, and number of cores this process may use."""
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
        name = next(
            line.split(":", 1)[1].strip() for line in lines if line.startswith("model name")
        )
    except (OSError, StopIteration):
        name = platform.processor() or platform.machine()
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    return {"name": name, "cores": cores}


def surroundings():
    """Device, threads, versions and load of the measurement."""
    packages = ["projhead_theory", "jax", "jaxlib", "equinox", "optax", "numpy"] + (
        ["torch"] if torch else []
    )
    versions = {"python": platform.python_version()}
    for name in packages:
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            versions[name] = getattr(sys.modules.get(name), "__version__", "unknown")
    device = {
        "platform": jax.default_backend(),
        "jax": jax.devices()[0].device_kind,
        "processor": processor(),
    }
    if torch:
        device["torch"] = torch.cuda.get_device_name() if torch.cuda.is_available() else "cpu"
    threads = {"torch": torch.get_num_threads() if torch else None}
    settings = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS", "XLA_FLAGS")
    threads |= {name: os.environ[name] for name in settings if name in os.environ}
    return {
        "device": device,
        "threads": threads,
        "versions": versions,
        "load_before": os.getloadavg() if hasattr(os, "getloadavg") else None,
    }


def timed(runs, repeats):
    """Seconds of every repeat of each run, by name: all runs once, then all again."""
    seconds = {name: [] for name in runs}
    for _ in range(repeats):
        for name, go in runs.items():
            begin = time.perf_counter()
            go()
            seconds[name].append(time.perf_counter() - begin)
    return seconds


def place(report):
    """Line of a table that names the device."""
    device = report["device"]
    processor = device["processor"]
    return f"on {device['jax']} ({processor['name']}, {processor['cores']} cores)"


def parser(document, repeats, count=None):
    """Options of every benchmark; `repeats` and `count` are defaults, in full and with --quick.

    Without a `count` there is no number of problems to choose.
    """
    result = argparse.ArgumentParser(description=document.split("\n\n")[1].replace("\n", " "))
    result.add_argument(
        "--quick", action="store_true", help="fewer problems and steps: does it run, not how fast"
    )
    result.add_argument(
        "--json", metavar="FILE", help="write the figures there as JSON; - for standard output"
    )
    sizes = {"repeats": (repeats, "timed runs of each")}
    if count is not None:
        sizes["count"] = (count, "number of problems")
    for name, ((full, quick), what) in sizes.items():
        result.add_argument(f"--{name}", type=int, help=f"{what} (default {full}, or {quick})")
    result.set_defaults(sizes={name: default for name, (default, _) in sizes.items()})
    return result


def parse(parser):
    """Options, checked, and with defaults for what is not given."""
    options = parser.parse_args()
    for name, (full, quick) in options.sizes.items():
        value = getattr(options, name)
        if value is None:
            setattr(options, name, quick if options.quick else full)
        elif value < 1:
            parser.error(f"--{name}: got {value}; want at least 1")
    return options


def tell(report, table, target):
    """Print the table, and write the record to a file, or to standard output for a dash.

    The table then goes to standard error.
    """
    print("\n".join(table(report)), file=sys.stderr if target == "-" else sys.stdout)
    text = json.dumps(report, indent=2) + "\n"
    if target == "-":
        sys.stdout.write(text)
    elif target:
        Path(target).parent.mkdir(parents=True, exist_ok=True)
        write_atomically(target, lambda file: file.write(text.encode()))

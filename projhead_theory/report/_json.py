"""Results as JSON."""

import json
import platform
import sys
from pathlib import Path
from typing import Any

from .._core.files import write_atomically


def environment() -> dict[str, Any]:
    """Environment that a result depends on: versions, device, default precision."""
    import diffrax
    import equinox
    import jax
    import numpy
    import optax

    import projhead_theory

    device = jax.devices()[0]
    return {
        "projhead_theory": projhead_theory.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        "jax": jax.__version__,
        "diffrax": diffrax.__version__,
        "equinox": equinox.__version__,
        "optax": optax.__version__,
        "numpy": numpy.__version__,
        "device": device.device_kind,
        "backend": device.platform,
        "float": "float64" if jax.config.read("jax_enable_x64") else "float32",
    }


def write_json(data: Any, destination: str | Path) -> None:
    """Write to a file, atomically, or to standard output if `destination` is `-`.

    A NaN is an error, not a value.

    **Raises:** `ValueError` if the file cannot be written, or a number is not finite.
    """
    text = json.dumps(data, indent=2, allow_nan=False) + "\n"
    if str(destination) == "-":
        sys.stdout.write(text)
    else:
        write_atomically(destination, lambda file: file.write(text.encode()), "json")

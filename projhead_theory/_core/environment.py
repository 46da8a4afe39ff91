"""Environment that a result depends on."""

import functools
import platform
from importlib.metadata import version
from typing import Any

import jax

version_of = functools.cache(version)
"""Version of an installed package, whose record is read once."""


def environment() -> dict[str, Any]:
    """Environment that a result depends on: versions, device, default precision."""
    import projhead_theory

    device = jax.devices()[0]
    packages = ("jax", "diffrax", "equinox", "optax", "numpy")
    return {
        "projhead_theory": projhead_theory.__version__,
        "python": platform.python_version(),
        "platform": platform.platform(),
        **{name: version_of(name) for name in packages},
        "device": device.device_kind,
        "backend": device.platform,
        "float": "float64" if jax.config.read("jax_enable_x64") else "float32",
    }

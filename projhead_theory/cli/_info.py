"""`projhead info`: what results depend on, for a report of a fault."""

from . import _cache
from . import _options as options


def info(json: options.Json = None) -> None:
    """Show versions, devices, precision and the folder of the compilation cache."""
    import jax

    from ..report import environment, write_json

    data = environment() | {
        "devices": [device.device_kind for device in jax.devices()],
        "cache": str(_cache.place(_cache.DEFAULT)),
    }
    if json is not None:
        write_json(data, json)
    if json != "-":
        for name, value in data.items():
            print(f"{name:16} {', '.join(value) if isinstance(value, list) else value}")

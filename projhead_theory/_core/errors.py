"""Uniform error messages.

The module imports nothing, so that the command line can report an error before JAX is loaded.
"""


def bad(name: str, came: object, wanted: str) -> ValueError:
    """Build an error that names the argument, the value received and the requirement."""
    return ValueError(f"{name}: got {came}; want {wanted}")

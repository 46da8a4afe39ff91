"""Uniform error messages.

The module imports nothing heavy, so that the command line can report an error before JAX is loaded.
"""

from collections.abc import Iterable


def bad(name: str, came: object, wanted: str) -> ValueError:
    """Build an error that names the argument, the value received and the requirement."""
    return ValueError(f"{name}: got {came}; want {wanted}")


def unknown(kind: str, name: str, known: Iterable[str]) -> ValueError:
    """Build an error for an unknown name, with the known name that is most like it."""
    import difflib

    near = difflib.get_close_matches(name, list(known), n=1, cutoff=0.0)[0]
    return ValueError(f"{kind}: got {name!r}, which is unknown; did you mean {near!r}?")

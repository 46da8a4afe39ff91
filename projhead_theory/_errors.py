"""The library's one form of complaint. It needs nothing, so that the command line can complain before JAX is loaded."""


def bad(name: str, came: object, wanted: str) -> ValueError:
    """An error that names the argument, what came, and what is wanted."""
    return ValueError(f"{name}: got {came}; want {wanted}")

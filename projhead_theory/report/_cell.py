"""A number in a table."""


def cell(x: float | None) -> str:
    """A number with four digits, or a question mark if there is none."""
    return "?" if x is None else f"{x:.4g}"

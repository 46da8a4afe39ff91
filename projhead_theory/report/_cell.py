"""A number in a table."""


def cell(x: float | None) -> str:
    """Six digits; a question mark for what has no value."""
    return "?" if x is None else f"{x:.6g}"

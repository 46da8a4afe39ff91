"""Names of the entries of an enumeration, for reports and tables."""

from typing import Any

import equinox as eqx


def names(enumeration: type[eqx.Enumeration]) -> tuple[str, ...]:
    """Names of the entries, in their order."""
    return tuple(enumeration._name_to_item)


def name_of(enumeration: type[eqx.Enumeration], item: Any) -> str:
    """Name of one entry, known when Python runs."""
    return next(name for name in names(enumeration) if bool(item == getattr(enumeration, name)))

"""Registry of claims by name."""

from __future__ import annotations

import importlib.util
import pydoc
from collections import UserDict
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from .._core import unknown

if TYPE_CHECKING:
    from ._claim import Claim


class Registry(UserDict[str, "Claim"]):
    """Claims by name, each imported on its first use.

    **Arguments:**

    - `modules`: for each claim, in the order in which claims are listed, its name and the module
        whose `CLAIM` it is.
    """

    def __init__(self, modules: Mapping[str, str]):
        self.modules = dict(modules)
        self.data: dict[str, Any] = dict.fromkeys(modules)

    def __getitem__(self, name: str) -> Claim:
        if self.data[name] is None:
            self.data[name] = importlib.import_module(self.modules[name]).CLAIM
        return self.data[name]

    def summary(self, name: str) -> str:
        """One line on a claim: the first of its file, which is not imported, or its statement.

        **Raises:** `KeyError` for an unknown name.
        """
        if name not in self.modules:
            return self[name].statement
        spec = importlib.util.find_spec(self.modules[name])
        line = pydoc.synopsis(spec.origin) if spec and spec.origin else ""
        return (line or "").partition(": ")[2]

    def register(self, claim: Claim) -> Claim:
        """Add a claim under its name.

        **Raises:** `ValueError` if another claim has that name.
        """
        if claim.name in self and self[claim.name] is not claim:
            raise ValueError(
                f"claim: got the name {claim.name!r}, which another claim has; want a new name"
            )
        self[claim.name] = claim
        return claim

    def known(self, names: Sequence[str] = ()) -> list[str]:
        """These names, each once, or all names if none is given.

        **Raises:** `ValueError` with the nearest name for one that is unknown.
        """
        for name in names:
            if name not in self:
                raise unknown("claim", name, self)
        return list(dict.fromkeys(names)) or list(self)

    def find(self, names: Sequence[str] = ()) -> list[Claim]:
        """Claims of these names, or all claims if none is given.

        **Raises:** as `known`.
        """
        return [self[name] for name in self.known(names)]

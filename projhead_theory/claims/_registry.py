"""Claims by name."""

import difflib
import importlib
from collections.abc import Iterator, Mapping, MutableMapping, Sequence

from ._claim import Claim


class Registry(MutableMapping[str, Claim]):
    """Claims by name, each imported when it is first asked for.

    **Arguments:**

    - `modules`: the name of a claim and of the module whose `CLAIM` it is, in the order in which claims are listed.
    """

    def __init__(self, modules: Mapping[str, str]):
        self._claims: dict[str, Claim | str] = dict(modules)

    def __getitem__(self, name: str) -> Claim:
        found = self._claims[name]
        if isinstance(found, str):
            found = self._claims[name] = importlib.import_module(found).CLAIM
        return found

    def __setitem__(self, name: str, claim: Claim) -> None:
        self._claims[name] = claim

    def __delitem__(self, name: str) -> None:
        del self._claims[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._claims)

    def __len__(self) -> int:
        return len(self._claims)

    def __contains__(self, name: object) -> bool:
        return name in self._claims

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

    def find(self, names: Sequence[str] = ()) -> list[Claim]:
        """The claims of these names, all if none is given.

        **Raises:** `ValueError` with the nearest name for one that is unknown.
        """
        for name in names:
            if name not in self:
                near = difflib.get_close_matches(name, self, n=1, cutoff=0.0)
                raise ValueError(
                    f"claim: got {name!r}, which is unknown; did you mean {near[0]!r}?"
                )
        return [self[name] for name in dict.fromkeys(names)] or list(self.values())

"""Verdicts made of blocks of rows, each judged alike."""

from collections.abc import Mapping
from typing import Any

import equinox as eqx
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._verdict import Verdict


class Rows(eqx.Module):
    """Rows of a verdict that are judged alike.

    Everything but the labels broadcasts to their number `k`: each field is a number or `(k,)`.

    - `labels`: one for each row.
    - `discrepancy`: the distances of prediction and measurement.
    - `parts`: the named sources of the tolerance. A source that only another block has is zero
        here.
    - `effect`: the differences that the check must be able to see.
    - `predicted`, `measured`: the plotted values, also `(k, m)`; by default zero, and the
        discrepancy.

    !!! example

        ```pycon
        >>> layers = pt.claims.Rows(
        ...     pt.claims.numbered("layer", 2), jnp.asarray([1e-9, 2e-9]), {"rounding": 1e-8}, 1.0
        ... )
        >>> loss = pt.claims.Rows(("loss",), 1e-3, {"stationarity": 1e-4}, 1.0)
        >>> print(pt.claims.verdict_of(layers, loss, what="relative discrepancy"))
        violated: 1.0e-03 against 1.0e-04 (stationarity 1e-04), relative discrepancy, worst at loss

        ```
    """

    labels: tuple[str, ...] = eqx.field(static=True)
    discrepancy: Any
    parts: Mapping[str, Any]
    effect: Any
    predicted: Any = 0.0
    measured: Any = None

    def column(self, values: Any, dtype: Any) -> Float[Array, " k"]:
        """These values, one for each row."""
        return jnp.broadcast_to(jnp.asarray(values, dtype), (len(self.labels),))

    def table(self, values: Any, dtype: Any) -> Float[Array, "k m"]:
        """These values, one number or row of numbers for each row."""
        values = jnp.asarray(values, dtype)
        return values if values.ndim == 2 else self.column(values, dtype)[:, None]


def numbered(what: str, count: int, first: int = 1) -> tuple[str, ...]:
    """Labels `what 1` to `what count`, or from another first number."""
    return tuple(f"{what} {i}" for i in range(first, first + count))


def verdict_of(
    *blocks: Rows,
    what: str,
    premises: Mapping[str, Any] | None = None,
    converged: Any = True,
    finite: Any = True,
) -> Verdict:
    """Verdict on all rows of some blocks, in their order.

    **Arguments:**

    - `blocks`: at least one. Plotted values of one column fit any other number of columns.
    - `what`, `premises`, `converged`, `finite`: as in `Verdict`.
    """
    dtype = jnp.result_type(*(block.discrepancy for block in blocks))
    column = lambda get: jnp.concatenate([b.column(get(b), dtype) for b in blocks])

    def table(get: Any) -> Float[Array, "k m"]:
        tables = [b.table(get(b), dtype) for b in blocks]
        width = max(t.shape[1] for t in tables)
        return jnp.concatenate([jnp.broadcast_to(t, (len(t), width)) for t in tables])

    return Verdict(
        discrepancy=column(lambda b: b.discrepancy),
        parts={
            name: column(lambda b, name=name: b.parts.get(name, 0.0))
            for name in dict.fromkeys(name for b in blocks for name in b.parts)
        },
        effect=column(lambda b: b.effect),
        predicted=table(lambda b: b.predicted),
        measured=table(lambda b: b.discrepancy if b.measured is None else b.measured),
        premises=dict(premises or {}),
        converged=converged,
        finite=finite,
        labels=tuple(label for b in blocks for label in b.labels),
        what=what,
    )

"""The interface of a probe: labelled representations in, a readout out."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer

from .._core import checks
from ._readout import Readout, Status


class AbstractProbe(eqx.Module):
    """A way to fit a linear readout to labelled representations."""

    @abc.abstractmethod
    def solve(
        self, x: Float[Array, "B n r"], labels: Integer[Array, "B n"], classes: int
    ) -> Readout:
        """Fit a batch of readouts, without checks; labels run from 0 to `classes` - 1."""

    def fit(
        self, representations: Any, labels: Any, *, classes: int | None = None, throw: bool = True
    ) -> Readout:
        """Fit one readout.

        **Arguments:**

        - `representations`: `(n, r)`.
        - `labels`: whole numbers from 0, `(n,)`.
        - `classes`: number of classes; by default the largest label plus one, which must then be
          known when Python runs.
        - `throw`: whether a fit that does not end as `Status.fitted` is an error.

        **Returns:** a `Readout`.

        **Raises:** `ValueError` for other shapes, numbers that are not finite, labels that are not
        whole numbers from 0, only one class, a class without a sample, or, with `throw`, a fit that
        did not end well.
        """
        x, y = _data(representations, labels, 2)
        batch = self._fit(x[None], y[None], classes, throw)
        return jax.tree.map(lambda a: a[0], batch)

    def fit_many(
        self, representations: Any, labels: Any, *, classes: int | None = None, throw: bool = True
    ) -> Readout:
        """Fit a batch of readouts of one shape.

        `representations` are `(B, n, r)` and `labels` `(B, n)`; all else is as in `fit`.
        """
        return self._fit(*_data(representations, labels, 3), classes, throw)

    def _fit(self, x: Array, y: Array, classes: int | None, throw: bool) -> Readout:
        known = checks.concrete(y)
        if classes is None:
            if known is None:
                raise checks.bad(
                    "classes", "None, of labels that are traced", "how many classes there are"
                )
            classes = int(known.max()) + 1
        if known is not None:
            _complete(known, classes)
        readout = self.solve(x, y, classes)
        if throw:
            for status in (Status.infeasible, Status.failed):
                bad = checks.concrete(readout.status == status)
                if bad is not None and bad.any():
                    which = f"{type(self).__name__}, fit {int(np.argmax(bad)) + 1} of {bad.size}"
                    raise checks.bad(
                        "representations",
                        f"{which}: {Status[status]}",
                        "a fit that ends well, or throw=False",
                    )
        return readout


def _data(representations: Any, labels: Any, ndim: int) -> tuple[Array, Array]:
    x = checks.floating("representations", representations)
    shape = ("(n, r)", "(B, n, r)")[ndim - 2]
    if x.ndim != ndim or 0 in x.shape:
        raise checks.bad(
            "representations", f"shape {x.shape}", f"an array {shape} of at least one of each"
        )
    checks.require("representations", x, np.isfinite, "finite numbers")
    y = checks.array(labels)
    if y.shape != x.shape[:-1] or not jnp.issubdtype(y.dtype, jnp.integer):
        raise checks.bad(
            "labels", f"shape {y.shape}, dtype {y.dtype}", f"whole numbers of shape {x.shape[:-1]}"
        )
    checks.require("labels", y, lambda v: v >= 0, "whole numbers from 0")
    return x, y


def _complete(labels: np.ndarray, classes: int) -> None:
    if labels.shape[1] < classes:
        raise checks.bad(
            "labels",
            f"{labels.shape[1]} samples",
            f"at least one sample of each of {classes} classes",
        )
    if labels.max() >= classes:
        raise checks.bad(
            "labels", f"class {labels.max()}", f"below {classes}, the number of classes"
        )
    for row in labels:
        present = np.unique(row)
        if len(present) == 1:
            raise checks.bad("labels", f"only class {present[0]}", "at least two classes")
        if len(present) < classes:
            absent = next(k for k in range(classes) if k not in present)
            raise checks.bad(
                "labels",
                f"no sample of class {absent}",
                f"at least one of each of {classes} classes",
            )


def signs(labels: Integer[Array | np.ndarray, "*B n"], classes: int, dtype: Any) -> Any:
    """Targets of each score: +1 for its class, -1 for the others.

    Two classes have one score, +1 for class 1.

    **Returns:** `(*B, n, K)`, a NumPy array if the labels are one.
    """
    own = np.arange(1, 2) if classes == 2 else np.arange(classes)
    return 2 * (labels[..., None] == own.astype(labels.dtype)).astype(dtype) - 1

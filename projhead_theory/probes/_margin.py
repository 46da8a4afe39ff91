"""Support vector machines, by an interior-point solver of quadratic programs."""

import abc
import importlib
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from .._core import checks
from ._probe import AbstractProbe, signs
from ._readout import Readout, Status

TOLERANCE = 1e-9


SEVERITY = (Status.fitted, Status.failed, Status.infeasible)
"""Statuses of a score. A fit has the worst of its scores."""


class AbstractMargin(AbstractProbe):
    """One quadratic program for each score.

    Runs on the host in float64, whatever the dtype; not under `jit`.
    """

    intercept: eqx.AbstractVar[bool]

    @abc.abstractmethod
    def program(self, z: np.ndarray, y: np.ndarray, scale: float) -> tuple[np.ndarray, float, Any]:
        """Solve for the data divided by `scale`: weights and intercept, margin, and `Status`."""

    def solve(self, x, labels, classes):
        data, known = checks.concrete(x), checks.concrete(labels)
        if data is None or known is None:
            raise checks.bad(
                "representations",
                "a traced array",
                "known numbers: a margin is found on the host, outside jit and vmap",
            )
        data, targets = data.astype(np.float64), signs(known, classes, np.float64)
        scale = np.abs(data).max(axis=(1, 2))
        z, basis = reduced(data / np.where(scale > 0, scale, 1)[:, None, None])
        count, k = targets.shape[0], targets.shape[2]
        weights, intercepts = np.zeros((count, k, x.shape[-1])), np.zeros((count, k))
        margins, worst = np.zeros((count, k)), np.zeros(count, int)
        for i in range(count):
            unit = scale[i] if scale[i] > 0 else 1.0
            for j in range(k):
                y = targets[i, :, j]
                v, margin, status = self.program(z[i], y, unit)
                worst[i] = max(worst[i], SEVERITY.index(status))
                if status == Status.infeasible:
                    continue
                w = v[: z.shape[2]]
                weights[i, j] = (w if basis is None else basis[i] @ w) / unit
                intercepts[i, j] = v[-1] if self.intercept else 0
                margins[i, j] = margin * unit
        status = jax.tree.map(lambda *x: jnp.asarray(x), *(SEVERITY[n] for n in worst))
        v, b, margin = (jnp.asarray(a, x.dtype) for a in (weights, intercepts, margins))
        return Readout(v, b, status, margin)


class HardMargin(AbstractMargin):
    r"""The separator of largest margin.

    $$\min \tfrac 12 \|v\|^2 \quad\text{with}\quad y_i (v^\top r_i + b) \ge 1
    \text{ for every sample}$$

    More than two classes: one against the rest, each score by itself. Where no separator exists
    the solver certifies it: the status is `infeasible`, the margin zero. Separable data with a
    margin below about $10^{-8}$ of their size may come back as `infeasible` or `failed`.

    Solved by Clarabel in float64, on the host: not under `jit` or `vmap`. With more dimensions
    than samples the problem is solved in the span of the samples, exactly.

    **Arguments:**

    - `intercept`: whether there is a $b$; it is zero otherwise.

    !!! example

        ```pycon
        >>> x, labels = jnp.asarray([[1.0, 0.0], [3.0, 5.0], [-1.0, 0.0]]), jnp.asarray([1, 1, 0])
        >>> readout = pt.probes.HardMargin().fit(x, labels)
        >>> round(float(readout.margin[0]), 3)
        1.0

        ```
    """

    intercept: bool = eqx.field(static=True, default=False)

    def program(self, z, y, scale):
        n, r = z.shape
        p = r + self.intercept
        rows = y[:, None] * _with_intercept(z, self.intercept)
        v, ended = _solve(
            np.concatenate([np.ones(r), np.zeros(p - r)]),
            np.zeros(p),
            _columns(-rows),
            -np.ones(n),
            n,
        )
        size = np.linalg.norm(v[:r])
        return (
            v,
            float((rows @ v).min() / size) if ended != Status.infeasible and size > 0 else 0.0,
            ended,
        )


class SoftMargin(AbstractMargin):
    r"""The soft-margin support vector machine.

    $$\min \tfrac 12 \|v\|^2 + \text{cost} \sum_i \max(0, 1 - y_i (v^\top r_i + b))$$

    The margin reported is $1 / \|v\|$, infinite if the optimum is $v = 0$. Solved as `HardMargin`.

    **Arguments:**

    - `cost`: positive, per sample.
    - `intercept`: whether there is a $b$, which is not penalised.

    **Raises:** `ValueError` for a cost that is not positive and finite.

    !!! example

        ```pycon
        >>> x, labels = jnp.asarray([[1.0], [-1.0]]), jnp.asarray([1, 0])
        >>> readout = pt.probes.SoftMargin(cost=0.25).fit(x, labels)
        >>> round(float(readout.margin[0]), 3)
        2.0

        ```
    """

    cost: Float[Array, ""]
    intercept: bool = eqx.field(static=True)

    def __init__(self, cost: Any, intercept: bool = False):
        self.cost, self.intercept = one_positive("cost", cost), intercept

    def program(self, z, y, scale):
        from scipy import sparse

        n, r = z.shape
        p = r + self.intercept
        rows = y[:, None] * _with_intercept(z, self.intercept)
        slack = sparse.dia_array((-np.ones((1, n)), 0), shape=(n, n))
        constraints = sparse.block_array([[_columns(-rows), slack], [None, slack]], format="csc")
        # Dividing data by a scale multiplies weights by it, and the cost by its square.
        # The objective is scaled to size one.
        cost = float(self.cost) * scale**2
        quadratic = np.concatenate([np.ones(r), np.zeros(p - r + n)]) / max(cost, 1)
        linear = np.concatenate([np.zeros(p), np.full(n, min(cost, 1))])
        v, ended = _solve(
            quadratic, linear, constraints, np.concatenate([-np.ones(n), np.zeros(n)]), 2 * n
        )
        size = np.linalg.norm(v[:r])
        return v[:p], 1 / size if size > 0 else np.inf, ended


def one_positive(name: str, value: Any) -> Array:
    """One positive finite number, as an array."""
    x = checks.positive(name, value)
    if x.ndim:
        raise checks.bad(name, f"shape {x.shape}", "one number")
    return x


def _with_intercept(z: np.ndarray, intercept: bool) -> np.ndarray:
    return np.concatenate([z, np.ones((len(z), 1))], axis=1) if intercept else z


def reduced(x: np.ndarray) -> tuple[np.ndarray, np.ndarray | None]:
    """Coordinates in the span of the samples with its orthonormal basis.

    The input and None if the span has no fewer dimensions.
    """
    if x.shape[2] <= x.shape[1]:
        return x, None
    q, r = np.linalg.qr(np.swapaxes(x, 1, 2))
    return np.swapaxes(r, 1, 2), q


def _columns(a: np.ndarray) -> Any:
    """A dense matrix in the sparse form that the solver takes.

    SciPy would look for zeros first, which takes as long as solving.
    """
    from scipy import sparse

    m, n = a.shape
    return sparse.csc_array(
        (a.ravel(order="F"), np.tile(np.arange(m), n), np.arange(0, m * n + 1, m)), shape=a.shape
    )


def _solve(
    quadratic: np.ndarray, linear: np.ndarray, a: Any, b: np.ndarray, count: int
) -> tuple[np.ndarray, Any]:
    r"""Minimise $\frac 12 x^\top \mathrm{diag}(\text{quadratic}) x + \text{linear}^\top x$.

    The constraints are $a x \le b$, with `a` sparse by columns.
    """
    from scipy import sparse

    clarabel: Any = importlib.import_module("clarabel")

    settings = clarabel.DefaultSettings()
    settings.verbose = False
    settings.tol_gap_abs = settings.tol_gap_rel = settings.tol_feas = TOLERANCE
    n = len(quadratic)
    diagonal = sparse.csc_array((quadratic, np.arange(n), np.arange(n + 1)), shape=(n, n))
    problem = (diagonal, linear, a, b, [clarabel.NonnegativeConeT(count)])
    solution = clarabel.DefaultSolver(*problem, settings).solve()
    # Almost solved, or almost certainly infeasible, counts as failed.
    codes = {
        clarabel.SolverStatus.Solved: Status.fitted,
        clarabel.SolverStatus.PrimalInfeasible: Status.infeasible,
    }
    code = next(
        (code for status, code in codes.items() if solution.status == status), Status.failed
    )
    return np.asarray(solution.x), code

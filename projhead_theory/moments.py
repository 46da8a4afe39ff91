r"""Moments that determine the losses of linear networks.

The contrastive loss of a linear network depends on two matrices: the cross moment
$C = E[x_1 x_2^\top]$ and the second moment $S = E[x_1 x_1^\top]$.
"""

from collections.abc import Iterable, Iterator
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ._core import checks
from ._core.linalg import eigh, matmul, symmetric, whiten


class TargetMoments(eqx.Module):
    r"""Moments $A = E[y x^\top]$, $S = E[x x^\top]$ and $E\|y\|^2$ of inputs with targets.

    They determine the mean squared error of a linear map.

    **Arguments:**

    - `target`: $A$, `(k, d)`, in the units of a target times the units of the input.
    - `second`: $S$, `(d, d)`, in the squared units of the input. It may be singular.
    - `power`: $E\|y\|^2$. Half of it is the loss of a network whose output is zero. The default
        is the least that $A$ and $S$ allow, $\mathrm{tr}(A S^+ A^\top)$, for targets that are
        linear in the input.

    **Raises:** `ValueError` for shapes that do not match, entries that are not finite, a second
    moment that is not symmetric and positive semi-definite, targets that vary where no input does,
    or a power below the least.

    !!! example

        ```pycon
        >>> moments = pt.moments.TargetMoments([[2.0, 0.5]], np.diag([4.0, 1.0]))
        >>> round(float(moments.power), 3)
        1.25

        ```
    """

    target: Float[Array, "k d"]
    second: Float[Array, "d d"]
    power: Float[Array, ""]

    def __init__(self, target: Any, second: Any, power: Any = None):
        target, second = checks.floating("target", target), checks.floating("second", second)
        dtype = jnp.result_type(target, second)
        if second.ndim != 2 or second.shape[0] != second.shape[1] or second.shape[0] == 0:
            raise checks.bad(
                "second", f"shape {second.shape}", "a square matrix (d, d) with d >= 1"
            )
        if target.ndim != 2 or target.shape[0] == 0 or target.shape[1] != second.shape[0]:
            raise checks.bad(
                "target", f"shape {target.shape}", f"(k, {second.shape[0]}): one row an output"
            )
        self.target, self.second = target.astype(dtype), symmetric(second.astype(dtype))
        least = _explained(self.target, self.second)
        given = least if power is None else checks.nonnegative("power", power)
        if given.ndim:
            raise checks.bad("power", f"shape {given.shape}", "one number")
        self.power = given.astype(dtype)
        _validate_targets(target, second, self.power)

    @property
    def dim(self) -> int:
        return self.second.shape[-1]


class Moments(eqx.Module):
    r"""Cross and second moment of a positive pair, $0 \preceq C \preceq S$.

    Symmetric to rounding on the way in, exactly symmetric inside. Estimated moments also carry
    entrywise standard errors and the number of pairs. An estimate must satisfy only
    $-S \preceq C \preceq S$, as every sample does: a sample's cross moment may have negative
    eigenvalues where the population's is zero.

    **Arguments:**

    - `cross`, `second`: $C$ and $S$, each `(d, d)`, in the squared units of the input.
    - `cross_error`, `second_error`: standard errors of the entries, if estimated.
    - `pairs`: the number of pairs of an estimate.

    **Raises:** `ValueError` for shapes that differ or are not square, non-finite entries,
    asymmetry, or $C \not\preceq S$.

    !!! example

        ```pycon
        >>> moments = pt.Moments([[2.0, 1.0], [1.0, 2.0]], np.diag([4.0, 4.0]))
        >>> turned = moments.rotate(0.5**0.5 * np.asarray([[1.0, 1.0], [1.0, -1.0]]))
        >>> np.round(np.diag(turned.cross), 3)
        array([3., 1.])

        ```
    """

    cross: Float[Array, "d d"]
    second: Float[Array, "d d"]
    cross_error: Float[Array, "d d"] | None
    second_error: Float[Array, "d d"] | None
    pairs: Array | None

    def __init__(
        self,
        cross: Any,
        second: Any,
        cross_error: Any = None,
        second_error: Any = None,
        pairs: Any = None,
    ):
        cross, second = checks.floating("cross", cross), checks.floating("second", second)
        dtype = jnp.result_type(cross, second)
        for name, x in (("cross", cross), ("second", second)):
            if x.ndim != 2 or x.shape[0] != x.shape[1] or x.shape[0] == 0:
                raise checks.bad(name, f"shape {x.shape}", "a square matrix (d, d) with d >= 1")
        if cross.shape != second.shape:
            raise checks.bad(
                "cross", f"shape {cross.shape}", f"the shape of second, {second.shape}"
            )
        _validate(cross, second, estimated=pairs is not None)
        self.cross, self.second = symmetric(cross.astype(dtype)), symmetric(second.astype(dtype))
        self.cross_error, self.second_error = cross_error, second_error
        self.pairs = None if pairs is None else jnp.asarray(pairs)

    @property
    def dim(self) -> int:
        return self.second.shape[-1]

    @classmethod
    def from_views(cls, x1: Any, x2: Any, chunk: int = 65_536) -> "Moments":
        r"""Empirical moments of paired views, symmetrised over the two, with standard errors.

        $\hat C = \frac{1}{2n}\sum (x_1 x_2^\top + x_2 x_1^\top)$,
        $\hat S = \frac{1}{2n}\sum (x_1 x_1^\top + x_2 x_2^\top)$; nothing is centred. Rows are read
        `chunk` at a time by slicing, so a memory-mapped array never has to fit in memory.

        **Arguments:**

        - `x1`, `x2`: paired views, `(n, d)` each, with $n \ge 2$.
        - `chunk`: the number of rows held at once.

        **Raises:** `ValueError` if the shapes differ or are not `(n, d)`, there are fewer than two
        rows, or an entry is not finite.
        """
        for name, x in (("x1", x1), ("x2", x2)):
            if not hasattr(x, "shape") or len(x.shape) != 2 or x.shape[1] == 0:
                raise checks.bad(
                    name,
                    f"shape {getattr(x, 'shape', type(x).__name__)}",
                    "an array (n, d) of views with d >= 1",
                )
        if x1.shape != x2.shape:
            raise checks.bad("x2", f"shape {x2.shape}", f"the shape of x1, {x1.shape}")
        chunk = checks.count("chunk", chunk)
        return cls.from_chunks(
            (x1[i : i + chunk], x2[i : i + chunk]) for i in range(0, x1.shape[0], chunk)
        )

    @classmethod
    def from_chunks(cls, chunks: Iterable[tuple[Any, Any]]) -> "Moments":
        """Empirical moments as `from_views`, from an iterable of `(x1, x2)` chunks.

        Any number of rows, one chunk in memory at a time. Sums are kept in float64 on the host
        whatever the dtype of the views; the result has the dtype of the views.
        """
        total: list[np.ndarray] | None = None
        n, dtype = 0, None
        for x1, x2, rows in _padded(chunks):
            dtype = x1.dtype if dtype is None else dtype
            sums = [np.asarray(s, np.float64) for s in _sums(x1, x2)]
            if not all(np.isfinite(s).all() for s in sums):
                raise checks.bad(
                    "views", f"a non-finite entry in rows {n} to {n + rows - 1}", "finite numbers"
                )
            total = sums if total is None else [t + s for t, s in zip(total, sums, strict=True)]
            n += rows
        if total is None or n < 2:
            raise checks.bad("views", f"{n} rows", "at least two rows")
        cross, second, cross_square, second_square = (t / n for t in total)
        errors = [
            np.sqrt(np.maximum(square - mean**2, 0) / (n - 1))
            for mean, square in ((cross, cross_square), (second, second_square))
        ]
        as_views = [jnp.asarray(x, dtype) for x in (cross, second, *errors)]
        return cls(*as_views, pairs=n)

    def rotate(self, basis: Any) -> "Moments":
        r"""Moments $(U^\top C U, U^\top S U)$ of $U^\top x$.

        With fewer than $d$ orthonormal columns in `basis` $U$ this is a restriction. Standard
        errors do not rotate entrywise and are dropped; the number of pairs stays.
        """
        basis = checks.floating("basis", basis)
        if basis.ndim != 2 or basis.shape[0] != self.dim:
            raise checks.bad("basis", f"shape {basis.shape}", f"({self.dim}, k)")
        turn = lambda a: matmul(matmul(basis.T, a), basis)
        return Moments(turn(self.cross), turn(self.second), pairs=self.pairs)

    def range_basis(self, tolerance: float | None = None) -> Float[Array, "d r"]:
        r"""Orthonormal basis of the range of $S$ in which $S$ is diagonal, variances descending.

        The rank is the rank of $S$ scaled to unit diagonal, to the dtype's $d \epsilon$, so that
        weak features beside strong ones are not taken for noise. With a `tolerance`, the range is
        spanned by the eigenvectors of $S$ with eigenvalue above `tolerance` times the largest.

        Directions outside carry no variance: the loss does not see them and gradients never move
        them, so training in these coordinates is the same as training in the full space. The rank
        is a shape, so this cannot run under `jit`.

        **Raises:** `ValueError` if there is no variance in any direction.
        """
        if tolerance is None:
            whitening = whiten(self.second)
            rank, span = int(whitening.rank), eigh(whitening.projector).vectors[:, ::-1]
        else:
            spectrum = eigh(self.second)
            rank = int(
                np.sum(np.asarray(spectrum.values) > tolerance * np.asarray(spectrum.values)[-1])
            )
            span = spectrum.vectors[:, ::-1]
        if rank == 0:
            raise checks.bad("second", "the zero matrix", "variance in at least one direction")
        inside = span[:, :rank]
        return matmul(
            inside, eigh(symmetric(matmul(matmul(inside.T, self.second), inside))).vectors[:, ::-1]
        )

    def restrict(self, tolerance: float | None = None) -> "Moments":
        """Moments in the coordinates of `range_basis`: full rank, diagonal second moment."""
        return self.rotate(self.range_basis(tolerance))


def _validate(cross: Array, second: Array, estimated: bool) -> None:
    c, s = checks.concrete(cross), checks.concrete(second)
    if c is None or s is None:
        return
    for name, x in (("cross", c), ("second", s)):
        if not np.isfinite(x).all():
            raise checks.bad(name, "an entry that is not finite", "finite numbers")
    # Eigenvalues of a d x d matrix are accurate to a few d * eps times its norm; asymmetry obeys
    # the same bound.
    slack = (
        16
        * len(s)
        * max(np.finfo(c.dtype).eps, np.finfo(s.dtype).eps)
        * max(np.abs(s).max(), np.abs(c).max())
    )
    for name, x in (("cross", c), ("second", s)):
        if np.abs(x - x.T).max() > slack:
            raise checks.bad(name, f"asymmetry {np.abs(x - x.T).max():.2g}", "a symmetric matrix")
    least = lambda x: float(np.linalg.eigvalsh((x + x.T) / 2)[0])
    slack *= len(s) ** 0.5
    if least(s) < -slack:
        raise checks.bad(
            "second", f"least eigenvalue {least(s):.3g}", "a positive semi-definite matrix"
        )
    if least(s - c) < -slack:
        raise checks.bad(
            "cross",
            f"least eigenvalue {least(s - c):.3g} of second - cross",
            "C <= S in the PSD order",
        )
    if estimated and least(s + c) < -slack:
        raise checks.bad(
            "cross",
            f"least eigenvalue {least(s + c):.3g} of second + cross",
            "-S <= C in the PSD order",
        )
    if not estimated and least(c) < -slack:
        raise checks.bad(
            "cross",
            f"least eigenvalue {least(c):.3g}",
            "C >= 0 in the PSD order (give `pairs` if it is an estimate)",
        )


@jax.jit
def _explained(target: Array, second: Array) -> Array:
    r"""Explained power $\mathrm{tr}(A S^+ A^\top)$ of the targets."""
    return jnp.sum(matmul(target, whiten(second).inverse) ** 2)


def _validate_targets(target: Array, second: Array, power: Array) -> None:
    a, s, p = (checks.concrete(x) for x in (target, second, power))
    if a is None or s is None or p is None:
        return
    for name, x in (("target", a), ("second", s)):
        if not np.isfinite(x).all():
            raise checks.bad(name, "an entry that is not finite", "finite numbers")
    eps = max(np.finfo(a.dtype).eps, np.finfo(s.dtype).eps)
    slack = 16 * len(s) * eps * np.abs(s).max()
    if np.abs(s - s.T).max() > slack:
        raise checks.bad("second", f"asymmetry {np.abs(s - s.T).max():.2g}", "a symmetric matrix")
    spread, v = np.linalg.eigh((s + s.T) / 2)
    if spread[0] < -slack * len(s) ** 0.5:
        raise checks.bad(
            "second", f"least eigenvalue {spread[0]:.3g}", "a positive semi-definite matrix"
        )
    outside = np.abs(a @ v[:, spread <= len(s) * eps * spread[-1]])
    # Cauchy and Schwarz: |E y (v x)| <= sqrt(E|y|^2 E(v x)^2), where E(v x)^2 is zero up to
    # rounding.
    if outside.size and outside.max() > 4 * np.sqrt(
        max(float(p), np.abs(a).max() ** 2 / max(spread[-1], 1e-300)) * slack * len(s) ** 0.5
    ):
        raise checks.bad(
            "target",
            f"a moment {outside.max():.3g} where inputs do not vary",
            "A in the range of the second moment",
        )
    least = float(_explained(jnp.asarray(a), jnp.asarray(s)))
    if p < least * (1 - 64 * len(s) ** 2 * eps):
        raise checks.bad("power", f"{float(p):.6g}", f"at least tr(A S^+ A^T) = {least:.6g}")


@jax.jit
def _sums(x1: Array, x2: Array) -> tuple[Array, Array, Array, Array]:
    """Row sums of the symmetrised products and of their squares, by matrix products."""
    h, a, b = x1 * x2, x1 * x1, x2 * x2
    cross = matmul(x1.T, x2)
    both = matmul(h.T, h)
    crossed = matmul(a.T, b)
    return (
        (cross + cross.T) / 2,
        (matmul(x1.T, x1) + matmul(x2.T, x2)) / 2,
        (crossed + crossed.T + 2 * both) / 4,
        (matmul(a.T, a) + matmul(b.T, b) + 2 * both) / 4,
    )


def _padded(chunks: Iterable[tuple[Any, Any]]) -> Iterator[tuple[Array, Array, int]]:
    """Pad shorter chunks with zero rows.

    Zero rows add nothing to the sums, and the sums compile once.
    """
    size, columns = 0, None
    for first, second in chunks:
        x1, x2 = checks.floating("x1", first), checks.floating("x2", second)
        if x1.ndim != 2 or x1.shape != x2.shape:
            raise checks.bad(
                "views", f"shapes {x1.shape} and {x2.shape}", "two arrays of equal shape (n, d)"
            )
        columns = x1.shape[1] if columns is None else columns
        if x1.shape[1] != columns:
            raise checks.bad(
                "views", f"a chunk of {x1.shape[1]} columns", f"{columns}, as in the first chunk"
            )
        rows = x1.shape[0]
        size = max(size, rows)
        pad = ((0, size - rows), (0, 0))
        yield jnp.pad(x1, pad), jnp.pad(x2, pad), rows

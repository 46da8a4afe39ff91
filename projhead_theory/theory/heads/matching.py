r"""A fixed diagonal head $H = \mathrm{diag}(h)$ on a trained layer: minimisers and layer weights.

The network is $f = H W x$. The loss depends on $W^\top H^2 W$ alone, so
$W = H^{-1} Q \sqrt{M^\star}$ with $Q$ orthogonal and free. The least norm pairs the largest
weight with the largest diagonal entry of the head.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from ..._core import checks
from ..._core.linalg import diagonal, matmul
from ...moments import Moments
from .._common.scalars import scalars
from ..layers.minimiser import SpectralMinimiser, complain, minimise

__all__ = [
    "MatchedHead",
    "decayed_matching",
    "headed_minimiser",
    "matched_weights",
    "matching_limit",
    "sorted_matching",
]


def headed_minimiser(
    moments: Moments, rows: Float[Array, " p"], *, throw: bool = True
) -> SpectralMinimiser:
    r"""Minimum of the spectral contrastive loss under a fixed head, and the Gram *after* that head.

    An invertible head changes neither: the result is `spectral` at width $p$. A head with zeros
    on its diagonal gives the minimum of a network with as many units as the diagonal has
    positive entries.

    **Arguments:**

    - `moments`: the moments of the views.
    - `rows`: $h \ge 0$, the diagonal of the head, not all zero.
    - `throw`: as in `spectral`.

    **Raises:** `ValueError` for other diagonals; `NonUniqueMinimiserError` if the minimiser is
    not unique.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> head = jnp.asarray([3.0, 0.0])
        >>> np.round(pt.theory.heads.headed_minimiser(problem.moments(), head).gram, 3)
        Array([[0.   , 0.   ],
               [0.   , 0.925]], dtype=float64)

        ```

    Theorem: head-equivalence.

    Source: paper; singular heads are beyond the paper.
    """
    rows = _rows(rows)
    known = checks.concrete(rows)
    if known is not None:
        known = np.minimum(np.sum(known > 0), moments.dim)
    width = jnp.minimum(jnp.sum(rows > 0), moments.dim) if known is None else checks.array(known)
    result = minimise(moments, width)
    if throw and known is not None:
        complain(result, int(known))
    return result


class MatchedHead(eqx.Module):
    r"""The encoder of least norm among the encoders of least loss under a fixed head.

    There are $m = \min(p, d)$ ranks.

    - `gram` `(d, d)`: the Gram of the layer before the head.
    - `weights` `(k,)`: the weights of the directions in that layer.
    - `after`, `before` `(m,)`: the weights $w_{(i)}$ after and $w_{(i)} / h_{(i)}$ before the
      head, by rank.
    - `modes` `(d, m)`: the eigenvectors of $M^\star$ with these weights.
    - `rows` `(m,)`: the index of the diagonal entry of the head that carries each rank.
    - `layer` `(p, d)`: an encoder of least norm.
    - `squared_norm`: the squared Frobenius norm of `layer`.
    - `loss`: the least loss.
    - `unique`: true if the Gram is determined. It is not if the width cuts through tied signal
      fractions, or tied weights meet different diagonal entries.
    """

    gram: Float[Array, "d d"]
    weights: Float[Array, " k"]
    after: Float[Array, " m"]
    before: Float[Array, " m"]
    modes: Float[Array, "d m"]
    rows: Int[Array, " m"]
    layer: Float[Array, "p d"]
    squared_norm: Float[Array, ""]
    loss: Float[Array, ""]
    unique: Bool[Array, ""]

    def to_xarray(self):
        """Grams and weights as a labelled `xarray.Dataset`."""
        import xarray

        return xarray.Dataset(
            {
                "gram": (("input", "input_"), jax.device_get(self.gram)),
                "weight": (("direction",), jax.device_get(self.weights)),
                "after": (("rank",), jax.device_get(self.after)),
                "before": (("rank",), jax.device_get(self.before)),
                "row": (("rank",), jax.device_get(self.rows)),
                "squared_norm": ((), jax.device_get(self.squared_norm)),
                "loss": ((), jax.device_get(self.loss)),
            },
            coords={"rank": list(range(self.after.shape[-1]))},
            attrs={"unique": int(self.unique)},
        )


def sorted_matching(
    moments: Moments,
    rows: Float[Array, " p"],
    *,
    directions: Float[Array, "d k"] | None = None,
    throw: bool = True,
) -> MatchedHead:
    r"""The least-norm encoder under a fixed head: $\min \|W\|_F^2$ over $W^\top H^2 W = M^\star$.

    Let $w_{(i)}^2$ be the eigenvalues of $M^\star$ and $h_{(i)}$ the diagonal of the head, both
    descending. Rank $i$ has weight $w_{(i)} / h_{(i)}$ before the head, which for
    $h_i = \kappa^{-i}$ is $\kappa^i w_{(i)}$, and the squared norm is
    $\sum_i w_{(i)}^2 / h_{(i)}^2$. An encoder of any depth has the same Gram; its norm is then
    `least_norm` of `layer`. Differentiable where `unique`.

    **Arguments:**

    - `moments`: the moments of the views.
    - `rows`: $h \ge 0$, the diagonal of the head, not all zero.
    - `directions`: unit directions `(d, k)` whose weights are returned, the coordinate axes if
      not given.
    - `throw`: as in `spectral`.

    **Raises:** `ValueError` for other diagonals; `NonUniqueMinimiserError` if the minimiser
    after the head is not unique. Tied weights do not raise; they show in `unique`.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> matched = pt.theory.heads.sorted_matching(problem.moments(), jnp.asarray([1.0, 0.5]))
        >>> np.round(jnp.stack([matched.after, matched.before]), 3)
        Array([[0.962, 0.4  ],
               [0.962, 0.8  ]], dtype=float64)

        ```

    Theorem: sorted-matching.

    Source: paper, for $h_i = \kappa^{-i}$; least norm and any spectrum are beyond the paper.
    """
    rows = _rows(rows)
    minimiser = headed_minimiser(moments, rows, throw=throw)
    return _matched(minimiser, rows.astype(moments.second.dtype), directions)


@eqx.filter_jit
def _matched(minimiser: SpectralMinimiser, rows: Array, directions: Array | None) -> MatchedHead:
    d, p = minimiser.gram.shape[0], rows.size
    m = min(p, d)
    order = jnp.argsort(-rows, stable=True)[:m]
    inverse = jnp.where(rows[order] > 0, 1 / jnp.where(rows[order] > 0, rows[order], 1), 0)
    # Scattered in ascending order: XLA's simplifier aborts on the product of two reversed vectors.
    gram = _rescaled(
        minimiser.gram,
        jnp.zeros(d, rows.dtype).at[d - 1 - jnp.arange(m)].set(inverse**2),
        minimiser.kept,
    )
    values, v = jnp.linalg.eigh(minimiser.gram)
    modes, kept = v[:, ::-1][:, :m], jnp.arange(m) < minimiser.kept
    squares = jnp.where(kept, values[::-1][:m], 0)
    after = jnp.where(kept, jnp.sqrt(jnp.where(kept, squares, 1)), 0)
    before = after * inverse
    # Eigenvalues are known to within the rounding of the largest.
    tied = squares[:-1] - squares[1:] <= minimiser.rounding * squares[:1]
    mixed = tied & kept[1:] & (inverse[:-1] != inverse[1:])
    seen = (
        diagonal(gram)
        if directions is None
        else jnp.sum(directions * matmul(gram, directions), axis=0)
    )
    return MatchedHead(
        gram=gram,
        weights=jnp.where(seen > 0, jnp.sqrt(jnp.where(seen > 0, seen, 1)), 0),
        after=after,
        before=before,
        modes=modes,
        rows=order,
        layer=jnp.zeros((p, d), rows.dtype).at[order].set(before[:, None] * modes.T),
        squared_norm=jnp.sum(before**2),
        loss=minimiser.loss,
        unique=minimiser.unique & ~jnp.any(mixed),
    )


@jax.custom_jvp
def _rescaled(
    a: Float[Array, "d d"], factors: Float[Array, " d"], rank: Array
) -> Float[Array, "d d"]:
    r"""$\sum g_i \lambda_i v_i v_i^\top$ over the `rank` largest eigenvalues.

    The factors $g$ follow the ascending order of the eigenvalues.
    """
    values, v = jnp.linalg.eigh(a)
    kept = jnp.arange(values.size) >= values.size - rank
    return matmul(v * jnp.where(kept, values * factors, 0), v.T)


@_rescaled.defjvp
def _rescaled_jvp(primals, tangents):
    # Divided differences, as for a function of the spectrum; here the function depends on the rank.
    a, factors, rank = primals
    moved, scaled = tangents[0], tangents[1]
    values, v = jnp.linalg.eigh(a)
    kept = jnp.arange(values.size) >= values.size - rank
    slopes = jnp.where(kept, factors, 0)
    rescaled = values * slopes
    gap = values[:, None] - values[None, :]
    same = slopes[:, None] == slopes[None, :]
    quotient = (rescaled[:, None] - rescaled[None, :]) / jnp.where(gap == 0, 1, gap)
    divided = jnp.where(same, slopes[:, None], quotient)
    inner = matmul(matmul(v.T, (moved + moved.T) / 2), v)
    tangent = matmul(matmul(v, divided * inner), v.T) + matmul(
        v * jnp.where(kept, values * scaled, 0), v.T
    )
    return matmul(v * rescaled, v.T), tangent


def matched_weights(weights: Float[Array, " d"], rows: Float[Array, " p"]) -> Float[Array, " d"]:
    r"""Weights of features before a fixed head at `sorted_matching`, in a feature model.

    They are $w_i / h_{(r_i)}$, with $r_i$ the rank of $w_i$.

    **Arguments:**

    - `weights`: $w \ge 0$, after the head, positive for at most as many features as the
      diagonal has positive entries. Among tied weights the first counts as the larger.
    - `rows`: $h \ge 0$, the diagonal of the head.

    **Raises:** `ValueError` for arguments out of range, or more positive weights than positive
    diagonal entries.

    !!! example

        ```pycon
        >>> weights, rows = jnp.asarray([1.0, 4.0]), jnp.asarray([1.0, 0.5])
        >>> np.round(pt.theory.heads.matched_weights(weights, rows), 3)
        Array([2., 4.], dtype=float64)

        ```

    Theorem: sorted-matching.

    Source: paper.
    """
    weights, rows = _vector("weights", weights), _rows(rows)
    carried, room = checks.concrete(jnp.sum(weights > 0)), checks.concrete(jnp.sum(rows > 0))
    if carried is not None and room is not None and carried > room:
        raise checks.bad(
            "rows",
            f"{room} positive rows",
            f"at least {carried}, one for each feature with a weight",
        )
    dtype = jnp.result_type(weights, rows)
    return _by_rank(weights.astype(dtype), rows.astype(dtype))


def decayed_matching(
    cross: ArrayLike, second: ArrayLike, rows: Float[Array, " p"], weight_decay: ArrayLike
) -> Float[Array, " d"]:
    r"""Weights of features before a fixed head at the minimum with weight decay.

    Each feature has a positive diagonal entry $h$, and its weight $u$ before the head minimises
    $-2 c h^2 u^2 + q^2 h^4 u^4 + \frac\gamma2 u^2$, so that
    $h^2 u^2 = (c - \gamma / (4 h^2))_+ / q^2$. Features are in the order of $w = \sqrt c / q$,
    as without decay, which is best up to `matching_limit`. Hence $u^2$ is below its value in
    `sorted_matching` by exactly $\gamma / (4 h^4 q^2)$, until it is zero.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `rows`: $h \ge 0$, the diagonal of the head, with at least as many positive entries as
      there are features.
    - `weight_decay`: the weight decay $\gamma \ge 0$, one number.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sorted-matching.

    Source: beyond the paper.
    """
    cross, second, rows, weight_decay = _features(cross, second, rows, weight_decay)
    return _decayed(cross, second, rows, weight_decay)


def matching_limit(
    cross: ArrayLike, second: ArrayLike, rows: Float[Array, " p"]
) -> Float[Array, ""]:
    r"""A weight decay up to which the sorted pairing is best and no feature is extinct.

    With $x_i = 1 / (4 h_i^2)$, diagonal entry $i$ and feature $r$ have energy
    $-(c_r - \gamma x_i)^2 / q_r^2$. Exchanging neighbours $a, b$, $w_a > w_b$, on two entries
    $x_i < x_j$ costs

    $$\gamma (x_j - x_i) \big(2 (w_a^2 - w_b^2) - \gamma (x_i + x_j)(q_a^{-2} - q_b^{-2})\big).$$

    The cost is positive for
    $\gamma < 2 (w_a^2 - w_b^2) / \big((x_i + x_j)(q_a^{-2} - q_b^{-2})\big)$, and for any
    $\gamma$ if $q_a \ge q_b$. If no exchange of neighbours lowers the energy, no pairing does.
    The limit is zero if neighbours with $w_a = w_b$ have $q_a < q_b$.

    **Arguments:**

    - `cross`: $c \ge 0$.
    - `second`: $q \ge 0$, with $c = 0$ where $q = 0$.
    - `rows`: $h \ge 0$, the diagonal of the head, with at least as many positive entries as
      there are features.

    **Raises:** `ValueError` for arguments out of range.

    Theorem: sorted-matching.

    Source: beyond the paper.
    """
    cross, second, rows, _ = _features(cross, second, rows, 0.0)
    return _limit(cross, second, rows)


def _by_rank_rows(weights: Array, rows: Array) -> Array:
    """The diagonal entry paired with each weight; zero beyond the last entry."""
    d = weights.size
    order = jnp.argsort(-weights, stable=True)
    falling = -jnp.sort(-rows)
    padded = jnp.zeros(d, rows.dtype).at[: min(d, rows.size)].set(falling[:d])
    return jnp.zeros_like(padded).at[order].set(padded)


@jax.jit
def _by_rank(weights: Array, rows: Array) -> Array:
    mine = _by_rank_rows(weights, rows)
    return jnp.where(weights > 0, weights / jnp.where(mine > 0, mine, 1), 0)


def _weights(cross: Array, second: Array) -> Array:
    return jnp.where(
        cross > 0, jnp.sqrt(jnp.where(cross > 0, cross, 1)) / jnp.where(cross > 0, second, 1), 0
    )


@jax.jit
def _decayed(cross: Array, second: Array, rows: Array, weight_decay: Array) -> Array:
    mine = _by_rank_rows(_weights(cross, second), rows)
    left = cross - weight_decay / (4 * mine**2)
    alive = (left > 0) & (cross > 0)
    return jnp.where(
        alive, jnp.sqrt(jnp.where(alive, left, 1)) / (jnp.where(alive, second, 1) * mine), 0
    )


@jax.jit
def _limit(cross: Array, second: Array, rows: Array) -> Array:
    weights = _weights(cross, second)
    order = jnp.argsort(-weights, stable=True)
    w, c, q = weights[order], cross[order], second[order]
    x = 1 / (4 * jnp.sort(-rows)[: w.size] ** 2)
    there = c > 0
    alive = jnp.min(jnp.where(there, c, jnp.inf)) / jnp.max(jnp.where(there, x, 0))
    both = there[1:]
    inverse = jnp.where(there, 1 / jnp.where(there, q, 1) ** 2, 0)
    ahead = inverse[:-1] - inverse[1:]
    matters = both & (ahead > 0)
    # An exchange is cheapest on the last two diagonal entries that carry a feature.
    last = jnp.maximum(jnp.sum(there) - 1, 1) if w.size > 1 else 0
    pair = x[last] + x[last - 1] if w.size > 1 else x[0]
    cost = 2 * (w[:-1] ** 2 - w[1:] ** 2) / (pair * jnp.where(matters, ahead, 1))
    return jnp.minimum(alive, jnp.min(jnp.where(matters, cost, jnp.inf), initial=jnp.inf))


def _vector(name: str, value: ArrayLike) -> Array:
    x = checks.nonnegative(name, value)
    if x.ndim != 1 or x.size == 0:
        raise checks.bad(name, f"shape {x.shape}", "a non-empty vector")
    return x


def _rows(rows: ArrayLike) -> Array:
    rows = _vector("rows", rows)
    known = checks.concrete(rows)
    if known is not None and not known.any():
        raise checks.bad("rows", "zeros alone", "at least one positive row")
    return rows


def _features(
    cross: ArrayLike, second: ArrayLike, rows: ArrayLike, weight_decay: ArrayLike
) -> tuple[Array, Array, Array, Array]:
    _, (gamma, c, q) = scalars(1, cross, second, weight_decay=weight_decay)
    rows = _rows(rows)
    if gamma.ndim:
        raise checks.bad("weight_decay", f"shape {gamma.shape}", "one number")
    if c.ndim != 1 or c.size == 0 or q.shape != c.shape:
        raise checks.bad(
            "cross",
            f"shape {c.shape} beside {q.shape} of second",
            "two vectors, one number a feature",
        )
    room = checks.concrete(jnp.sum(rows > 0))
    if rows.size < c.size or (room is not None and room < c.size):
        raise checks.bad(
            "rows",
            f"{rows.size if room is None else room} positive rows",
            f"at least {c.size}, one for each feature",
        )
    return c, q, rows.astype(c.dtype), gamma

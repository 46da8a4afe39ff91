"""The sample-complexity indicator of given layers and over depth, and the best layer."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jax.typing import ArrayLike
from jaxtyping import Array, Bool, Float, Int

from ..._core import checks
from ..._core.linalg import diagonal, eigh, matmul, symmetric, whiten
from ..._core.powers import layer_shares
from ...moments import Moments
from ...problems import Downstream
from .._common.exponentials import minimiser

__all__ = [
    "ComplexityCurve",
    "complexity_curve",
    "feature_complexity",
    "feature_weights",
    "sample_complexity",
]


def sample_complexity(grams: Float[Array, "*L d d"], downstream: Downstream) -> Float[Array, "*L"]:
    r"""The sample-complexity indicator of each layer.

    $$\mathrm{SC}_l = \mathrm{tr}(M_l S')\; \beta^\top M_l^+ \beta$$

    It is the squared radius over the squared margin of the separator of least norm on the
    representation $W_{l:1} x'$. It is infinite where the target is lost: $\beta$ is not in the
    range of $M_l$, to rounding. It is at least $\beta^\top S' \beta$, and does not depend on
    the scale of $M_l$. If $S'$ is singular, with range projector $P$, only the action of the
    separator on that range counts, and the least norm is $\beta^\top (P M_l P)^+ \beta$.

    **Arguments:**

    - `grams`: $M_1, \dots, M_L$, predicted or measured, symmetric positive semi-definite.
    - `downstream`: the downstream task.

    **Raises:** `ValueError` if the dimensions differ.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> grams = pt.layerwise(problem.moments(), depth=2).grams
        >>> task = pt.DownstreamProblem(pt.Features([1.0, 1.0]), pt.problems.SignLabel(0))
        >>> np.round(pt.theory.downstream.sample_complexity(grams, task.moments()), 3)
        Array([3.404, 6.778], dtype=float64)

        ```

    Source: paper, section 3; a singular $S'$ is beyond the paper.
    """
    return _complexities(checked_grams(grams, downstream), downstream)


def checked_grams(grams: Any, downstream: Downstream) -> Float[Array, "*L d d"]:
    """Grams as an array, on as many coordinates as the downstream task."""
    grams = checks.floating("grams", grams)
    if grams.ndim < 2 or grams.shape[-2:] != downstream.second.shape:
        raise checks.bad(
            "grams",
            f"shape {grams.shape}",
            f"(..., {downstream.dim}, {downstream.dim}), as the downstream moment",
        )
    return grams


@eqx.filter_jit
def _complexities(grams: Array, downstream: Downstream) -> Array:
    dtype = jnp.result_type(grams, downstream.second)
    second, target = downstream.second.astype(dtype), downstream.target.astype(dtype)
    p = whiten(second).projector
    seen = matmul(p, target[:, None])[:, 0]

    def one(gram: Array) -> Array:
        least = inverse_quadratic(symmetric(matmul(matmul(p, gram), p)), seen)
        # Avoids zero times infinity: a layer with zero Gram has lost the target.
        return jnp.where(
            jnp.isfinite(least),
            jnp.sum(gram * second) * jnp.where(jnp.isfinite(least), least, 1),
            jnp.inf,
        )

    flat = jax.vmap(one)(grams.astype(dtype).reshape(-1, *grams.shape[-2:]))
    return flat.reshape(grams.shape[:-2])


@jax.custom_jvp
def inverse_quadratic(gram: Float[Array, "d d"], target: Float[Array, " d"]) -> Float[Array, ""]:
    r"""$\beta^\top M^+ \beta$, infinite where $\beta$ is not in the range of $M$ to rounding."""
    return _solve(gram, target)[0]


@inverse_quadratic.defjvp
def _inverse_quadratic_jvp(primals, tangents):
    # At constant rank: twice the solution times the tangent of the target, less the quadratic form
    # of the tangent of the Gram.
    gram, target = primals
    moved, shifted = tangents
    value, solution = _solve(gram, target)
    return value, 2 * jnp.sum(solution * shifted) - jnp.sum(
        solution * jnp.sum(moved * solution, axis=1)
    )


def _solve(gram: Array, target: Array) -> tuple[Array, Array]:
    r"""$\beta^\top M^- \beta$ and $M^- \beta$, scaled to unit diagonal first.

    The scaling changes no value for $\beta$ in the range.
    """
    d, eps = gram.shape[-1], jnp.finfo(gram.dtype).eps
    size = diagonal(gram)
    scale = jnp.where(size > 0, jnp.where(size > 0, size, 1) ** -0.5, 1)
    values, vectors, floor = eigh(gram * scale[:, None] * scale[None, :])
    kept = values > floor
    scaled = target * scale
    along = jnp.sum(vectors * scaled[:, None], axis=0)
    least = jnp.min(jnp.where(kept, values, jnp.inf))
    # Bound on the part outside the range that rounding of the eigenvectors causes: rounding of the
    # matrix over the least eigenvalue kept.
    slack = 8 * d * eps * values[-1] / jnp.where(jnp.isfinite(least), least, 1)
    lost = jnp.sum(jnp.where(kept, 0, along) ** 2) > slack**2 * jnp.sum(scaled**2)
    over = jnp.where(kept, along, 0) / jnp.where(kept, values, 1)
    solution = scale * jnp.sum(vectors * over, axis=1)
    return jnp.where(lost | ~jnp.any(kept), jnp.inf, jnp.sum(over * along)), solution


class ComplexityCurve(eqx.Module):
    r"""The sample-complexity indicator as a function of depth.

    $$\mathrm{SC}(\tau) = \sum_e a_e e^{r_e \tau}, \qquad \tau = l / L \in [0, 1]$$

    A sum of exponentials with positive amplitudes is convex, strictly unless every rate is
    zero, so there is exactly one best real-valued layer.

    - `amplitudes`, `rates`: $a_e$ and $r_e$, `(k,)`.
    - `lost`: true if the network loses the target; the indicator is then infinite at every
      layer.

    !!! example

        ```pycon
        >>> weights, strength = jnp.asarray([4.0, 2.0, 1.0]), [0.5, 1.0, 1.0]
        >>> curve = pt.theory.downstream.feature_complexity(weights, strength, target=1)
        >>> np.round(curve.layers(4), 3)
        Array([2.061, 2.   , 2.061, 2.25 ], dtype=float64)
        >>> int(curve.best_layer(4)), round(float(curve.best), 3)
        (2, 0.5)

        ```
    """

    amplitudes: Float[Array, " k"]
    rates: Float[Array, " k"]
    lost: Bool[Array, ""]

    def __call__(self, tau: ArrayLike) -> Float[Array, "..."]:
        r"""$\mathrm{SC}(\tau)$ at a number or an array of numbers."""
        return _value(self, jnp.asarray(tau, self.rates.dtype))

    @property
    def best(self) -> Float[Array, ""]:
        r"""The best layer as a share of the depth, $\tau^\star$.

        It is 0 if all weights that count agree, and NaN if the target is lost.
        """
        return _best(self)

    @property
    def least(self) -> Float[Array, ""]:
        r"""The least indicator, $\mathrm{SC}(\tau^\star)$; infinite if the target is lost."""
        return self(jnp.where(self.lost, 0, _best(self)))

    def layers(self, depth: int) -> Float[Array, " L"]:
        r"""The indicator of every layer, $\mathrm{SC}(l / L)$ for $l = 1, \dots, L$."""
        return self(layer_shares(checks.count("depth", depth), self.rates.dtype))

    def best_layer(self, depth: int) -> Int[Array, ""]:
        r"""The best of the layers $1, \dots, L$; 0 if the target is lost.

        Of layers that are equally good it is the lowest.
        """
        return jnp.where(self.lost, 0, 1 + jnp.argmin(self.layers(depth)))

    def margin(self, depth: int, head_depth: int = 1) -> Float[Array, ""]:
        r"""Logarithm of the indicator after a head of $h$ layers over the indicator before it.

        $$\ln \mathrm{SC}(1) - \ln \mathrm{SC}(1 - h/L)$$

        It is positive where the representation before the head is better; NaN if the target is
        lost.
        """
        depth, head_depth = checks.within_depth(depth, "head_depth", head_depth)
        return _margin(self, jnp.asarray(head_depth / depth, self.rates.dtype))

    def to_xarray(self, depth: int):
        """The indicator of every layer, and the best layer, as a labelled `xarray.Dataset`."""
        import xarray

        return xarray.Dataset(
            {
                "sample_complexity": (("layer",), jax.device_get(self.layers(depth))),
                "best": ((), jax.device_get(self.best)),
                "margin": ((), jax.device_get(self.margin(depth))),
            },
            coords={"layer": list(range(1, depth + 1))},
        )

    def plot(self, depth: int | None = None, ax: Any = None):
        """Indicator over the share of the depth; with a depth, its layers as markers.

        Returns the Matplotlib axes.
        """
        from ...figures import plot_curve

        return plot_curve(self, depth, ax)


@jax.jit
def _value(curve: ComplexityCurve, tau: Array) -> Array:
    value = jnp.sum(curve.amplitudes * jnp.exp(curve.rates * tau[..., None]), axis=-1)
    return jnp.where(curve.lost, jnp.inf, value)


@jax.jit
def _best(curve: ComplexityCurve) -> Array:
    dtype = curve.rates.dtype
    return jnp.where(
        curve.lost,
        jnp.nan,
        minimiser(curve.amplitudes, curve.rates, jnp.zeros((), dtype), jnp.ones((), dtype)),
    )


@jax.jit
def _margin(curve: ComplexityCurve, share: Array) -> Array:
    # Both share most digits where weights are nearly equal: take the difference term by term.
    before = curve.amplitudes * jnp.exp(curve.rates * (1 - share))
    more = jnp.sum(before * jnp.expm1(curve.rates * share)) / jnp.sum(before)
    return jnp.where(curve.lost, jnp.nan, jnp.log1p(more))


def complexity_curve(gram: Float[Array, "d d"], downstream: Downstream) -> ComplexityCurve:
    r"""The indicator over depth of a balanced network with end-to-end Gram $M$.

    Its layers have Grams $M^{l/L}$. With eigenvalues $\mu_k$ and eigenvectors $v_k$ of $M$,
    over the range of $M$,

    $$\mathrm{SC}(\tau) = \sum_{k,m} (v_k^\top S' v_k) (v_m^\top \beta)^2 (\mu_k / \mu_m)^\tau,$$

    which is convex in $\tau$ for every $S'$ and every $\beta$.

    **Arguments:**

    - `gram`: $M$, symmetric positive semi-definite.
    - `downstream`: the downstream task, with $S'$ of full rank.

    **Raises:** `ValueError` if the dimensions differ.

    !!! example

        ```pycon
        >>> task = pt.DownstreamProblem(pt.Features([0.5, 1.0, 1.0]), pt.problems.SignLabel(1))
        >>> gram = jnp.diag(jnp.asarray([16.0, 4.0, 1.0]))
        >>> int(pt.theory.downstream.complexity_curve(gram, task.moments()).best_layer(4))
        2

        ```

    Theorem: optimal-layer.

    Source: beyond the paper.
    """
    gram = checks.floating("gram", gram)
    if gram.shape != downstream.second.shape:
        raise checks.bad(
            "gram", f"shape {gram.shape}", f"{downstream.second.shape}, as the downstream moment"
        )
    return _curve(gram, downstream)


@eqx.filter_jit
def _curve(gram: Array, downstream: Downstream) -> ComplexityCurve:
    values, v, floor = eigh(gram)
    kept = values > floor
    power = jnp.where(kept, jnp.sum(v * matmul(downstream.second, v), axis=0), 0)
    along = jnp.sum(v * downstream.target[:, None], axis=0) ** 2
    logarithm = jnp.log(jnp.where(kept, values, 1))
    lost = ~jnp.isfinite(_solve(gram, downstream.target)[0])
    amplitudes = jnp.maximum(power, 0)[:, None] * jnp.where(kept, along, 0)[None, :]
    return ComplexityCurve(
        amplitudes.reshape(-1), (logarithm[:, None] - logarithm[None, :]).reshape(-1), lost
    )


def feature_complexity(weights: Float[Array, " d"], strength: Any, target: Any) -> ComplexityCurve:
    r"""The indicator over depth in a feature model, with the sign of feature $j$ as the label.

    $$\mathrm{SC}(\tau) = \sum_i (w_i / w_j)^{2\tau} (\phi'_i / \phi'_j)^2$$

    The lowest layer is best if $w_j$ is the least weight, the highest if it is the largest.
    Otherwise the best layer is where heavier and lighter features balance, which may be at an
    end as well. Features of weight zero are in no layer; if $w_j$ is zero the target is lost.

    **Arguments:**

    - `weights`: end-to-end weights $w_i \ge 0$.
    - `strength`: downstream strengths $\phi'_i \ge 0$, positive for the target.
    - `target`: $j$, from 0 to $d - 1$.

    **Raises:** `ValueError` for weights or strengths that are negative or not finite, lengths
    that differ, or a target out of range or of strength zero.

    !!! example

        ```pycon
        >>> weights, strength = jnp.asarray([4.0, 2.0, 1.0]), [0.5, 1.0, 1.0]
        >>> complexity = pt.theory.downstream.feature_complexity
        >>> curves = [complexity(weights, strength, j) for j in range(3)]
        >>> [round(float(curve.best), 3) for curve in curves]
        [1.0, 0.5, 0.0]

        ```

    Theorem: optimal-layer.

    Source: paper, section 3, for the indicator; the best layer is beyond the paper.
    """
    return feature_curve(*feature_arguments(weights, strength, target))


def feature_arguments(weights: Any, strength: Any, target: Any) -> tuple[Array, Array, Array]:
    """Weights and downstream strengths in one dtype, and the target's number, all checked."""
    weights, strength = (
        checks.nonnegative("weights", weights),
        checks.nonnegative("strength", strength),
    )
    if weights.ndim != 1 or weights.size == 0:
        raise checks.bad(
            "weights", f"shape {weights.shape}", "a non-empty vector, one number a feature"
        )
    if strength.shape != weights.shape:
        raise checks.bad(
            "strength", f"shape {strength.shape}", f"{weights.shape}, as many as weights"
        )
    j = target_index(target, weights.shape[0])
    checks.require(
        "strength",
        strength[j],
        lambda v: v > 0,
        f"a positive strength of the target, feature {j + 1}",
    )
    dtype = jnp.result_type(weights, strength)
    return weights.astype(dtype), strength.astype(dtype), jnp.asarray(j)


def target_index(target: Any, dim: int) -> int:
    """Index of the target as an integer, checked against `dim`."""
    j = checks.count("target", target, 0)
    if j >= dim:
        raise checks.bad("target", j, f"the index of a feature, from 0 to {dim - 1}")
    return j


@jax.jit
def feature_curve(weights: Array, strength: Array, j: Array) -> ComplexityCurve:
    """`feature_complexity` of arguments that are not checked."""
    kept = weights > 0
    logarithm = jnp.log(jnp.where(kept, weights, 1))
    return ComplexityCurve(
        jnp.where(kept, (strength / strength[j]) ** 2, 0),
        jnp.where(kept, 2 * (logarithm - logarithm[j]), 0),
        ~kept[j],
    )


def feature_weights(moments: Moments, width: int | None = None) -> Float[Array, " d"]:
    r"""End-to-end weights $w_i = \sqrt{c_i} / q_i$ of a feature model, from diagonal moments.

    The `width` features of largest signal fraction $c_i / q_i$ are kept; the others have weight
    zero. It is the closed form of `spectral` feature by feature, also for grids of problems.
    Features that tie at the cut get NaN.

    **Arguments:**

    - `moments`: diagonal moments of the views.
    - `width`: the number of features that are kept, $d$ if not given.

    **Raises:** `ValueError` for a width below 1, or moments that are not diagonal.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
        >>> np.round(pt.theory.downstream.feature_weights(problem.moments()), 3)
        Array([0.4  , 0.962], dtype=float64)
        >>> np.round(pt.theory.downstream.feature_weights(problem.moments(), width=1), 3)
        Array([0.   , 0.962], dtype=float64)

        ```

    Theorem: spectral-minimiser.

    Source: paper, section 3.
    """
    cross, second = moments.cross, moments.second
    for name, matrix in (("cross", cross), ("second", second)):
        off = checks.concrete(matrix * (1 - jnp.eye(moments.dim, dtype=matrix.dtype)))
        if off is not None and off.any():
            raise checks.bad(
                "moments",
                f"{name} with entries off the diagonal",
                "the moments of an unmixed feature model",
            )
    c, q = jnp.maximum(diagonal(cross), 0), diagonal(second)
    there = (c > 0) & (q > 0)
    weights = jnp.where(there, jnp.sqrt(jnp.where(there, c, 1)) / jnp.where(there, q, 1), 0)
    width = moments.dim if width is None else min(checks.count("width", width), moments.dim)
    if width == moments.dim:
        return weights
    fraction = jnp.where(there, c / jnp.where(there, q, 1), 0)
    above = jnp.sum(fraction[None, :] > fraction[:, None], axis=1)
    level = jnp.sum(fraction[None, :] >= fraction[:, None], axis=1)
    inside = jnp.where(above < width, weights, 0)
    return jnp.where((above < width) & (level > width) & there, jnp.nan, inside)

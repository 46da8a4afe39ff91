"""Measured order of convergence of trained networks to their closed form, over one knob."""

from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Bool, Float, PRNGKeyArray

from .._core import checks
from .._core.keys import named
from .._core.plain import plain
from .._core.student import half_width
from ..problems import ContrastiveProblem
from ..theory.layers import spectral
from ._arguments import one
from ._knobs import KNOBS, LEAST, POINTS

FAR = 2
"""Values of the knob, farthest from the limit, without which the slope is fitted again."""


class Convergence(eqx.Module):
    """Errors of trained networks over the values of one knob, and the order that they show.

    - `values`: values of the knob, from the farthest from the limit to the nearest, `(K,)`.
    - `errors`: relative errors of each seed, `(N, K)`.
    - `converged`: whether each run converged, `(N, K)`.
    - `order`: the predicted order $p$: errors grow as the power $p$ of the knob.
    - `confidence`: the confidence of the interval.
    - `knob`, `label`: name of the knob, and its name on an axis.
    """

    values: Float[Array, " K"]
    errors: Float[Array, "N K"]
    converged: Bool[Array, "N K"]
    order: float
    confidence: float
    knob: str = eqx.field(static=True)
    label: str = eqx.field(static=True)

    @property
    def slopes(self) -> Float[np.ndarray, " N"]:
        """Slope of each seed, by weighted least squares in logarithms."""
        return self._fit(0)[0]

    @property
    def slope(self) -> float:
        """Measured order: the mean slope over seeds."""
        return float(self.slopes.mean())

    @property
    def sampling(self) -> float:
        """Half-width of Student's interval of the mean slope over seeds."""
        return self._half_width(self.slopes)

    @property
    def truncation(self) -> float:
        """Bound on what the next order of the error adds to the slope.

        Twice the change of the mean slope when the two values farthest from the limit are left
        out, as far as this change exceeds its own interval over seeds.
        """
        changes = self.slopes - self._fit(FAR)[0]
        return 2 * max(0.0, abs(float(changes.mean())) - self._half_width(changes))

    @property
    def interval(self) -> tuple[float, float]:
        """Interval of the order: the slope, give or take sampling and truncation."""
        half = self.sampling + self.truncation
        return self.slope - half, self.slope + half

    @property
    def verdict(self) -> str:
        """`agrees` if the predicted order lies in the interval, else `disagrees`.

        `not converged` if any run did not converge.
        """
        if not np.all(self.converged):
            return "not converged"
        low, high = self.interval
        return "agrees" if low <= self.order <= high else "disagrees"

    @property
    def line(self) -> Float[np.ndarray, " K"]:
        """The fitted line at the values of the knob."""
        slopes, centre, level = self._fit(0)
        return np.exp(level + slopes.mean() * (np.log(np.asarray(self.values)) - centre))

    def _half_width(self, x: np.ndarray) -> float:
        return float(half_width(x, (1 + self.confidence) / 2))

    def _fit(self, first: int) -> tuple[np.ndarray, float, float]:
        """Slopes of all seeds without the first values, the centre of the fit and its level.

        A value weighs as much as the inverse variance of its logarithmic errors over seeds.
        """
        x = np.log(np.asarray(self.values, float))[first:]
        y = np.log(np.asarray(self.errors, float))[:, first:]
        variance = y.var(axis=0, ddof=1)
        weights = 1 / np.maximum(variance, np.finfo(float).eps * max(variance.max(), 1e-300))
        weights = weights / weights.sum()
        centre = float(weights @ x)
        away = weights * (x - centre)
        return y @ away / (away @ x), centre, float((y @ weights).mean())

    def to_dict(self) -> dict[str, Any]:
        """Plain Python, for JSON; numbers that are not finite become None."""
        numbers = {name: plain(getattr(self, name)) for name in ("values", "errors", "slopes")}
        summary = {name: plain(getattr(self, name)) for name in ("slope", "sampling", "truncation")}
        return {
            "knob": self.knob,
            "predicted": self.order,
            **summary,
            "interval": plain(self.interval),
            "confidence": self.confidence,
            "verdict": self.verdict,
            **numbers,
            "converged": np.asarray(self.converged).tolist(),
        }

    def to_xarray(self):
        """The results as a labelled `xarray.Dataset`."""
        import xarray

        low, high = self.interval
        names = ("seed", "value")
        return xarray.Dataset(
            {
                "error": (names, np.asarray(self.errors)),
                "converged": (names, np.asarray(self.converged)),
                "slope": (names[:1], self.slopes),
                "line": (names[1:], self.line),
            },
            coords={"seed": np.arange(len(self.errors)), "value": np.asarray(self.values)},
            attrs={
                "knob": self.knob,
                "predicted": self.order,
                "slope": self.slope,
                "low": low,
                "high": high,
                "sampling": self.sampling,
                "truncation": self.truncation,
                "confidence": self.confidence,
                "verdict": self.verdict,
            },
        )

    def plot(self, ax: Any = None):
        """Plot errors with their intervals, the fitted line and the predicted slope.

        Returns the Matplotlib axes.
        """
        from ..figures import plot_convergence

        return plot_convergence(self, ax)


def convergence(
    problem: ContrastiveProblem,
    knob: str = "step",
    *,
    key: PRNGKeyArray | None = None,
    seeds: int | None = None,
    confidence: float = 0.95,
    progress: Callable[[str], None] = lambda line: None,
) -> Convergence:
    r"""Train networks at five values of one knob, and measure the order of their error in it.

    Networks of two linear layers, as wide as the inputs, are trained to the minimum of their loss,
    and the Grams of both layers are compared with the closed form:

    $$e = \Big( \tfrac12 \sum_l \|M_l - M_l^\star\|_F^2 / \|M_l^\star\|_F^2 \Big)^{1/2} \propto
    \text{knob}^p$$

    | knob | what is trained | closed form | $p$ |
    |---|---|---|---|
    | `step` | gradient descent of step $\eta$, balanced start | layer-wise law | 1 |
    | `start` | gradient flow, unbalanced start of scale $\epsilon$ | layer-wise law | 2 |
    | `samples` | gradient flow on $n$ pairs, balanced start | layer-wise law | $-1/2$ |
    | `width` | gradient flow, Gaussian start of hidden width $h$ | start law | $-1/2$ |
    | `negatives` | InfoNCE on batches of $n$ Gaussian pairs | infinitely many negatives | $-1$ |

    The range of each knob is fixed before anything is trained, by the size of the next order of the
    error, which has to be small at the value farthest from the limit and at least halves every two
    values. The value nearest the limit has to leave an error far above the error of the runs, which
    end at a relative gradient of about $10^{-10}$. So float64 is needed.

    - `step`: $\eta H = 2^{-4}, \dots, 2^{-8}$ with $H$ the largest curvature at the minimum. Steps
      of $2 / H$ are unstable, and the next order is of the size of $\eta H$.
    - `start`: $\epsilon^2 / \mu = 2^{-5}, \dots, 2^{-9}$ with $\mu$ the least eigenvalue of
      $M_1^\star$. The imbalance, of the size $\epsilon^2$, is a perturbation of $M_1^\star$ in
      which the next order is of the size of $\epsilon^2 / \mu$. The flow keeps it to about
      $10^{-11}$.
    - `samples`: from $n = 16 d / \lambda^2$ with $\lambda$ the least signal fraction, each four
      times the last. Whitened moments of a sample are off by about $\sqrt{d/n}$, at most a
      quarter of $\lambda$. The next order is as small beside the first one.
    - `width`: $h / d = 2^5, \dots, 2^{13}$, each four times the last. A random Gram of $2d$ columns
      deviates from its mean by about $\sqrt{2d/h}$, at most a quarter. The next order is as small
      beside the first one.
    - `negatives`: $n$ from 32 times the ratio of the second coefficient of the expansion in $1/n$
      to the first one, each twice the last. Every seed sees the inputs along one random direction,
      as one Gaussian feature. Training is on the expected loss, whose quadrature has a relative
      error of about $10^{-7}$.

    The slope of each seed is fitted by weighted least squares in logarithms. The interval of their
    mean is Student's, widened by what the next order of the error may add to the slope.

    **Arguments:**

    - `problem`: problem with exact moments in float64, and a signal in every direction.
    - `knob`: `step`, `start`, `samples`, `width` or `negatives`.
    - `key`: key of the starts and samples; the key of seed 0 if not given.
    - `seeds`: number of seeds, at least 2. By default 8, and 32 for `samples` and `width`, whose
      errors are random.
    - `confidence`: confidence of the interval.
    - `progress`: function called with a line as the runs begin and end.

    **Returns:** a `Convergence`.

    **Raises:** `ValueError` for arguments out of range, for a signal fraction below 0.02, or above
    0.4 with `negatives`.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([1.5, 1.0]), pt.AdditiveNoise(1.0))
        >>> found = pt.convergence(problem, "step", seeds=4)
        >>> found.verdict, round(found.slope, 2), found.order
        ('agrees', 1.0, 1.0)

        ```

    Theorem: layerwise-law, discrete-balancedness, finite-sample, gaussian-start, infonce-negatives.

    Source: beyond the paper.
    """
    if knob not in KNOBS:
        raise checks.bad("knob", repr(knob), f"one of {', '.join(KNOBS)}")
    chosen = KNOBS[knob]
    count = checks.count("seeds", chosen.seeds if seeds is None else seeds, 2)
    checks.require(
        "confidence",
        one("confidence", checks.floating("confidence", confidence)),
        lambda v: (v > 0) & (v < 1),
        "a number between 0 and 1",
    )
    _require_signal(problem)
    key = jax.random.key(0) if key is None else key
    progress(f"{knob}: {count} seeds at {POINTS} values")
    found = chosen.run(problem, named(key, f"convergence by {knob}"), count)
    return Convergence(
        jnp.asarray(found.values),
        found.errors,
        found.converged,
        chosen.order,
        float(confidence),
        knob,
        chosen.label,
    )


def _require_signal(problem: ContrastiveProblem) -> None:
    """Raise unless all orders are defined on the problem, and errors can be seen there."""
    if not problem.exact:
        raise checks.bad(
            "problem", "a custom augmentation", "exact moments, as the closed form is compared with"
        )
    moments = problem.moments()
    if moments.second.dtype != np.float64:
        raise checks.bad("problem", f"dtype {moments.second.dtype}", "float64, for small errors")
    least = float(np.min(spectral(moments).signal_fraction))
    if not least >= LEAST:
        raise checks.bad(
            "problem",
            f"a signal fraction of {least:.3g}",
            f"at least {LEAST} in every direction: near zero weights have no order in the knob",
        )

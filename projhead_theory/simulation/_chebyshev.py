r"""Runge-Kutta-Chebyshev method: explicit steps that are long beside the fastest time scale.

The Jacobian of gradient flow is minus the Hessian of the loss: it is symmetric, and its eigenvalues
are real. For such an equation a polynomial of degree $s$ is stable on an interval of length close
to $\frac23 s^2$, where $s$ steps of Euler's method reach $2s$. A network that waits at a saddle
while the learned modes are stiff takes few steps of many stages there.

The formulas are by Sommeijer, Shampine and Verwer (1998), "RKC: an explicit solver for
parabolic PDEs". The stages are chosen step by step, from an estimate of the spectral radius.
"""

import functools
from typing import Any, ClassVar, NamedTuple

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array
from numpy.polynomial import chebyshev

from ._objective import norm

DAMPING = 2 / 13
"""Distance from the edge of stability: a step damps every fast mode by four per cent or more."""

MARGIN = 1.1
"""Factor on the estimate of the spectral radius, which a power iteration approaches from below."""


class _Stages(NamedTuple):
    r"""Coefficients of the methods with up to $m$ stages; row $s$ is the method of $s$ stages.

    Stage $j \ge 2$ is, with $F$ the velocity,

    $$Y_j = (1 - \mu_j - \nu_j) Y_0 + \mu_j Y_{j-1} + \nu_j Y_{j-2}
    + \tilde\mu_j h F(Y_{j-1}) + \tilde\gamma_j h F(Y_0).$$

    - `first`: $\tilde\mu_1$ of the first stage $Y_0 + \tilde\mu_1 h F(Y_0)$, `(m + 1,)`.
    - `later`: $\mu_j, \nu_j, \tilde\mu_j, \tilde\gamma_j$, `(m + 1, m + 1, 4)`.
    """

    first: np.ndarray
    later: np.ndarray


@functools.cache
def _stages(most: int) -> _Stages:
    """Coefficients from the Chebyshev polynomials and their first two derivatives."""
    first, later = np.zeros(most + 1), np.zeros((most + 1, most + 1, 4))
    for s in range(2, most + 1):
        at = 1 + DAMPING / s**2
        value, slope, curvature = (
            np.asarray(chebyshev.chebval(at, chebyshev.chebder(np.eye(s + 1), m))) for m in range(3)
        )
        b = np.ones(s + 1)
        b[2:] = curvature[2:] / slope[2:] ** 2
        b[:2] = b[2], 1 / at
        stretch = slope[s] / curvature[s]
        first[s] = b[1] * stretch
        j = np.arange(2, s + 1)
        mu, nu, forward = 2 * at * b[j] / b[j - 1], -b[j] / b[j - 2], 2 * stretch * b[j] / b[j - 1]
        back = -(1 - b[j - 1] * value[j - 1]) * forward
        later[s, 2 : s + 1] = np.stack([mu, nu, forward, back], axis=1)
    return _Stages(first, later)


class Carried(NamedTuple):
    """State that goes on from step to step.

    - `velocity`: at the start of the step.
    - `direction`: a unit vector, the last of the power iteration for the fastest mode.
    """

    velocity: Any
    direction: Any


def _unit(tree: Any, otherwise: Any) -> tuple[Any, Array]:
    """A tree scaled to norm one, and its norm; the other tree where the norm is zero."""
    size = norm(tree)
    safe = jnp.where(size > 0, size, 1)
    return jax.tree.map(lambda x, y: jnp.where(size > 0, x / safe, y), tree, otherwise), size


class Chebyshev(diffrax.AbstractSolver):
    r"""Runge-Kutta-Chebyshev method of order 2 for gradient flow, with 2 to `most` stages.

    A step of length $h$ takes the fewest stages $s$ with $0.65\,(s^2 - 1) \ge h\rho$, where $\rho$
    is the spectral radius of the Jacobian: one iteration of the power method a step follows it. A
    step that would need more than `most` stages is refused.
    """

    most: int = eqx.field(static=True)

    term_structure: ClassVar = diffrax.AbstractTerm
    interpolation_cls: ClassVar = diffrax.LocalLinearInterpolation

    def order(self, terms: Any) -> int:
        return 2

    def error_order(self, terms: Any) -> int:
        """The error of one step is of the third order in its length."""
        return 3

    def func(self, terms: Any, t0: Any, y0: Any, args: Any) -> Any:
        return terms.vf(t0, y0, args)

    def init(self, terms: Any, t0: Any, t1: Any, y0: Any, args: Any) -> Carried:
        velocity = terms.vf(t0, y0, args)
        ones = jax.tree.map(jnp.ones_like, y0)
        return Carried(velocity, _unit(velocity, _unit(ones, ones)[0])[0])

    def step(
        self,
        terms: Any,
        t0: Any,
        t1: Any,
        y0: Any,
        args: Any,
        solver_state: Carried,
        made_jump: Any,
    ) -> tuple[Any, Any, Any, Carried, diffrax.RESULTS]:
        start, h = solver_state.velocity, t1 - t0
        velocity = lambda y: terms.vf(t0, y, args)
        _, moved = jax.jvp(velocity, (y0,), (solver_state.direction,))
        direction, radius = _unit(moved, solver_state.direction)

        wanted = jnp.ceil(jnp.sqrt(1 + MARGIN * h * radius / 0.65))
        refused = ~(wanted <= self.most)
        stages = jnp.where(refused, 2, jnp.maximum(wanted, 2)).astype(int)
        first, later = (jnp.asarray(x, h.dtype)[stages] for x in _stages(self.most))

        def stage(carry: tuple[Array, Any, Any]) -> tuple[Array, Any, Any]:
            j, before, now = carry
            mu, nu, forward, back = later[j]
            new = jax.tree.map(
                lambda y, a, b, f, g: (
                    (1 - mu - nu) * y + mu * b + nu * a + h * (forward * f + back * g)
                ),
                y0,
                before,
                now,
                velocity(now),
                start,
            )
            return j + 1, now, new

        begin = jax.tree.map(lambda y, f: y + first * h * f, y0, start)
        _, _, y1 = jax.lax.while_loop(
            lambda carry: carry[0] <= stages, stage, (jnp.asarray(2), y0, begin)
        )
        end = velocity(y1)
        # An error of the size of the state has any controller try a shorter step.
        error = jax.tree.map(
            lambda a, b, f, g: jnp.where(
                refused, 1 + jnp.abs(a), 0.8 * (a - b) + 0.4 * h * (f + g)
            ),
            y0,
            y1,
            start,
            end,
        )
        carried = Carried(end, direction)
        return y1, error, {"y0": y0, "y1": y1}, carried, diffrax.RESULTS.successful

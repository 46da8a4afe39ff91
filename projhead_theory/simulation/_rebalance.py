"""Factorisation of least norm of a given product, by descent of the norm itself."""

import itertools

import diffrax
import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Bool

from .._core import checks
from .._core.linalg import matmul
from ..networks import DeepLinear


class Rebalanced(eqx.Module):
    r"""Result of `rebalance`.

    - `network`: the factorisation, of the same product as the start.
    - `residual`: the relative gradient of $\sum_l \|W_l\|_F^2$ along the factorisations of the
      product.
    - `converged`: True if the residual vanished to within the tolerance.
    - `moved`: the relative drift of the product by integration, in Frobenius norm.
    """

    network: DeepLinear
    residual: Array
    converged: Bool[Array, ""]
    moved: Array


def rebalance(
    network: DeepLinear,
    *,
    rtol: checks.Scalar | None = None,
    t1: checks.Scalar = 1e6,
    max_steps: int = 20_000,
) -> Rebalanced:
    r"""Descend $\sum_l \|W_l\|_F^2$ among all factorisations of the same product.

    The factorisations are reached by $W_l \to A_l W_l A_{l-1}^{-1}$ with $A_l$ invertible and
    $A_0 = A_L = 1$. Along symmetric generators $X_l$, against the gradient of the norm, the flow
    is

    $$\dot W_l = X_l W_l - W_l X_{l-1}, \qquad X_l = W_{l+1}^\top W_{l+1} - W_l W_l^\top.$$

    No least norm is assumed: the flow stops where the norm no longer falls.

    **Arguments:**

    - `network`: any factorisation.
    - `rtol`: local error per step, by default $\epsilon^{3/4}$ for the dtype's $\epsilon$.
    - `t1`: the latest time.
    - `max_steps`: the most steps the solver may take.

    **Returns:** a `Rebalanced`.

    **Raises:** `ValueError` for arguments out of range.
    """
    dtype = network.layers[0].dtype
    rtol = float(jnp.finfo(dtype).eps) ** 0.75 if rtol is None else rtol
    tolerance = checks.positive("rtol", rtol).astype(dtype)
    return _rebalance(
        network,
        tolerance,
        checks.positive("t1", t1).astype(dtype),
        checks.count("max_steps", max_steps),
    )


def _squares(network: DeepLinear) -> Array:
    return jnp.sum(jnp.stack([jnp.sum(w * w) for w in network.layers]))


def _generators(network: DeepLinear) -> list[Array]:
    layers = network.layers
    return [
        matmul(above.T, above) - matmul(below, below.T)
        for below, above in itertools.pairwise(layers)
    ]


def _residual(network: DeepLinear) -> Array:
    squares = _squares(network)
    moves = sum((jnp.sum(x * x) for x in _generators(network)), jnp.zeros_like(squares))
    return jnp.sqrt(moves) / jnp.maximum(squares, jnp.finfo(squares.dtype).tiny)


@eqx.filter_jit
def _rebalance(network: DeepLinear, rtol: Array, t1: Array, max_steps: int) -> Rebalanced:
    product = network.matrix
    # In units in which the layers are of size one, so that times and tolerances mean the same for
    # any product.
    squares = _squares(network)
    unit = jnp.sqrt(jnp.maximum(squares / network.depth, jnp.finfo(squares.dtype).tiny))
    start = jax.tree.map(lambda w: w / unit, network)

    def field(t, y, args):
        nothing = jnp.zeros((), rtol.dtype)
        inner = _generators(y)
        moves = []
        for w, left, right in zip(y.layers, [*inner, nothing], [nothing, *inner], strict=True):
            move = matmul(left, w) if left.ndim else jnp.zeros_like(w)
            moves.append(move - matmul(w, right) if right.ndim else move)
        return DeepLinear(moves)

    solution = diffrax.diffeqsolve(
        diffrax.ODETerm(field),
        diffrax.Dopri8(),
        t0=jnp.zeros_like(t1),
        t1=t1,
        dt0=None,
        y0=start,
        saveat=diffrax.SaveAt(t1=True),
        stepsize_controller=diffrax.PIDController(rtol=rtol, atol=rtol),
        event=diffrax.Event(lambda t, y, args, **kwargs: _residual(y) <= 10 * rtol),
        max_steps=max_steps,
        throw=False,
    )
    end = jax.tree.map(lambda w: w[0] * unit, solution.ys)
    residual = _residual(end)
    size = jnp.sqrt(jnp.maximum(jnp.sum(product**2), jnp.finfo(rtol.dtype).tiny))
    return Rebalanced(
        end, residual, residual <= 10 * rtol, jnp.sqrt(jnp.sum((end.matrix - product) ** 2)) / size
    )

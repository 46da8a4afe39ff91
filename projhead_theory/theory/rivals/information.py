r"""The head as an information bottleneck, in closed form for Gaussian features.

Independent Gaussian features $Y$ are seen through a noisy view $X$. Noise of one scale $\nu$ is
added to every representation, without which all information would be infinite:
$Z_1 = W_{l:1} X + \nu \varepsilon_1$ before the head, $Z_2 = H Z_1 + \nu \varepsilon_2$ after it,
and the target $R = Z_2 + \nu \varepsilon_3$. In the chain $Y - X - Z_1 - Z_2 - R$ squared
correlations multiply, and every information is a sum of $-\frac12 \ln(1 - \rho^2)$ over the
features.
"""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float

from ..._core import checks

__all__ = ["InformationBounds", "information_bounds"]


class InformationBounds(eqx.Module):
    r"""Informations in nats, and two published bounds on what the encoder knows of the features.

    - `before`: $I(Y; Z_1)$, before the head.
    - `after`: $I(Y; Z_2)$, after the head, the bound of data processing.
    - `passed`: $I(Z_1; Z_2)$, what the head passes on.
    - `entropy`: the differential entropy $h(Z_1)$.
    - `lower`: $I(Z_1; R) - I(Z_1; Z_2) + I(R; Y)$.
    - `lower_other`: the same, if $R$ is the representation after the head of the other view.
    - `upper`: $I(Y; Z_2) - I(Z_1; Z_2) + h(Z_1)$.
    - `critical_scale`: the factor of $Z_1$ below which `upper` is less than `before`.
    """

    before: Float[Array, ""]
    after: Float[Array, ""]
    passed: Float[Array, ""]
    entropy: Float[Array, ""]
    lower: Float[Array, ""]
    lower_other: Float[Array, ""]
    upper: Float[Array, ""]
    critical_scale: Float[Array, ""]


def information_bounds(
    cross: Float[Array, " d"],
    second: Float[Array, " d"],
    below: Float[Array, " d"],
    above: Float[Array, " d"],
    noise: checks.Scalar,
) -> InformationBounds:
    r"""Informations before and after the head, and the published bounds.

    $$\rho^2_{Y Z_1} = \lambda \frac{w_1^2 q}{v_1}, \qquad
    \rho^2_{Z_1 Z_2} = \frac{h^2 v_1}{v_2}, \qquad \rho^2_{Z_2 R} = \frac{v_2}{v_2 + \nu^2}$$

    with $v_1 = w_1^2 q + \nu^2$, $h = w_2 / w_1$ and $v_2 = h^2 v_1 + \nu^2$. The lower bound
    holds, and is never above $I(Y; Z_2)$. The upper bound replaces the entropy of a discrete
    variable by a differential entropy, which $d \ln a$ is added to when $Z_1$ is multiplied by $a$;
    no information changes, so that it fails for every $a$ below `critical_scale`.

    **Arguments:**

    - `cross`: $c \ge 0$ of every feature; $\lambda = c / q$ is its squared correlation with the
      view.
    - `second`: $q > 0$ of the view.
    - `below`, `above`: weights $w_1 > 0$ before the head, $w_2 \ge 0$ after it.
    - `noise`: $\nu > 0$.

    **Raises:** `ValueError` for arguments out of range, shapes that differ, or $c > q$.

    !!! example

        ```pycon
        >>> one = jnp.ones(1)
        >>> bounds = pt.theory.rivals.information_bounds(0.8 * one, one, one, one, 0.5)
        >>> round(float(bounds.before), 3), round(float(bounds.lower), 3)
        (0.511, 0.036)

        ```

    Theorem: information-bottleneck.

    Source: beyond Ouyang et al. (ICLR 2025), whose bounds are tested.
    """
    cross = checks.nonnegative("cross", cross)
    second, below = checks.positive("second", second), checks.positive("below", below)
    above, noise = checks.nonnegative("above", above), checks.positive("noise", noise)
    arrays = {"cross": cross, "second": second, "below": below, "above": above}
    for name, x in arrays.items():
        if x.ndim != 1 or x.shape != cross.shape:
            raise checks.bad(name, f"shape {x.shape}", f"(d,), one number for each of {cross.size}")
    if (known := checks.concrete(cross / second)) is not None and (known > 1 + 1e-6).any():
        raise checks.bad("cross", f"{known.max():.6g} times the second moment", "at most once")
    dtype = jnp.result_type(*arrays.values())
    return _bounds(*(x.astype(dtype) for x in (*arrays.values(), noise)))


@jax.jit
def _bounds(
    cross: Array, second: Array, below: Array, above: Array, noise: Array
) -> InformationBounds:
    spread = noise**2
    v1 = below**2 * second + spread
    gain = (above / below) ** 2
    v2 = gain * v1 + spread
    seen, passed, read = cross * below**2 / v1, gain * v1 / v2, v2 / (v2 + spread)
    information = lambda square: -jnp.sum(jnp.log1p(-square)) / 2
    before, after = information(seen), information(seen * passed)
    through = information(passed)
    entropy = jnp.sum(jnp.log(2 * np.pi * np.e * v1)) / 2
    lower = information(passed * read) - through + information(seen * passed * read)
    # Both views see the features alike: squared correlations multiply through the features.
    across = information(seen**2 * passed)
    upper = after - through + entropy
    return InformationBounds(
        before=before,
        after=after,
        passed=through,
        entropy=entropy,
        lower=lower,
        lower_other=across - through + after,
        upper=upper,
        critical_scale=jnp.exp((before - upper) / cross.size),
    )

"""Roots by bisection, and their derivatives as implicit functions: of a cubic, in closed form;
nested, mapped and degenerate.
"""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import cast

from projhead_theory._core.bisect import bisect

STEPS = 60
A, B = np.array([0.3, 1.0, 2.5]), np.array([[-2.0, 0.7, 5.0], [1.0, -0.2, 0.4]])


def root(a, b):
    """Of x^3 + a x = b, which rises."""
    shape = jnp.broadcast_shapes(jnp.shape(a), jnp.shape(b))
    return bisect(
        lambda x: x**3 + a * x - b, jnp.full(shape, cast(-3.0)), jnp.full(shape, cast(3.0)), STEPS
    )


def cardano(a, b):
    """The same root by radicals, which lose digits where they cancel; then polished by Newton's
    method.
    """
    inside = np.sqrt(b**2 / 4 + a**3 / 27)
    x = np.cbrt(b / 2 + inside) + np.cbrt(b / 2 - inside)
    for _ in range(3):
        x = x - (x**3 + a * x - b) / (3 * x**2 + a)
    return x


@pytest.mark.parametrize(
    "wrap",
    [
        lambda f: f,
        jax.jit,
        lambda f: jax.vmap(f, (None, 0)),
        lambda f: jax.jit(jax.vmap(f, (None, 0))),
    ],
)
def test_root_entry_by_entry(wrap, eps):
    # The function is rounded by 4 eps of its terms, which are below 8, and its slope is at least
    # 0.3.
    np.testing.assert_allclose(wrap(root)(cast(A), cast(B)), cardano(A, B), atol=4 * 8 * eps / 0.3)


def slopes(a, b):
    """First and second derivatives of the root in `a` and `b`, from x^3 + a x = b differentiated
    twice.
    """
    x = cardano(a, b)
    f = 3 * x**2 + a
    first = {"a": -x / f, "b": 1 / f}
    second = {
        "aa": 2 * x / f**2 - 6 * x**3 / f**3,
        "ab": -1 / f**2 + 6 * x**2 / f**3,
        "bb": -6 * x / f**3,
    }
    return first, second


MODES = {"forward": jax.jacfwd, "reverse": jax.jacrev}


@pytest.mark.parametrize("compiled", [False, True])
@pytest.mark.parametrize("mode", MODES)
def test_first_derivatives_are_those_of_the_implicit_function(mode, compiled, eps):
    """Mapped over many roots, as everywhere in the library."""
    derivative = lambda i: jax.vmap(MODES[mode](root, i))
    want = slopes(A, B[0])[0]
    for i, name in enumerate("ab"):
        found = (jax.jit(derivative(i)) if compiled else derivative(i))(cast(A), cast(B[0]))
        # The rounding of the root, 128 eps, in a function of slopes within 30 of one another.
        np.testing.assert_allclose(found, want[name], rtol=128 * 30 * eps)


@pytest.mark.parametrize(
    ("outer", "inner"), [("forward", "reverse"), ("reverse", "forward"), ("forward", "forward")]
)
def test_second_derivatives(outer, inner, eps):
    want = slopes(A, B[0])[1]
    for i, j, name in ((0, 0, "aa"), (0, 1, "ab"), (1, 1, "bb")):
        found = jax.jit(jax.vmap(MODES[outer](MODES[inner](root, i), j)))(cast(A), cast(B[0]))
        np.testing.assert_allclose(found, want[name], rtol=128 * 30**2 * eps, atol=128 * eps)


def test_a_root_within_a_root(eps):
    """Of y + x(y) = c with x^3 = y, which is x^3 + x = c."""

    def outer(c):
        cube_root = lambda y: bisect(
            lambda x: x**3 - y, jnp.zeros_like(y), jnp.full_like(y, 2), STEPS
        )
        return bisect(lambda y: y + cube_root(y) - c, cast(0.1), cast(5.0), STEPS)

    value, slope = jax.jit(jax.value_and_grad(outer))(cast(2.0))
    assert float(value) == pytest.approx(1, rel=64 * eps)
    assert float(slope) == pytest.approx(3 / 4, rel=64 * eps)


def test_another_function_of_the_same_root_is_searched_and_this_one_differentiated(eps):
    """The one that is searched has no derivative to offer; the other one is undefined away from the
    root.
    """

    def half(b):
        near = lambda x: jnp.where(jnp.abs(x**2 - b) < 1e-3, x**2 - b, jnp.nan)
        return bisect(
            near, cast(0.0), cast(4.0), STEPS, lambda x: jax.lax.stop_gradient(jnp.sign(x**2 - b))
        )

    value, slope = jax.value_and_grad(half)(cast(2.0))
    assert float(value) == pytest.approx(2**0.5, rel=16 * eps)
    assert float(slope) == pytest.approx(2**-1.5, rel=16 * eps)


@pytest.mark.parametrize("mode", [jax.grad, jax.jacfwd])
def test_where_the_function_is_flat_the_derivative_is_zero(mode):
    """It has no root there, nor a NaN."""
    flat = lambda b: bisect(lambda x: jnp.maximum(x - 2, 0) - b, cast(0.0), cast(1.0), STEPS)
    assert float(mode(flat)(cast(0.5))) == 0


@pytest.mark.parametrize(("shift", "end"), [(10.0, 0.0), (-10.0, 1.0)])
def test_without_a_root_it_is_an_end(shift, end, eps):
    value, slope = jax.value_and_grad(
        lambda s: bisect(lambda x: x + s, cast(0.0), cast(1.0), STEPS)
    )(cast(shift))
    assert float(value) == pytest.approx(end, abs=2 * eps)
    assert np.isfinite(slope)


def test_each_halving_halves_the_error():
    """So many steps leave a 2^-(n + 1)th of the bracket."""
    for steps in (1, 5, 15):
        found = bisect(lambda x: x - 0.3, cast(0.0), cast(1.0), steps)
        assert abs(float(found) - 0.3) <= 2.0 ** -(steps + 1)


@pytest.mark.parametrize("dtype", [jnp.float32, jnp.float16])
def test_the_dtype_is_that_of_the_ends(dtype):
    found = jax.eval_shape(
        lambda b: bisect(lambda x: x - b, jnp.zeros((), dtype), jnp.ones((), dtype), STEPS),
        jnp.zeros((), dtype),
    )
    assert found.dtype == dtype

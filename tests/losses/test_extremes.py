"""Losses of extreme outputs: huge, tiny, constant, of any dtype."""

import itertools

import equinox as eqx
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_cases import (
    CASES,
    Case,
    agree,
    arrays,
    info_nce_loops,
    nt_xent_loops,
    outputs,
    supcon_loops,
)

from projhead_theory.losses import (
    InfoNCE,
    SupervisedContrastive,
    cross_entropy,
)

DTYPES = [jnp.float32, pytest.param(jnp.float64, marks=pytest.mark.x64)]
EXTREMES = {
    "large": lambda y: 1e4 * y,
    "small": lambda y: 1e-12 * y,
    "zero": lambda y: 0 * y,
    "constant": lambda y: 0 * y + 0.1,
    "one row zero": lambda y: y * (np.arange(len(y[0])) > 0)[:, None],
}
COLD = {
    "info_nce cold": Case(InfoNCE(1e-3), info_nce_loops, "views"),
    "info_nce cold inner": Case(InfoNCE(1e-3, normalise=False), info_nce_loops, "views"),
    "nt_xent cold": Case(InfoNCE(1e-3, within_views=True), nt_xent_loops, "views"),
    "supcon cold": Case(SupervisedContrastive(1e-3), supcon_loops, "labels"),
}


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("case", [*CASES.values(), *COLD.values()], ids=[*CASES, *COLD])
def test_value_and_gradient_are_finite_at_extremes_and_keep_the_dtype_of_the_outputs(case, dtype):
    """Large, small, zero and constant outputs, one class, all classes distinct; targets and numbers
    of another dtype.
    """
    labellings = arrays(case.targets(6, 3))
    if case.data == "labels":
        labellings = arrays(np.zeros(6, int), np.arange(6), np.asarray([0, 0, 0, 1, 1, 2]))
    if case.loss is cross_entropy and case.data == "labels":
        labellings = [labels % 3 for labels in labellings]
    for targets, (name, extreme) in itertools.product(labellings, EXTREMES.items()):
        value, gradient = case.value_and_gradient(
            jnp.asarray(extreme(outputs(6, 3)), dtype), targets
        )
        assert value.dtype == gradient.dtype == dtype
        assert np.isfinite(value), name
        assert np.isfinite(gradient).all(), name


@pytest.mark.parametrize("dtype", DTYPES)
def test_values_at_extremes(dtype):
    """What is zero, one or linear there is so exactly, or to rounding."""
    eps = float(jnp.finfo(dtype).eps)
    y, same = jnp.asarray(outputs(6, 3), dtype), jnp.full((2, 6, 3), 0.1, dtype)
    for name in ("supcon", "supcon warm inner"):
        value, gradient = CASES[name].value_and_gradient(y, jnp.arange(6))
        assert value == 0, "no anchor has a positive"
        assert not gradient.any()
    value, gradient = CASES["barlow_twins"].value_and_gradient(same.at[1].set(y[1]), None)
    assert value == 3, "a constant correlates with nothing"
    assert not gradient.any()
    assert abs(CASES["vicreg"].value_and_gradient(same, None)[0] - 2 * 25 * (1 - 0.01)) <= 256 * eps
    logits, entropy = (
        jnp.asarray([[1e4, 0.0], [0.0, 1e4]], dtype),
        eqx.filter_jit(cross_entropy.labelled),
    )
    assert entropy(logits, jnp.asarray([0, 1])) == 0
    assert entropy(logits, jnp.asarray([1, 0])) == 1e4
    assert entropy(logits, jnp.asarray([[0.5, 0.5], [0, 1]], dtype)) == 2.5e3
    # Each output its own view: no other comes near, at a temperature of 1e-3.
    apart, cold = jnp.eye(6, dtype=dtype), eqx.filter_jit(InfoNCE(1e-3).batch)
    assert cold(apart, apart) == 0
    assert abs(cold(apart, -apart) - (1000 + float(np.log(5)))) <= 4000 * eps


def test_the_direction_of_a_tiny_or_huge_output_is_still_its_direction():
    """Squares of these would leave the range of the dtype."""
    y = outputs(6, 3)
    extreme = float(jnp.finfo(jnp.result_type(float)).max) ** 0.75
    for scale in (1 / extreme, extreme):
        for name in ("info_nce", "nt_xent", "barlow_twins"):
            agree(CASES[name], y, None, y * scale, None)

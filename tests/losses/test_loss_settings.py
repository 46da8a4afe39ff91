"""Numbers of losses: temperatures and weights, their checks, what compiles once."""

import subprocess
import sys

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_cases import (
    arrays,
    info_nce_loops,
    outputs,
    rounding,
)

from projhead_theory import (
    DeepLinear,
    Labelled,
)
from projhead_theory.losses import (
    BarlowTwins,
    InfoNCE,
    SupervisedContrastive,
    VICReg,
)
from projhead_theory.simulation import (
    gradient_descent,
)


def test_importing_losses_touches_no_device_and_so_leaves_precision_to_the_user():
    """JAX lets the number of devices be set only until it first uses one."""
    source = """
import jax, projhead_theory.losses as losses
jax.config.update("jax_num_cpu_devices", 3)
assert len(jax.devices("cpu")) == 3
jax.config.update("jax_enable_x64", True)
import jax.numpy as jnp
assert losses.info_nce.batch(jnp.eye(2), jnp.eye(2)).dtype == jnp.float64
"""
    result = subprocess.run(
        [sys.executable, "-c", source], capture_output=True, text=True, check=False
    )
    assert result.returncode == 0, result.stderr


def test_other_numbers_do_not_recompile_other_choices_do():
    traces = {"now": 0}

    @eqx.filter_jit
    def value(loss, y):
        traces["now"] += 1
        return loss.batch(*y)

    (y,) = arrays(outputs(5, 3))
    makers = [
        InfoNCE,
        lambda t: InfoNCE(t, within_views=True),
        BarlowTwins,
        lambda t: VICReg(t, 2 * t, t, target=t, epsilon=t),
    ]
    for k, make in enumerate(makers, 1):
        values = {float(value(make(number), y)) for number in (0.1, np.float64(0.2), 3)}
        assert len(values) == 3
        assert traces["now"] == k
    value(InfoNCE(normalise=False), y)
    assert traces["now"] == 5


def test_training_at_another_temperature_does_not_recompile():
    traces = {"now": 0}

    class Counted(SupervisedContrastive):
        def labelled(self, outputs, targets):
            traces["now"] += 1
            return super().labelled(outputs, targets)

    data, network = (
        Labelled(outputs(8, 3)[0], np.arange(8) % 3),
        DeepLinear.init(jax.random.key(0), (3, 3)),
    )
    ends = []
    for temperature in (0.5, 0.7):
        ends.append(
            gradient_descent(
                network, data, loss=Counted(temperature), steps=5, save_at=2
            ).final.matrix
        )
        before = traces.setdefault("first", traces["now"])
    assert traces["now"] == before
    assert not np.allclose(*ends)


def test_a_sweep_of_temperatures_is_a_vmap_over_losses_and_temperature_has_a_gradient(eps):
    y, temperatures = outputs(5, 3), jnp.asarray([0.1, 0.5, 2.0])
    many = jax.vmap(lambda loss: loss.batch(*arrays(*y)))(jax.vmap(InfoNCE)(temperatures))
    for seen, t in zip(many, temperatures, strict=True):
        assert abs(float(seen) - info_nce_loops(*y, temperature=float(t))) <= rounding(eps, y)
    slope = jax.grad(lambda t: InfoNCE(t).batch(*arrays(*y)))(jnp.asarray(0.5))
    h = 1e-4
    want = (info_nce_loops(*y, temperature=0.5 + h) - info_nce_loops(*y, temperature=0.5 - h)) / (
        2 * h
    )
    assert abs(float(slope) - want) <= 1e-6 + rounding(eps, y)


@pytest.mark.parametrize(
    ("make", "message"),
    {
        "zero temperature": (
            lambda: InfoNCE(0.0),
            "temperature: got 0.0; want one positive finite number",
        ),
        "negative temperature": (
            lambda: SupervisedContrastive(-1),
            "temperature: got -1.0; want one positive",
        ),
        "infinite temperature": (
            lambda: InfoNCE(np.inf),
            "temperature: got inf; want one positive finite",
        ),
        "two temperatures": (
            lambda: InfoNCE([0.1, 0.2]),
            r"temperature: got shape \(2,\); want one positive",
        ),
        "a word": (lambda: InfoNCE("cold"), "temperature: got 'cold'; want one positive"),
        "a truth": (lambda: BarlowTwins(True), "off_diagonal: got True; want one non-negative"),
        "negative weight": (
            lambda: BarlowTwins(-1e-3),
            "off_diagonal: got -0.001; want one non-negative",
        ),
        "not a number": (lambda: VICReg(np.nan), "invariance: got nan; want one non-negative"),
        "negative JAX array": (
            lambda: VICReg(1, jnp.asarray(-2.0)),
            "variance: got -2.0; want one non-negative",
        ),
        "no epsilon": (lambda: VICReg(epsilon=0), "epsilon: got 0.0; want one positive"),
    }.values(),
)
def test_bad_numbers_of_losses_are_named(make, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        make()

"""Losses of batches against formulas in loops and against another library."""

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_cases import (
    CASES,
    arrays,
    each_case,
    outputs,
    rounding,
)


@each_case
@pytest.mark.parametrize(("n", "p"), [(2, 1), (6, 3)])
def test_loss_is_the_formula_in_loops(case, n, p, eps):
    y, targets = outputs(n, p), case.targets(n, p)
    assert abs(case.value(y, targets) - case.oracle(y, targets)) <= rounding(eps, y)


@pytest.mark.x64
@each_case
def test_gradient_is_the_finite_difference_of_the_loops(case):
    """Fourth order, so a step of 1e-3 leaves 1e-12 of the fifth derivative, itself at most 1e5 at a
    temperature of 0.1.
    """
    y, targets, h = outputs(6, 3, seed=1), case.targets(6, 3), 1e-3
    gradient = case.value_and_gradient(*arrays(y, targets))[1]
    for seed in range(3):
        direction = np.random.default_rng(seed).standard_normal(y.shape)
        direction /= np.linalg.norm(direction)
        along = {k: case.oracle(y + k * h * direction, targets) for k in (-2, -1, 1, 2)}
        slope = (8 * (along[1] - along[-1]) - (along[2] - along[-2])) / (12 * h)
        assert abs(float(jnp.vdot(gradient, direction)) - slope) <= 1e-7 * max(1, abs(slope))


def torch_losses(torch):
    f = torch.nn.functional

    def clip(y, targets):
        scores = f.normalize(y[0]) @ f.normalize(y[1]).T / 0.1
        own = torch.arange(len(scores))
        return (f.cross_entropy(scores, own) + f.cross_entropy(scores.T, own)) / 2

    def nt_xent(y, targets):
        z, n = f.normalize(torch.cat([y[0], y[1]])), y.shape[1]
        scores = (z @ z.T / 0.5).masked_fill(torch.eye(2 * n, dtype=torch.bool), -torch.inf)
        return f.cross_entropy(scores, torch.arange(2 * n).roll(n))

    def barlow(y, targets):
        z1, z2 = ((v - v.mean(0)) / v.std(0, correction=0) for v in y)
        c = z1.T @ z2 / len(z1)
        same = torch.eye(len(c), dtype=torch.bool)
        return ((c[same] - 1) ** 2).sum() + 5e-3 * (c[~same] ** 2).sum()

    return {
        "info_nce": clip,
        "nt_xent": nt_xent,
        "barlow_twins": barlow,
        "mse": lambda y, t: f.mse_loss(y[0], t, reduction="sum") / (2 * len(t)),
        "cross_entropy": lambda y, t: f.cross_entropy(y[0], t),
        "cross_entropy soft": lambda y, t: f.cross_entropy(y[0], t),
    }


@pytest.mark.parametrize(
    "name", ["info_nce", "nt_xent", "barlow_twins", "mse", "cross_entropy", "cross_entropy soft"]
)
def test_value_and_gradient_are_those_of_torch(name, eps):
    torch = pytest.importorskip("torch")
    case, y = CASES[name], outputs(6, 3, seed=2)
    targets = case.targets(6, 3)
    theirs = torch.tensor(y, dtype=torch.float64, requires_grad=True)
    want = torch_losses(torch)[name](theirs, torch.tensor(targets))
    want.backward()
    seen, gradient = case.value_and_gradient(*arrays(y, targets))
    assert abs(float(seen) - want.item()) <= rounding(eps, y)
    np.testing.assert_allclose(gradient, theirs.grad, atol=rounding(eps, y))

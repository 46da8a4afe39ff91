"""The spectral contrastive loss: population form, custom derivative, unbiased batch form."""

import itertools

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from projhead_theory import (
    ContrastiveProblem,
    DeepLinear,
    Features,
    Views,
)
from projhead_theory.losses import (
    AbstractBatchLoss,
    spectral,
)
from projhead_theory.problems import Mask, random_moments

SHAPES = [(3, 3), (2, 4), (5, 2), (1, 1)]


def oracle(w, cross, second):
    gram = w.T @ w
    return -2 * jnp.trace(cross @ gram) + jnp.trace(second @ gram @ second @ gram)


def case(shape):
    p, d = shape
    moments = random_moments(jax.random.key(p), jnp.linspace(0.1, 0.9, d), 5.0)
    return jax.random.normal(jax.random.key(d), (p, d)), moments


def of(moments):
    return lambda w, cross, second: spectral.population(
        w, eqx.tree_at(lambda m: (m.cross, m.second), moments, (cross, second))
    )


def slack(w, moments, eps):
    """Rounding of a quartic in W: eps times its largest term, for each of about d^2 p terms."""
    return (
        64
        * eps
        * w.size
        * max(1, float(jnp.sum(w * w)) ** 2)
        * max(1, float(jnp.max(jnp.abs(moments.second))) ** 2)
    )


@pytest.mark.parametrize("shape", SHAPES)
def test_population_loss_is_the_formula(shape, eps):
    w, moments = case(shape)
    want = oracle(w, moments.cross, moments.second)
    assert abs(spectral.population(w, moments) - want) <= slack(w, moments, eps)
    assert abs(spectral(DeepLinear([w]), moments) - want) <= slack(w, moments, eps)


@pytest.mark.parametrize("shape", SHAPES)
def test_custom_derivative_is_that_of_the_formula_in_all_arguments(shape, eps):
    w, moments = case(shape)
    arguments = (w, moments.cross, moments.second)
    gradients, wanted = (
        jax.jit(jax.grad(f, argnums=(0, 1, 2)))(*arguments) for f in (of(moments), oracle)
    )
    for seen, want in zip(gradients, wanted, strict=True):
        np.testing.assert_allclose(seen, want, atol=4 * slack(w, moments, eps))


def test_second_derivative_is_that_of_the_formula(eps):
    """Implicit solvers and Newton steps differentiate the derivative."""
    w, moments = case((2, 4))
    arguments = (w, moments.cross, moments.second)
    seen, want = (jax.jit(jax.hessian(f))(*arguments) for f in (of(moments), oracle))
    np.testing.assert_allclose(seen, want, atol=16 * slack(w, moments, eps))


@pytest.mark.x64
@pytest.mark.parametrize("argument", [0, 1, 2], ids=["weights", "cross", "second"])
def test_custom_derivative_agrees_with_finite_differences(argument, eps):
    w, moments = case((3, 3))
    arguments = [w, moments.cross, moments.second]
    direction = jax.random.normal(jax.random.key(9), arguments[argument].shape)
    if argument:
        direction = (direction + direction.T) / 2

    def along(h):
        moved = list(arguments)
        moved[argument] = moved[argument] + h * direction
        return oracle(*moved)

    h = eps ** (1 / 3)  # balances the h^2 of a central difference with the eps / h of rounding
    slope = jnp.vdot(jax.grad(of(moments), argnums=argument)(*arguments), direction)
    assert (
        abs((along(h) - along(-h)) / (2 * h) - slope)
        <= 100 * slack(w, moments, 1.0) / (64 * w.size) * h**2
    )


@pytest.mark.parametrize("sizes", [(3, 2), (3, 4, 2), (3, 2, 3, 1)])
def test_gradients_of_all_layers_are_those_of_the_formula(sizes, eps):
    network, (_, moments) = DeepLinear.init(jax.random.key(1), sizes), case((3, 3))
    seen = jax.grad(spectral)(network, moments).layers
    wanted = jax.grad(
        lambda layers: oracle(DeepLinear(layers).matrix, moments.cross, moments.second)
    )(network.layers)
    for a, b in zip(seen, wanted, strict=True):
        np.testing.assert_allclose(a, b, atol=1024 * eps * max(1, float(jnp.max(jnp.abs(b)))))


def double_loop(y1, y2, diagonal=False):
    n = len(y1)
    positive = sum(float(y1[i] @ y2[i]) for i in range(n))
    rest = sum(
        float(y1[i] @ y2[j]) ** 2
        for i, j in itertools.product(range(n), repeat=2)
        if diagonal or i != j
    )
    return -2 * positive / n + rest / (n * n if diagonal else n * (n - 1))


@pytest.mark.parametrize(("n", "p"), [(2, 1), (2, 3), (7, 2), (20, 5)])
def test_batch_loss_is_the_double_loop_without_its_diagonal(n, p, eps):
    y1, y2 = jnp.asarray(
        np.random.default_rng(n).standard_normal((2, n, p)), jnp.result_type(float)
    )
    # The loop's n^2 squares are also what the fast form adds and cancels.
    size = double_loop(np.abs(np.asarray(y1)), np.abs(np.asarray(y2)), diagonal=True) + 2 * float(
        jnp.sum(jnp.abs(y1 * y2))
    )
    tolerance = 8 * n * p * eps * (abs(size) + float(jnp.sum(y1 * y1) * jnp.sum(y2 * y2)) / n)
    assert abs(spectral.batch(y1, y2) - double_loop(np.asarray(y1), np.asarray(y2))) <= tolerance


def test_batch_loss_is_unbiased_and_the_diagonal_would_not_be():
    """Averaged over many small batches the loss is the population loss within five standard errors;
    with the diagonal it is not.
    """
    problem = ContrastiveProblem(Features([0.5, 1.0, 1.5], "gaussian"), Mask([0.1, 0.3, 0.0]))
    network = DeepLinear.init(jax.random.key(0), (3, 3, 2), scale=0.7)
    batches, n = 20_000, 4

    @jax.jit
    @jax.vmap
    def draw(key):
        views = problem.sample_pairs(key, n)
        y1, y2 = network(views.first), network(views.second)
        return spectral(network, views), -2 * jnp.mean(jnp.sum(y1 * y2, 1)) + jnp.mean(
            (y1 @ y2.T) ** 2
        )

    values, biased = (
        np.asarray(v, np.float64) for v in draw(jax.random.split(jax.random.key(1), batches))
    )
    population = float(spectral(network, problem.moments()))
    assert abs(values.mean() - population) <= 5 * values.std(ddof=1) / batches**0.5
    assert abs(biased.mean() - population) > 5 * biased.std(ddof=1) / batches**0.5


def test_batch_loss_does_not_depend_on_order_nor_on_which_view_is_first_nor_on_rotation(eps):
    y1, y2 = jax.random.normal(jax.random.key(0), (2, 9, 3))
    order = jax.random.permutation(jax.random.key(1), 9)
    turn = jnp.linalg.qr(jax.random.normal(jax.random.key(2), (3, 3)))[0]
    value = spectral.batch(y1, y2)
    for other in (
        spectral.batch(y1[order], y2[order]),
        spectral.batch(y2, y1),
        spectral.batch(y1 @ turn, y2 @ turn),
    ):
        assert abs(other - value) <= 256 * eps * float(jnp.sum(y1 * y1) * jnp.sum(y2 * y2)) / 72


def test_pairing_matters():
    """Control: permuting one view alone is another batch, with another loss."""
    y1 = jax.random.normal(jax.random.key(0), (9, 3))
    assert abs(spectral.batch(y1, y1) - spectral.batch(y1, jnp.roll(y1, 1, axis=0))) > 1


class Alignment(AbstractBatchLoss):
    """A loss with no population form."""

    def batch(self, y1, y2):
        return jnp.mean((y1 - y2) ** 2)


def test_a_loss_without_a_population_form_says_so_on_moments():
    network = DeepLinear([np.eye(2)])
    views = Views(np.eye(2), np.zeros((2, 2)))
    assert Alignment()(network, views) == 0.5
    with pytest.raises(ValueError, match=r"^data: got Moments, for Alignment; want Views"):
        Alignment()(network, views.moments())


@pytest.mark.usefixtures("untyped")
def test_data_of_the_wrong_type_is_named():
    with pytest.raises(
        ValueError,
        match=r"^data: got tuple; want Moments or a ContrastiveProblem \(population.*, "
        r"TargetMoments .*, Views \(batch loss\) or Labelled",
    ):
        spectral(DeepLinear([np.eye(2)]), (np.eye(2), np.eye(2)))

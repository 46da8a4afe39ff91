"""All losses: each against a formula written a second time, their gradients, invariances and
behaviour at extremes.

The spectral contrastive loss comes first: the population form, its custom derivative, and the
unbiased batch form.
"""

import dataclasses
import functools
import itertools
import subprocess
import sys
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.draws import some
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from projhead_theory import (
    ContrastiveProblem,
    DeepLinear,
    Features,
    Labelled,
    SupervisedContrastiveProblem,
    SupervisedProblem,
    Views,
)
from projhead_theory.losses import (
    AbstractBatchLoss,
    AbstractLabelledLoss,
    AbstractLoss,
    BarlowTwins,
    InfoNCE,
    SupervisedContrastive,
    VICReg,
    barlow_twins,
    cross_entropy,
    info_nce,
    mse,
    spectral,
    supervised_contrastive,
    supervised_spectral,
    vicreg,
)
from projhead_theory.moments import TargetMoments
from projhead_theory.problems import Groups, Mask, random_moments
from projhead_theory.simulation import (
    Ended,
    gradient_descent,
    gradient_flow,
    layer_gradients,
    minibatch,
    stochastic,
)

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


# Every other loss, beside the same formula written in loops. A case takes two views' outputs; a
# supervised loss sees the first only, and labels or numbers.


def cosine(a, b):
    return a @ b / np.sqrt((a @ a) * (b @ b))


def log_softmax(scores, chosen):
    """log(exp(chosen) / sum exp(scores)), shifted by the largest score."""
    top = max(scores)
    return chosen - top - np.log(sum(np.exp(s - top) for s in scores))


def info_nce_loops(y1, y2, temperature=0.1, similarity=cosine):
    n, total = len(y1), 0.0
    for anchors, others in ((y1, y2), (y2, y1)):
        for i in range(n):
            scores = [similarity(anchors[i], others[j]) / temperature for j in range(n)]
            total -= log_softmax(scores, scores[i]) / (2 * n)
    return total


def nt_xent_loops(y1, y2, temperature=0.1):
    y, n, total = [*y1, *y2], len(y1), 0.0
    for i in range(2 * n):
        scores = {j: cosine(y[i], y[j]) / temperature for j in range(2 * n) if j != i}
        total -= log_softmax(scores.values(), scores[(i + n) % (2 * n)]) / (2 * n)
    return total


def barlow_loops(y1, y2, off_diagonal=5e-3):
    n, p = y1.shape
    z1, z2 = ((y - y.mean(0)) / y.std(0) for y in (y1, y2))
    c = [[sum(z1[b, i] * z2[b, j] for b in range(n)) / n for j in range(p)] for i in range(p)]
    return sum(
        (1 - c[i][i]) ** 2 if i == j else off_diagonal * c[i][j] ** 2
        for i in range(p)
        for j in range(p)
    )


def vicreg_loops(y1, y2, weights=(25.0, 25.0, 1.0), target=1.0, epsilon=1e-4):
    n, p = y1.shape
    total = weights[0] * sum(np.sum((y1[b] - y2[b]) ** 2) for b in range(n)) / n
    for y in (y1, y2):
        total += (
            weights[1]
            * sum(max(0.0, target - np.sqrt(y[:, j].var(ddof=1) + epsilon)) for j in range(p))
            / p
        )
        covariance = np.cov(y.T).reshape(p, p)
        total += (
            weights[2]
            * sum(covariance[i, j] ** 2 for i in range(p) for j in range(p) if i != j)
            / p
        )
    return total


def supcon_loops(y, labels, temperature=0.1, similarity=cosine):
    n, losses = len(y), []
    for i in range(n):
        scores = {a: similarity(y[i], y[a]) / temperature for a in range(n) if a != i}
        positives = [a for a in scores if labels[a] == labels[i]]
        if positives:
            losses.append(
                -sum(log_softmax(scores.values(), scores[a]) for a in positives) / len(positives)
            )
    return sum(losses) / len(losses) if losses else 0.0


def supervised_spectral_loops(y, labels):
    n = len(y)
    anchors = [
        [y[i] @ y[j] for j in range(n) if j != i and labels[j] == labels[i]] for i in range(n)
    ]
    means = [np.mean(products) for products in anchors if products]
    repulsion = sum((y[i] @ y[j]) ** 2 for i, j in itertools.permutations(range(n), 2)) / (
        n * (n - 1)
    )
    return -2 * (np.mean(means) if means else 0.0) + repulsion


def mse_loops(y, targets):
    return sum(
        (a - t) ** 2
        for row, aim in zip(y, targets, strict=True)
        for a, t in zip(row, aim, strict=True)
    ) / (2 * len(y))


def cross_entropy_loops(y, targets):
    if targets.ndim == 1:
        targets = np.eye(y.shape[1])[targets]
    return -sum(
        t * log_softmax(row, a)
        for row, aim in zip(y, targets, strict=True)
        for a, t in zip(row, aim, strict=True)
    ) / len(y)


@dataclasses.dataclass(eq=False)
class Case:
    loss: AbstractLoss
    loops: Callable[..., Any]
    data: str

    def __call__(self, y, targets):
        return self.loss.batch(*y) if self.data == "views" else self.loss.labelled(y[0], targets)

    @functools.cached_property
    def value_and_gradient(self):
        """Compiled once for each shape."""
        return jax.jit(jax.value_and_grad(self.__call__))

    def value(self, y, targets=None):
        return float(self.value_and_gradient(*arrays(y, targets))[0])

    def oracle(self, y, targets):
        return self.loops(*y) if self.data == "views" else self.loops(y[0], targets)

    def targets(self, n, p, seed=0):
        rng = np.random.default_rng(seed)
        if self.data == "labels":
            return rng.integers(0, p, n)
        if self.data == "probabilities":
            return rng.dirichlet(np.ones(p), n)
        return rng.standard_normal((n, p))


def partial(loops, **settings):
    return lambda *arguments: loops(*arguments, **settings)


CASES = {
    "info_nce": Case(info_nce, info_nce_loops, "views"),
    "info_nce warm inner": Case(
        InfoNCE(2.0, normalise=False),
        partial(info_nce_loops, temperature=2.0, similarity=np.dot),
        "views",
    ),
    "nt_xent": Case(
        InfoNCE(0.5, within_views=True), partial(nt_xent_loops, temperature=0.5), "views"
    ),
    "barlow_twins": Case(barlow_twins, barlow_loops, "views"),
    "barlow_twins heavy": Case(BarlowTwins(2), partial(barlow_loops, off_diagonal=2), "views"),
    "vicreg": Case(vicreg, vicreg_loops, "views"),
    "vicreg other": Case(
        VICReg(1, 2, 3, target=0.5, epsilon=0.1),
        partial(vicreg_loops, weights=(1, 2, 3), target=0.5, epsilon=0.1),
        "views",
    ),
    "supcon": Case(supervised_contrastive, supcon_loops, "labels"),
    "supcon warm inner": Case(
        SupervisedContrastive(2.0, normalise=False),
        partial(supcon_loops, temperature=2.0, similarity=np.dot),
        "labels",
    ),
    "supervised_spectral": Case(supervised_spectral, supervised_spectral_loops, "labels"),
    "mse": Case(mse, mse_loops, "numbers"),
    "cross_entropy": Case(cross_entropy, cross_entropy_loops, "labels"),
    "cross_entropy soft": Case(cross_entropy, cross_entropy_loops, "probabilities"),
}
each_case = pytest.mark.parametrize("case", CASES.values(), ids=CASES.keys())
VIEWS = {name: case for name, case in CASES.items() if case.data == "views"}


def outputs(n, p, seed=0):
    """Two views' outputs, of unlike spreads, so that VICReg's hinge is open for some and closed for
    others.
    """
    return np.random.default_rng(seed).standard_normal((2, n, p)) * np.linspace(0.5, 2, p)


def rounding(eps, y):
    """The error of a polynomial of the fourth degree, the highest here, in n p entries; 64 also
    covers weights of 25.
    """
    return 64 * eps * y.size * max(1.0, float(np.abs(y).max())) ** 4


def arrays(*values):
    """As JAX arrays, in the default float or whole; None as it is."""
    return [
        None
        if v is None
        else jnp.asarray(v, jnp.result_type(int if v.dtype.kind in "iu" else float))
        for v in values
    ]


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


# Sixteenths, so that equal, constant and vanishing outputs are among the examples, but none that is
# nearly so.
N, P = 6, 3
grids = hnp.arrays(np.int64, (2, N, P), elements=st.integers(-64, 64)).map(lambda a: a / 16)
labellings = hnp.arrays(np.int64, N, elements=st.integers(0, P - 1))
seeds = st.integers(0, 2**32 - 1)


EPS = float(jnp.finfo(jnp.result_type(float)).eps)


def agree(case, y, targets, other, other_targets, size=1.0):
    """16 more for the division by a temperature of 0.1; `size` for how much larger what cancels
    is.
    """
    assert (
        abs(case.value(y, targets) - case.value(other, other_targets))
        <= 16 * rounding(EPS, y) * size
    )


def with_targets(case, labels):
    return labels if case.data == "labels" else case.targets(N, P)


@each_case
@given(y=grids, labels=labellings, seed=seeds)
def test_the_order_of_rows_does_not_matter(case, y, labels, seed):
    order = np.random.default_rng(seed).permutation(N)
    targets = with_targets(case, labels)
    agree(case, y, targets, y[:, order], targets[order])


def rotation(seed):
    return np.linalg.qr(np.random.default_rng(seed).standard_normal((P, P)))[0]


ROTATABLE = [
    "info_nce",
    "info_nce warm inner",
    "nt_xent",
    "supcon",
    "supcon warm inner",
    "supervised_spectral",
]


@pytest.mark.parametrize("case", [CASES[name] for name in ROTATABLE], ids=ROTATABLE)
@given(y=grids, labels=labellings, seed=seeds)
def test_contrastive_losses_see_inner_products_alone_so_not_a_rotation(case, y, labels, seed):
    turned = y @ rotation(seed)
    agree(case, y, labels, turned, labels)


INVARIANCE = Case(VICReg(25, 0, 0), partial(vicreg_loops, weights=(25, 0, 0)), "views")


@given(y=grids, seed=seeds)
def test_rotation_leaves_the_invariance_term_of_vicreg_and_the_squared_error_of_targets_rotated_too(
    y, seed
):
    turn = rotation(seed)
    agree(INVARIANCE, y, None, y @ turn, None)
    agree(CASES["mse"], y, y[1], y @ turn, y[1] @ turn)


@pytest.mark.parametrize("name", ["barlow_twins", "vicreg", "mse", "cross_entropy"])
def test_rotation_matters_to_losses_with_preferred_axes(name):
    """Control: decorrelation, the hinge, fixed targets and logits have axes."""
    case, y = CASES[name], outputs(6, 3)
    targets = case.targets(6, 3)
    assert abs(case.value(y, targets) - case.value(y @ rotation(0), targets)) > 1e-3


def test_barlow_twins_standardises_a_spread_a_hundred_roundings_of_the_mean_wide(eps):
    """One output of mean one: its correlation with itself is one, however little it varies beyond
    the rounding of the mean.
    """
    y = 1 + 100 * 64 * eps * jnp.where(jnp.arange(64) % 2, 1.0, -1.0)[:, None]
    assert float(barlow_twins.batch(y, y)) < 0.1


@pytest.mark.parametrize("name", ["info_nce", "nt_xent", "supcon"])
@given(y=grids, labels=labellings, seed=seeds)
def test_cosine_losses_do_not_see_the_length_of_any_output(name, y, labels, seed):
    """Row by row, over six decades; an output of zero stays zero."""
    scale = 10 ** np.random.default_rng(seed).uniform(-3, 3, (2, N, 1))
    agree(CASES[name], y, labels, y * scale, labels)


@given(y=grids, seed=seeds)
def test_barlow_twins_does_not_see_scale_or_mean_of_any_output(y, seed):
    rng = np.random.default_rng(seed)
    moved = (y + rng.integers(-16, 16, (2, 1, P)) / 16) * 10 ** rng.uniform(-3, 3, (2, 1, P))
    agree(
        CASES["barlow_twins"], y, None, moved, None, size=64
    )  # the spread may be 1/64 of the size


@given(y=grids, shift=hnp.arrays(np.int64, P, elements=st.integers(-16, 16)))
def test_vicreg_does_not_see_the_mean(y, shift):
    agree(CASES["vicreg"], y, None, y + shift / 16, None, size=16)


@pytest.mark.parametrize("name", ["cross_entropy", "cross_entropy soft"])
@given(y=grids, labels=labellings, shift=st.integers(-10_000, 10_000))
def test_cross_entropy_does_not_see_a_constant_added_to_the_logits(name, y, labels, shift):
    targets = with_targets(CASES[name], labels)
    agree(CASES[name], y, targets, y + shift, targets, size=1 + abs(shift))


@pytest.mark.parametrize("case", VIEWS.values(), ids=VIEWS.keys())
@given(y=grids)
def test_which_view_is_first_does_not_matter(case, y):
    agree(case, y, None, y[::-1].copy(), None)


@pytest.mark.parametrize("name", ["supcon", "supcon warm inner", "supervised_spectral"])
@given(y=grids, labels=labellings)
def test_the_names_of_classes_do_not_matter(name, y, labels):
    agree(CASES[name], y, labels, y, 7 - 3 * labels)


def test_supervised_contrastive_on_stacked_views_with_repeated_labels_is_nt_xent(eps):
    y = outputs(7, 3)
    stacked = Labelled(y.reshape(14, 3), np.tile(np.arange(7), 2))
    views = Views(*y)
    network = DeepLinear.init(jax.random.key(0), (3, 4))
    seen, want = (
        SupervisedContrastive(0.2)(network, stacked),
        InfoNCE(0.2, within_views=True)(network, views),
    )
    assert abs(seen - want) <= rounding(eps, y)


def test_outputs_that_tell_nothing_give_the_loss_of_a_guess(eps):
    """All outputs equal: the logarithm of the number of candidates."""
    y, labels = jnp.ones((5, 3)), jnp.asarray([0, 0, 1, 1, 1])
    wanted = [(info_nce.batch(y, y), 5), (InfoNCE(within_views=True).batch(y, y), 9)]
    wanted += [
        (supervised_contrastive.labelled(y, labels), 4),
        (cross_entropy.labelled(y, labels), 3),
    ]
    for seen, candidates in wanted:
        assert abs(float(seen) - np.log(candidates)) <= 64 * eps


# Extremes.

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


# Numbers of a loss.


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


# Labelled data.

X = np.arange(6.0).reshape(3, 2)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("inputs", "targets", "message"),
    [
        (X, [0, 1], "targets: got 2 rows beside 3 inputs; want as many"),
        (X[:1], [0], "inputs: got 1 rows; want at least two"),
        (X[0], [0, 1], r"inputs: got shape \(2,\); want an array"),
        (X, [0, -1, 2], "targets: got -1 at index 1; want class labels from 0"),
        (X, [[0.0], [np.nan], [1.0]], r"targets: got nan at index \(1, 0\); want finite"),
        (X * np.nan, [0, 1, 2], r"inputs: got nan at index \(0, 0\); want finite"),
        (
            X,
            [0.0, 1.0, 2.0],
            r"targets: got shape \(3,\), dtype float\d\d; "
            r"want whole-number class labels \(n,\), or numbers \(n, k\)",
        ),
        (X, [True, False, True], r"targets: got shape \(3,\), dtype bool; want whole-number"),
        (X, 3, r"targets: got shape \(\), dtype int\d\d; want"),
        (X, ["a", "b", "c"], r"targets: got shape \(3,\), dtype <U1; want whole-number"),
        (
            X,
            [[1.0], [2.0, 3.0], [4.0]],
            r"targets: got \[\[1.0\], .*; want class labels \(n,\), or numbers \(n, k\)",
        ),
    ],
)
def test_bad_labelled_data_are_named(inputs, targets, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        Labelled(inputs, targets)


def test_labelled_keeps_labels_whole_and_makes_numbers_of_whole_targets():
    for labels in ([0, 1, 1], np.asarray([0, 1, 1], np.uint8), jnp.asarray([0, 1, 1])):
        data = Labelled(X, labels)
        assert jnp.issubdtype(data.targets.dtype, jnp.integer)
        assert np.isfinite(cross_entropy(DeepLinear([np.eye(2)]), data))
        assert np.isfinite(supervised_spectral(DeepLinear([np.eye(2)]), data))
    assert jnp.issubdtype(Labelled(X, [[0, 1], [1, 0], [1, 0]]).targets.dtype, jnp.floating)
    assert Labelled(X, [0, 1, 1]).dim == 2


def test_sample_draws_rows_with_their_targets_each_as_often_as_any_other():
    data, n = Labelled(X, [2, 1, 0]), 30_000
    drawn = jax.jit(lambda key: data.sample(key, n))(jax.random.key(0))
    rows = np.asarray(drawn.inputs)[:, 0].astype(int) // 2
    np.testing.assert_array_equal(drawn.inputs, X[rows])
    np.testing.assert_array_equal(drawn.targets, 2 - rows)
    shares = np.bincount(rows) / n
    assert (abs(shares - 1 / 3) <= 5 * (2 / 9 / n) ** 0.5).all()


def test_moments_of_labelled_data_are_those_of_two_rows_of_one_class(eps):
    """An anchor is any row, its partner any row of its class, itself included."""
    x, labels = outputs(9, 3)[0], np.asarray([0, 0, 0, 0, 2, 2, 5, 5, 5])
    cross = (
        sum(
            np.outer(x[i], x[j]) / np.sum(labels == labels[i])
            for i in range(9)
            for j in range(9)
            if labels[i] == labels[j]
        )
        / 9
    )
    moments = Labelled(x, labels).moments()
    np.testing.assert_allclose(moments.cross, cross, atol=rounding(eps, x))
    np.testing.assert_allclose(moments.second, x.T @ x / 9, atol=rounding(eps, x))
    with pytest.raises(ValueError, match=r"^targets: got shape \(9, 3\); want class labels"):
        Labelled(x, x).moments()


def expectation(data, network, n, loss):
    """The exact mean of a loss over all batches of n rows drawn with replacement."""
    draws = jnp.asarray(list(itertools.product(range(len(data.inputs)), repeat=n)))
    one = lambda rows: loss.labelled(network(data.inputs[rows]), data.targets[rows])
    return float(jnp.mean(jax.jit(jax.vmap(one))(draws)))


def test_supervised_spectral_is_exactly_unbiased_for_equal_classes(eps):
    """Two classes and four rows: there is always a positive pair."""
    data, network = (
        Labelled(outputs(4, 3)[0], [0, 1, 1, 0]),
        DeepLinear.init(jax.random.key(0), (3, 2)),
    )
    want = supervised_spectral(network, data.moments())
    assert want == spectral(network, data.moments())
    assert abs(expectation(data, network, 4, supervised_spectral) - want) <= rounding(
        eps, np.asarray(data.inputs)
    )


def test_supervised_spectral_of_unequal_classes_errs_less_than_a_mean_over_pairs():
    class PairMean(AbstractLabelledLoss):
        """The plain mean over positive pairs, by which a class weighs the square of its share."""

        def labelled(self, outputs, targets):
            pairs = (targets[:, None] == targets[None, :]) & ~jnp.eye(len(targets), dtype=bool)
            products = outputs @ outputs.T
            return (
                -2
                * jnp.sum(jnp.where(pairs, products, 0))
                / jnp.maximum(jnp.sum(pairs, dtype=products.dtype), 1)
            )

    class Positive(AbstractLabelledLoss):
        def labelled(self, outputs, targets):
            n, gram = len(targets), outputs.T @ outputs
            repulsion = (jnp.sum(gram * gram) - jnp.sum(jnp.sum(outputs**2, 1) ** 2)) / (
                n * (n - 1)
            )
            return supervised_spectral.labelled(outputs, targets) - repulsion

    x, labels, n = (
        outputs(5, 3)[0] + np.asarray([3, 0, 0, 0, 0])[:, None],
        np.asarray([0, 1, 1, 1, 1]),
        5,
    )
    data, network = Labelled(x, labels), DeepLinear([np.eye(3)])
    shares, means = [0.2, 0.8], [x[labels == k].mean(0) for k in (0, 1)]
    want = -2 * sum(share * m @ m for share, m in zip(shares, means, strict=True))
    bound = 2 * sum(m @ m for m in means) * sum(n * s * (1 - s) ** (n - 1) for s in shares)
    error = abs(expectation(data, network, n, Positive()) - want)
    assert error <= bound
    # Many rows: the bound is negligible, and the weights of the plain mean are still the squared
    # shares.
    rows = jnp.tile(jnp.arange(5), 400)
    large = Positive().labelled(data.inputs[rows], data.targets[rows])
    assert abs(large - want) <= 1e-2 * abs(want)
    assert abs(PairMean().labelled(data.inputs[rows], data.targets[rows]) - want) > 0.3 * abs(want)


FORMS = [
    (spectral, ("Moments", "Views")),
    (info_nce, ("Views",)),
    (barlow_twins, ("Views",)),
    (vicreg, ("Views",)),
    (supervised_contrastive, ("Labelled",)),
    (supervised_spectral, ("Moments", "Labelled")),
    (mse, ("TargetMoments", "Labelled")),
    (cross_entropy, ("Labelled",)),
]


@pytest.mark.parametrize(("loss", "has"), FORMS, ids=[type(loss).__name__ for loss, _ in FORMS])
def test_each_loss_has_its_forms_and_names_them_when_asked_for_another(loss, has):
    network, targets = DeepLinear([np.eye(2)]), X if loss is mse else [0, 1, 1]
    views = Views(X, X)
    for data in (views.moments(), TargetMoments(np.eye(2), np.eye(2)), views, Labelled(X, targets)):
        kind = type(data).__name__
        if kind in has:
            assert np.isfinite(loss(network, data))
            continue
        with pytest.raises(
            ValueError,
            match=f"^data: got {kind}, for {type(loss).__name__}; "
            f"want {' or '.join(has)}: this loss has no ",
        ):
            loss(network, data)


@pytest.mark.usefixtures("untyped")
@pytest.mark.parametrize(
    ("loss", "targets", "message"),
    [
        (
            mse,
            [0, 1, 1],
            r"shape \(3,\), dtype int\d\d; want numbers in the shape of the outputs, \(3, 2\)",
        ),
        (mse, [[1.0], [2.0], [3.0]], r"shape \(3, 1\), dtype float\d\d; want numbers in the shape"),
        (
            cross_entropy,
            [[1.0], [2.0], [3.0]],
            r"shape \(3, 1\), dtype float\d\d; want numbers in the shape",
        ),
        (
            cross_entropy,
            [0, 2, 1],
            r"2 at index 1; want class labels from 0 to 1, one for each output",
        ),
        (
            supervised_contrastive,
            X,
            r"shape \(3, 2\), dtype float\d\d; want 3 whole-number class labels",
        ),
        (
            supervised_spectral,
            X,
            r"shape \(3, 2\), dtype float\d\d; want 3 whole-number class labels",
        ),
    ],
)
def test_targets_that_do_not_fit_a_loss_are_named(loss, targets, message):
    with pytest.raises(ValueError, match=f"^targets: got {message}"):
        loss(DeepLinear([np.eye(2)]), Labelled(X, targets))


# Training.


def some_data(case, n=24, d=4, p=3):
    x = np.random.default_rng(5).standard_normal((n, d))
    if case.data == "views":
        return Views(x, x + 0.3 * np.random.default_rng(6).standard_normal((n, d)))
    return Labelled(x, case.targets(n, p))


@pytest.mark.parametrize(
    "name",
    ["info_nce", "barlow_twins", "vicreg", "supcon", "supervised_spectral", "mse", "cross_entropy"],
)
def test_descent_lowers_every_loss(name):
    """With a step small enough, at every record."""
    network = DeepLinear.init(jax.random.key(0), (4, 3, 3), scale=0.7)
    trajectory = gradient_descent(
        network,
        some_data(CASES[name]),
        loss=CASES[name].loss,
        learning_rate=1e-3,
        steps=60,
        save_at=4,
    )
    assert (np.diff(trajectory.loss) < 0).all()


@pytest.mark.parametrize("name", some(["cross_entropy", "supcon"], 0, kind="slow"))
def test_flow_lowers_supervised_losses_and_conserves_the_imbalance(name):
    """On the loss of fixed rows the flow is a gradient flow like any other."""
    network = DeepLinear.init(jax.random.key(0), (4, 3, 3), scale=0.7)
    trajectory = gradient_flow(
        network, some_data(CASES[name]), loss=CASES[name].loss, t1=2.0, save_at=4
    )
    assert (np.diff(trajectory.loss[:-1]) < 0).all()
    assert float(jnp.abs(trajectory.imbalance[-1] - trajectory.imbalance[0]).max()) <= float(
        trajectory.drift[0]
    )


@pytest.mark.x64
def test_flow_on_squared_error_ends_at_least_squares():
    data = some_data(CASES["mse"])
    end = gradient_flow(DeepLinear.init(jax.random.key(0), (4, 3)), data, loss=mse)
    assert end.ended == Ended.converged
    want = np.linalg.lstsq(np.asarray(data.inputs), np.asarray(data.targets))[0].T
    np.testing.assert_allclose(end.final.matrix, want, atol=1e-8)


def test_a_label_without_an_output_ends_a_run_as_diverged_at_once():
    data = Labelled(X, [0, 1, 2])
    trajectory = gradient_descent(
        DeepLinear([np.eye(2)]), data, loss=cross_entropy, steps=5, save_at=2
    )
    assert trajectory.ended == Ended.diverged
    assert trajectory.ended_at == 0


SOURCES = {
    "problem": (
        ContrastiveProblem(Features([0.5, 1.0, 1.5], "gaussian"), Mask([0.1, 0.3, 0.0])),
        info_nce,
    ),
    "views": (Views(*outputs(9, 3)), vicreg),
    "labelled": (Labelled(outputs(9, 3)[0], np.arange(9) % 2), cross_entropy),
    "pairs of a class": (
        SupervisedContrastiveProblem(Groups.signs([1.0, 0.7, 0.5], 0.3, [0.5, 0.0])),
        info_nce,
    ),
    "classes": (SupervisedProblem(Groups.signs([1.0, 0.7, 0.5], 0.3, [0.5, 0.0])), mse),
}


@pytest.mark.parametrize(
    ("problem", "loss"), some(SOURCES.values(), 0, 2, kind="slow"), ids=SOURCES.keys()
)
def test_minibatch_draws_the_batch_of_a_step_again(problem, loss, eps):
    """Three steps by hand on `minibatch(i)` are the three steps of the run; on those of another
    step they are not.
    """
    network, key, step, batch = (
        DeepLinear.init(jax.random.key(0), (3, 3, 2), scale=0.7),
        jax.random.key(7),
        0.01,
        6,
    )
    run = stochastic(
        network,
        problem,
        key=key,
        loss=loss,
        learning_rate=step,
        steps=3,
        batch_size=batch,
        save_at=[0, 1, 2, 3],
    )

    @jax.jit
    def descend(layers, i):
        gradients = layer_gradients(DeepLinear(layers), minibatch(problem, key, i, batch), loss)
        return tuple(w - step * g for w, g in zip(layers, gradients, strict=True))

    def by_hand(first):
        layers = network.layers
        for i in range(first, first + 3):
            yield (layers := descend(layers, jnp.asarray(i)))

    for i, layers in enumerate(by_hand(0), 1):
        for mine, theirs in zip(layers, run.networks.layers, strict=True):
            np.testing.assert_allclose(mine, theirs[i], atol=1024 * eps)
    assert all(
        jnp.abs(layers[0] - run.networks.layers[0][i]).max() > 1e-5
        for i, layers in enumerate(by_hand(1), 1)
    )


def test_minibatch_is_what_it_says_under_jit_and_out_of_it():
    """Rows drawn by an index are the same to the bit, and the step number may be traced."""
    data, key = SOURCES["labelled"][0], jax.random.key(1)
    inside = jax.jit(lambda i: minibatch(data, key, i, 5))(jnp.asarray(2))
    outside = minibatch(data, key, 2, 5)
    np.testing.assert_array_equal(inside.inputs, outside.inputs)
    np.testing.assert_array_equal(inside.targets, outside.targets)
    assert not np.array_equal(minibatch(data, key, 3, 5).inputs, outside.inputs)

"""Invariances of losses: order, rotation, scale, mean, exchange of views, names of classes."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.loss_cases import (
    CASES,
    VIEWS,
    Case,
    agree,
    each_case,
    outputs,
    partial,
    rounding,
    vicreg_loops,
)
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from projhead_theory import (
    DeepLinear,
    Labelled,
    Views,
)
from projhead_theory.losses import (
    InfoNCE,
    SupervisedContrastive,
    VICReg,
    barlow_twins,
    cross_entropy,
    info_nce,
    supervised_contrastive,
)

# Sixteenths, so that equal, constant and vanishing outputs are among the examples, but none that is
# nearly so.
N, P = 6, 3
grids = hnp.arrays(np.int64, (2, N, P), elements=st.integers(-64, 64)).map(lambda a: a / 16)
labellings = hnp.arrays(np.int64, N, elements=st.integers(0, P - 1))
seeds = st.integers(0, 2**32 - 1)


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

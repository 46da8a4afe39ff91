"""Images, items on backgrounds, and images without a download."""

import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest

import projhead_theory as pt

KEY = jax.random.key(0)
RNG = np.random.default_rng(0)
GROUND = RNG.integers(0, 256, (40, 8, 8, 3)).astype(np.uint8)
ITEMS = np.zeros((40, 8, 8), np.uint8)
ITEMS[:, 2:6, 2:6] = RNG.integers(1, 256, (40, 4, 4))
LABELS = np.arange(40) % 2


def overlaid(**given):
    return pt.images.Overlaid(GROUND, ITEMS, LABELS, 2, **given)


@pytest.mark.parametrize("strength", [0.0, 0.7, 1.0])
def test_items_are_blended_in_their_support_alone(strength):
    found = np.asarray(overlaid(strength=strength, drop=0.0).all())
    ground, item = GROUND / 255, ITEMS[..., None] / 255
    wanted = np.where(item > 0, (1 - strength) * ground + strength * item, ground)
    assert np.allclose(found, wanted, atol=1e-6)


@pytest.mark.parametrize("both", [False, True])
def test_a_dropped_item_leaves_its_background_exactly(both):
    """At strength 1 too, where inverting the blending would divide by zero."""
    images = overlaid(strength=1.0, drop=1.0, both_views=both)
    first, second = images.pair(jnp.arange(40), KEY)
    ground = np.asarray(jnp.asarray(GROUND).astype(jnp.float32) / 255)
    assert np.array_equal(first, ground)
    assert np.array_equal(second, ground) == both


def test_views_drop_items_independently_with_their_probability():
    rows = jnp.tile(jnp.arange(40), 50)
    first, second = overlaid(drop=0.25, both_views=True).pair(rows, KEY)
    ground = np.asarray(jnp.asarray(GROUND).astype(jnp.float32) / 255)[rows]
    gone = [np.all(np.asarray(x) == ground, axis=(1, 2, 3)) for x in (first, second)]
    # Four standard errors of 2,000 draws.
    for share, p in ((gone[0], 0.25), (gone[1], 0.25), (gone[0] & gone[1], 0.0625)):
        assert abs(share.mean() - p) < 4 * np.sqrt(p * (1 - p) / 2000)


def test_pixels_keep_their_row_when_taken():
    part = overlaid().take([5, 3])
    assert np.array_equal(part.backgrounds, GROUND[[5, 3]])
    assert part.labels.tolist() == [1, 1]
    assert part.strength.shape == ()


@pytest.mark.parametrize(
    ("arguments", "wanted"),
    [
        ((GROUND.astype(float), LABELS, 2), "uint8"),
        ((GROUND, LABELS[:3], 2), "40 whole numbers"),
        ((GROUND, LABELS, 1), "1 for image 1"),
        ((GROUND[:0], LABELS[:0], 2), "none of them 0"),
    ],
)
def test_wrong_images_are_told(arguments, wanted):
    with pytest.raises(ValueError, match=wanted):
        pt.images.Images(*arguments)


@pytest.mark.parametrize("given", [{"strength": 1.5}, {"drop": -0.1}])
def test_probabilities_of_overlaid_items_are_checked(given):
    with pytest.raises(ValueError, match="probabilities"):
        overlaid(**given)


def test_superclasses_need_coarse_labels():
    with pytest.raises(ValueError, match="without superclasses"):
        pt.images.Images(GROUND, LABELS, 2).superclasses()


def test_digits_are_split_once_for_all():
    training, test = pt.images.digits(), pt.images.digits(train=False)
    assert (len(training), len(test)) == (1297, 500)
    own = {np.asarray(x).tobytes() for x in np.asarray(training.pixels)}
    # Some digits of the set are alike in every pixel; a wrong split would share hundreds.
    assert sum(np.asarray(x).tobytes() in own for x in np.asarray(test.pixels)) < 5


def test_spurious_attributes_agree_as_often_as_told():
    items = pt.images.digits().take(np.flatnonzero(np.isin(pt.images.digits().labels, (3, 8))))
    found = pt.images.spurious_items(items, size=16, pair=(3, 8), agreement=(0.9, 0.6), key=KEY)
    groups, y = np.asarray(found.groups), np.asarray(found.labels)
    assert np.array_equal(groups // 4, y)
    for attribute, p in (((groups // 2) % 2, 0.9), (groups % 2, 0.6)):
        assert abs((attribute == y).mean() - p) < 4 * np.sqrt(p * (1 - p) / len(y))


def test_scenes_without_a_background_are_black_around_the_item():
    items = pt.images.digits().take(range(8))
    black = pt.images.items_in_scenes(items, size=16, agreement=None, strength=1.0, key=KEY)
    assert np.array_equal(np.asarray(black.pixels)[:, 4:12, 4:12, 0], items.pixels[..., 0])
    assert not np.asarray(black.pixels)[:, :4].any()


def test_patches_of_both_parts_lie_apart():
    """The mean colour of patches of one photograph differs between its parts."""
    parts = [
        pt.images.photograph_patches(30, 8, KEY, train=train, photographs=[0] * 30)
        for train in (True, False)
    ]
    assert not np.array_equal(parts[0].pixels, parts[1].pixels)
    again = pt.images.photograph_patches(30, 8, KEY, photographs=[0] * 30)
    assert np.array_equal(parts[0].pixels, again.pixels)


def test_shifts_keep_what_they_should():
    images = pt.images.Images(GROUND, LABELS, 2)
    assert np.array_equal(pt.images.with_contrast(images, 1.0).pixels, GROUND)
    assert np.array_equal(pt.images.rotated(images, 0.0).pixels, GROUND)
    flat = np.asarray(pt.images.with_contrast(images, 0.0).pixels, int)
    assert np.ptp(flat, axis=(1, 2, 3)).max() == 0
    turned = np.asarray(pt.images.rotated(images, 90.0).pixels, int)
    assert np.abs(turned - np.rot90(GROUND.astype(int), axes=(2, 1))).max() <= 1 or (
        np.abs(turned - np.rot90(GROUND.astype(int), axes=(1, 2))).max() <= 1
    )


def test_a_missing_package_names_what_installs_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "sklearn.datasets", None)
    with pytest.raises(
        ValueError, match=r'scikit-learn: .* pip install "projhead_theory\[images\]"'
    ):
        pt.images.digits()


def test_augmentation_without_sizes_changes_nothing():
    x = jnp.asarray(GROUND, jnp.float32) / 255
    still = pt.images.Augmentation(0, False, 0.0, 0.0, 0.0, 0.0)
    assert np.allclose(still(x, KEY), x, atol=2e-6)


def test_augmentation_gives_gray_and_mirrored_images_of_the_right_range():
    x = jnp.asarray(GROUND, jnp.float32) / 255
    gray = np.asarray(pt.images.Augmentation(1, True, gray=1.0)(x, KEY))
    assert np.ptp(gray, axis=-1).max() < 1e-6
    assert gray.min() >= 0
    assert gray.max() <= 1
    flipped = np.asarray(pt.images.Augmentation(0, True, 0.0, 0.0, 0.0, 0.0)(x, KEY))
    same = np.abs(flipped - x).max(axis=(1, 2, 3)) < 1e-5
    mirrored = np.abs(flipped - x[:, :, ::-1]).max(axis=(1, 2, 3)) < 1e-5
    assert (same | mirrored).all()
    assert 0.2 < same.mean() < 0.8


def test_images_are_drawn_in_a_grid():
    ax = overlaid().plot(2, 4)
    assert ax.images[0].get_array().shape == (18, 36, 3)
    ax.figure.clear()

"""Training on images: losses, frozen parts, and checkpoints."""

import os
import signal
import subprocess
import sys

import equinox as eqx
import jax
import numpy as np
import optax
import pytest
from helpers.compiling import compiling
from helpers.images import Pooled, images, unchanged

import projhead_theory as pt

KEY = jax.random.key(0)
LOSSES = {
    "NT-Xent": pt.losses.InfoNCE(0.5, within_views=True),
    "spectral": pt.losses.spectral,
    "Barlow Twins": pt.losses.barlow_twins,
    "supervised contrastive": pt.losses.SupervisedContrastive(0.5),
}


def network(head=None, classes=None):
    encoder = Pooled(1, key=KEY)
    head = pt.images.LinearProjection(8, 4, key=KEY) if head is None else head
    return pt.images.ImageNetwork(encoder, head, classes, key=KEY)


def fit(given=None, loss=None, **options):
    settings = {"key": KEY, "augmentation": unchanged, "epochs": 4, "batch_size": 32}
    return pt.images.train(
        network() if given is None else given,
        images(),
        LOSSES["supervised contrastive"] if loss is None else loss,
        **settings | {"learning_rate": 1e-2} | options,
    )


def same(a, b):
    leaves = lambda tree: jax.tree.leaves(eqx.filter(tree, eqx.is_array))
    return all(np.array_equal(x, y) for x, y in zip(leaves(a), leaves(b), strict=True))


@pytest.mark.parametrize("name", LOSSES)
def test_the_library_s_losses_train_image_networks(name):
    run = fit(loss=LOSSES[name])
    assert run.losses.shape == (4,)
    assert run.losses[-1] < run.losses[0]


def test_cross_entropy_learns_the_classes():
    run = fit(network(classes=3), pt.losses.cross_entropy, epochs=60, learning_rate=3e-2)
    found = np.argmax(run.network(images().all()), axis=1)
    assert (found == np.asarray(images().labels)).mean() > 0.9


def test_an_epoch_is_compiled_once_for_all_rates_and_seeds():
    fit(loss=LOSSES["spectral"], epochs=1)
    changed = {"learning_rate": 2e-2, "weight_decay": 1e-3, "key": jax.random.key(7)}
    _, names = compiling(lambda: fit(loss=LOSSES["spectral"], epochs=1, **changed))
    assert not [name for name in names if "epoch" in name]


@pytest.mark.parametrize("kappa", [1.0, 1.5])
def test_a_fixed_head_is_neither_trained_nor_decayed(kappa):
    head = pt.images.FixedProjection(pt.networks.ReweightingHead(kappa), 8)
    run = fit(network(head), weight_decay=0.5, optimiser=optax.sgd)
    assert np.array_equal(run.network.head.diagonal, head.diagonal)
    assert not same(run.network.encoder, network(head).encoder)


class Stop(pt.images.Progress):
    """Interrupts a run after some epochs."""

    def __init__(self, after):
        super().__init__(1, False)
        self.after = after

    def step(self, text="", *, skipped=0):
        super().step(text, skipped=skipped)
        if self.done == self.after:
            raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_to_the_same_bits(tmp_path):
    options = {"augmentation": pt.images.Augmentation(1), "epochs": 5}
    whole = fit(**options)
    path = tmp_path / "run.npz"
    with pytest.raises(KeyboardInterrupt):
        fit(**options, checkpoint=path, progress=Stop(3))
    # The interrupt came before the fourth epoch; the file has three.
    assert np.load(path, allow_pickle=False)["losses"].shape == (3,)
    resumed = fit(**options, checkpoint=path)
    assert same(whole.network, resumed.network)
    assert np.array_equal(whole.losses, resumed.losses)
    again = fit(**options, checkpoint=path)
    assert same(whole.network, again.network)
    assert [p.name for p in tmp_path.iterdir()] == ["run.npz"]


KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
import jax, numpy as np
import projhead_theory as pt
from helpers.images import Pooled, images
key = jax.random.key(0)
encoder = Pooled(1, key=key)
network = pt.images.ImageNetwork(encoder, pt.images.LinearProjection(8, 4, key=key))
class Kill(pt.images.Progress):
    def step(self, text="", *, skipped=0):
        super().step(text, skipped=skipped)
        if self.done == {after}:
            os.kill(os.getpid(), signal.SIGKILL)
run = pt.images.train(network, images(), pt.losses.spectral, key=key, epochs=4, batch_size=32,
    checkpoint={path!r}, progress=Kill(99, False))
np.savez({out!r}, *jax.tree.leaves(run.network), losses=run.losses)
"""


@pytest.mark.slow
def test_a_killed_run_goes_on_to_the_same_bits(tmp_path):
    def start(name, after, out):
        source = KILLED.format(
            tests=os.path.dirname(os.path.dirname(__file__)),
            after=after,
            path=str(tmp_path / name),
            out=str(tmp_path / out),
        )
        return subprocess.run([sys.executable, "-c", source], check=False).returncode

    assert start("a.npz", 2, "killed.npz") == -signal.SIGKILL
    assert not (tmp_path / "killed.npz").exists()
    assert start("a.npz", -1, "resumed.npz") == 0
    assert start("b.npz", -1, "whole.npz") == 0
    a, b = (np.load(tmp_path / f"{n}.npz", allow_pickle=False) for n in ("resumed", "whole"))
    assert all(np.array_equal(a[name], b[name]) for name in b.files)


def test_a_checkpoint_of_another_run_is_refused(tmp_path):
    path = tmp_path / "run.npz"
    fit(epochs=1, checkpoint=path)
    for change in (
        {"key": jax.random.key(1)},
        {"learning_rate": 0.5},
        {"loss": pt.losses.SupervisedContrastive(0.4)},
        {"epochs": 2},
        {"batch_size": 16},
    ):
        with pytest.raises(ValueError, match="which belongs to other arguments"):
            fit(**{"epochs": 1, "checkpoint": path} | change)
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(ValueError, match="which is not one"):
        fit(epochs=1, checkpoint=path)


def test_a_loss_that_is_not_finite_ends_the_run():
    with pytest.raises(ValueError, match="learning_rate: got 1e\\+20"):
        fit(loss=LOSSES["spectral"], learning_rate=1e20, optimiser=optax.sgd, epochs=50)


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        ({"batch_size": 65}, "at most the number of images, 64"),
        ({"loss": pt.losses.self_prediction}, "a loss of batches of pairs, or of labels"),
        ({"epochs": 0}, "epochs"),
    ],
)
def test_wrong_arguments_are_told(options, wanted):
    with pytest.raises(ValueError, match=wanted):
        fit(**options)
    with pytest.raises(ValueError, match="as there is a classifier"):
        fit(network(classes=3), LOSSES["spectral"])


def test_progress_tells_the_time_that_is_left(capsys):
    bar = pt.images.Progress(2)
    bar.step("first")
    bar.step("second")
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [" 50%, 0:00 left; first", "100%, 0:00 left; second"]

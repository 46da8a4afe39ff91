"""Training of image networks with Optax, an epoch a compiled program."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import optax
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checkpoint as checkpoints
from .._core import checks
from .._core.keys import named
from ..losses import AbstractBatchLoss, AbstractLabelledLoss, AbstractLoss
from ._augmentations import Augmentation
from ._data import AbstractImages, Batch
from ._network import ImageNetwork
from ._progress import Progress

Optimiser = Callable[[Any], optax.GradientTransformation]


class Trained(eqx.Module):
    """A trained network, and the mean loss of each epoch.

    - `network`: the network after the last epoch.
    - `losses` `(epochs,)`: mean over the batches of each epoch.
    """

    network: ImageNetwork
    losses: Float[np.ndarray, " e"]


def train(
    network: ImageNetwork,
    images: AbstractImages,
    loss: AbstractLoss,
    *,
    key: PRNGKeyArray,
    augmentation: Callable[[Batch, PRNGKeyArray], Batch] | None = None,
    epochs: int = 10,
    batch_size: int = 128,
    optimiser: Optimiser = optax.adam,
    learning_rate: checks.Scalar = 1e-3,
    weight_decay: checks.Scalar = 0.0,
    checkpoint: str | Path | None = None,
    every: int = 1,
    progress: Progress | None = None,
) -> Trained:
    r"""Train a network on images.

    A loss of positive pairs sees two augmented views of each image of a batch. A loss of labels
    sees both, each with the label of its image, or one view if the network has a classifier. Data
    stay on the device, and an epoch is one program. Images that do not fill the last batch of an
    epoch are left out of it.

    Draws follow from the key, the epoch and the number of the batch. So a run that was stopped and
    goes on from its checkpoint ends with the same bits on a CPU as one that was not.

    **Arguments:**

    - `network`, `images`: what is trained, and on what.
    - `loss`: of `losses`: InfoNCE, the spectral loss, Barlow Twins, the supervised contrastive
      loss, cross-entropy, or another with a form for batches or labels.
    - `key`: of the order of the images, the views and the augmentation.
    - `augmentation`: of both views, a function of a batch and a key; by default `Augmentation()`.
    - `epochs`, `batch_size`: of the run.
    - `optimiser`: function from the learning rate to an Optax transformation, as for
      `simulation.gradient_descent`.
    - `learning_rate`: $\eta$.
    - `weight_decay`: $\gamma$, of which $\gamma W$ is added to each gradient.
    - `checkpoint`: an npz file, written each `every` epochs; if it is there, the run goes on from
      it.
    - `progress`: told of each epoch.

    **Raises:** `ValueError` for a batch larger than the data, a loss of another kind, a checkpoint
    of another run, or a loss that is not finite.

    !!! example

        ```pycon
        >>> images = pt.images.digits().take(range(64))
        >>> encoder = pt.images.ConvNet(1, 4, key=jax.random.key(0))
        >>> network = pt.images.ImageNetwork(encoder, pt.images.NoProjection(16))
        >>> run = pt.images.train(network, images, pt.losses.spectral,
        ...     key=jax.random.key(1), epochs=2, batch_size=32)
        >>> run.losses.shape
        (2,)

        ```
    """
    epochs, every = checks.count("epochs", epochs), checks.count("every", every)
    batch_size = checks.count("batch_size", batch_size, 2)
    if batch_size > len(images):
        raise checks.bad("batch_size", batch_size, f"at most the number of images, {len(images)}")
    if not isinstance(loss, AbstractBatchLoss | AbstractLabelledLoss):
        raise checks.bad("loss", type(loss).__name__, "a loss of batches of pairs, or of labels")
    if network.classifier is not None and not isinstance(loss, AbstractLabelledLoss):
        raise checks.bad("loss", type(loss).__name__, "a loss of labels, as there is a classifier")
    single = lambda name, x: checks.nonnegative(name, x).astype(jnp.float32)
    rates = single("learning_rate", learning_rate), single("weight_decay", weight_decay)
    augmentation = Augmentation() if augmentation is None else augmentation
    trained, fixed = eqx.partition(network, network.trainable)
    with jax.numpy_dtype_promotion("standard"):
        state = (trained, _transformation(optimiser, rates).init(trained))
    losses, done, run = np.zeros(0, np.float32), 0, ""
    if checkpoint is not None:
        made = getattr(optimiser, "func", optimiser)
        settings = (rates, batch_size, epochs, optimiser, made, jax.tree.structure(state))
        run = checkpoints.fingerprint(network, images, loss, augmentation, key, settings)
        if (found := checkpoints.read(checkpoint, run)) is not None:
            leaves, structure = jax.tree.flatten(state)
            kept = [checks.array(found[f"leaf_{i}"]) for i in range(len(leaves))]
            done, losses, state = len(found["losses"]), found["losses"], structure.unflatten(kept)
            if progress is not None and done:
                progress.step(skipped=done)
    for epoch in range(done, epochs):
        state, mean = _epoch(
            state,
            (fixed, images, loss, augmentation, rates),
            jnp.asarray(epoch, jnp.int32),
            key,
            optimiser,
            batch_size,
        )
        losses = np.append(losses, np.asarray(mean, np.float32))
        if not np.isfinite(losses[-1]):
            raise checks.bad(
                "learning_rate",
                f"{float(rates[0]):g}, with which the loss of epoch {epoch + 1} is not finite",
                "a smaller one",
            )
        if checkpoint is not None and ((epoch + 1) % every == 0 or epoch + 1 == epochs):
            kept = {f"leaf_{i}": np.asarray(x) for i, x in enumerate(jax.tree.leaves(state))}
            checkpoints.write(checkpoint, run, {"losses": losses, **kept})
        if progress is not None:
            progress.step(f"epoch {epoch + 1} of {epochs}, loss {losses[-1]:.4g}")
    return Trained(eqx.combine(state[0], fixed), losses)


def _transformation(optimiser: Optimiser, rates: tuple[Array, Array]) -> Any:
    return optax.chain(optax.add_decayed_weights(rates[1]), optimiser(rates[0]))


@eqx.filter_jit
def _epoch(
    state: Any, given: Any, epoch: Array, key: PRNGKeyArray, optimiser: Optimiser, batch_size: int
) -> tuple[Any, Float[Array, ""]]:
    """One pass over the data in random order, and the mean loss of its batches."""
    fixed, images, loss, augmentation, rates = given
    steps = len(images) // batch_size
    order = jax.random.permutation(named(key, "order", epoch), len(images))
    batches = order[: steps * batch_size].reshape(steps, batch_size)
    own = named(key, "epoch", epoch)

    def step(state: Any, drawn: tuple[Array, Array]) -> tuple[Any, Array]:
        number, rows = drawn
        trained, memory = state
        now = named(own, "batch", number)
        value, gradient = jax.value_and_grad(
            lambda t: _loss(eqx.combine(t, fixed), images, rows, loss, augmentation, now)
        )(trained)
        # Optax's own Adam mixes dtypes.
        with jax.numpy_dtype_promotion("standard"):
            change, memory = _transformation(optimiser, rates).update(gradient, memory, trained)
            trained = optax.apply_updates(trained, change)
        return (trained, memory), value

    state, values = jax.lax.scan(step, state, (jnp.arange(steps), batches))
    return state, jnp.mean(values)


def _loss(
    network: ImageNetwork,
    images: AbstractImages,
    rows: Array,
    loss: Any,
    augmentation: Any,
    key: Any,
) -> Float[Array, ""]:
    first, second = images.pair(rows, named(key, "pair"))
    first = augmentation(first, named(key, "first view"))
    labels = images.labels[rows]
    if network.classifier is not None:
        return loss.labelled(network(first), labels)
    second = augmentation(second, named(key, "second view"))
    outputs = network(jnp.concatenate([first, second]))
    if isinstance(loss, AbstractBatchLoss):
        return loss.batch(*jnp.split(outputs, 2))
    return loss.labelled(outputs, jnp.concatenate([labels, labels]))

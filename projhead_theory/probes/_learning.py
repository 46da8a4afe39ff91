"""Learning curves: error of a probe at every layer against the number of labelled samples."""

import itertools
from collections.abc import Callable, Sequence
from pathlib import Path

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, PRNGKeyArray

from .._core import checkpoint as checkpoints
from .._core import checks
from .._core.linalg import matmul
from ..networks import AbstractLinearNetwork
from ..problems import DownstreamProblem
from ._curve import LearningCurve
from ._probe import AbstractProbe
from ._readout import Status


def learning_curve(
    network: AbstractLinearNetwork,
    problem: DownstreamProblem,
    probe: AbstractProbe,
    sizes: Sequence[int],
    *,
    key: PRNGKeyArray,
    seeds: int = 32,
    test: int = 4096,
    progress: Callable[[int, int], None] = lambda done, total: None,
    checkpoint: str | Path | None = None,
) -> LearningCurve:
    """The error of `probe` on every layer, fitted to `sizes` labelled samples.

    The representation after layer $l$ is $W_{l:1} x'$. Comparisons are paired: in one seed, all
    layers see the same training and test samples, and a smaller training sample is the beginning
    of a larger one. A fit that finds no readout, or whose samples are all of one class, counts as
    the error 1/2 of a guess; the share of such fits is kept. Test labels are flipped as training
    labels are.

    **Arguments:**

    - `network`: a linear network.
    - `problem`: the downstream problem.
    - `probe`: the probe to fit.
    - `sizes`: increasing numbers of training samples, at least 2.
    - `key`: key of all draws.
    - `seeds`: number of independent training and test samples.
    - `test`: size of each test sample.
    - `progress`: function called with the number of sizes done and their total.
    - `checkpoint`: an npz file to which the readouts of each finished size are added. A later
      call with the same arguments does not fit them again.

    **Returns:** a `LearningCurve`.

    **Raises:** `ValueError` for another dimension than the network's input, sizes that do not
    increase from 2 or more, fewer than two seeds, or a checkpoint of other arguments.

    !!! example

        ```pycon
        >>> problem = pt.DownstreamProblem(pt.Features([2.0, 1.0]), pt.problems.SignLabel(0))
        >>> network, probe = pt.DeepLinear([jnp.eye(2)]), pt.probes.NearestMean()
        >>> curve = pt.probes.learning_curve(
        ...     network, problem, probe, sizes=[2, 16], key=jax.random.key(0)
        ... )
        >>> bool(curve.mean[0, 1] < curve.mean[0, 0])
        True

        ```
    """
    sizes = _sizes(sizes)
    seeds, test = checks.count("seeds", seeds, 2), checks.count("test", test, 2)
    if network.sizes[0] != problem.dim:
        raise checks.bad(
            "problem", f"inputs of dimension {problem.dim}", f"the network's {network.sizes[0]}"
        )
    products = network.products()
    shape = (seeds, len(sizes), len(products))
    readouts, unfit = np.full((*shape, problem.dim + 1), np.nan), np.zeros(shape, bool)
    settings = ""
    if checkpoint is not None:
        settings = checkpoints.fingerprint(network, problem, probe, key, sizes, seeds, test)
        if (found := checkpoints.read(checkpoint, settings)) is not None:
            readouts, unfit = found["readouts"], found["unfit"]
    train_keys, test_keys = _keys(key, seeds)
    x, y = (np.asarray(a) for a in _draw(problem, train_keys, sizes[-1]))
    for i, n in enumerate(sizes):
        if np.isnan(readouts[:, i]).any():
            readouts[:, i], unfit[:, i] = _fitted(products, probe, x[:, :n], y[:, :n])
            if checkpoint is not None:
                kept = {"readouts": readouts, "unfit": unfit}
                checkpoints.write(checkpoint, settings, kept)
        progress(i + 1, len(sizes))
    # All sizes are tested at once: drawing a test sample costs more than reading it.
    tried = jnp.asarray(readouts.reshape(seeds, -1, problem.dim + 1), products[0].dtype)
    errors = np.where(
        unfit, 0.5, np.asarray(_errors(problem, test_keys, tried, test)).reshape(shape)
    )
    layers = tuple(
        f"layer {layer}" if layer <= network.depth else "head"
        for layer in range(1, len(products) + 1)
    )
    return LearningCurve(np.asarray(sizes), errors.T, unfit.T.mean(axis=2), layers)


def _sizes(sizes: Sequence[int]) -> tuple[int, ...]:
    counts = tuple(checks.count("sizes", n, 2) for n in sizes)
    if not counts or any(a >= b for a, b in itertools.pairwise(counts)):
        raise checks.bad(
            "sizes", f"{counts}", "increasing numbers of samples, at least one of them"
        )
    return counts


@eqx.filter_jit
def _keys(key: PRNGKeyArray, seeds: int) -> tuple[Array, Array]:
    """Keys of the training and of the test sample of every seed."""
    return tuple(jax.vmap(jax.random.split, out_axes=1)(jax.random.split(key, seeds)))


@eqx.filter_jit
def _draw(problem: DownstreamProblem, keys: Array, n: int) -> tuple[Array, Array]:
    data = jax.vmap(lambda key: problem.sample(key, n))(keys)
    return data.inputs, data.targets


def _fitted(
    products: tuple[Array, ...], probe: AbstractProbe, x: np.ndarray, y: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Readouts of every seed and layer at one size, `(R, L, d + 1)`, and a mask of failed fits.

    The intercept is the last entry of a readout.
    """
    # NumPy where shapes depend on the size: a new size then compiles nothing but the probe.
    constant = (y == y[:, :1]).all(axis=1)
    # A probe needs both classes; its readout of a sample that lacks one is not used.
    given = y.copy()
    given[:, 0] = np.where(constant, 1 - y[:, 0], y[:, 0])
    found, unfit = [], []
    for w in products:
        layer = np.asarray(w)
        readout = probe.fit_many(x.astype(layer.dtype) @ layer.T, given, classes=2, throw=False)
        missed = constant | ~np.asarray(readout.status == Status.fitted)
        both = np.concatenate(
            [np.asarray(readout.weights)[:, 0] @ layer, np.asarray(readout.intercepts)[:, :1]],
            axis=1,
        )
        found.append(np.where(missed[:, None], 0, both))
        unfit.append(missed)
    return np.stack(found, axis=1), np.stack(unfit, axis=1)


@eqx.filter_jit
def _errors(problem: DownstreamProblem, keys: Array, readouts: Array, test: int) -> Array:
    """Test errors `(R, k)` of `k` readouts a seed; one test sample is held at a time."""

    def one(item: tuple[Array, Array]) -> Array:
        key, v = item
        data = problem.sample(key, test)
        said = matmul(data.inputs.astype(v.dtype), v[:, :-1].T) + v[:, -1] > 0
        return jnp.mean((said != (data.targets[:, None] == 1)).astype(v.dtype), axis=0)

    return jax.lax.map(one, (keys, readouts))

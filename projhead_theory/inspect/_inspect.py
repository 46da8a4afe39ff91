"""The whole inspection: from layers to the report."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from .. import measure
from .._core import checks
from ..moments import Moments as PairMoments
from . import _hypotheses, _signal
from ._choice import Choice, choose, log_estimate
from ._file import read_npz
from ._indicator import FixedHead, fixed_head, indicators
from ._law import gap_of, gaps
from ._layers import (
    Layers,
    class_labels,
    composed,
    known_directions,
    known_features,
    linear_stack,
    represented,
)
from ._moments import Estimate, Followed, Moments, jackknife, walk, without_bias
from ._probing import Probing, check_draws, probe
from ._report import Inspection
from ._start import StartFit, fitted_start, of_layers


def inspect(
    x1: Any = None,
    x2: Any = None,
    weights: Any = None,
    *,
    representations: Sequence[tuple[Any, Any]] | None = None,
    functions: Sequence[Callable[[Any], Any]] | None = None,
    labels: Any = None,
    features: Any = None,
    directions: Any = None,
    shots: int = 5,
    draws: int = 50,
    seed: int = 0,
) -> Inspection:
    r"""Inspect a network of your own: what each layer weights, and which layer to keep.

    The layers are a stack of matrices, functions, or representations from any framework. Nothing is
    trained. All numbers of the data are centred, since a constant is no feature and probes have an
    intercept.

    **Arguments:**

    - `x1`, `x2`: both views of the inputs, `(n, d)`; optional beside `representations`.
    - `weights`: the matrices $W_1, \dots, W_L$ of a linear stack, or a linear network.
    - `representations`: both views of each layer, pairs of arrays `(n, p_l)`.
    - `functions`: functions of arrays `(n, p)`, each applied to the output of the one before it.
    - `labels`: class labels `(n,)`, numbers or names.
    - `features`: values of known features `(n, k)`, a column each.
    - `directions`: instead of values, directions of known features in the inputs `(d, k)`; the
      weights of a stack of matrices are then exact.
    - `shots`: labels of each class of the few-shot probe.
    - `draws`: training samples of the few-shot probe.
    - `seed`: determines every random draw.

    **Returns:** an `Inspection`.

    **Raises:** `ValueError` for layers that are not given, or given twice, shapes that do not fit,
    a view that is missing, fewer than two rows, numbers that are not finite, labels of another
    length or of one class only.

    !!! example

        ```pycon
        >>> rng = np.random.default_rng(0)
        >>> x = rng.choice([-1.0, 1.0], (400, 3)) * [2.0, 1.0, 0.5]
        >>> x1, x2 = (x + rng.normal(size=x.shape) * [1.0, 0.2, 0.1] for _ in range(2))
        >>> layer = np.diag([0.4, 0.96, 1.92]) ** 0.5
        >>> report = pt.inspect(x1, x2, [layer, layer], labels=x[:, 0] > 0)
        >>> report.recommended, np.round(report.weights, 2).tolist()
        (1, [[0.63, 0.98, 1.39], [0.4, 0.96, 1.92]])

        ```

    Theorem: layerwise-law, progressive-weighting, balancedness, optimal-layer, best-kappa.

    Source: beyond the paper.
    """
    given = {"weights": weights, "representations": representations, "functions": functions}
    named = [name for name, value in given.items() if value is not None]
    if len(named) != 1:
        raise checks.bad(
            "layers",
            " and ".join(named) or "none",
            "one of weights, representations and functions",
        )
    if weights is not None:
        layers = linear_stack(x1, x2, weights)
    elif functions is not None:
        layers = composed(x1, x2, functions)
    else:
        assert representations is not None
        layers = _represented(x1, x2, representations)
    return inspect_layers(layers, labels, features, directions, shots, draws, seed)


def inspect_file(
    path: str | Path,
    *,
    labels: str | None = None,
    shots: int = 5,
    draws: int = 50,
    seed: int = 0,
) -> Inspection:
    """Inspect the network in an npz file, or in a folder of npy files.

    One layer of an npz file is in memory at a time. The files of a folder may be larger than the
    memory: their rows are read a part at a time, and at most 256 numbers a row are kept.

    The file has `x1`, `x2` and `weights_1`, `weights_2`, ... of a linear stack, or representations
    `layer_1_x1`, `layer_1_x2`, `layer_2_x1`, ..., perhaps with the inputs `x1` and `x2`; perhaps
    `labels`, and `features` or `directions`. It is never unpickled.

    **Arguments:**

    - `path`: the npz file, or the folder, with a file such as `layer_1_x1.npy` for each array.
    - `labels`: the name of the array of labels in the file, or an npy file; `labels` if there is
      one and none is given.
    - the others: as in `inspect`.

    **Raises:** `ValueError` as `inspect`, or for a file that is missing, corrupt or pickled, or
    has arrays that are not known.

    Source: beyond the paper.
    """
    return inspect_layers(*read_npz(path, labels), shots, draws, seed)


def _represented(x1: Any, x2: Any, representations: Sequence[tuple[Any, Any]]) -> Layers:
    pairs = list(representations)
    if not pairs:
        raise checks.bad("representations", "an empty list", "both views of at least one layer")
    for level, pair in enumerate(pairs, 1):
        if not isinstance(pair, tuple | list) or len(pair) != 2:
            raise checks.bad(
                "representations",
                f"{type(pair).__name__} as layer {level}",
                "a pair of arrays, one for each view",
            )
    inputs = x1 is not None or x2 is not None
    stacked = [(x1, x2), *pairs] if inputs else [(None, None), *pairs]
    name = lambda level: f"layer_{level}_" if level else ""
    return represented(lambda level: stacked[level], len(pairs), 0 if inputs else 1, name)


def inspect_layers(
    layers: Layers,
    labels: Any,
    features: Any,
    directions: Any,
    shots: int,
    draws: int,
    seed: int,
) -> Inspection:
    """The report on the layers."""
    shots, draws = check_draws(shots, draws)
    rng = np.random.default_rng(checks.count("seed", seed, 0))
    classes, names = (None, ()) if labels is None else class_labels(labels, layers.pairs)
    if features is not None and directions is not None:
        raise checks.bad("directions", "both features and directions", "one of the two")
    known = None if features is None else known_features(features, layers.pairs)
    along = None if directions is None else known_directions(directions, layers)
    moments, followed = walk(layers, known, along, classes, rng)
    above = moments[1 - layers.lowest :]
    squares = (
        _signal.followed_weights(above, followed)
        if layers.network is None
        else _signal.stack_weights(layers.network, moments[0], followed, known, along)
    )
    kept = _signal.resolved(squares)
    weights, spread = _signal.sizes(squares), _signal.spreads(squares, kept)
    exponents = _signal.exponents(squares, kept)
    shares = _shares(layers)
    probing = None if classes is None else probe(above, classes, shots, draws, rng)
    shots = shots if probing is None else probing.shots
    samples = shots * max(len(names), 2)
    values = indicators(above, followed, samples)
    indicator = log_estimate(values)
    choice = choose(values, probing, rng)
    head = fixed_head(moments[-1], followed, samples, layers.network)
    share = _stack([_signal.signal_share(layer) for layer in above])
    fractions = [_signal.signal_fractions(layer, layers.pairs) for layer in above]
    modes = min(len(f.value) for f in fractions)
    fractions = _stack([Estimate(f.value[:modes], f.error[:modes]) for f in fractions])
    rank = (
        _stack([_signal.data_rank(layer) for layer in above])
        if layers.network is None
        else _signal.gram_ranks(layers.network)
    )
    imbalance, law, hypotheses = None, _signal.log_gaps(squares, kept, shares), {}
    start = _start(layers, moments, above, followed, known is None and along is None)
    if layers.network is not None:
        imbalance = np.asarray(measure.imbalance_norms(layers.network), float)
        laws = gaps(layers.network)
        law = Estimate(next(iter(laws.values())).gap, np.zeros(layers.depth))
        hypotheses |= _hypotheses.of_stack(layers.network, laws)
        hypotheses |= _hypotheses.spectral_minimum(layers.network, _pair_moments(layers))
    elif layers.lowest == 0:
        hypotheses |= _hypotheses.linear(moments[0], above)
        if start is not None:
            hypotheses |= _hypotheses.of_start(gap_of(start.grams, start.predicted))
    steps = jackknife(_hypotheses.log_increments(squares, kept))
    hypotheses |= _hypotheses.progressive(spread, steps)
    hypotheses |= _hypotheses.power_law(exponents, shares)
    accuracy = {} if probing is None else probing.accuracy
    if probing is not None:
        hypotheses |= _hypotheses.label_kept(above)
        few = probing.accuracy["few-shot"].value
        hypotheses |= _hypotheses.agreement(choice, values[0], few)
    label = None if classes is None else _stack([_between(layer) for layer in above])
    return Inspection(
        signal=share.value,
        signal_error=share.error,
        signal_fractions=fractions.value,
        signal_fractions_error=fractions.error,
        effective_rank=rank.value,
        effective_rank_error=rank.error,
        weights=weights.value,
        weights_error=weights.error,
        spread=spread.value,
        spread_error=spread.error,
        kept=kept,
        exponents=None if exponents is None else exponents.value,
        exponents_error=None if exponents is None else exponents.error,
        shares=shares,
        imbalance=imbalance,
        law_gap=None if law is None else law.value,
        law_gap_error=None if law is None else law.error,
        start_scales=None if start is None else start.scales.value,
        start_scales_error=None if start is None else start.scales.error,
        start_gap=None if start is None else start.gap.value,
        start_gap_error=None if start is None else start.gap.error,
        start_weights=_start_weights(start, layers, moments[0], followed, known, along),
        accuracy={name: found.value for name, found in accuracy.items()},
        accuracy_error={name: found.error for name, found in accuracy.items()},
        indicator=np.minimum(indicator.value, samples),
        indicator_error=indicator.error,
        label_weight=None if label is None else label.value,
        label_weight_error=None if label is None else label.error,
        head=head,
        hypotheses=hypotheses,
        recommended=choice.layer,
        sure=choice.sure,
        alike=choice.alike,
        reason=_reason(choice, probing, indicator, head, samples, layers.depth),
        features=_names(layers, known is not None or along is not None, squares.shape[2]),
        pairs=layers.pairs,
        samples=samples,
        shots=shots,
    )


def _start(
    layers: Layers,
    moments: list[Moments],
    above: list[Moments],
    followed: Followed,
    principal: bool,
) -> StartFit | None:
    """The start law on two layers; of outputs only if the inputs' directions are followed, all."""
    if layers.depth != 2:
        return None
    if layers.network is not None:
        exact = lambda x: Estimate(np.asarray(x, float), np.zeros(2))
        law = gaps(layers.network)["start law"]
        grams = np.asarray(measure.layer_grams(layers.network), float)
        return StartFit(exact(fitted_start(layers.network)), exact(law.gap), grams, law.grams)
    whole = layers.lowest == 0 and len(followed.second[0]) == moments[0].basis.shape[1]
    return of_layers(above, followed) if whole and principal else None


def _start_weights(
    start: StartFit | None,
    layers: Layers,
    lowest: Moments,
    followed: Followed,
    features: np.ndarray | None,
    directions: np.ndarray | None,
) -> np.ndarray | None:
    """Weights of the features by the start law, `(2, k)`."""
    if start is None:
        return None
    along = np.eye(start.predicted.shape[1])
    if layers.network is not None:
        along = _signal.stack_directions(lowest, followed, features, directions)[0]
    squares = np.einsum("ik,lij,jk->lk", along, start.predicted, along)
    return np.sqrt(np.maximum(squares, 0))


def _shares(layers: Layers) -> np.ndarray:
    r"""Exponents of the layer-wise law, from the layer in which the features are followed."""
    steps = layers.depth - layers.lowest
    if steps == 0:
        return np.ones(1)
    return (np.arange(1, layers.depth + 1) - layers.lowest) / steps


def _stack(estimates: list[Estimate]) -> Estimate:
    return Estimate(*(np.stack([e[i] for e in estimates]) for i in range(2)))


def _between(layer: Moments) -> Estimate:
    """Share of a layer's variance that the labels explain.

    From the best prediction of the layer by one column of signs at a time, scaled so that balanced
    classes give the share between classes.
    """
    assert layer.labels is not None
    count = layer.labels.shape[2]
    own = (layer.labels**2).sum(axis=1).sum(axis=1)
    own = own if count == 1 else own * (count - 1) / count
    whole = np.einsum("gii->g", layer.second)
    return without_bias(own / np.where(whole > 0, whole, 1), 0, 1)


def _pair_moments(layers: Layers) -> PairMoments:
    """Moments of both views of the inputs, not centred, as the loss has them."""
    first, second = next(layers.walk())
    return PairMoments.from_views(first, second)


def _names(layers: Layers, known: bool, count: int) -> tuple[str, ...]:
    if known:
        word = "feature"
    elif layers.network is not None:
        word = "input"
    else:
        word = "direction"
    return tuple(f"{word} {i}" for i in range(1, count + 1))


def _reason(
    choice: Choice,
    probing: Probing | None,
    indicator: Estimate,
    head: FixedHead,
    samples: int,
    depth: int,
) -> str:
    layer = choice.layer
    at = lambda e, level: f"{e.value[level - 1]:.3g} (standard error {e.error[level - 1]:.1g})"
    others = ", ".join(str(level) for level in choice.alike)
    if probing is None:
        first = (
            f"Layer {layer} of {depth} has the least indicator, {at(indicator, layer)} for "
            f"{samples} labels, if any feature may be the label: no labels were given."
        )
    else:
        few = probing.accuracy["few-shot"]
        first = (
            f"Layer {layer} of {depth} reads {few.value[layer - 1]:.1%} of the labels (standard "
            f"error {few.error[layer - 1]:.1%}) from {probing.shots} of each class"
        )
        first += f"; the last layer {few.value[-1]:.1%}." if layer < depth else ", the last layer."
        least = choice.by_indicator
        word = "least there too" if least == layer else f"least at layer {least}"
        first += f" The indicator for {samples} labels is {word}: "
        first += f"{at(indicator, layer)} at layer {layer}."
    sure = f"It is the best in {choice.sure:.0%} of resamples"
    sure += f"; not told apart from layer {others}." if others else "."
    if depth == 1:
        sure = "It is the only layer."
    fixed = (
        "No fixed head would leave a better layer below it than the last one."
        if head.kappa == 1
        else f"A fixed head of kappa {head.kappa:.3g}{' or more' if head.bounded else ''} on "
        f"{head.rows} rows in place of the trained one would leave a layer of indicator "
        f"{head.indicator:.3g} below it."
    )
    return f"{first} {sure} {fixed}"

r"""Fully connected networks of a few layers, $r_l = \mathrm{act}(W_l r_{l-1})$.

Their units are positively homogeneous.
"""

import abc
from collections.abc import Sequence
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul
from ..moments import Moments
from ..problems import ContrastiveProblem, Features
from ._base import AbstractNonlinearNetwork
from ._linear import DeepLinear, chained
from ._thresholded import symmetrised_relu


class AbstractFullyConnected(AbstractNonlinearNetwork):
    """Fully connected network with an activation function in every layer.

    It is trained on views or on labelled inputs: its outputs have no moments in closed form.
    """

    @abc.abstractmethod
    def activation(self, level: int, u: Array) -> Array:
        """Activation of layer `level`, counted from 0, at its pre-activations `u`."""

    def representations(self, x: Float[Array, "n d"]) -> tuple[Float[Array, "n p"], ...]:
        r"""Representations $r_1, \dots, r_L$ of the inputs."""
        result = []
        for level, w in enumerate(self.layers):
            x = self.activation(level, matmul(x, w.T))
            result.append(x)
        return tuple(result)

    def output_moments(self, problem: ContrastiveProblem) -> Moments:
        raise checks.bad(
            "data",
            f"a {type(problem).__name__}, for {type(self).__name__}",
            "Views of it: no closed form exists",
        )

    def exact_weights(self, features: Features) -> None:
        """None: the weights are estimated."""
        return None


class ShallowReLU(AbstractFullyConnected):
    r"""Fully connected network of ReLU or leaky ReLU units, without biases.

    $$\mathrm{act}(u) = \max(u, 0) + s \min(u, 0)$$

    **Arguments:**

    - `layers`: $W_1, \dots, W_L$, each `(p_l, p_{l-1})`.
    - `slope`: $s \ge 0$ of the leaky ReLU, never trained.
    - `final`: True if the last layer, the head, is non-linear as well.

    **Raises:** `ValueError` if there is no layer, the shapes do not chain, or the slope is
    negative.
    """

    layers: tuple[Float[Array, "..."], ...]
    slope: Float[Array, ""]
    final: bool = eqx.field(static=True)

    def __init__(self, layers: Sequence[Any], slope: checks.Scalar = 0.0, final: bool = False):
        self.layers = chained("layers", layers)
        self.slope = checks.nonnegative("slope", slope).astype(self.layers[0].dtype)
        if self.slope.ndim:
            raise checks.bad("slope", f"shape {self.slope.shape}", "one number")
        self.final = final

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        sizes: Sequence[int],
        scale: checks.Scalar | Sequence[float] = 1.0,
        slope: checks.Scalar = 0.0,
        final: bool = False,
        dtype: Any = None,
    ) -> "ShallowReLU":
        """Gaussian initialisation, as `DeepLinear.init`."""
        return cls(DeepLinear.init(key, sizes, scale, dtype).layers, slope, final)

    @property
    def thresholds(self) -> tuple[Float[Array, "..."], ...]:
        """Empty: ReLU units have no thresholds."""
        return ()

    @property
    def trained_thresholds(self) -> tuple[Float[Array, "..."], ...]:
        return ()

    @property
    def trainable(self) -> "ShallowReLU":
        """Flags in the shape of the network, true for every array that training moves."""
        return eqx.tree_at(lambda n: (n.layers, n.slope), self, ((True,) * self.depth, False))

    def activation(self, level: int, u: Array) -> Array:
        if level == self.depth - 1 and not self.final:
            return u
        return jax.nn.relu(u) - self.slope * jax.nn.relu(-u)


class ShallowThresholded(AbstractFullyConnected):
    r"""Fully connected network of symmetrised ReLU units, with a threshold for each unit.

    $r_l = \mathrm{act}(W_l r_{l-1}; b_l)$ with `symmetrised_relu`.

    **Arguments:**

    - `layers`: $W_1, \dots, W_L$.
    - `thresholds`: $b_1, b_2, \dots$, each `(p_l,)` and not negative. One vector for each layer
        but the last, the head, which is then linear; or one for each layer.
    - `trained`: True if training moves the thresholds as well.

    **Raises:** `ValueError` if there is no layer, the shapes do not fit, or a threshold is
    negative.
    """

    layers: tuple[Float[Array, "..."], ...]
    thresholds: tuple[Float[Array, "..."], ...]
    trained: bool = eqx.field(static=True)

    def __init__(self, layers: Sequence[Any], thresholds: Sequence[Any], trained: bool = False):
        self.layers = chained("layers", layers)
        dtype, depth = self.layers[0].dtype, len(self.layers)
        if len(thresholds) not in (depth - 1, depth):
            raise checks.bad(
                "thresholds",
                f"{len(thresholds)} vectors",
                f"{depth - 1}, or {depth} for a head that is cut as well",
            )
        self.thresholds = tuple(
            checks.nonnegative("thresholds", b).astype(dtype) for b in thresholds
        )
        for w, b in zip(self.layers, self.thresholds, strict=False):
            if b.shape != w.shape[:1]:
                raise checks.bad(
                    "thresholds", f"shape {b.shape}", f"({w.shape[0]},): one number a unit"
                )
        self.trained = trained

    @classmethod
    def init(
        cls,
        key: PRNGKeyArray,
        sizes: Sequence[int],
        scale: checks.Scalar | Sequence[float] = 1.0,
        threshold: checks.Scalar | Sequence[float] = 0.1,
        final: bool = False,
        trained: bool = False,
        dtype: Any = None,
    ) -> "ShallowThresholded":
        """Gaussian initialisation, as `DeepLinear.init`, with constant thresholds.

        `threshold` is one number for all layers, or one for each layer that has thresholds.
        """
        layers = DeepLinear.init(key, sizes, scale, dtype).layers
        count = len(layers) - (not final)
        value = checks.nonnegative("threshold", threshold)
        if value.ndim > 1 or value.size not in (1, count):
            raise checks.bad("threshold", f"shape {value.shape}", f"one number, or {count}")
        each = jnp.broadcast_to(value, (count,))
        return cls(
            layers,
            [jnp.broadcast_to(b, w.shape[:1]) for w, b in zip(layers, each, strict=False)],
            trained,
        )

    @property
    def trained_thresholds(self) -> tuple[Float[Array, "..."], ...]:
        return self.thresholds if self.trained else ()

    @property
    def trainable(self) -> "ShallowThresholded":
        """Flags in the shape of the network, true for every array that training moves."""
        spec = ((True,) * self.depth, (self.trained,) * len(self.thresholds))
        return eqx.tree_at(lambda n: (n.layers, n.thresholds), self, spec)

    def activation(self, level: int, u: Array) -> Array:
        return symmetrised_relu(u, self.thresholds[level]) if level < len(self.thresholds) else u

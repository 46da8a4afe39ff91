"""The interface of all networks, and the parts that linear and non-linear networks share."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from .._core import checks
from .._core.linalg import explained, matmul
from ..moments import Moments, TargetMoments
from ..problems import ContrastiveProblem, Features

# Data whose distribution is known through its moments.
Population = Moments | TargetMoments | ContrastiveProblem


class AbstractNetwork(eqx.Module):
    r"""Network of layers, $r_l = g_l(W_l r_{l-1})$ from $r_0 = x$, that every simulator trains.

    Losses, measurements and probes use these members and no others. A new network is a subclass of
    `AbstractLinearNetwork` or `AbstractNonlinearNetwork`.

    - `layers`: $W_1, \dots, W_L$, each `(p_l, p_{l-1})`.
    - `thresholds`: threshold of each unit, one vector a layer from the first; empty without any.
    """

    layers: eqx.AbstractVar[tuple[Float[Array, "..."], ...]]
    thresholds: eqx.AbstractVar[Any]

    @property
    def depth(self) -> int:
        """Number of layers."""
        return len(self.layers)

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths `(d, p_1, ..., p_L)`."""
        layers = self.layers
        return (layers[0].shape[-1], *(w.shape[-2] for w in layers))

    @property
    def dtype(self) -> Any:
        """Type of the numbers of the layers; a run computes in it."""
        return self.layers[0].dtype

    @property
    @abc.abstractmethod
    def trainable(self) -> Any:
        """Flags in the shape of the network, true for every array that training moves."""

    @property
    @abc.abstractmethod
    def trained_thresholds(self) -> tuple[Float[Array, "..."], ...]:
        """The thresholds if training moves them, else empty."""

    @abc.abstractmethod
    def representations(self, x: Float[Array, "*n d"]) -> tuple[Float[Array, "*n p"], ...]:
        r"""Representations $r_1, \dots, r_L$ of the inputs."""

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n p"]:
        """Output of the network: the last representation."""
        return self.representations(x)[-1]

    @abc.abstractmethod
    def closed_form(self, data: Population) -> tuple[Array, Moments | TargetMoments]:
        """A matrix and moments that have the population loss of this network on the data.

        The network is the linear map of that matrix on inputs with those moments.

        **Raises:** `ValueError` if there is no closed form.
        """

    @abc.abstractmethod
    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "k k"]:
        """Gram of the trained layers together, or second moment of the outputs on the inputs."""

    @abc.abstractmethod
    def exact_weights(
        self, features: Features
    ) -> tuple[Float[Array, "L d"], Float[Array, "L d"]] | None:
        r"""Weight of each feature in each layer, and the variance of it that the layer explains.

        $\|E[r_l z_i]\| / \varphi_i$ and the share of the best linear readout, as in
        `measure.feature_weights`. None if there is no closed form.
        """


class AbstractLinearNetwork(AbstractNetwork):
    r"""Linear network $f(x) = F_K \cdots F_1 x$.

    The factors $F_k$ are the layers, and then perhaps fixed maps. A new linear network
    implements `layers`, `factors` and `trainable`.

    !!! example

        ```pycon
        >>> class Doubled(pt.networks.AbstractLinearNetwork):
        ...     layers: tuple
        ...
        ...     @property
        ...     def factors(self):
        ...         return (*self.layers, 2 * jnp.eye(2))
        ...
        ...     @property
        ...     def trainable(self):
        ...         return jax.tree.map(lambda _: True, self)
        >>> moments = pt.Moments(jnp.diag(jnp.asarray([0.8, 0.5])), jnp.eye(2))
        >>> run = pt.gradient_descent(Doubled((jnp.eye(2),)), moments, learning_rate=0.02)
        >>> np.round(run.weights()[-1], 3)
        Array([[0.447, 0.354],
               [0.894, 0.707]], dtype=float64)

        ```
    """

    @property
    @abc.abstractmethod
    def factors(self) -> tuple[Float[Array, "..."], ...]:
        r"""Factors $F_1, \dots, F_K$ of the network."""

    def products(self) -> tuple[Float[Array, "..."], ...]:
        r"""Products $F_{1:1}, \dots, F_{K:1}$, with $F_{k:1} = F_k \cdots F_1$."""
        first, *rest = self.factors
        result = [first]
        for factor in rest:
            result.append(matmul(factor, result[-1]))
        return tuple(result)

    @property
    def matrix(self) -> Float[Array, "p d"]:
        """End-to-end matrix $F_{K:1}$."""
        return self.products()[-1]

    @property
    def width(self) -> int:
        """Smallest width above the input: it bounds the rank of the network."""
        return min(self.sizes[1:])

    @property
    def thresholds(self) -> tuple[Float[Array, "..."], ...]:
        """Empty: linear units have no thresholds."""
        return ()

    @property
    def trained_thresholds(self) -> tuple[Float[Array, "..."], ...]:
        return ()

    def representations(self, x: Float[Array, "*n d"]) -> tuple[Float[Array, "*n p"], ...]:
        r"""Representations $F_{1:1} x, \dots, F_{K:1} x$, one for each factor."""
        result = []
        for factor in self.factors:
            x = matmul(x, factor.T)
            result.append(x)
        return tuple(result)

    def closed_form(self, data: Population) -> tuple[Array, Moments | TargetMoments]:
        """The end-to-end matrix and the moments of the data."""
        return self.matrix, data.moments() if isinstance(data, ContrastiveProblem) else data

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "d d"]:
        r"""Gram $W_{L:1}^\top W_{L:1}$ of the layers, whatever the inputs."""
        layers = self.products()[self.depth - 1]
        return matmul(layers.T, layers)

    def exact_weights(self, features: Features) -> tuple[Float[Array, "K d"], Float[Array, "K d"]]:
        r"""Weights $\|F_{k:1} q_i\|$, with $q_i$ the column of the mixing, and readouts."""
        phi, mixing = features.strength, features.mixing
        mixing = jnp.eye(features.dim, dtype=phi.dtype) if mixing is None else mixing
        images = [matmul(w, mixing) for w in self.products()]
        gain = jnp.stack([jnp.sqrt(jnp.sum(w * w, axis=0)) for w in images])
        return gain, jnp.stack([explained(w * phi, matmul(w * phi**2, w.T)) for w in images])

    def layer_gradients(self, gradient: Float[Array, "p d"]) -> tuple[Float[Array, "..."], ...]:
        r"""Gradient in every layer, from the gradient $G$ in the end-to-end matrix.

        $$G_l = F_{K:l+1}^\top\, G\, F_{l-1:1}^\top$$

        Automatic differentiation gives the same, but leaves products with a transposed left
        factor, which are several times slower in batches on a CPU.
        """
        factors, products, depth = self.factors, self.products(), self.depth
        result = []
        for level in range(len(factors) - 1, 0, -1):
            if level < depth:
                result.append(matmul(gradient, products[level - 1].T))
            gradient = matmul(jax.lax.optimization_barrier(factors[level].T), gradient)
        return (gradient, *reversed(result))


class AbstractNonlinearNetwork(AbstractNetwork):
    """Non-linear network: its loss is no function of the moments of the inputs.

    A new non-linear network implements what `AbstractNetwork` lacks, and `output_moments`.
    """

    @abc.abstractmethod
    def output_moments(self, problem: ContrastiveProblem) -> Moments:
        """Cross and second moment of the outputs on a positive pair, exact.

        **Raises:** `ValueError` if there is no closed form.
        """

    def closed_form(self, data: Population) -> tuple[Array, Moments]:
        """The identity, and the moments of the outputs."""
        if not isinstance(data, ContrastiveProblem):
            raise checks.bad(
                "data",
                f"{type(data).__name__}, for {type(self).__name__}",
                "a problem, Views or Labelled: the loss of a non-linear network is no function of "
                "the moments",
            )
        moments = self.output_moments(data)
        return jnp.eye(moments.dim, dtype=moments.second.dtype), moments

    def gram(self, x: Float[Array, "n d"]) -> Float[Array, "p p"]:
        """Second moment of the outputs on the inputs."""
        outputs = self(x)
        return matmul(outputs.T, outputs) / len(x)

r"""Deep linear encoder under a fixed head, $f(x) = H\, W_L \cdots W_1 x$."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float

from ._base import AbstractLinearNetwork
from ._head import AbstractHead, DiagonalHead
from ._linear import DeepLinear


class Headed(AbstractLinearNetwork):
    r"""Deep linear encoder under a fixed diagonal head, $f(x) = H\, W_L \cdots W_1 x$ (paper).

    The head is never trained, never decayed and no part of gradient norms: `layers`, `depth`,
    `sizes`, `width` and imbalance are the encoder's. It is one more factor, so that `products()`
    has one more entry than there are layers: pre-projection is entry $L$, $W_{L:1}$,
    post-projection is entry $L + 1$, $H W_{L:1}$.

    **Arguments:**

    - `encoder`: the trained layers.
    - `head`: the fixed head. The network keeps its diagonal, as a `DiagonalHead`, so that runs
      under another head reuse the compiled program.

    **Raises:** `ValueError` if the head does not fit the encoder's last width and dtype.

    !!! example

        ```pycon
        >>> encoder = pt.DeepLinear.aligned(jnp.eye(2), [4.0, 1.0], (2, 2, 2))
        >>> network = pt.Headed(encoder, pt.networks.ReweightingHead(2.0))
        >>> np.round(pt.measure.layer_weights(network), 3)
        Array([[2. , 1. ],
               [4. , 1. ],
               [4. , 0.5]], dtype=float64)

        ```
    """

    encoder: DeepLinear
    head: DiagonalHead

    def __init__(self, encoder: DeepLinear, head: AbstractHead):
        diagonal = head.diagonal(encoder.sizes[-1], encoder.layers[-1].dtype)
        self.encoder, self.head = encoder, DiagonalHead(diagonal)

    @property
    def layers(self) -> tuple[Float[Array, "..."], ...]:
        """Trained layers."""
        return self.encoder.layers

    @property
    def factors(self) -> tuple[Float[Array, "..."], ...]:
        """The layers, and the head as a matrix."""
        diagonal = self.head.weights
        return (*self.encoder.layers, diagonal * jnp.eye(len(diagonal), dtype=diagonal.dtype))

    @property
    def trainable(self) -> Any:
        """Flags in the shape of the network, true for the encoder."""
        flags = jax.tree.map(lambda _: True, self)
        return eqx.tree_at(lambda n: n.head.weights, flags, False)

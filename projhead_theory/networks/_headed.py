r"""Deep linear encoder under a fixed head, $f(x) = H\, W_L \cdots W_1 x$."""

import equinox as eqx
from jaxtyping import Array, Float

from ._head import AbstractHead
from ._linear import DeepLinear


class Headed(eqx.Module):
    r"""Deep linear encoder under a fixed diagonal head, $f(x) = H\, W_L \cdots W_1 x$ (paper).

    Every simulator accepts it in place of a `DeepLinear`. The head is never trained, never
    decayed and no part of gradient norms: `layers`, `depth`, `sizes`, `width` and imbalance are
    the encoder's. `products()` has one more entry than there are layers: pre-projection is entry
    $L$, $W_{L:1}$, post-projection is entry $L + 1$, $H W_{L:1}$.

    **Arguments:**

    - `encoder`: the trained layers.
    - `head`: the fixed head.

    **Raises:** `ValueError` if the head does not fit the encoder's last width and dtype.

    !!! example

        ```pycon
        >>> encoder = pt.DeepLinear.aligned(jnp.eye(2), [4.0, 1.0], (2, 2, 2))
        >>> network = pt.Headed(encoder, pt.ReweightingHead(2.0))
        >>> np.round(pt.measure.layer_weights(network), 3)
        Array([[2. , 1. ],
               [4. , 1. ],
               [4. , 0.5]], dtype=float64)

        ```
    """

    encoder: DeepLinear
    head: AbstractHead

    def __init__(self, encoder: DeepLinear, head: AbstractHead):
        head.diagonal(encoder.sizes[-1], encoder.layers[-1].dtype)
        self.encoder, self.head = encoder, head

    @property
    def rows(self) -> Float[Array, " p"]:
        """Diagonal of $H$, in the dtype of the encoder."""
        return self.head.diagonal(self.encoder.sizes[-1], self.encoder.layers[-1].dtype)

    @property
    def layers(self) -> tuple[Float[Array, "..."], ...]:
        """Trained layers."""
        return self.encoder.layers

    @property
    def depth(self) -> int:
        """Number of trained layers."""
        return self.encoder.depth

    @property
    def sizes(self) -> tuple[int, ...]:
        """Widths `(d, p_1, ..., p_L)`."""
        return self.encoder.sizes

    @property
    def width(self) -> int:
        """Smallest width above the input."""
        return self.encoder.width

    def products(self) -> tuple[Float[Array, "..."], ...]:
        r"""Products $W_{1:1}, \dots, W_{L:1}$ and $H W_{L:1}$."""
        below = self.encoder.products()
        return (*below, self.rows[:, None] * below[-1])

    @property
    def matrix(self) -> Float[Array, "p d"]:
        """End-to-end matrix $H W_{L:1}$."""
        return self.products()[-1]

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n p"]:
        return self.encoder(x) * self.rows


# Linear networks that the simulators train.
LinearNetwork = DeepLinear | Headed

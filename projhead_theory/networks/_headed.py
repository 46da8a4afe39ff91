r"""An encoder under a fixed head, $f(x) = H\, W_L \cdots W_1 x$."""

import equinox as eqx
from jaxtyping import Array, Float

from ._head import AbstractHead
from ._linear import DeepLinear


class Headed(eqx.Module):
    r"""A deep linear encoder under a fixed diagonal head, $f(x) = H\, W_L \cdots W_1 x$ (paper).

    Every simulator takes it where it takes a `DeepLinear`. The head is never trained, never decayed and no part of gradient
    norms: `layers`, `depth`, `sizes`, `width` and imbalance are the encoder's. `products()` has one more entry than there are
    layers: pre-projection is entry $L$, $W_{L:1}$, post-projection is entry $L + 1$, $H W_{L:1}$.

    **Arguments:** `encoder`; `head`.

    **Raises:** `ValueError` if the head does not go with the encoder's last width and dtype.
    """

    encoder: DeepLinear
    head: AbstractHead

    def __init__(self, encoder: DeepLinear, head: AbstractHead):
        head.diagonal(encoder.sizes[-1], encoder.layers[-1].dtype)
        self.encoder, self.head = encoder, head

    @property
    def rows(self) -> Float[Array, " p"]:
        """The diagonal of $H$, in the dtype of the encoder."""
        return self.head.diagonal(self.encoder.sizes[-1], self.encoder.layers[-1].dtype)

    @property
    def layers(self) -> tuple[Float[Array, "..."], ...]:
        """The trained layers."""
        return self.encoder.layers

    @property
    def depth(self) -> int:
        """How many layers are trained."""
        return self.encoder.depth

    @property
    def sizes(self) -> tuple[int, ...]:
        """`(d, p_1, ..., p_L)`."""
        return self.encoder.sizes

    @property
    def width(self) -> int:
        """The smallest width above the input."""
        return self.encoder.width

    def products(self) -> tuple[Float[Array, "..."], ...]:
        """$W_{1:1}, \\dots, W_{L:1}$ and $H W_{L:1}$."""
        below = self.encoder.products()
        return (*below, self.rows[:, None] * below[-1])

    @property
    def matrix(self) -> Float[Array, "p d"]:
        """The end-to-end matrix $H W_{L:1}$."""
        return self.products()[-1]

    def __call__(self, x: Float[Array, "*n d"]) -> Float[Array, "*n p"]:
        return self.encoder(x) * self.rows


# What the simulators train.
LinearNetwork = DeepLinear | Headed

"""Contrastive problem: features, and the augmentation that makes views of them."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul
from ..moments import Moments
from ._augmentations import AbstractAugmentation, Compose
from ._features import Features
from ._views import Views


class ContrastiveProblem(eqx.Module):
    r"""Contrastive learning on augmented and mixed features, with views $x = b(Q\, a(u))$.

    The augmentations $a$ and $b$ are drawn afresh for each view.

    **Arguments:**

    - `features`: the distribution of $u$ and the mixing $Q$.
    - `augmentation`: $a$, acting on the features before the mixing. It may be left out.
    - `ambient`: $b$, acting on the natural input after the mixing. It may be left out.

    **Raises:** `ValueError` if an augmentation has parameters for another number of coordinates.

    !!! example

        ```pycon
        >>> problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise(1.0))
        >>> moments = problem.moments()
        >>> np.round(np.diag(moments.cross) / np.diag(moments.second), 3)
        array([0.8, 0.5])

        ```
    """

    features: Features
    augmentation: AbstractAugmentation
    ambient: AbstractAugmentation

    def __init__(
        self,
        features: Features,
        augmentation: AbstractAugmentation | None = None,
        ambient: AbstractAugmentation | None = None,
    ):
        self.features = features
        self.augmentation = Compose() if augmentation is None else augmentation
        self.ambient = Compose() if ambient is None else ambient
        self.augmentation.check(features.dim)
        self.ambient.check(features.ambient_dim)

    @property
    def dim(self) -> int:
        """Dimension of the natural input."""
        return self.features.ambient_dim

    @property
    def directions(self) -> Float[Array, "D d"]:
        """Unit direction of each feature in input space."""
        return self.features.directions

    @property
    def exact(self) -> bool:
        """True if the moments exist in closed form."""
        return self.augmentation.exact and self.ambient.exact

    def sample_pairs(self, key: PRNGKeyArray, n: int) -> Views:
        """Draw `n` independent positive pairs on the device."""
        n = checks.count("n", n, 2)
        draw, *view_keys = jax.random.split(key, 3)
        u = self.features.sample(draw, n)

        def view(k: PRNGKeyArray) -> Array:
            inner, outer = jax.random.split(k)
            return self.ambient(outer, self.features.embed(self.augmentation(inner, u)))

        return Views(*(view(k) for k in view_keys))

    def moments(self, *, key: PRNGKeyArray | None = None, samples: int = 2**18) -> Moments:
        """Cross and second moment of a positive pair, exact if the augmentations are exact.

        Otherwise the moments are estimated, with standard errors.

        **Arguments:**

        - `key`, `samples`: the seed and the number of pairs, drawn in chunks, for an estimate
            (`Custom`).

        **Raises:** `ValueError` if an estimate is needed and no key is given.
        """
        if self.exact:
            square = jnp.diag(self.features.strength**2)
            cross, second = self.augmentation.push(square, square)
            if (q := self.features.mixing) is not None:
                cross, second = (matmul(matmul(q, m), q.T) for m in (cross, second))
            return Moments(*self.ambient.push(cross, second))
        if key is None:
            raise checks.bad(
                "key",
                "None",
                "a PRNG key: a Custom augmentation has no exact moments, they are estimated",
            )
        samples = checks.count("samples", samples, 2)
        chunk = min(samples, 2**15)
        # Whole chunks are drawn, so that drawing compiles once; surplus pairs are cut off.
        draws = (
            _draw(self, jax.random.fold_in(key, i), chunk) for i in range(-(-samples // chunk))
        )
        sizes = (min(chunk, samples - i) for i in range(0, samples, chunk))
        return Moments.from_chunks(
            (views.first[:n], views.second[:n]) for views, n in zip(draws, sizes, strict=True)
        )


@eqx.filter_jit
def _draw(problem: ContrastiveProblem, key: Any, n: int) -> Views:
    return problem.sample_pairs(key, n)

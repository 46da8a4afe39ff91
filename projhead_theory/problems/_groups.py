"""Inputs in groups: a mixture model for classes, subclasses and spurious features."""

import itertools
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul


class Groups(eqx.Module):
    r"""Mixture of groups, $x = m_g + \sigma \circ \xi$ with Gaussian $\xi$; each group has a class.

    An input belongs to group $g$ with probability $p_g$.

    **Arguments:**

    - `probability`: $p$, `(G,)`, which sums to one.
    - `means`: $m_g$, `(G, d)`.
    - `noise`: $\sigma \ge 0$, a number or one a coordinate, in the units of the input.
    - `labels`: `(G,)`, the class of each group, from 0.
    - `classes`: $K$, one more than the largest label if not given.

    **Raises:** `ValueError` for shapes that do not match, probabilities outside [0, 1] or that do
    not sum to one, labels out of range, or an empty class.

    !!! example

        ```pycon
        >>> means = [[2.0, 0.0], [0.0, 1.0], [0.0, 3.0]]
        >>> groups = pt.problems.Groups([0.5, 0.25, 0.25], means, noise=0.5, labels=[0, 1, 1])
        >>> np.round(groups.class_means, 3)
        Array([[2., 0.],
               [0., 2.]], dtype=float64)

        ```
    """

    probability: Float[Array, " G"]
    means: Float[Array, "G d"]
    noise: Float[Array, " d"]
    labels: Integer[Array, " G"]
    classes: int = eqx.field(static=True)

    def __init__(
        self, probability: Any, means: Any, noise: Any, labels: Any, classes: int | None = None
    ):
        p, means = checks.probability("probability", probability), checks.floating("means", means)
        if p.ndim != 1 or p.size == 0:
            raise checks.bad(
                "probability", f"shape {p.shape}", "a non-empty vector, one number a group"
            )
        if means.ndim != 2 or means.shape[0] != p.size or means.shape[1] == 0:
            raise checks.bad("means", f"shape {means.shape}", f"({p.size}, d): one row a group")
        checks.require("means", means, np.isfinite, "finite numbers")
        sigma = checks.nonnegative("noise", noise)
        if sigma.shape not in ((), means.shape[1:]):
            raise checks.bad(
                "noise",
                f"shape {sigma.shape}",
                f"one number, or {means.shape[1]}: one a coordinate",
            )
        dtype = jnp.result_type(p, means, sigma)
        self.probability, self.means = p.astype(dtype), means.astype(dtype)
        self.noise = jnp.broadcast_to(sigma.astype(dtype), means.shape[1:])
        self.labels, self.classes = _labels(labels, p.size, classes)
        _validate(self.probability, self.labels, self.classes)

    @classmethod
    def signs(
        cls, strength: Any, noise: Any, correlation: Any = (), balance: Any = 0.5
    ) -> "Groups":
        r"""Groups of features with two signs: the first is the class, $z_1 = y = \pm 1$.

        $x_i = \phi_i z_i + \sigma_i \xi_i$ with $E[z_i \mid y] = r_i y$, the $z_i$ independent
        given $y$: one group for each of the $2^d$ signs. Class 1 is $y = 1$, class 0 is $y = -1$.
        With two features these are a class and its subclasses; with three, a core, a background
        and a co-occurring object.

        **Arguments:**

        - `strength`: $\phi$, `(d,)`, positive.
        - `noise`: $\sigma \ge 0$, a number or `(d,)`.
        - `correlation`: $r$, one number for each feature but the first, in [-1, 1].
        - `balance`: the probability of $y = 1$, in (0, 1).

        **Raises:** `ValueError` for arguments out of range.
        """
        phi, r = checks.positive("strength", strength), correlations(correlation)
        if phi.ndim != 1 or phi.size == 0:
            raise checks.bad(
                "strength", f"shape {phi.shape}", "a non-empty vector, one number a feature"
            )
        if r.size != phi.size - 1:
            raise checks.bad(
                "correlation",
                f"{r.size} numbers",
                f"{phi.size - 1}: one for each feature but the first, which is the class",
            )
        share = checks.probability("balance", balance)
        checks.require(
            "balance",
            share,
            lambda v: (v > 0) & (v < 1),
            "a probability in (0, 1): no class may be empty",
        )
        dtype = jnp.result_type(phi, r, share)
        z = jnp.asarray(sign_patterns(phi.size), dtype)
        agree = (1 + r.astype(dtype) * z[:, 1:] * z[:, :1]) / 2
        one = jnp.where(z[:, 0] > 0, share.astype(dtype), 1 - share.astype(dtype))
        labels = np.asarray(sign_patterns(phi.size)[:, 0] > 0, int)
        return cls(one * jnp.prod(agree, axis=1), z * phi.astype(dtype), noise, labels, 2)

    @property
    def dim(self) -> int:
        return self.means.shape[-1]

    @property
    def class_probability(self) -> Float[Array, " K"]:
        r"""Probability $\pi_k$ of each class."""
        return jax.ops.segment_sum(self.probability, self.labels, self.classes)

    @property
    def class_means(self) -> Float[Array, "K d"]:
        r"""Mean $\mu_k = E[x \mid k]$ of each class."""
        total = jax.ops.segment_sum(
            self.probability[:, None] * self.means, self.labels, self.classes
        )
        return total / self.class_probability[:, None]

    @property
    def between(self) -> Float[Array, "d d"]:
        r"""Second moment without the noise, $\sum_g p_g m_g m_g^\top$."""
        return matmul(self.means.T, self.probability[:, None] * self.means)

    @property
    def second(self) -> Float[Array, "d d"]:
        r"""Second moment $S$ of the inputs; nothing is centred.

        $$S = \sum_g p_g m_g m_g^\top + \mathrm{diag}(\sigma^2)$$
        """
        return self.between + jnp.diag(self.noise**2)

    def relabel(self, labels: Any, classes: int | None = None) -> "Groups":
        """Groups of the same inputs in other classes.

        A readout may thus be fitted to other classes than a network was trained on.
        """
        return Groups(self.probability, self.means, self.noise, labels, classes)

    def read(self, feature: int) -> "Groups":
        """Groups of the same inputs, with the sign of one feature as their class.

        `feature` is counted from 0; class 1 is where its mean is positive.

        **Raises:** `ValueError` for a feature that does not exist, or whose mean has one sign in
        all groups.
        """
        index = checks.count("feature", feature, 0)
        if index >= self.dim:
            raise checks.bad("feature", feature, f"below {self.dim}, the dimension")
        return self.relabel((self.means[:, index] > 0).astype(self.labels.dtype), 2)

    def sample(self, key: PRNGKeyArray, n: int) -> tuple[Float[Array, "n d"], Integer[Array, " n"]]:
        """Draw `n` independent inputs, and the group of each."""
        draw, jitter = jax.random.split(key)
        group = jax.random.choice(
            draw, self.probability.size, (checks.count("n", n, 2),), p=self.probability
        )
        return self.draw(jitter, group), group

    def draw(self, key: PRNGKeyArray, group: Integer[Array, " n"]) -> Float[Array, "n d"]:
        """Draw one input of each of the given groups, with independent noise."""
        return self.means[group] + self.noise * jax.random.normal(
            key, (group.size, self.dim), self.means.dtype
        )


def over_groups(
    accuracy: Float[Array, "*n G"], probability: Float[Array, " G"]
) -> tuple[Float[Array, "*n"], Float[Array, "*n"]]:
    """Average accuracy over groups, and the worst accuracy among groups that occur.

    **Arguments:**

    - `accuracy`: the accuracy on each group, between 0 and 1.
    - `probability`: the probability of each group.
    """
    average = matmul(accuracy, probability[:, None])[..., 0]
    return average, jnp.min(jnp.where(probability > 0, accuracy, 1), axis=-1)


def correlations(value: Any) -> Array:
    r = checks.floating("correlation", np.zeros(0) if np.shape(value) == (0,) else value)
    if r.ndim != 1:
        raise checks.bad("correlation", f"shape {r.shape}", "a vector, one number a feature")
    checks.require("correlation", r, lambda v: np.abs(v) <= 1, "correlations in [-1, 1]")
    return r


def sign_patterns(d: int) -> np.ndarray:
    """All signs of `d` features, `(2^d, d)`; the first feature changes slowest."""
    return np.asarray(list(itertools.product((1.0, -1.0), repeat=d)))


def _labels(value: Any, groups: int, classes: int | None) -> tuple[Array, int]:
    labels = jnp.asarray(value)
    if labels.shape != (groups,) or not jnp.issubdtype(labels.dtype, jnp.integer):
        raise checks.bad(
            "labels",
            f"shape {labels.shape}, dtype {labels.dtype}",
            f"({groups},) whole numbers from 0, one a group",
        )
    if classes is None:
        known = checks.concrete(labels)
        if known is None:
            raise checks.bad("classes", "None", "their number, while JAX is tracing: it is a shape")
        classes = int(known.max()) + 1
    count = checks.count("classes", classes)
    checks.require(
        "labels",
        labels,
        lambda v: (v >= 0) & (v < count),
        f"whole numbers from 0 to {count - 1}, the last class",
    )
    return labels, count


def _validate(probability: Array, labels: Array, classes: int) -> None:
    p, k = checks.concrete(probability), checks.concrete(labels)
    if p is None or k is None:
        return
    if abs(float(p.sum()) - 1) > 16 * p.size * np.finfo(p.dtype).eps:
        raise checks.bad(
            "probability", f"a sum of {float(p.sum()):.6g}", "probabilities that sum to one"
        )
    shares = np.bincount(k, weights=p, minlength=classes)
    if not (shares > 0).all():
        raise checks.bad(
            "labels",
            f"class {int(np.argmin(shares > 0))} without any probability",
            "classes none of which is empty",
        )

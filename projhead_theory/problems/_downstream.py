"""Downstream problems: the second moment of the inputs, and a target to read off them."""

import abc
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, Integer, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul, symmetric
from ._features import Features
from ._labelled import Labelled


class Downstream(eqx.Module):
    r"""Downstream data $x'$ with second moment $S'$ and a linear target $y = \beta^\top x'$.

    See section 3 of the paper.

    **Arguments:**

    - `second`: $S'$, `(d, d)`, in the squared units of the input. It may be singular.
    - `target`: $\beta$, `(d,)`, scaled so that a separator with unit margin must give $|y| \ge 1$.

    **Raises:** `ValueError` for shapes that do not match, entries that are not finite, an $S'$
    that is not symmetric or not positive semi-definite, or a constant target:
    $\beta^\top S' \beta = 0$.
    """

    second: Float[Array, "d d"]
    target: Float[Array, " d"]

    def __init__(self, second: Any, target: Any):
        second, target = checks.floating("second", second), checks.floating("target", target)
        if second.ndim != 2 or second.shape[0] != second.shape[1] or second.shape[0] == 0:
            raise checks.bad(
                "second", f"shape {second.shape}", "a square matrix (d, d) with d >= 1"
            )
        if target.shape != second.shape[:1]:
            raise checks.bad(
                "target",
                f"shape {target.shape}",
                f"({second.shape[0]},), one number an input coordinate",
            )
        dtype = jnp.result_type(second, target)
        self.second, self.target = symmetric(second.astype(dtype)), target.astype(dtype)
        _validate(second, target)

    @property
    def dim(self) -> int:
        return self.second.shape[-1]

    def rotate(self, basis: Any) -> "Downstream":
        r"""Downstream data in the coordinates $U^\top x'$ of an orthogonal basis.

        **Arguments:**

        - `basis`: $U$, `(d, d)`.
        """
        u = checks.floating("basis", basis)
        if u.shape != self.second.shape:
            raise checks.bad("basis", f"shape {u.shape}", f"{self.second.shape}")
        return Downstream(
            matmul(matmul(u.T, self.second), u), matmul(u.T, self.target[:, None])[:, 0]
        )


def _validate(second: Array, target: Array) -> None:
    s, beta = checks.concrete(second), checks.concrete(target)
    if s is None or beta is None:
        return
    for name, x in (("second", s), ("target", beta)):
        if not np.isfinite(x).all():
            raise checks.bad(name, "an entry that is not finite", "finite numbers")
    slack = 16 * len(s) * np.finfo(s.dtype).eps * np.abs(s).max()
    if np.abs(s - s.T).max() > slack:
        raise checks.bad("second", f"asymmetry {np.abs(s - s.T).max():.2g}", "a symmetric matrix")
    least = float(np.linalg.eigvalsh((s + s.T) / 2)[0])
    if least < -slack * len(s) ** 0.5:
        raise checks.bad(
            "second", f"least eigenvalue {least:.3g}", "a positive semi-definite matrix"
        )
    if beta @ s @ beta <= slack * (beta @ beta):
        raise checks.bad(
            "target",
            "one without variance under second: every label is the same",
            "a target that varies",
        )


class AbstractLabel(eqx.Module):
    """Class of an input as a function of its features."""

    @abc.abstractmethod
    def check(self, dim: int) -> None:
        """Raise `ValueError` unless the label can be read off `dim` features."""

    @abc.abstractmethod
    def scores(self, u: Float[Array, "n d"]) -> Float[Array, " n"]:
        """Scores of the inputs: class 1 where positive, class 0 elsewhere."""

    @abc.abstractmethod
    def separator(self, strength: Float[Array, " d"]) -> Float[Array, " d"]:
        """Separator of the features, scaled to a unit margin."""


class SignLabel(AbstractLabel):
    r"""Sign of feature `feature`, counted from 0; its separator is $e_j / \phi'_j$.

    **Raises:** `ValueError` for an index that is not a whole number from 0, or is out of range.
    """

    feature: Integer[Array, ""]

    def __init__(self, feature: Any):
        self.feature = _indices("feature", feature, 0)

    def check(self, dim):
        _in_range("feature", self.feature, dim)

    def scores(self, u):
        return _column(u, self.feature)

    def separator(self, strength):
        return _inverse_at(strength, self.feature)


class LinearLabel(AbstractLabel):
    r"""Sign of $\beta^\top u$, a linear function of all features $u$.

    Its separator is $\beta$ itself, which puts the unit margin at $|\beta^\top u| = 1$. For
    Rademacher features $\beta_i = \pm 1 / \phi'_i$ puts it one feature away from the boundary.

    **Arguments:**

    - `coefficients`: $\beta$, `(d,)`, not all zero.

    **Raises:** `ValueError` for another shape, only zeros, or numbers that are not finite.
    """

    coefficients: Float[Array, " d"]

    def __init__(self, coefficients: Any):
        self.coefficients = checks.floating("coefficients", coefficients)
        if self.coefficients.ndim != 1:
            raise checks.bad(
                "coefficients", f"shape {self.coefficients.shape}", "a vector, one number a feature"
            )
        checks.require("coefficients", self.coefficients, np.isfinite, "finite numbers")
        value = checks.concrete(self.coefficients)
        if value is not None and not value.any():
            raise checks.bad("coefficients", "only zeros", "a linear function that varies")

    def check(self, dim):
        if self.coefficients.shape != (dim,):
            raise checks.bad(
                "coefficients", f"{self.coefficients.shape[0]} numbers", f"{dim}, one a feature"
            )

    def scores(self, u):
        return matmul(u, self.coefficients.astype(u.dtype)[:, None])[:, 0]

    def separator(self, strength):
        return self.coefficients.astype(strength.dtype)


class MajorityLabel(AbstractLabel):
    r"""Majority sign of an odd number of features; its separator is $\sum_{i \in I} e_i / \phi'_i$.

    For Rademacher features the separator has margin 1, one feature making the difference. For other
    distributions it does not separate the classes.

    **Arguments:**

    - `indices`: $I$, an odd number of different features, counted from 0.

    **Raises:** `ValueError` for none, an even number, repeated ones, or indices out of range.
    """

    indices: Integer[Array, " k"]

    def __init__(self, indices: Any):
        self.indices = _indices("indices", indices, 1)
        if self.indices.size % 2 == 0:
            raise checks.bad(
                "indices", f"{self.indices.size} features", "an odd number of features: no ties"
            )
        value = checks.concrete(self.indices)
        if value is not None and len(np.unique(value)) < value.size:
            raise checks.bad("indices", f"{value.tolist()}", "different features")

    def check(self, dim):
        _in_range("indices", self.indices, dim)

    def scores(self, u):
        return jnp.sum(jnp.sign(u[:, self.indices]), axis=1)

    def separator(self, strength):
        return _inverse_at(strength, self.indices)


class DownstreamProblem(eqx.Module):
    r"""Labelled inputs $x' = Q u$: features $u_i = \phi'_i z_i$ and a label read off them.

    See section 3 of the paper.

    **Arguments:**

    - `features`: the distribution of $u$, with the downstream strengths $\phi'$ and mixing $Q$.
    - `label`: a `SignLabel`, `LinearLabel` or `MajorityLabel`.
    - `label_noise`: the probability that a label is flipped, in [0, 1/2].

    **Raises:** `ValueError` if the label needs features that there are not, or a noise out of
    range.

    !!! example

        ```pycon
        >>> problem = pt.DownstreamProblem(pt.Features([2.0, 0.5]), pt.problems.SignLabel(1))
        >>> np.round(problem.moments().target, 3)
        Array([0., 2.], dtype=float64)

        ```
    """

    features: Features
    label: AbstractLabel
    label_noise: Float[Array, ""]

    def __init__(self, features: Features, label: AbstractLabel, label_noise: Any = 0.0):
        self.features, self.label = features, label
        label.check(features.dim)
        self.label_noise = checks.floating("label_noise", label_noise)
        if self.label_noise.ndim:
            raise checks.bad("label_noise", f"shape {self.label_noise.shape}", "one number")
        checks.require(
            "label_noise",
            self.label_noise,
            lambda v: (v >= 0) & (v <= 0.5),
            "a probability in [0, 1/2]",
        )

    @property
    def dim(self) -> int:
        """Dimension of the input."""
        return self.features.ambient_dim

    def sample(self, key: PRNGKeyArray, n: int) -> Labelled:
        """Draw `n` independent inputs with classes 0 or 1; a score of exactly zero is class 0."""
        draw, flip = jax.random.split(key)
        u = self.features.sample(draw, checks.count("n", n, 2))
        flipped = jax.random.bernoulli(flip, self.label_noise, (n,))
        return Labelled(
            self.features.embed(u),
            ((self.label.scores(u) > 0) ^ flipped).astype(jnp.result_type(int)),
        )

    def moments(self) -> Downstream:
        r"""Second moment $S' = Q\, \mathrm{diag}(\phi'^2)\, Q^\top$ and target of the inputs.

        The target is $\beta = Q^{+\top} b$, with $b$ the label's separator of the features:
        $\beta^\top x' = b^\top u$, before labels are flipped.

        For Rademacher features and the sign of one, or the majority of several, the target
        separates the classes with margin 1. For other distributions there is no margin: inputs come
        as near to the boundary as one likes, and the distance is 1 for a feature one standard
        deviation out.

        **Raises:** `ValueError` if the columns of the mixing are dependent: no linear function of
        the input is then the label's separator.
        """
        strength, q = self.features.strength, self.features.mixing
        target = self.label.separator(strength)
        if q is None:
            return Downstream(jnp.diag(strength**2), target)
        mixing = checks.concrete(q)
        if mixing is not None and np.linalg.matrix_rank(mixing) < self.features.dim:
            wanted = (
                f"{self.features.dim} independent columns: "
                "the label must be a function of the input"
            )
            raise checks.bad("mixing", f"rank {np.linalg.matrix_rank(mixing)}", wanted)
        second = matmul(q * strength**2, q.T)
        return Downstream(second, matmul(jnp.linalg.pinv(q).T, target[:, None])[:, 0])


def _indices(name: str, value: Any, ndim: int) -> Array:
    array = jnp.asarray(value)
    if array.ndim != ndim or not jnp.issubdtype(array.dtype, jnp.integer):
        raise checks.bad(
            name, repr(value), ("a whole number", "a list of whole numbers")[ndim] + " from 0"
        )
    checks.require(name, array, lambda v: v >= 0, "whole numbers from 0")
    return array


def _in_range(name: str, indices: Array, dim: int) -> None:
    checks.require(name, indices, lambda v: v < dim, f"below {dim}, the number of features")


@jax.jit
def _column(u: Array, index: Array) -> Array:
    return u[:, index]


@jax.jit
def _inverse_at(strength: Array, indices: Array) -> Array:
    return jnp.zeros_like(strength).at[indices].set(1 / strength[indices])

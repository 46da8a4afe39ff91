"""Supervised problems: positive pairs of one class, regression on classes, spurious features."""

from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array, Float, PRNGKeyArray

from .._core import checks
from .._core.linalg import matmul
from ..moments import Moments, TargetMoments
from ._groups import Groups
from ._labelled import Labelled
from ._views import Views


class MixedPositives(eqx.Module):
    """Mixed positive pairs: of one class with probability $a$, otherwise two views of one input.

    **Arguments:**

    - `share`: $a$, in [0, 1].

    **Raises:** `ValueError` for a share out of range.
    """

    share: Float[Array, ""]

    def __init__(self, share: Any = 1.0):
        self.share = checks.probability("share", share)
        if self.share.ndim:
            raise checks.bad("share", f"shape {self.share.shape}", "one number")


class SupervisedContrastiveProblem(eqx.Module):
    r"""Supervised contrastive learning: a positive pair is two independent inputs of one class.

    With `MixedPositives`, a positive pair is at times two views of one input instead.

    $C = a \sum_k \pi_k \mu_k \mu_k^\top + (1 - a) \sum_g p_g m_g m_g^\top$ (paper section 5, for
    $a = 1$). A view adds the noise of the groups, so two views share their group's mean and nothing
    else.

    **Arguments:**

    - `groups`: the inputs and their classes.
    - `positives`: `MixedPositives(1.0)` if not given.

    !!! example

        ```pycon
        >>> groups = pt.problems.Groups.signs([2.0, 1.0], noise=1.0, correlation=[0.0])
        >>> np.diag(pt.SupervisedContrastiveProblem(groups).moments().cross)
        array([4., 0.])
        >>> mixed = pt.SupervisedContrastiveProblem(groups, pt.problems.MixedPositives(0.5))
        >>> np.diag(mixed.moments().cross)
        array([4. , 0.5])

        ```
    """

    groups: Groups
    positives: MixedPositives

    def __init__(self, groups: Groups, positives: MixedPositives | None = None):
        self.groups = groups
        self.positives = MixedPositives() if positives is None else positives

    @property
    def dim(self) -> int:
        return self.groups.dim

    def moments(self) -> Moments:
        """Cross and second moment of a positive pair, exact."""
        g, share = self.groups, self.positives.share.astype(self.groups.means.dtype)
        means = g.class_means
        cross = matmul(means.T, g.class_probability[:, None] * means)
        return Moments(share * cross + (1 - share) * g.between, g.second)

    def sample_pairs(self, key: PRNGKeyArray, n: int) -> Views:
        """Draw `n` independent positive pairs on the device."""
        g, (draw, other, kind, *views) = self.groups, jax.random.split(key, 5)
        x1, first = g.sample(draw, n)
        # The second of a pair: any group of the class, by its probability given the class.
        same = g.labels[:, None] == g.labels[None, :]
        logits = jnp.log(jnp.where(same & (g.probability > 0), g.probability, 0))
        second = jax.random.categorical(other, logits[first], axis=1)
        by_class = jax.random.bernoulli(kind, self.positives.share, (n,))
        return Views(x1, g.draw(views[0], jnp.where(by_class, second, first)))

    def sample(self, key: PRNGKeyArray, n: int) -> Labelled:
        """Draw `n` independent inputs with their classes."""
        x, group = self.groups.sample(key, n)
        return Labelled(x, self.groups.labels[group])


class SupervisedProblem(eqx.Module):
    """Regression on the class: $y = t_k$ for an input of class $k$ (paper section 5).

    **Arguments:**

    - `groups`: the inputs and their classes.
    - `targets`: $t_k$, `(K, k)`, one-hot if not given; `[[-1], [1]]` makes two classes one output.

    **Raises:** `ValueError` unless there is one row of finite numbers a class.

    !!! example

        ```pycon
        >>> groups = pt.problems.Groups.signs([2.0, 1.0], noise=1.0, correlation=[0.5])
        >>> problem = pt.SupervisedProblem(groups, [[-1.0], [1.0]])
        >>> np.round(problem.moments().target, 3)
        Array([[2. , 0.5]], dtype=float64)

        ```
    """

    groups: Groups
    targets: Float[Array, "K k"]

    def __init__(self, groups: Groups, targets: Any = None):
        self.groups = groups
        values = (
            jnp.eye(groups.classes, dtype=groups.means.dtype)
            if targets is None
            else checks.floating("targets", targets)
        )
        if values.ndim != 2 or values.shape[0] != groups.classes or values.shape[1] == 0:
            raise checks.bad(
                "targets", f"shape {values.shape}", f"({groups.classes}, k): one row a class"
            )
        checks.require("targets", values, np.isfinite, "finite numbers")
        self.targets = values.astype(groups.means.dtype)

    @classmethod
    def signs(cls, groups: Groups, outputs: int = 1) -> "SupervisedProblem":
        """Regression of two classes, as -1 and 1, on the first of some outputs.

        The other outputs, if any, have targets of zero.

        **Raises:** `ValueError` for other than two classes, or no output.
        """
        targets = jnp.zeros((2, checks.count("outputs", outputs)), groups.means.dtype)
        return cls(groups, targets.at[:, 0].set(jnp.asarray([-1, 1], targets.dtype)))

    @property
    def dim(self) -> int:
        return self.groups.dim

    def moments(self) -> TargetMoments:
        r"""Moments of inputs with targets, exact.

        $A = \sum_k \pi_k t_k \mu_k^\top$, $S$ and $E\|y\|^2 = \sum_k \pi_k \|t_k\|^2$.
        """
        g = self.groups
        share = g.class_probability[:, None]
        return TargetMoments(
            matmul(self.targets.T, share * g.class_means),
            g.second,
            jnp.sum(share * self.targets**2),
        )

    def sample(self, key: PRNGKeyArray, n: int) -> Labelled:
        """Draw `n` independent inputs with their targets."""
        x, group = self.groups.sample(key, n)
        return Labelled(x, self.targets[self.groups.labels[group]])


class ShiftProblem(eqx.Module):
    """Core and spurious features, with spurious correlations that differ in training and test.

    A synthetic UrbanCars, with a background and a co-occurring object as second and third feature
    (paper section 5). `training` and `test` have the same groups, one for each sign of every
    feature, of different probability.

    **Arguments:**

    - `strength`, `noise`: as in `Groups.signs`, core first.
    - `training`, `test`: the correlations of each further feature with the label, in [-1, 1].
    - `balance`: the probability of label 1, in both.

    **Raises:** `ValueError` for arguments out of range, or different numbers of correlations.
    """

    training: Groups
    test: Groups

    def __init__(self, strength: Any, noise: Any, training: Any, test: Any, balance: Any = 0.5):
        self.training = Groups.signs(strength, noise, training, balance)
        self.test = Groups.signs(strength, noise, test, balance)

    @property
    def dim(self) -> int:
        return self.training.dim

    def sample(self, key: PRNGKeyArray, n: int) -> tuple[Labelled, Labelled]:
        """Draw `n` labelled inputs to train on, and `n` to test on, independently."""
        drawn = []
        for k, groups in zip(jax.random.split(key), (self.training, self.test), strict=True):
            x, group = groups.sample(k, n)
            drawn.append(Labelled(x, groups.labels[group]))
        return drawn[0], drawn[1]

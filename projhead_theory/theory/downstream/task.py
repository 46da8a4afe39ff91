"""Problems and downstream tasks in the forms that users state them."""

from typing import Any

import numpy as np

from ..._core import checks
from ...moments import Moments
from ...problems import (
    AbstractLabel,
    ContrastiveProblem,
    Downstream,
    DownstreamProblem,
    SignLabel,
    SupervisedContrastiveProblem,
)

Problem = ContrastiveProblem | SupervisedContrastiveProblem | Moments


def as_moments(problem: Problem) -> Moments:
    """Moments of the views of a problem."""
    return problem if isinstance(problem, Moments) else problem.moments()


def as_task(problem: Any, downstream: Any) -> Downstream | DownstreamProblem:
    """Downstream task on the inputs of a problem.

    **Arguments:**

    - `problem`: a `ContrastiveProblem`, a `SupervisedContrastiveProblem` or `Moments`.
    - `downstream`: a `Downstream` or a `DownstreamProblem`; beside a `ContrastiveProblem` also a
      label, which is then read off its own features, or the number of the feature whose sign is the
      label.

    **Raises:** `ValueError` for anything else, a feature that does not exist, or a task on another
    number of input coordinates than the problem has.
    """
    if not isinstance(problem, Problem):
        raise checks.bad(
            "problem",
            type(problem).__name__,
            "a ContrastiveProblem, a SupervisedContrastiveProblem or Moments",
        )
    if isinstance(downstream, Downstream | DownstreamProblem):
        task = downstream
    elif isinstance(problem, ContrastiveProblem):
        task = DownstreamProblem(problem.features, _label(downstream, problem.features.dim))
    else:
        raise checks.bad(
            "downstream",
            f"{downstream!r} beside {type(problem).__name__}",
            "a Downstream or DownstreamProblem: only a ContrastiveProblem has features to label",
        )
    if task.dim != problem.dim:
        raise checks.bad(
            "downstream", f"{task.dim} input coordinates", f"{problem.dim}, as the problem"
        )
    return task


def _label(label: Any, dim: int) -> AbstractLabel:
    """A label, given as such or by the number of the feature whose sign it is."""
    if isinstance(label, AbstractLabel):
        return label
    if isinstance(label, bool) or not isinstance(label, int | np.integer):
        raise checks.bad(
            "downstream",
            repr(label),
            "a Downstream, a DownstreamProblem, a label, or the index of a feature",
        )
    if not 0 <= label < dim:
        raise checks.bad("downstream", label, f"the index of a feature, from 0 to {dim - 1}")
    return SignLabel(int(label))

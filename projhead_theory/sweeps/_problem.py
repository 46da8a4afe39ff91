"""Problems as functions of named parameters."""

import inspect
import re
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
from jaxtyping import Array

from .._core import checks
from ..problems import (
    DISTRIBUTIONS,
    AdditiveNoise,
    Compose,
    ContrastiveProblem,
    Features,
    Mask,
    SignFlip,
)


class FeatureModel(eqx.Module):
    """Feature model by its numbers: strengths, then sign flips, masks and additive noise.

    Called with some of its numbers replaced, it returns a `ContrastiveProblem`. A sweep over a
    feature model can be written into a file and sent to another process.

    **Arguments:**

    - `strength`: strength of each feature, `(d,)`.
    - `noise`, `flip`, `mask`: scale of additive noise, flip probability and probability of masking,
      one number or `(d,)`; zero if not given.
    - `distribution`: name of the distribution of a feature.

    **Raises:** `ValueError` for numbers out of range.

    !!! example

        ```pycon
        >>> model = pt.sweeps.FeatureModel([2.0, 1.0], noise=[1.0, 0.2])
        >>> np.diag(model(strength=[3.0, 1.0]).moments().cross)
        array([9., 1.])

        ```
    """

    strength: Array
    noise: Array | None
    flip: Array | None
    mask: Array | None
    distribution: str = eqx.field(static=True)

    def __init__(
        self,
        strength: Any,
        noise: Any = None,
        flip: Any = None,
        mask: Any = None,
        distribution: str = "rademacher",
    ):
        self.strength = checks.positive("strength", strength)
        given = lambda check, name, x: None if x is None else check(name, x)
        self.noise = given(checks.nonnegative, "noise", noise)
        self.flip = given(checks.probability, "flip", flip)
        self.mask = given(checks.probability, "mask", mask)
        if distribution not in DISTRIBUTIONS:
            raise checks.bad(
                "distribution", repr(distribution), f"one of {', '.join(DISTRIBUTIONS)}"
            )
        self.distribution = distribution
        for name in ("noise", "flip", "mask"):
            value = getattr(self, name)
            if value is not None and value.shape not in ((), self.strength.shape):
                raise checks.bad(
                    name,
                    f"{value.size} numbers",
                    f"one number, or {self.strength.size}: one a feature",
                )

    def __call__(self, **numbers: Any) -> ContrastiveProblem:
        """Problem with some of the numbers replaced."""
        value = lambda name: numbers.get(name, getattr(self, name))
        kinds = {"flip": SignFlip, "mask": Mask, "noise": AdditiveNoise}
        parts = [kind(value(name)) for name, kind in kinds.items() if value(name) is not None]
        return ContrastiveProblem(Features(value("strength"), self.distribution), Compose(*parts))


class Named(eqx.Module):
    """Problem as a function of named parameters.

    - `given`: a `FeatureModel`, a problem or data (whose arrays are the parameters), or arrays of
      defaults of a function's parameters.
    - `function`: the function of parameters; none beside a problem.
    - `required`: parameters without a default.
    """

    given: Any
    function: Callable[..., Any] | None = eqx.field(static=True)
    required: tuple[str, ...] = eqx.field(static=True)

    @classmethod
    def of(cls, problem: Any) -> "Named":
        """Parameters of whatever the user states as a problem."""
        if isinstance(problem, FeatureModel) or (
            isinstance(problem, eqx.Module) and not callable(problem)
        ):
            return cls(problem, None, ())
        if not callable(problem):
            raise checks.bad(
                "problem",
                type(problem).__name__,
                "a problem, data, a FeatureModel, or a function of named parameters",
            )
        defaults, required = {}, []
        for name, parameter in inspect.signature(problem).parameters.items():
            if parameter.kind in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD):
                raise checks.bad("problem", f"a function with *{name}", "named parameters only")
            if parameter.default is parameter.empty:
                required.append(name)
            else:
                defaults[name] = _array(parameter.default)
        return cls(defaults, problem, tuple(required))

    @property
    def defaults(self) -> dict[str, Any]:
        """Defaults of all parameters that have one, by name."""
        if self.function is not None:
            return dict(self.given)
        if isinstance(self.given, FeatureModel):
            names = ("strength", "noise", "flip", "mask")
            return {name: getattr(self.given, name) for name in names}
        leaves = jax.tree_util.tree_flatten_with_path(self.given)[0]
        return {jax.tree_util.keystr(path).lstrip("."): leaf for path, leaf in leaves}

    @property
    def names(self) -> tuple[str, ...]:
        return (*self.required, *self.defaults)

    def place(self, axis: str) -> tuple[str, tuple[int, ...] | None]:
        """Parameter that an axis sets, and the entry of it; none for the whole.

        **Raises:** `ValueError` for a parameter or an entry that does not exist.
        """
        if axis in self.names:
            return axis, None
        match = re.fullmatch(r"(.+)\[(\d+(?:\s*,\s*\d+)*)\]", axis)
        name = match.group(1) if match else axis
        if name not in self.names:
            raise unknown("axes", axis, (*self.names, *RESERVED))
        index = tuple(int(i) for i in match.group(2).split(",")) if match else ()
        default: Any = self.defaults.get(name)
        shape = np.shape(default)
        if default is None or len(shape) != len(index):
            raise checks.bad(
                "axes", axis, f"an entry of {name} that has a default of {len(index)} dimensions"
            )
        if any(i >= n for i, n in zip(index, shape, strict=True)):
            raise checks.bad("axes", axis, f"an entry of {name}, of shape {shape}")
        return name, index

    def __call__(self, values: dict[str, Any]) -> Any:
        """Problem with the values of axes in place, by their names."""
        defaults = self.defaults
        replaced: dict[str, Any] = {}
        for axis, value in values.items():
            name, index = self.place(axis)
            if index is None:
                old: Any = defaults.get(name)
                whole = self.function is None and jnp.ndim(old) > 0
                replaced[name] = jnp.broadcast_to(value, jnp.shape(old)) if whole else value
            else:
                base = jnp.asarray(replaced.get(name, defaults[name]))
                replaced[name] = base.at[index].set(jnp.asarray(value, base.dtype))
        if self.function is not None:
            return self.function(**(defaults | replaced))
        if isinstance(self.given, FeatureModel):
            return self.given(**replaced)
        leaves, structure = jax.tree_util.tree_flatten(self.given)
        names = list(defaults)
        return jax.tree_util.tree_unflatten(
            structure,
            [
                jnp.asarray(replaced[name], leaf.dtype) if name in replaced else leaf
                for name, leaf in zip(names, leaves, strict=True)
            ],
        )


RESERVED = ("depth", "width", "scale", "learning_rate", "weight_decay")
"""Axes that are no parameters of the problem."""


def unknown(argument: str, name: str, known: tuple[str, ...]) -> ValueError:
    """Build the error for an unknown name, with the nearest one."""
    import difflib

    near = difflib.get_close_matches(name.partition("[")[0], known, 1, 0.5)
    hint = f"; did you mean {near[0]!r}?" if near else ""
    return checks.bad(argument, repr(name), f"one of {', '.join(known)}{hint}")


def _array(value: Any) -> Any:
    """Numbers as arrays, so that another default does not recompile; counts may be shapes."""
    if isinstance(value, bool | int | str) or value is None:
        return value
    try:
        return checks.floating("default", np.asarray(value))
    except ValueError:
        return value

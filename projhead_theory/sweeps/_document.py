"""Specifications as plain data: to store, to compare and to send to other processes."""

import hashlib
import importlib
from collections.abc import Callable
from typing import Any

import equinox as eqx
import jax
import numpy as np

from .._core import checks

SHORT = 4096
"""Largest array that is written out; of a larger one its hash is."""


def plain(value: Any) -> Any:
    """Plain data that is equal for equal values and tells different ones apart."""
    if value is None or isinstance(value, bool | int | float | str):
        return value
    if isinstance(value, np.ndarray | np.generic | jax.Array):
        array = np.asarray(value)
        if array.size <= SHORT:
            return array.tolist()
        digest = hashlib.sha256(np.ascontiguousarray(array).tobytes()).hexdigest()
        return {"shape": list(array.shape), "sha256": digest}
    if isinstance(value, dict):
        return {str(k): plain(v) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [plain(v) for v in value]
    if isinstance(value, eqx.Module):
        leaves = jax.tree_util.tree_flatten_with_path(value)[0]
        named = {jax.tree_util.keystr(path).lstrip("."): plain(leaf) for path, leaf in leaves}
        return {"type": type(value).__qualname__, **named}
    if callable(value):
        return {"function": name_of(value), "code": _code(value)}
    return {"type": type(value).__qualname__}


def name_of(function: Any) -> str:
    """Full name of a function or a class."""
    inner = getattr(function, "func", function)
    return f"{inner.__module__}:{getattr(inner, '__qualname__', type(inner).__qualname__)}"


def _code(function: Any) -> str:
    """Hash of a function's code and of what it closes over."""
    total = hashlib.sha256()

    def add(code: Any) -> None:
        total.update(code.co_code + repr(code.co_names).encode())
        for constant in code.co_consts:
            if hasattr(constant, "co_code"):
                add(constant)
            else:
                total.update(repr(constant).encode())

    inner = getattr(function, "__wrapped__", function)
    if hasattr(inner, "__code__"):
        add(inner.__code__)
        for cell in inner.__closure__ or ():
            total.update(repr(plain(cell.cell_contents)).encode())
        total.update(repr(plain(inner.__defaults__)).encode())
    return total.hexdigest()[:16]


def importable(function: Any) -> bool:
    """True if another process finds this function by its name."""
    module, _, name = name_of(function).partition(":")
    try:
        return module != "__main__" and resolve({"function": f"{module}:{name}"}) is function
    except ValueError:
        return False


def resolve(reference: Any) -> Callable[..., Any]:
    """Function of a reference.

    **Raises:** `ValueError` if there is none of that name.
    """
    module, _, name = str(reference.get("function")).partition(":")
    try:
        value: Any = importlib.import_module(module)
        for part in name.split("."):
            value = getattr(value, part)
    except (ImportError, AttributeError, ValueError) as error:
        raise checks.bad("function", f"{module}:{name}", "an importable function") from error
    return value


def differences(stored: Any, wanted: Any, path: str = "") -> list[str]:
    """Sentences that name what differs between two documents."""
    if isinstance(stored, dict) and isinstance(wanted, dict):
        return [
            line
            for key in {**stored, **wanted}
            for line in differences(
                stored.get(key), wanted.get(key), f"{path}.{key}" if path else key
            )
        ]
    if stored == wanted:
        return []
    if isinstance(stored, list) and isinstance(wanted, list) and len(stored) == len(wanted):
        first = next(i for i, (a, b) in enumerate(zip(stored, wanted, strict=True)) if a != b)
        return differences(stored[first], wanted[first], f"{path}[{first}]")
    return [f"{path}: {_short(stored)} in the store, {_short(wanted)} now"]


def _short(value: Any) -> str:
    if isinstance(value, list) and len(value) > 6:
        return f"{len(value)} values from {value[0]} to {value[-1]}"
    return "nothing" if value is None else repr(value)

"""Specifications in TOML or JSON files, checked with one line for each error."""

import json
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from .._core import checks
from ..problems import DISTRIBUTIONS
from ._problem import unknown
from ._quantities import QUANTITIES
from ._recipe import STARTS
from ._specification import LOSSES, METHODS, MOST, too_many
from ._training import SOLVERS

SPACINGS: dict[str, Callable[..., np.ndarray]] = {
    "linear": np.linspace,
    "geometric": np.geomspace,
}


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _numbers(value: Any) -> bool:
    return isinstance(value, list) and len(value) > 0 and all(_number(x) for x in value)


def _one_of(choices: Any) -> tuple[Callable[[Any], bool], str]:
    return lambda v: isinstance(v, str) and v in choices, f"one of {', '.join(choices)}"


_NUMBER = _number, "a number"
_WHOLE = _whole, "a whole number"
_NUMBERS = _numbers, "a list of numbers"
_EITHER = lambda v: _number(v) or _numbers(v), "a number or a list of numbers"
_NAMES = lambda v: isinstance(v, list) and all(isinstance(x, str) for x in v), "a list of names"

_DESCENT = {"learning_rate": _NUMBER, "steps": _WHOLE, "stationarity": _NUMBER}
_FLOW = {
    "t1": _NUMBER,
    "solver": _one_of(SOLVERS),
    "rtol": _NUMBER,
    "stationarity": _NUMBER,
    "max_steps": _WHOLE,
}

TABLES: dict[str, dict[str, Any]] = {
    "problem": {
        "strength": _NUMBERS,
        "noise": _EITHER,
        "flip": _EITHER,
        "mask": _EITHER,
        "distribution": _one_of(DISTRIBUTIONS),
        "function": (lambda v: isinstance(v, str) and ":" in v, "'module:name' of a function"),
    },
    "network": {
        "depth": _WHOLE,
        "width": _WHOLE,
        "start": _one_of(STARTS),
        "scale": _NUMBER,
    },
    "train": {
        "method": _one_of(METHODS),
        "loss": _one_of(LOSSES),
        "weight_decay": _NUMBER,
        **_DESCENT,
        **_FLOW,
    },
    "measure": {
        "quantities": _NAMES,
        "predict": (lambda v: isinstance(v, bool), "true or false"),
        "downstream": _WHOLE,
    },
}
"""Keys of each table, with a test of their values and what is wanted."""

TOP = {"seed": _WHOLE, "static": _NAMES}
"""Keys outside tables."""


def read(path: str | Path) -> dict[str, Any]:
    """Document of a specification file, TOML or JSON by its suffix.

    **Raises:** `ValueError` with one line for each error.
    """
    path = Path(path)
    try:
        text = path.read_text(encoding="utf-8")
        given = json.loads(text) if path.suffix == ".json" else tomllib.loads(text)
    except OSError as error:
        raise checks.bad("specification", f"{path} ({error.strerror})", "a file") from error
    except (tomllib.TOMLDecodeError, json.JSONDecodeError, UnicodeDecodeError) as error:
        kind = "JSON" if path.suffix == ".json" else "TOML"
        raise checks.bad("specification", f"{path} ({error})", f"a file in {kind}") from error
    if not isinstance(given, dict):
        raise checks.bad("specification", f"{path}, a list", "tables of values by name")
    errors = [str(error) for error in _errors(given)]
    if errors:
        raise ValueError("\n".join(errors))
    return _document(given)


def _errors(given: dict[str, Any]) -> list[ValueError]:
    """Everything that is wrong with a specification."""
    found, tables = [], {*TABLES, "axes"}
    for name, value in given.items():
        if name in TOP:
            found += _wrong(name, value, TOP[name])
        elif name not in tables:
            found.append(unknown("specification", name, (*TABLES, "axes", *TOP)))
        elif not isinstance(value, dict):
            found.append(checks.bad(name, repr(value), f"a table: [{name}]"))
    part = lambda name: given[name] if isinstance(given.get(name), dict) else {}
    for table, keys in TABLES.items():
        for name, value in part(table).items():
            if name not in keys:
                found.append(unknown(table, name, tuple(keys)))
            else:
                found += _wrong(f"{table}.{name}", value, keys[name])
    if len({"strength", "function"} & set(part("problem"))) != 1:
        found.append(checks.bad("problem", "no or both", "strength, or a function"))
    elif "function" in part("problem") and len(part("problem")) > 1:
        found.append(checks.bad("problem", "numbers beside a function", "the function alone"))
    method = part("train").get("method", "descent")
    other = set(_FLOW) - set(_DESCENT) if method == "descent" else set(_DESCENT) - set(_FLOW)
    for name in sorted(other & set(part("train"))):
        found.append(checks.bad(f"train.{name}", f"it beside method {method!r}", "no such key"))
    for name in part("measure").get("quantities", []):
        if name not in QUANTITIES:
            found.append(unknown("measure.quantities", name, tuple(QUANTITIES)))
    for name, value in part("axes").items():
        found += _axis_errors(name, value)
    return found


def _wrong(name: str, value: Any, wanted: tuple[Callable[[Any], bool], str]) -> list[ValueError]:
    return [] if wanted[0](value) else [checks.bad(name, repr(value), wanted[1])]


def _axis_errors(name: str, value: Any) -> list[ValueError]:
    """Everything that is wrong with one axis."""
    if name == "seed":
        good = _whole(value) and value > 0
        return [] if good else [checks.bad("axes.seed", repr(value), "the number of seeds")]
    if isinstance(value, list):
        good = len(value) > 0
        return [] if good else [checks.bad(f"axes.{name}", "an empty list", "at least one value")]
    if not isinstance(value, dict):
        wanted = "a list, or { from = ..., to = ..., count = ... }"
        return [checks.bad(f"axes.{name}", repr(value), wanted)]
    keys = {"from": _NUMBER, "to": _NUMBER, "count": _WHOLE, "spacing": _one_of(SPACINGS)}
    found = [unknown(f"axes.{name}", key, tuple(keys)) for key in value if key not in keys]
    for key, test in keys.items():
        if key in value:
            found += _wrong(f"axes.{name}.{key}", value[key], test)
        elif key != "spacing":
            found.append(checks.bad(f"axes.{name}", f"no {key}", "from, to and count"))
    if not found and value["count"] < 1:
        found.append(checks.bad(f"axes.{name}.count", value["count"], "at least one"))
    if not found and value.get("spacing") == "geometric" and min(value["from"], value["to"]) <= 0:
        found.append(checks.bad(f"axes.{name}", "ends that are not positive", "positive ends"))
    return found


def _document(given: dict[str, Any]) -> dict[str, Any]:
    """Document of a correct file, with its defaults."""
    problem, network = given["problem"], given.get("network", {})
    train, measure = dict(given.get("train", {})), given.get("measure", {})
    axes = dict(given.get("axes", {}))
    seeds, loss = axes.pop("seed", 1), train.pop("loss", "spectral")
    runs = seeds
    for values in axes.values():
        runs *= len(values) if isinstance(values, list) else values["count"]
    if runs > MOST:
        raise too_many(runs)
    return {
        "problem": problem,
        "network": {
            "depth": network.get("depth", 2),
            "width": network.get("width"),
            "start": network.get("start", "balanced"),
            "scale": network.get("scale", 0.1),
        },
        "axes": {name: _values(value) for name, value in axes.items()},
        "static": given.get("static", []),
        "seeds": seeds,
        "seed": given.get("seed", 0),
        "loss": loss,
        "train": {"method": "descent", **train},
        "measure": dict.fromkeys(measure.get("quantities", ["weights", "loss"])),
        "predict": measure.get("predict", True),
        "downstream": measure.get("downstream"),
    }


def _values(value: Any) -> list[Any]:
    """Values of an axis."""
    if isinstance(value, list):
        return value
    spacing = SPACINGS[value.get("spacing", "linear")]
    return spacing(value["from"], value["to"], value["count"]).tolist()

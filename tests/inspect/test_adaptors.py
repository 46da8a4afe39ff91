"""The adaptors of the guide, as printed, give what their frameworks compute."""

import re
from pathlib import Path

import equinox as eqx
import jax
import numpy as np
import pytest

import projhead_theory as pt

pytestmark = pytest.mark.x64

GUIDE = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
RNG = np.random.default_rng(0)
X1, X2 = RNG.normal(size=(2, 40, 4))
WEIGHTS = [RNG.normal(size=(6, 4)), RNG.normal(size=(6, 6)), RNG.normal(size=(3, 6))]
OFFSETS = [RNG.normal(size=len(w)) for w in WEIGHTS]


def adaptor(name, **modules):
    """The function of that name, from the guide's block."""
    (code,) = re.findall(rf"```python\n(def {name}\(.*?)```", GUIDE, re.DOTALL)
    names = {"numpy": np, "jax": jax, **modules}
    exec(compile(code, "inspect.md", "exec"), names)
    return names[name]


def by_hand(x):
    """Layers of a ReLU network with these weights, the last one linear."""
    layers = []
    for i, (w, b) in enumerate(zip(WEIGHTS, OFFSETS, strict=True)):
        x = x @ w.T + b
        x = x if i == 2 else np.maximum(x, 0)
        layers.append(x)
    return layers


def assert_layers(functions):
    x = X1
    for function, expected in zip(functions, by_hand(X1), strict=True):
        x = np.asarray(function(x))
        np.testing.assert_allclose(x, expected, rtol=1e-12)


def test_numpy():
    assert_layers(adaptor("numpy_functions")(WEIGHTS, OFFSETS))


def test_equinox():
    network = eqx.nn.MLP(4, 3, 6, 2, key=jax.random.key(0))
    arrays = [*map(jax.numpy.asarray, WEIGHTS), *map(jax.numpy.asarray, OFFSETS)]
    network = eqx.tree_at(
        lambda m: [*(a.weight for a in m.layers), *(a.bias for a in m.layers)], network, arrays
    )
    functions = adaptor("equinox_functions")(network)
    assert_layers(functions)
    report = pt.inspect(X1, X2, functions=functions)
    again = pt.inspect(X1, X2, functions=adaptor("numpy_functions")(WEIGHTS, OFFSETS))
    np.testing.assert_allclose(report.weights, again.weights, rtol=1e-8)


def test_pytorch():
    torch = pytest.importorskip("torch")
    linear = []
    for w, b in zip(WEIGHTS, OFFSETS, strict=True):
        layer = torch.nn.Linear(*w.shape[::-1], dtype=torch.float64)
        layer.weight.data, layer.bias.data = torch.tensor(w), torch.tensor(b)
        linear.append(layer)
    relu = torch.nn.ReLU
    network = torch.nn.Sequential(linear[0], relu(), linear[1], relu(), linear[2])
    modules = [network[1], network[3], network[4]]
    layers = adaptor("pytorch_layers", torch=torch)(
        network, modules, torch.tensor(X1), torch.tensor(X2)
    )
    for (r1, r2), one, two in zip(layers, by_hand(X1), by_hand(X2), strict=True):
        np.testing.assert_allclose(r1, one)
        np.testing.assert_allclose(r2, two)
    assert pt.inspect(representations=layers).depth == 3


def test_flax():
    flax = pytest.importorskip("flax.linen")

    class Network(flax.Module):
        @flax.compact
        def __call__(self, x):
            for i, w in enumerate(WEIGHTS):
                x = flax.Dense(len(w), param_dtype=float)(x)
                x = x if i == 2 else flax.relu(x)
                self.sow("intermediates", "layer", x)
            return x

    parameters = {
        f"Dense_{i}": {"kernel": w.T, "bias": b}
        for i, (w, b) in enumerate(zip(WEIGHTS, OFFSETS, strict=True))
    }
    layers = adaptor("flax_layers")(Network(), {"params": parameters}, X1, X2)
    for (r1, _), one in zip(layers, by_hand(X1), strict=True):
        np.testing.assert_allclose(r1, one, rtol=1e-6)

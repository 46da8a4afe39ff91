"""The guide's adaptor of PyTorch on networks trained by PyTorch on images of digits."""

import re
from pathlib import Path

import numpy as np
import pytest
from sklearn.datasets import load_digits

import projhead_theory as pt

torch = pytest.importorskip("torch", reason="needs torch, which the tests' own extras leave out")

pytestmark = [pytest.mark.slow, pytest.mark.x64]

GUIDE = (Path(__file__).parents[2] / "docs" / "inspect.md").read_text()
WIDTHS, STEPS, BATCH, NOISE, TEMPERATURE = (64, 48, 32), 300, 256, 0.25, 0.5


def adaptor():
    """The function of the guide, as printed."""
    (code,) = re.findall(r"```python\n(def pytorch_layers\(.*?)```", GUIDE, re.DOTALL)
    names = {"torch": torch}
    exec(compile(code, "inspect.md", "exec"), names)
    return names["pytorch_layers"]


def digits():
    images, labels = load_digits(return_X_y=True)
    return torch.tensor(images / 16 - 0.3, dtype=torch.float32), labels


def view(images, draw):
    """Noise, and a shift by up to one pixel each way."""
    across, down = (int(n) for n in torch.randint(-1, 2, (2,), generator=draw))
    moved = torch.roll(images.reshape(-1, 8, 8), (across, down), (1, 2)).reshape(-1, 64)
    return moved + NOISE * torch.randn(moved.shape, generator=draw)


def views(images, draw, size=32):
    """A view of every image, the shift drawn for a few at a time."""
    return torch.cat([view(part, draw) for part in images.split(size)])


def trained(images, seed):
    """An encoder of two hidden layers and a head, by SimCLR's loss."""
    torch.manual_seed(seed)
    draw = torch.Generator().manual_seed(seed)
    sizes = list(zip((images.shape[1], *WIDTHS), WIDTHS, strict=False))
    blocks = [torch.nn.Sequential(torch.nn.Linear(*size), torch.nn.ReLU()) for size in sizes[:-1]]
    network = torch.nn.Sequential(*blocks, torch.nn.Linear(*sizes[-1]))
    optimiser = torch.optim.Adam(network.parameters(), lr=2e-3)
    for _ in range(STEPS):
        rows = images[torch.randperm(len(images), generator=draw)[:BATCH]]
        one, two = (
            torch.nn.functional.normalize(network(views(rows, draw)), dim=1) for _ in range(2)
        )
        loss = torch.nn.functional.cross_entropy(one @ two.T / TEMPERATURE, torch.arange(BATCH))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return network, draw


def few_shot(layer, labels, draws=40, shots=5):
    """Accuracy `(draws,)` of ridge regression on few labels of each class, in NumPy."""
    rng = np.random.default_rng(0)
    x = layer - layer.mean(axis=0)
    x = x / np.sqrt((x**2).sum(axis=1).mean())
    found = []
    for _ in range(draws):
        own = [rng.permutation(np.flatnonzero(labels == k))[:shots] for k in range(10)]
        rows = np.concatenate(own)
        targets = np.where(labels[rows][:, None] == np.arange(10), 1.0, -1.0)
        kernel = x[rows] @ x[rows].T + np.eye(len(rows))
        scores = x @ x[rows].T @ np.linalg.solve(kernel, targets)
        rest = np.setdiff1d(np.arange(len(x)), rows)
        found.append((scores[rest].argmax(axis=1) == labels[rest]).mean())
    return np.array(found)


def finite(tree):
    if isinstance(tree, dict):
        return all(map(finite, tree.values()))
    if isinstance(tree, list):
        return all(map(finite, tree))
    return not isinstance(tree, float) or np.isfinite(tree)


def recommended(seed):
    """Report on a third of the images, and few-shot accuracy `(L, draws)` on the others."""
    images, labels = digits()
    network, draw = trained(images, seed)
    parts = np.random.default_rng(seed).permutation(len(images)).reshape(-1, len(images) // 3)
    both = [views(images[parts[0]], draw) for _ in range(2)]
    layers = adaptor()(network, list(network), *both)
    report = pt.inspect(*both, representations=layers, labels=labels[parts[0]], draws=20, seed=seed)
    others = np.concatenate(parts[1:])
    held_out = adaptor()(network, list(network), views(images[others], draw))
    return report, np.stack([few_shot(layer, labels[others]) for (layer,) in held_out])


@pytest.mark.parametrize("seed", range(2))
def test_the_recommended_layer_is_as_good_as_the_best_on_other_images(seed):
    """Within the 95 per cent interval of the difference, over draws and over rows."""
    report, accuracy = recommended(seed)
    assert finite(report.to_dict())
    assert all(np.isfinite(x).all() for x in report.to_xarray().values() if x.dtype == float)
    assert "undecidable" not in report.to_json()
    best = accuracy.mean(axis=1).argmax()
    behind = accuracy[best] - accuracy[report.recommended - 1]
    level = accuracy[best].mean()
    rows = 2 * level * (1 - level) / (2 * report.pairs)
    assert behind.mean() <= 1.96 * (behind.var(ddof=1) / len(behind) + rows) ** 0.5

"""Every figure, made coarse and drawn again from its data file."""

import jax
import matplotlib.pyplot as plt
import numpy as np
import pytest

import projhead_theory as pt


@pytest.fixture(scope="module", autouse=True)
def _compiled_lightly():
    """Programs that run once, as `projhead figures --quick` compiles them."""
    before = jax.config.read("jax_disable_most_optimizations")
    jax.config.update("jax_disable_most_optimizations", True)
    with jax.numpy_dtype_promotion("standard"):
        yield
    jax.config.update("jax_disable_most_optimizations", before)


DEEP = {
    "barlow-stepwise",
    "best-kappa",
    "coarse-to-fine",
    "discrete-homogeneity",
    "feature-extinction",
    "feature-sweep",
    "finite-sample",
    "fully-connected",
    "gaussian-start",
    "head-equivalence",
    "homogeneity",
    "imbalance-bound",
    "jepa-collapse",
    "kappa-emulation",
    "learning-order",
    "measured-sample-complexity",
    "mixed-positives",
    "narrow-head",
    "paper-flips",
    "paper-strength",
    "paper-weighting",
    "response-minimiser",
    "retained-when-vanishing",
    "scl-minimiser",
    "shift",
    "sl-extinction",
    "sorted-matching",
    "start-law",
    "subclass-retention",
    "threshold-law",
    "unbalanced-grams",
    "weight-decay-minimiser",
    "when-pre-wins",
}
"""Figures whose programs take long to compile; most share them with no other figure."""

NAMES = [
    pytest.param(name, marks=pytest.mark.deep if name in DEEP else pytest.mark.slow)
    for name in pt.gallery.names()
]


def test_figures_that_wait_are_figures():
    assert set(pt.gallery.names()) > DEEP


@pytest.mark.x64
@pytest.mark.parametrize("name", NAMES)
def test_figure_is_made_and_redrawn(name, tmp_path):
    drawing = pt.gallery.make(name, quick=True)
    numbers = [v.values for v in drawing.data.values() if v.dtype.kind == "f"]
    assert numbers
    assert all(np.isfinite(x).any() for x in numbers)
    first = drawing.save(tmp_path / "a", ("svg",))
    second = pt.gallery.redraw(first[1]).save(tmp_path / "b", ("svg",))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    # With the largest letters, nothing lies off the page or under the legend.
    figure = drawing.plot("slides")
    renderer, page = figure.canvas.get_renderer(), figure.bbox
    legend = figure.legends[0].get_window_extent(renderer)
    axes = [ax.get_tightbbox(renderer) for ax in figure.axes]
    for box in [legend, *axes]:
        assert page.x0 - 2 <= box.x0 <= box.x1 <= page.x1 + 2
        assert page.y0 - 2 <= box.y0 <= box.y1 <= page.y1 + 2
    assert all(box.y1 <= legend.y0 + 2 for box in axes)
    plt.close(figure)

"""Figures as files."""

import itertools
import re

import jax
import matplotlib as mpl
import matplotlib.pyplot as plt
import numpy as np
import pytest
from PIL import Image

import projhead_theory as pt
from projhead_theory import figures


def plot():
    _, ax = plt.subplots()
    ax.set_title(r"weight of a feature, $\varphi / \sigma^2$")
    return ax


def test_a_pdf_has_no_type_3_fonts(tmp_path):
    before = mpl.rcParams["pdf.fonttype"]
    figures.save(plot(), tmp_path / "saved.pdf")
    data = (tmp_path / "saved.pdf").read_bytes()
    assert b"/FontFile2" in data
    assert b"/Type3" not in data
    assert mpl.rcParams["pdf.fonttype"] == before


def test_type_3_fonts_are_seen_in_the_bytes(tmp_path):
    """Matplotlib's default, in which the search must find them."""
    ax = plot()
    with mpl.rc_context({"pdf.fonttype": 3}):
        ax.figure.savefig(tmp_path / "default.pdf")
    plt.close(ax.figure)
    assert b"/Type3" in (tmp_path / "default.pdf").read_bytes()


# Colours as dichromats see them, in linear RGB: Machado, Oliveira and Fernandes, A Physiologically-
# based Model for Simulation of Color Vision Deficiency, 2009, severity one.
SIGHT = {
    "normal": np.eye(3),
    "protanopia": [
        [0.152286, 1.052583, -0.204868],
        [0.114503, 0.786281, 0.099216],
        [-0.003882, -0.048116, 1.051998],
    ],
    "deuteranopia": [
        [0.367322, 0.860646, -0.227968],
        [0.280085, 0.672501, 0.047413],
        [-0.011820, 0.042940, 0.968881],
    ],
    "tritanopia": [
        [1.255528, -0.076749, -0.178779],
        [-0.078411, 0.930809, 0.147602],
        [0.004733, 0.691367, 0.303900],
    ],
}
TO_XYZ = np.array(
    [
        [0.4124564, 0.3575761, 0.1804375],
        [0.2126729, 0.7151522, 0.0721750],
        [0.0193339, 0.1191920, 0.9503041],
    ]
)
# About four times a just noticeable difference of 2.3 in CIELAB.
DISTINCT = 10


def linear(colour):
    values = np.array(mpl.colors.to_rgb(colour))
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear RGB, with white as its white point."""
    share = (TO_XYZ @ np.clip(rgb, 0, 1)) / (TO_XYZ @ np.ones(3))
    f = np.where(share > 0.008856, np.cbrt(share), 7.787 * share + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


def least_distance(colours, sight):
    seen = [lab(np.array(SIGHT[sight]) @ linear(c)) for c in colours]
    return min(np.linalg.norm(a - b) for a, b in itertools.combinations(seen, 2))


def contrast(one, other):
    """Contrast of WCAG 2."""
    low, high = sorted(TO_XYZ[1] @ linear(c) for c in (one, other))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("sight", SIGHT)
@pytest.mark.parametrize("colours", [figures.COLOURS, figures.DARK_COLOURS])
def test_colours_are_told_apart(colours, sight):
    assert least_distance(colours, sight) > DISTINCT


def test_colours_that_are_not_told_apart_are_caught():
    """Matplotlib's own, of which red-green blind readers confuse some."""
    default = mpl.rcParamsDefault["axes.prop_cycle"].by_key()["color"][:7]
    assert least_distance(default, "normal") > DISTINCT
    assert least_distance(default, "protanopia") < DISTINCT
    assert least_distance(default, "deuteranopia") < DISTINCT


@pytest.mark.parametrize(("style", "least"), [("paper", 2), ("slides", 2), ("dark", 3)])
def test_colours_stand_out_from_the_page(style, least):
    """Three to one is WCAG's bound for graphics; two of Okabe and Ito's seven fall short of it on
    white, and are used last.
    """
    with figures.styled(style):
        page = mpl.rcParams["axes.facecolor"]
        colours = [figures.colour(i) for i in range(7)]
        assert contrast(figures.ink(), page) > 7
    found = [contrast(c, page) for c in colours]
    assert min(found) > least
    assert min(found[:4]) > 3


def test_tick_labels_of_a_logarithmic_axis_are_plain():
    def ticks(low, high):
        figure = mpl.figure.Figure()
        ax = figure.subplots()
        ax.plot([1, 1], [low, high])
        ax.set_ylim(low, high)
        figures.log_axis(ax.yaxis)
        figure.draw_without_rendering()
        inside = lambda y: low <= y <= high
        shown = [t for t in ax.yaxis.get_major_ticks() if inside(t.get_loc())]
        return [t.label1.get_text() for t in shown]

    assert ticks(0.15, 6.0) == ["0.2", "0.5", "1", "2", "5"]
    assert ticks(0.001, 10.0) == ["0.001", "0.01", "0.1", "1", "10"]
    assert "$10^{-6}$" in ticks(1e-7, 1.0)
    assert ticks(150, 30000) == ["1000", "$10^{4}$"]


def test_every_result_draws_itself(tmp_path):
    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
    prediction = pt.layerwise(problem.moments(), depth=2)
    start = pt.DeepLinear.balanced(jax.random.key(0), (2, 2, 2))
    run = pt.gradient_flow(start, problem.moments(), save_at=8)
    figures.animate(run, tmp_path / "run.gif", prediction, seconds=1)
    pages = [tmp_path / "run.html", tmp_path / "again.html"]
    for path in pages:
        figures.animate(run, path, prediction, seconds=1)
    text = pages[0].read_text()
    assert text == pages[1].read_text()
    assert text.count("data:image/png;base64") == len(run.times)
    assert not re.search(r"https?://|<link|fa fa-", text), "the page asks another host"
    with Image.open(tmp_path / "run.gif") as moving:
        assert moving.n_frames == len(np.unique(run.times))
        assert moving.width == int(3.25 * 150)
    axes = run.plot(prediction)
    assert len(axes.lines) == 2 * 2 * 2
    assert [t.get_text() for t in axes.get_legend().get_texts()] == ["feature 1", "feature 2"]
    axes = prediction.plot(run)
    assert len(axes.lines) == 4
    np.testing.assert_allclose(axes.lines[0].get_ydata(), prediction.weights[:, 0])
    curve = pt.theory.downstream.feature_complexity(prediction.weights[-1], [2.0, 1.0], 0)
    axes = curve.plot(depth=2)
    np.testing.assert_allclose(axes.lines[1].get_ydata(), curve.layers(2))
    plt.close("all")

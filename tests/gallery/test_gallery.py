"""The gallery: its registry, its errors, its files, and the documentation's copies of them."""

import json
import re
from pathlib import Path

import jax
import matplotlib as mpl
import numpy as np
import pytest
import xarray

import projhead_theory as pt

DOCS = Path(__file__).parents[2] / "docs"
FORMATS = ("pdf", "svg", "png")


@pytest.fixture(scope="module")
def drawing():
    """A figure that needs few programs, in coarse form."""
    # In the promotion of the command line, whose test then finds the compiled program.
    with jax.numpy_dtype_promotion("standard"):
        return pt.gallery.make("layerwise-law", strength=(2, 1.0), noise=(1, 0.2), depth=2, seeds=3)


@pytest.mark.parametrize("name", pt.gallery.names())
def test_every_figure_is_described(name):
    entry = pt.gallery.find(name)
    assert entry.name == name
    assert re.fullmatch(r"[A-Z][^.]*(0\.\d[^.]*)*\.", entry.caption), "one sentence"
    assert len(list(DOCS.glob(f"theorems/*/{entry.theorem}.md"))) == 1
    assert entry.parameters
    # What is quick is a value of a parameter, of its type.
    quick = entry.settings({}, quick=True)
    assert quick == entry.parameters | dict(entry.quick)
    assert entry.settings(dict(entry.quick)) == quick
    assert json.loads(json.dumps(quick)).keys() == quick.keys()


def test_data_is_labelled_and_agrees_with_theory(drawing):
    assert drawing.data.trained.dims == ("layer", "feature", "seed")
    assert drawing.data.feature.values.tolist() == [1, 2]
    both = xarray.broadcast(drawing.data.trained, drawing.data.theory)
    np.testing.assert_allclose(*both, rtol=1e-3)
    want = {"strength": [2.0, 1.0], "noise": [1.0, 0.2], "depth": 2, "seed": 0, "seeds": 3}
    assert drawing.parameters == want


def test_files_hold_picture_data_and_command(drawing, tmp_path):
    paths = drawing.save(tmp_path / "new", FORMATS)
    assert sorted(p.suffix for p in paths) == [".csv", ".json", ".nc", ".pdf", ".png", ".svg"]
    assert sorted(p for p in (tmp_path / "new").iterdir()) == sorted(paths)
    record = json.loads(paths[-1].read_text())
    command = "projhead figures layerwise-law --set strength=2.0,1.0 --set noise=1.0,0.2"
    assert record["command"].startswith(f"{command} --set depth=2")
    assert record["parameters"]["seed"] == 0
    assert {"jax", "device", "float", "projhead_theory"} <= set(record["environment"])
    rows = paths[-2].read_text().splitlines()
    assert rows[0] == "variable,layer,feature,seed,value"
    assert len(rows) == 1 + drawing.data.theory.size + drawing.data.trained.size
    name, layer, feature, seed, value = rows[-1].split(",")
    at = {"layer": int(layer), "feature": int(feature), "seed": int(seed)}
    assert float(value) == float(drawing.data[name].sel(at))
    read = xarray.load_dataset(paths[-3], engine="scipy")
    xarray.testing.assert_equal(read, drawing.data)
    pdf = paths[0].read_bytes()
    assert b"/FontFile2" in pdf
    assert b"/Type3" not in pdf
    assert record["command"] in paths[1].read_text()


def test_the_same_data_is_drawn_as_the_same_bytes(drawing, tmp_path):
    """From its data file as from memory, and whatever was drawn between."""
    first = drawing.save(tmp_path / "a", FORMATS)
    mpl.pyplot.close(drawing.plot("dark"))
    again = pt.gallery.redraw(first[-3])
    assert again.command == drawing.command
    second = again.save(tmp_path / "b", FORMATS)
    for before, after in zip(first, second, strict=True):
        assert before.read_bytes() == after.read_bytes(), before.suffix


@pytest.mark.parametrize(
    ("style", "width", "inches"),
    [("paper", "single", 3.25), ("slides", "double", 13.5), ("dark", 5, 5.0), ("paper", "4", 4.0)],
)
def test_style_and_width_leave_the_users_settings(drawing, style, width, inches):
    before = dict(mpl.rcParams)
    figure = drawing.plot(style, width)
    assert dict(mpl.rcParams) == before
    assert figure.get_figwidth() == inches
    size = figure.axes[0].xaxis.label.get_fontsize()
    assert size == {"paper": 8, "slides": 15, "dark": 8}[style]
    dark = sum(mpl.colors.to_rgb(figure.get_facecolor())) < 1
    assert dark == (style == "dark")
    mpl.pyplot.close(figure)


def test_labels_stay_on_the_page_and_off_one_another(drawing):
    """At a column's width: legend above the axes, and nothing beyond the edges."""
    figure = drawing.plot()
    renderer = figure.canvas.get_renderer()
    page = figure.bbox
    legend = figure.legends[0].get_window_extent(renderer)
    axes = figure.axes[0].get_tightbbox(renderer)
    assert legend.y0 >= axes.y1 - 1
    for box in (legend, axes):
        assert page.x0 - 1 <= box.x0 <= box.x1 <= page.x1 + 1
        assert page.y0 - 1 <= box.y0 <= box.y1 <= page.y1 + 1
    mpl.pyplot.close(figure)


@pytest.mark.parametrize(
    ("name", "parameters", "message"),
    [
        ("layerwise-lwa", {}, "figure: got 'layerwise-lwa'.*did you mean 'layerwise-law'?"),
        ("layerwise-law", {"strenght": 1}, "parameter: got 'strenght'.*did you mean 'strength'?"),
        ("layerwise-law", {"depth": 2.5}, "depth: got 2.5; want a whole number"),
        ("layerwise-law", {"depth": "deep"}, "depth: got 'deep'; want a whole number"),
        ("layerwise-law", {"strength": "1,x"}, "strength: got .*; want numbers"),
        ("layerwise-law", {"strength": ()}, "strength: got nothing"),
        ("layerwise-law", {"noise": (1, 2)}, "noise: got 2 numbers; want 1 or 4"),
        ("layerwise-law", {"strength": (1.0, -1.0), "noise": 1.0}, "strength: got -1.0"),
        ("when-pre-wins", {"target": 0}, "target: got 0; want the number of a feature, from 1"),
    ],
)
def test_what_cannot_be_made_is_said(name, parameters, message):
    with pytest.raises(ValueError, match=f"^{message}"):
        pt.gallery.make(name, **parameters)


def test_what_cannot_be_drawn_or_read_is_said(drawing, tmp_path):
    for call, message in (
        (lambda: drawing.plot("paint"), "style: got 'paint'"),
        (lambda: drawing.plot(width="wide"), "width: got 'wide'"),
        (lambda: drawing.plot(width=0.1), "width: got 0.1"),
        (lambda: drawing.save(tmp_path, ("jpg",)), "format: got 'jpg'"),
        (lambda: drawing.save(Path(__file__)), "out: got "),
        (lambda: pt.gallery.redraw(tmp_path / "none.nc"), "redraw: got "),
        (lambda: pt.gallery.redraw(__file__), "redraw: got "),
    ):
        with pytest.raises(ValueError, match=f"^{message}"):
            call()
    xarray.Dataset({"a": ((), 1.0)}).to_netcdf(tmp_path / "other.nc", engine="scipy")
    with pytest.raises(ValueError, match=r"^redraw: got .*data of no figure"):
        pt.gallery.redraw(tmp_path / "other.nc")
    assert not list(tmp_path.glob("*.pdf"))


def test_the_documentation_has_the_figures_of_the_gallery():
    """`projhead figures --out docs/figures --format svg` makes them all, with these parameters."""
    found = {path.stem: path.read_text() for path in (DOCS / "figures").glob("*.svg")}
    assert set(found) == set(pt.gallery.names())
    for name, text in found.items():
        (kept,) = re.findall(r"<dc:description>(.*?)</dc:description>", text, re.DOTALL)
        made = json.loads(kept.replace("&quot;", '"').replace("&amp;", "&"))
        parameters = pt.gallery.find(name).parameters
        want = {"command": f"projhead figures {name}", **json.loads(json.dumps(parameters))}
        assert made == want, f"{name}: made with other parameters than those of the gallery"


def test_pages_show_figures_of_the_gallery():
    shown = [
        name
        for page in DOCS.rglob("*.md")
        for name in re.findall(r"figures/([a-z-]+)\.svg", page.read_text())
    ]
    assert set(shown) <= set(pt.gallery.names())
    assert len(shown) > 30

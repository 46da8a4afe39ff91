"""Every figure, made coarse and drawn again from its data file."""

import matplotlib.pyplot as plt
import numpy as np
import pytest

import projhead_theory as pt


@pytest.mark.slow
@pytest.mark.x64
@pytest.mark.parametrize("name", pt.gallery.names())
def test_figure_is_made_and_redrawn(name, tmp_path, standard_promotion):
    drawing = pt.gallery.make(name, quick=True)
    numbers = [v.values for v in drawing.data.values() if v.dtype.kind == "f"]
    assert numbers
    assert all(np.isfinite(x).any() for x in numbers)
    first = drawing.save(tmp_path / "a", ("svg",))
    second = pt.gallery.redraw(first[1]).save(tmp_path / "b", ("svg",))
    assert [p.read_bytes() for p in first] == [p.read_bytes() for p in second]
    # Nothing lies off the page, in any style at a column's width.
    for style in ("paper", "slides", "dark"):
        figure = drawing.plot(style)
        renderer, page = figure.canvas.get_renderer(), figure.bbox
        for box in [
            figure.legends[0].get_window_extent(renderer),
            *(ax.get_tightbbox(renderer) for ax in figure.axes),
        ]:
            assert box.x0 >= page.x0 - 2
            assert box.x1 <= page.x1 + 2
            assert box.y0 >= page.y0 - 2
            assert box.y1 <= page.y1 + 2
        plt.close(figure)

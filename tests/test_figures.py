"""Figures as files."""

import matplotlib as mpl
import matplotlib.pyplot as plt

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

"""`projhead figures`."""

import json

import pytest
from helpers.cli import run

import projhead_theory as pt

SMALL = ["layerwise-law", "--set", "strength=2,1", "--set", "noise=1,0.2", "--set", "depth=2"]


def test_figures_are_written_with_their_data(capsys, tmp_path):
    out = tmp_path / "made"
    code, said, progress = run(
        capsys, "figures", *SMALL, "--out", str(out), "--format", "svg,pdf", "--json", "-"
    )
    report = json.loads(said)
    assert code == 0
    endings = ["svg", "pdf", "nc", "csv", "json"]
    assert report["files"]["layerwise-law"] == [str(out / f"layerwise-law.{e}") for e in endings]
    assert all((out / f"layerwise-law.{ending}").stat().st_size > 100 for ending in endings)
    assert "figure 1 of 1: layerwise-law" in progress
    again = tmp_path / "again"
    data = str(out / "layerwise-law.nc")
    code, said, _ = run(capsys, "figures", "--redraw", data, "--out", str(again), "--style", "dark")
    assert code == 0
    assert said == f"1 figure, 4 files in {again}\n"
    assert (again / "layerwise-law.csv").read_text() == (out / "layerwise-law.csv").read_text()


def test_the_list_has_every_figure(capsys):
    code, said, _ = run(capsys, "figures", "--list")
    names = [line for line in said.splitlines() if line and line[0] != " "]
    assert code == 0
    assert tuple(names) == pt.gallery.names()
    assert max(map(len, said.splitlines())) <= 80
    report = json.loads(run(capsys, "figures", "layerwise-law", "--list", "--json", "-")[1])
    (entry,) = report["figures"]
    assert entry["parameters"]["depth"] == 3


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["layerwise-lwa"], "figure: got 'layerwise-lwa'"),
        (["layerwise-law"], "out: got nothing; want --out DIR"),
        (["layerwise-law", "--out", "{here}", "--format", "gif"], "format: got 'gif'"),
        (["layerwise-law", "--out", "{here}", "--style", "x"], "style: got 'x'"),
        (["layerwise-law", "--out", "{here}", "--width", "x"], "width: got 'x'"),
        (["layerwise-law", "--out", "{here}", "--set", "depth"], "set: got 'depth'"),
        (["layerwise-law", "--out", "{here}", "--set", "dpth=1"], "parameter: got 'dpth'"),
        (["layerwise-law", "--out", "{here}", "--set", "depth=x"], "depth: got 'x'"),
        (["layerwise-law", "--out", "{here}/file/x"], "out: got "),
        (["layerwise-law", "--out", "{here}", "--redraw", "x.nc"], "redraw: got names"),
        (["--out", "{here}", "--redraw", "x.nc"], "redraw: got x.nc"),
    ],
)
def test_what_cannot_be_made_is_refused_before_the_run(capsys, tmp_path, arguments, message):
    (tmp_path / "file").write_text("")
    code, said, complaint = run(capsys, "figures", *(a.format(here=tmp_path) for a in arguments))
    assert (code, said) == (2, "")
    assert complaint.startswith(f"projhead: {message}")
    assert complaint.count("\n") == 1
    assert [p.name for p in tmp_path.iterdir()] == ["file"]

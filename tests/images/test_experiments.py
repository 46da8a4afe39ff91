"""The paper's experiments on images, at a size that shows that they run, and their result."""

import json

import jax
import numpy as np
import pytest
from helpers.cli import run
from helpers.images import recipe
from rich.console import Console

import projhead_theory as pt

FIELDS = {"name": "made", "conditions": ("a", "b"), "measures": ("digit",), "chance": 0.1}


def result(pre, post, ratio, heads=(True, True)):
    """A result of these accuracies `(C, N)` and predicted ratios `(C, N)`."""
    accuracy = np.stack([pre, post], axis=1)[:, None]
    count = accuracy.shape[-1]
    return pt.images.ImageExperiment(
        accuracy=accuracy,
        predicted=np.asarray(ratio, float),
        indicator=np.ones((2, 2, count)),
        signal=np.full((2, 2, count, 3), 0.5),
        loss=np.zeros((2, count)),
        heads=heads,
        settings={"epochs": 1},
        seconds=1.0,
        **FIELDS,
    )


NOISE = np.asarray([-0.01, 0.0, 0.01])
HIGH, LOW = 0.8 + NOISE, 0.6 + NOISE[::-1]


@pytest.mark.parametrize(
    ("pre", "post", "ratio", "wanted"),
    [
        (HIGH, LOW, 1.5, "agrees"),
        (HIGH, LOW, 0.7, "disagrees"),
        (LOW, HIGH, 0.7, "agrees"),
        (HIGH, HIGH[::-1], 1.5, "undecided"),
    ],
)
def test_the_outcome_follows_the_signs_of_intervals(pre, post, ratio, wanted):
    ratios = ratio * (1 + NOISE)
    made = result(np.stack([pre, pre]), np.stack([post, post]), np.stack([ratios, ratios]))
    rows = made.to_dict()["rows"]
    assert [row["outcome"] for row in rows] == [wanted, wanted]


def test_a_preference_within_its_interval_decides_nothing():
    ratios = np.asarray([0.7, 1.6, 0.9])
    made = result(np.stack([HIGH, HIGH]), np.stack([LOW, LOW]), np.stack([ratios, ratios]))
    assert [row["outcome"] for row in made.to_dict()["rows"]] == ["undecided", "undecided"]


def test_intervals_are_students():
    """Half a width of 4.303 standard errors at three seeds, and none at one."""
    made = result(np.stack([HIGH, HIGH]), np.stack([LOW, LOW]), np.ones((2, 3)))
    wanted = 4.302653 * (HIGH - LOW).std(ddof=1) / np.sqrt(3)
    assert made.difference.half[0, 0] == pytest.approx(wanted, rel=1e-6)
    one = result(HIGH[:1] * np.ones((2, 1)), LOW[:1] * np.ones((2, 1)), np.ones((2, 1)))
    assert one.to_dict()["rows"][0]["difference_half"] is None
    assert one.to_dict()["rows"][0]["outcome"] == "undecided"


def test_a_result_is_shown_in_a_table_a_figure_and_a_dataset(capsys):
    made = result(
        np.stack([HIGH, HIGH]), np.stack([LOW, HIGH]), np.full((2, 3), 1.2), heads=(True, False)
    )
    pt.report.print_table(made.table(), Console(width=80))
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].split("\t")[0] == "condition"
    assert lines[2].split("\t")[-2:] == ["pre", "agrees"]
    assert lines[3].split("\t")[-1] == "no head"
    data = made.to_xarray()
    assert data.accuracy.dims == ("condition", "measure", "layer", "seed")
    assert data.accuracy.sel(condition="a", layer="post").values.tolist() == [LOW.tolist()]
    ax = made.plot()
    assert [t.get_text() for t in ax.get_yticklabels()] == ["a", "b"]
    ax.figure.clear()
    assert json.loads(json.dumps(made.to_dict(), allow_nan=False))["seeds"] == 3


def small(train):
    return pt.images.digits(train=train)


def check(made, conditions, measures, seeds=2):
    assert made.accuracy.shape == (conditions, measures, 2, seeds)
    assert np.isfinite(made.accuracy).all()
    assert (made.indicator > 0).all()
    assert np.isfinite(made.predicted).all()
    json.dumps(made.to_dict(), allow_nan=False)
    without = [i for i, head in enumerate(made.heads) if not head]
    assert np.array_equal(made.accuracy[without, :, 0], made.accuracy[without, :, 1])
    assert np.allclose(made.predicted[without], 1)


def test_an_experiment_goes_on_from_its_files(tmp_path):
    given = {
        "strengths": (1.0,),
        "drops": (0.0,),
        "quick": True,
        "seeds": 2,
        "recipe": recipe(),
        "out": tmp_path,
    }
    made = pt.images.digit_on_photograph(**given)
    check(made, 2, 1)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 4
    again = pt.images.digit_on_photograph(**given)
    assert np.array_equal(again.accuracy, made.accuracy)
    assert np.array_equal(again.predicted, made.predicted)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["coarse_to_fine", "spurious_correlation", "shift"])
def test_the_other_experiments_run(name):
    given = {
        "coarse_to_fine": {"recipes": (recipe(), recipe())},
        "spurious_correlation": {"recipe": recipe(), "pair": (3, 8)},
        "shift": {"recipe": recipe(training=200, readout=200)},
    }[name]
    run = getattr(pt.images, name)
    made = run(small(True), small(False), quick=True, seeds=2, **given)
    shape = {"coarse_to_fine": (4, 1), "spurious_correlation": (6, 2), "shift": (3, 5)}[name]
    check(made, *shape)
    assert made.name == name.replace("_", "-")


def test_partners_are_other_images_of_the_class():
    from projhead_theory.images import _perform

    labels = np.asarray([0, 1, 0, 1, 1, 2])
    partners = _perform.partners_of(labels, np.random.default_rng(0))
    assert np.array_equal(labels[partners], labels)
    assert sorted(partners.tolist()) == list(range(6))
    assert (partners != np.arange(6)).tolist() == [True] * 5 + [False]


def test_parts_of_the_data_are_disjoint():
    from projhead_theory.images import _perform

    first, second = _perform.split(small(True), 800, 400, np.random.default_rng(0))
    assert (len(first), len(second)) == (800, 400)
    few = _perform.split(small(False), 800, 200, np.random.default_rng(0))
    assert [len(part) for part in few] == [400, 100]


@pytest.mark.parametrize(
    ("call", "wanted"),
    [
        (lambda: pt.images.coarse_to_fine(small(True)), "test: got one of training and test"),
        (lambda: pt.images.digit_on_photograph((small(True), small(False))), "backgrounds"),
        (lambda: pt.images.shift(small(True), small(False), seeds=0), "seeds"),
    ],
)
def test_arguments_of_experiments_are_checked(call, wanted):
    with pytest.raises(ValueError, match=wanted):
        call()


@pytest.fixture
def own_precision():
    """The command sets the process's precision; a test leaves it as it was."""
    before = jax.config.read("jax_enable_x64")
    yield
    jax.config.update("jax_enable_x64", before)


@pytest.mark.usefixtures("own_precision")
def test_the_command_line_tells_wrong_names_and_absent_archives(capsys, tmp_path):
    code, _, err = run(capsys, "images", "fine-to-coarse")
    assert code == 2
    assert "one of coarse-to-fine, digit-on-photograph" in err
    code, _, err = run(capsys, "images", "coarse-to-fine", "--data", str(tmp_path))
    assert code == 2
    assert "cifar-100-binary.tar.gz" in err
    assert len(err.splitlines()) == 1

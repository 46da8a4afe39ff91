"""The explorer's numbers, computed by Node, are the library's; its page is whole in itself."""

import json
import random
import re
from functools import cache
from importlib.resources import files

import jax.numpy as jnp
import numpy as np
import pytest
from helpers.cli import run as run_command
from helpers.node import needs_node, run

import projhead_theory as pt
from projhead_theory.report import explorer_formulas, explorer_html

# What the page promises; the formulas themselves lose fewer digits.
RTOL = 1e-9
MODEL = (files("projhead_theory.report") / "explorer" / "model.js").read_text(encoding="utf-8")
# Name on the page and on the command line -> the response, and the parameter that it takes.
LOSSES = {
    "spectral": ("Spectral", None),
    "vicreg": ("VICReg", "beta"),
    "infonce": ("InfoNCE", "temperature"),
    "infonce-distance": ("InfoNCEDistance", "temperature"),
    "infonce-rademacher": ("InfoNCERademacher", "temperature"),
    "whitening": ("Whitening", None),
    "barlow-twins": ("BarlowTwins", None),
}
ANSWER = """
const answer = (settings) => settings.map((setting) => {
  const layers = predict(setting);
  const modes = modesOf(setting);
  const range = modes && timeRange(setting, modes);
  const [strengths, noises] = [[0.3, 0.9, 1.5, 2.1, 2.7], [0, 0.35, 0.7, 1.4]];
  return {
    premise: premise(setting),
    layers,
    ...ranking(setting, layers),
    plane: phasePlane(setting, setting.target, "noise", strengths, noises),
    flow: modes && [0.1, 0.4, 0.6, 0.9].map((share) => {
      const t = timeAt(range, share);
      return [t, modes[0].begin, modes.map((mode) => weightAtTime(setting, mode, t))];
    }),
  };
});
"""


def settings() -> list[dict]:
    """For each loss, a balanced network and one of another start, of random numbers."""
    random_ = random.Random(20)
    draw = lambda low, high: [round(random_.uniform(low, high), 2) for _ in range(3)]
    found = []
    for loss in LOSSES:
        for depth, start in ((3, None), (2, [round(random_.uniform(0, 3), 2), 0.4])):
            found.append(
                {
                    "strength": draw(0.2, 3),
                    "noise": [0, 0, 0] if loss == "infonce-rademacher" else draw(0.1, 3),
                    "flip": draw(0.01, 0.45),
                    "downstream": random_.choice([None, draw(0.2, 3)]),
                    "depth": depth,
                    "headDepth": random_.choice([1, 2]),
                    "target": random_.randrange(3),
                    "start": start,
                    "loss": loss,
                    "temperature": 0.7,
                    "beta": 0.8,
                    "begin": 0.05,
                }
            )
    deep = [found[0] | {"depth": depth, "headDepth": 1} for depth in (1, 6)]
    return found + deep


SETTINGS = settings()
NAMES = [f"{s['loss']}-{'start' if s['start'] else s['depth']}" for s in SETTINGS]
each_setting = pytest.mark.parametrize("k", range(len(SETTINGS)), ids=NAMES)
pytestmark = [pytest.mark.x64, needs_node]


def computed(formulas: str, given: list[dict]) -> list[dict]:
    return run(f"{formulas}\n{MODEL}\n{ANSWER}", given)


@cache
def explored() -> list[dict]:
    return computed(explorer_formulas(), SETTINGS)


def problem(setting: dict) -> pt.ContrastiveProblem:
    parts = pt.problems.SignFlip(setting["flip"]), pt.AdditiveNoise(setting["noise"])
    return pt.ContrastiveProblem(pt.Features(setting["strength"]), pt.problems.Compose(*parts))


def task(setting: dict) -> pt.DownstreamProblem:
    strength = setting["downstream"] or setting["strength"]
    return pt.DownstreamProblem(pt.Features(strength), pt.problems.SignLabel(setting["target"]))


def response(setting: dict):
    kind, parameter = LOSSES[setting["loss"]]
    numbers = [setting[parameter]] if parameter else []
    return getattr(pt.theory.responses, kind)(*numbers)


def scales(setting: dict):
    return setting["start"] and pt.theory.starts.Start(*setting["start"])


def predicted(setting: dict):
    given = {"depth": setting["depth"], "start": scales(setting)}
    return pt.theory.responses.layers(problem(setting).moments(), response(setting), **given)


def require_the_librarys(pairs: list[tuple[dict, dict]]) -> None:
    for setting, page in pairs:
        prediction = predicted(setting)
        np.testing.assert_allclose(page["layers"][0], 1)
        np.testing.assert_allclose(page["layers"][1:], prediction.weights, rtol=RTOL)
        after = task(setting).moments()
        complexity = pt.theory.downstream.sample_complexity(prediction.grams, after)
        np.testing.assert_allclose(page["indicators"][1:], complexity, rtol=RTOL)
        assert page["best"] == 1 + int(np.argmin(complexity))


@each_setting
def test_weights_and_indicators_are_the_librarys(k):
    require_the_librarys([(SETTINGS[k], explored()[k])])


@pytest.mark.parametrize("k", [0, 1], ids=NAMES[:2])
def test_the_ranking_and_the_plane_are_the_librarys(k):
    views = {"strength": [1.5, 1, 0.6], "noise": [1, 0.2, 0.3], "flip": [0.1, 0, 0.05]}
    setting = SETTINGS[k] | views | {"target": 1, "downstream": None}
    (page,) = computed(explorer_formulas(), [setting])
    own = {"depth": setting["depth"], "head_depth": setting["headDepth"], "start": scales(setting)}
    best = pt.best_layer(problem(setting), task(setting), **own)
    assert page["best"] == int(best.layer)
    np.testing.assert_allclose(page["margin"], best.margin, rtol=RTOL, atol=RTOL)
    j = setting["target"]

    def at(x, y):
        changed = {
            name: jnp.asarray(setting[name]).at[j].set(value)
            for name, value in (("strength", x), ("noise", y))
        }
        return setting | changed

    diagram = pt.phase_diagram(
        lambda x, y: problem(at(x, y)),
        lambda x, y: task(at(x, y)),
        np.array([0.3, 0.9, 1.5, 2.1, 2.7]),
        np.array([0.0, 0.35, 0.7, 1.4]),
        **own,
    )
    assert page["plane"] == np.asarray(diagram.layer).tolist()
    assert len(np.unique(diagram.layer)) > 1


@each_setting
def test_learning_is_the_librarys(k):
    """Weights that differ by the tolerance are reached before and after the time, to a tolerance:
    time is ill-conditioned near saturation, and the weight after a long wait.
    """
    setting, flow = SETTINGS[k], explored()[k]["flow"]
    try:
        moments = response(setting).spectral_moments(problem(setting).moments())
    except ValueError:
        assert flow is None
        return
    c, q = np.diag(moments.cross), np.diag(moments.second)

    def time(weights, begin):
        if setting["start"]:
            encoder, head = setting["start"]
            own = {"encoder": encoder, "head": head}
            return pt.theory.starts.time_to_weight(weights, begin, c, q, **own)
        return pt.theory.dynamics.time_to_weight(weights, begin, c, q, setting["depth"])

    for t, begin, weights in flow:
        early, late = (time(np.asarray(weights) * (1 + e), begin) for e in (-RTOL, RTOL))
        assert np.all(early * (1 - RTOL) <= t)
        assert np.all(t <= late * (1 + RTOL))


def test_a_feature_without_signal_is_forgotten_as_in_the_library():
    setting = SETTINGS[0] | {"flip": [0.5, 0.1, 0.2], "target": 0}
    (page,) = computed(explorer_formulas(), [setting])
    assert page["best"] == 0
    assert [weights[0] for weights in page["layers"][1:]] == [0, 0, 0]
    q = problem(setting).moments().second[0, 0]
    for t, begin, weights in page["flow"]:
        exact = pt.theory.dynamics.weight_at_time(t, begin, 0.0, q, 3)
        np.testing.assert_allclose(weights[0], exact, rtol=RTOL)


def test_a_loss_without_a_minimum_is_said_to_have_none():
    views = {"noise": [0, 0.1, 0.1], "flip": [0, 0, 0]}
    given = [SETTINGS[0] | views | {"loss": loss} for loss in LOSSES]
    pages = dict(zip(LOSSES, computed(explorer_formulas(), given), strict=True))
    assert "feature 1 is not disturbed at all" in pages["infonce-distance"]["premise"]
    assert "set every noise to 0" in pages["infonce-rademacher"]["premise"]
    assert not any(pages[loss]["premise"] for loss in ("spectral", "vicreg", "whitening"))
    with pytest.raises(ValueError, match="a signal fraction of 1"):
        predicted(given[list(LOSSES).index("infonce-distance")])


@pytest.mark.parametrize(
    ("right", "wrong"),
    [("1 - 2*alpha", "1 - alpha"), ("l/L", "l/(L + 1)"), ("2*m/", "m/"), ("2*tau", "tau")],
)
def test_the_comparison_catches_another_formula(right, wrong):
    formulas = explorer_formulas()
    assert right in formulas
    pages = computed(formulas.replace(right, wrong), SETTINGS[:2])
    with pytest.raises(AssertionError):
        require_the_librarys(list(zip(SETTINGS[:2], pages, strict=True)))


def test_the_page_has_the_losses_of_the_command_line(capsys):
    names = run(f"{explorer_formulas()}\n{MODEL}\nconst answer = () => Object.keys(LOSSES);", None)
    assert names == list(LOSSES)
    _, _, err = run_command(capsys, "predict", "--strength", "2,1", "--loss", "any")
    assert f"want one of {', '.join(names)}\n" in err


def test_the_page_asks_no_host():
    text = explorer_html()
    # Addresses are names of the languages inside the page, nothing that is loaded.
    assert set(re.findall(r"https?://[\w./]+", text)) <= {"http://www.w3.org/1998/Math/MathML"}
    assert not re.search(
        r"\b(src|href)=\"(?!data:,)|@import|url\(|\bfetch\(|XMLHttp|import\(", text
    )
    assert "{{" not in re.sub(r"<script.*?</script>", "", text, flags=re.DOTALL)


def test_the_file_is_in_the_package():
    names = {path.name for path in (files("projhead_theory.report") / "explorer").iterdir()}
    assert {"page.html", "style.css", "model.js"} <= names


def test_the_command_writes_a_page_that_opens_with_its_options(capsys, tmp_path):
    path = tmp_path / "page.html"
    given = ("--strength", "2,1", "--start", "1,0.5", "--loss", "vicreg", "--beta", "0.5")
    code, out, err = run_command(capsys, "explore", *given, "--out", str(path))
    assert (code, out, err) == (0, f"Wrote {path}: open it in a browser.\n", "")
    (opening,) = re.findall(r"const OPENING = (.*);", path.read_text())
    wanted = "strength=2,1&depth=2&head-depth=1&start=1,0.5&loss=vicreg&beta=0.5"
    assert json.loads(opening) == wanted


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        ((), "Missing option '--out'"),
        (("--out", "/nonexistent/page.html"), "out: got '/nonexistent/page.html'; want a file in"),
        (("--out", "/"), "out: got '/'"),
        (("--out", "x.html", "--strength", "2,x"), "strength: got '2,x'; want numbers"),
        (("--out", "x.html", "--strength", "2"), "strength: got 1 features; want 2 to 5"),
        (("--out", "x.html", "--strength", "2,7"), "strength: got 7; want numbers from 0.05 to 5"),
        (("--out", "x.html", "--strength", "2,nan"), "strength: got nan; want numbers"),
        (("--out", "x.html", "--noise", "1"), "noise: got 1 numbers (1); want 3 numbers"),
        (("--out", "x.html", "--start", "1"), "start: got 1 numbers (1); want 2"),
        (
            ("--out", "x.html", "--start", "1,1", "--depth", "3"),
            "depth: got 3; want 2 with a start",
        ),
        (("--out", "x.html", "--depth", "7"), "depth: got 7; want numbers from 1 to 6"),
        (("--out", "x.html", "--head-depth", "4"), "head_depth: got 4; want from 1 to the depth"),
        (
            ("--out", "x.html", "--target", "4"),
            "target: got 4; want the number of a feature, from 1",
        ),
        (("--out", "x.html", "--target", "0"), "target: got 0; want numbers from 1 to 5"),
        (("--out", "x.html", "--loss", "hinge"), "loss: got 'hinge'; want one of spectral"),
        (("--out", "x.html", "--beta", "1"), "beta: got 1 for spectral"),
    ],
)
def test_bad_usage_of_the_command_is_one_line(capsys, tmp_path, monkeypatch, arguments, says):
    monkeypatch.chdir(tmp_path)
    code, out, err = run_command(capsys, "explore", *arguments)
    assert (code, out) == (2, "")
    assert says in err
    assert err.count("\n") == 1
    assert not list(tmp_path.iterdir())


def test_an_unknown_name_is_refused():
    with pytest.raises(ValueError, match="opening: got 'width'; want names of options"):
        explorer_html({"width": "2"})

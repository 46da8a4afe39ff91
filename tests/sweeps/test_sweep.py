"""Sweeps against single runs; the same numbers however the work is cut; errors in one line."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.compiling import compiling

import projhead_theory as pt
from projhead_theory._core.keys import named
from projhead_theory.sweeps import Descent, FeatureModel, Flow, open_sweep, sweep

MODEL = FeatureModel([2.0, 1.0], noise=[1.0, 0.2])
NOISE = [0.5, 1.0, 1.5]
AXES = {"noise[0]": NOISE, "learning_rate": [0.01, 0.02]}
TRAIN = Descent(0.02, steps=40)
SETTING = {"seeds": 2, "scale": 0.5, "train": TRAIN}


@pytest.fixture(scope="module")
def result():
    return sweep(MODEL, AXES, **SETTING)


def assert_same(one, other):
    """Equal bit by bit."""
    assert set(one.dataset) - {"chunk_done"} == set(other.dataset) - {"chunk_done"}
    for name in set(one.dataset) - {"chunk_done"}:
        assert one.dataset[name].dims == other.dataset[name].dims
        assert one.dataset[name].values.tobytes() == other.dataset[name].values.tobytes(), name


def test_runs_are_those_of_the_simulator(result, eps):
    """Runs of the grid one by one; a step amplifies rounding at most by a constant."""
    d = result.dataset
    for index in ((0, 0, 0), (2, 1, 1)):
        i, j, _ = index
        number = np.ravel_multi_index(index, (3, 2, 2))
        problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([NOISE[i], 0.2]))
        key = named(jax.random.key(0), "sweep start", jnp.uint32(number))
        start = pt.DeepLinear.balanced(key, (2, 2, 2), 0.5)
        rate = AXES["learning_rate"][j]
        run = pt.gradient_descent(start, problem.moments(), learning_rate=rate, steps=40, save_at=2)
        tolerance = 40 * 64 * eps
        np.testing.assert_allclose(d["weights_measured"][index], run.weights()[-1], rtol=tolerance)
        np.testing.assert_allclose(d["loss_measured"][index], run.loss[-1], rtol=tolerance)
        predicted = pt.layerwise(problem.moments(), 2)
        np.testing.assert_allclose(d["weights_predicted"][i, j], predicted.weights, rtol=64 * eps)
        assert int(d["steps"][index]) == 40
        assert float(d["ended_at"][index]) == 40


def test_axes_are_labelled(result):
    d = result.dataset
    assert d["weights_measured"].dims == ("noise[0]", "learning_rate", "seed", "layer", "direction")
    assert d["weights_predicted"].dims == ("noise[0]", "learning_rate", "layer", "direction")
    assert d["layer"].values.tolist() == [1, 2]
    assert "input unit" in d["weights_measured"].attrs["units"]
    error = d["weights_measured"] - d["weights_predicted"]
    np.testing.assert_array_equal(d["weights_error"], error)
    assert len(d["ended"].attrs["sentences"]) == len(d["ended"].attrs["flag_values"]) == 5
    assert result.environment["jax"] == jax.__version__
    assert result.specification["train"]["steps"] == 40
    assert result.complete
    assert sum(result.outcomes().values()) == 12


def test_other_numbers_compile_nothing(result):
    """Other values of the axes, strengths, rate, scale, seed and decay, in the same programs."""
    other = FeatureModel([3.0, 0.5], noise=[0.3, 0.6])
    train = Descent(0.03, steps=40)
    axes = {"noise[0]": [0.1, 0.2, 0.3], "learning_rate": [0.001, 0.005]}
    call = lambda: sweep(other, axes, seeds=2, scale=0.7, seed=3, train=train)
    found, compiled = compiling(call)
    assert not {"jit(train)", "jit(predict)", "train", "predict"} & set(compiled), compiled
    assert not np.array_equal(found.dataset["loss_measured"], result.dataset["loss_measured"])


def test_a_new_number_of_steps_compiles(result):
    """The control of the test above."""
    call = lambda: sweep(MODEL, AXES, seeds=2, scale=0.5, train=Descent(0.02, steps=41))
    _, compiled = compiling(call)
    assert any("train" in name for name in compiled), compiled


@pytest.fixture
def few(monkeypatch):
    """Batches of four runs, so that few runs make many chunks."""
    monkeypatch.setattr(Descent, "batch_size", property(lambda self: 4))


@pytest.fixture(scope="module")
def whole():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Descent, "batch_size", property(lambda self: 4))
        return sweep(MODEL, AXES, **SETTING)


def test_numbers_do_not_depend_on_chunks(few, whole, tmp_path):
    for size in (1, 8):
        path = tmp_path / f"{size}.zarr"
        assert_same(whole, sweep(MODEL, AXES, **SETTING, out=path, chunk_size=size))
    assert open_sweep(path).complete


def test_an_interrupted_sweep_resumes(few, whole, tmp_path):
    """Interrupted after the first chunk; then only the others are computed."""
    path, chunks = tmp_path / "x.zarr", []

    def stop(progress):
        chunks.append(progress)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        sweep(MODEL, AXES, **SETTING, out=path, chunk_size=1, progress=stop)
    part = open_sweep(path)
    assert not part.complete
    assert part.outcomes()["missing"] == 8
    assert np.isnan(part.dataset["loss_measured"].values).sum() == 8
    rest = sweep(MODEL, AXES, **SETTING, out=path, progress=chunks.append)
    assert [p.done for p in chunks] == [4, 8, 12]
    assert chunks[-1].here == 8
    assert chunks[-1].left == 0
    assert_same(whole, rest)
    again = sweep(MODEL, AXES, **SETTING, out=path, progress=chunks.append)
    assert len(chunks) == 3
    assert_same(whole, again)


def test_a_chunk_without_its_record_is_computed_again(few, whole, tmp_path):
    """What a process killed between two files leaves behind."""
    import zarr

    path = tmp_path / "x.zarr"
    sweep(MODEL, AXES, **SETTING, out=path, chunk_size=1)
    root = zarr.open_group(path, mode="r+")
    root["chunk_done"][1] = 0
    root["weights_measured"][1] = 7.0
    assert_same(whole, sweep(MODEL, AXES, **SETTING, out=path))


def test_shards_in_any_order(few, whole, tmp_path):
    path = tmp_path / "x.zarr"
    for part in (2, 0, 1):
        last = sweep(MODEL, AXES, **SETTING, out=path, chunk_size=1, shard=(part, 3))
    assert_same(whole, last)


def test_shapes_are_grouped():
    """A program a depth; what a shallow network does not have is NaN."""
    found = sweep(MODEL, {"noise[0]": NOISE, "depth": [1, 2]}, train=TRAIN, scale=0.5)
    weights = found.dataset["weights_measured"].sel(seed=0)
    assert np.isnan(weights.sel(depth=1, layer=2)).all()
    assert np.isfinite(weights.sel(depth=2)).all()
    assert np.isfinite(weights.sel(depth=1, layer=1)).all()


def test_own_function_measure_and_closed_form():
    """A function of a shape and a number; a user's measurement and prediction."""

    def problem(noise, dim=2):
        return pt.Moments(jnp.eye(dim) / 2, jnp.eye(dim) * (0.5 + noise))

    found = sweep(
        problem,
        {"dim": [1, 2], "noise": [0.1, 0.2]},
        static=("dim",),
        train=TRAIN,
        measure={"norm": lambda run: jnp.linalg.norm(run.final.matrix), "weights": None},
        predict={"norm": lambda moments: jnp.trace(moments.second)},
    )
    d = found.dataset
    np.testing.assert_allclose(d["norm_predicted"], [[0.6, 0.7], [1.2, 1.4]], rtol=1e-6)
    assert d["norm_measured"].dims == ("dim", "noise", "seed")
    assert np.isnan(d["weights_measured"].sel(dim=1, direction=1)).all()


def test_arrays_of_a_problem_are_parameters():
    """Weights at the minimum, from the problem at each value."""
    problem = pt.ContrastiveProblem(pt.Features([2.0, 1.0]), pt.AdditiveNoise([1.0, 0.2]))
    axes = {"augmentation.scale[1]": [0.2, 0.4], "features.strength": [1.0, 2.0]}
    found = sweep(problem, axes, train=TRAIN, measure="loss").dataset["loss_predicted"]
    for scale in (0.2, 0.4):
        one = pt.ContrastiveProblem(pt.Features([2.0, 2.0]), pt.AdditiveNoise([1.0, scale]))
        where = {"augmentation.scale[1]": scale, "features.strength": 2.0}
        np.testing.assert_allclose(found.sel(where), pt.layerwise(one.moments(), 2).loss, rtol=1e-5)


def test_a_diverged_run_is_a_code():
    axes = {"learning_rate": [0.01, 1e6]}
    found = sweep(MODEL, axes, **SETTING | {"seeds": 1}).dataset
    names = found["ended"].attrs["flag_meanings"].split()
    assert names[int(found["ended"].sel(learning_rate=1e6, seed=0))] == "diverged"
    assert np.isfinite(found["weights_measured"].values).all()


@pytest.mark.parametrize(
    "train",
    [
        Descent(0.01, 4000, stationarity=1e-3),
        pytest.param(Flow(1e4, rtol=1e-4), marks=pytest.mark.slow),
    ],
)
def test_runs_that_end_early_reach_the_minimum(train):
    """Within the stationarity asked for; indicator and Grams beside their closed forms."""
    axes = {"noise[0]": [0.5, 1.0]}
    quantities = ("weights", "indicator", "imbalance")
    found = sweep(MODEL, axes, train=train, scale=0.7, measure=quantities, downstream=0).dataset
    assert (found["ended"].values == 0).all()
    np.testing.assert_allclose(found["weights_error"], 0, atol=0.02)
    np.testing.assert_allclose(
        found["indicator_measured"].isel(seed=0), found["indicator_predicted"], rtol=0.05
    )


def test_no_closed_form_where_there_is_none():
    """With weight decay, when it is not wanted, and for another loss on views."""
    first, noise = jax.random.normal(jax.random.key(1), (2, 8, 2))

    def views(size):
        return pt.Views(first, first + size * noise)

    decayed = Descent(0.02, steps=40, weight_decay=0.1)
    for problem, axis, other in (
        (MODEL, "noise[0]", {"train": decayed}),
        (MODEL, "noise[0]", {"predict": False}),
        (views, "size", {"loss": "vicreg"}),
    ):
        found = sweep(problem, {axis: NOISE}, **SETTING | {"seeds": 1} | other).dataset
        assert "weights_predicted" not in found
        assert np.isfinite(found["weights_measured"]).all()


def test_plot_draws_a_line_and_markers_for_each_hue(result):
    import matplotlib.pyplot as plt

    ax = result.plot(x="noise[0]", y="weights", hue="learning_rate", layer=1, direction=0)
    assert len(ax.containers) == 2
    curves = [line.get_ydata() for line in ax.lines if len(line.get_ydata()) == 3]
    want = result.dataset["weights_predicted"].sel(layer=1, direction=0, learning_rate=0.01)
    assert any(np.array_equal(curve, want) for curve in curves)
    plt.close("all")
    for bad in ({"x": "nois"}, {"x": "seed"}, {"x": "noise[0]", "y": "weight"}):
        with pytest.raises(ValueError, match="one of"):
            result.plot(**bad)
    plt.close("all")


def call(problem=MODEL, axes=None, **given):
    return sweep(problem, {"noise[0]": NOISE} if axes is None else axes, **SETTING | given)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"axes": {"nois[0]": [1.0]}}, "axes: got 'nois.0.'; .*did you mean 'noise'"),
        ({"axes": {"noise[2]": [1.0]}}, r"axes: got noise\[2\]"),
        ({"axes": {"noise[0]": []}}, r"axes: got noise\[0\] = nothing"),
        ({"axes": {"noise[0]": 3.0}}, r"axes: got noise\[0\] = 3.0"),
        ({"axes": {"noise[0]": ["a"]}}, "axes: noise"),
        ({"axes": {"noise[0]": [1.0, 1.0]}}, "a value twice"),
        ({"axes": {"noise[0]": [-1.0, 1.0]}}, r"axes: noise\[0\] = -1.0: "),
        ({"axes": {"depth": [0]}}, "depth: got 0"),
        ({"axes": {"learning_rate": [0.0, 1.0]}}, "learning_rate: got 0"),
        ({"axes": {"learning_rate": [0.1]}, "train": Flow()}, "axes: got 'learning_rate'"),
        ({"axes": {"noise[0]": NOISE}, "seeds": 10**12}, "axes: got 3,000,000,000,000 runs"),
        ({"seeds": 0}, "seeds: got 0"),
        ({"loss": "spectra"}, "loss: got 'spectra'"),
        ({"start": "random"}, "start: got 'random'"),
        ({"train": "descent"}, "train: got str"),
        ({"measure": ["weight"]}, "measure: got 'weight'; .*did you mean 'weights'"),
        ({"measure": []}, "measure: got nothing"),
        ({"measure": ["indicator"]}, "downstream: got None"),
        ({"predict": {"norm": lambda p: 0.0}}, "predict: got 'norm'"),
        (
            {"measure": ["loss"], "predict": {"loss": lambda p: jnp.zeros(2)}},
            "predict: got loss of shape",
        ),
        ({"shard": (0, 2)}, "out: got None"),
        ({"max_memory": 10}, "max_memory: got 10 bytes; want at least"),
        ({"problem": 3.0}, "problem: got float"),
        ({"problem": lambda noise, d: MODEL()}, "axes: got"),
    ],
)
def test_bad_arguments_are_named(given, message, untyped):
    with pytest.raises(ValueError, match=message):
        call(**given)


def test_foreign_and_changed_stores_are_refused(tmp_path):
    """Nothing in them is overwritten."""
    path = tmp_path / "x.zarr"
    sweep(MODEL, AXES, **SETTING, out=path)
    before = open_sweep(path).dataset.load()
    changed = SETTING | {"train": Descent(0.02, steps=50)}
    with pytest.raises(ValueError, match=r"train\.steps: 40 in the store, 50 now"):
        sweep(MODEL, AXES, **changed, out=path)
    with pytest.raises(ValueError, match=r"axes\.noise\[0\].*: 0\.5 in the store, 0\.6 now"):
        sweep(MODEL, AXES | {"noise[0]": [0.6, 1.0, 1.5]}, **SETTING, out=path)
    assert before.equals(open_sweep(path).dataset.load())
    foreign = tmp_path / "foreign"
    foreign.mkdir()
    (foreign / "notes.txt").write_text("mine")
    with pytest.raises(ValueError, match="which is no Zarr store"):
        sweep(MODEL, AXES, **SETTING, out=foreign)
    assert [p.name for p in foreign.iterdir()] == ["notes.txt"]
    meta = path / "zarr.json"
    content = json.loads(meta.read_text())
    meta.write_text(json.dumps(content)[:-20])
    with pytest.raises(ValueError, match="which is no Zarr store"):
        open_sweep(path)
    del content["attributes"]["projhead_sweep"]
    meta.write_text(json.dumps(content))
    with pytest.raises(ValueError, match="which no sweep of this version has begun"):
        sweep(MODEL, AXES, **SETTING, out=path)
    with pytest.raises(ValueError, match=r"out: got .*nowhere"):
        sweep(MODEL, AXES, **SETTING, out=tmp_path / "nowhere" / "x.zarr")


def test_a_function_without_a_name_does_not_cross(tmp_path):
    from concurrent.futures import ThreadPoolExecutor

    problem = lambda noise: MODEL(noise=jnp.asarray([1.0, 0.2]) * noise)
    with ThreadPoolExecutor(1) as pool, pytest.raises(ValueError, match="executor: got a problem"):
        sweep(problem, {"noise": [1.0]}, out=tmp_path / "x.zarr", executor=pool, train=TRAIN)

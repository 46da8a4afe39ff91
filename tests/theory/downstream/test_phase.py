"""Phase diagrams of pre- and post-projection over two numbers of a problem."""

import equinox as eqx
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from helpers.compiling import compiling

import projhead_theory as pt
from projhead_theory.problems import Compose, Downstream, Mask, SignLabel
from projhead_theory.theory.downstream import (
    best_layer,
    boundary_weight,
    feature_complexity,
    phase_diagram,
    sample_complexity,
)
from projhead_theory.theory.layers import layerwise

STRENGTH, NOISE = [2.0, 1.0, 0.5], [1.0, 0.2, 0.05]
ROTATION = np.linalg.qr(np.random.default_rng(0).normal(size=(3, 3)))[0]


def cast(x):
    return jnp.asarray(x, jnp.result_type(float))


def model(noise, strength):
    """Noise and strength of the middle feature vary."""
    features = pt.Features([2.0, strength, 0.5])
    return pt.ContrastiveProblem(features, pt.AdditiveNoise([1.0, noise, 0.05]))


def rotated(noise, strength):
    features = pt.Features([2.0, strength, 0.5], mixing=cast(ROTATION))
    return pt.ContrastiveProblem(features, pt.AdditiveNoise([1.0, noise, 0.05]))


def disrupted(flip, mask):
    parts = (pt.SignFlip([0, flip, 0]), Mask([0, mask, 0]), pt.AdditiveNoise(NOISE))
    return pt.ContrastiveProblem(pt.Features(STRENGTH), Compose(*parts))


def test_margin_and_best_layer_are_those_of_the_layerwise_prediction():
    """Point by point, from the Grams of the general closed form."""
    x, y = cast([0.1, 1.0, 2.5]), cast([0.3, 2.0])
    diagram = phase_diagram(model, 1, x, y, 3)
    for a, phi in enumerate(y):
        for b, sigma in enumerate(x):
            strength = cast([2.0, phi, 0.5])
            downstream = Downstream(jnp.diag(strength**2), jnp.eye(3)[1] / phi)
            values = sample_complexity(layerwise(model(sigma, phi).moments(), 3).grams, downstream)
            assert float(diagram.margin[a, b]) == pytest.approx(
                float(jnp.log(values[2] / values[1])), abs=1e-5
            )
            assert int(diagram.layer[a, b]) == 1 + int(jnp.argmin(values))


@pytest.mark.x64
def test_every_point_agrees_with_the_best_layer_of_its_problem():
    """A mixed problem with a label on several features, through the general curve."""
    task = lambda noise, strength: pt.DownstreamProblem(
        pt.Features([1.0, strength, 2.0], mixing=cast(ROTATION)),
        pt.problems.LinearLabel([0.5, 1.0, 0.1]),
    )
    x, y = cast([0.1, 1.0]), cast([0.3, 1.0, 2.0])
    diagram = phase_diagram(rotated, task, x, y, 4, head_depth=2)
    for a, b in np.ndindex(3, 2):
        best = best_layer(rotated(x[b], y[a]), task(x[b], y[a]), 4, head_depth=2)
        assert int(diagram.layer[a, b]) == int(best.layer)
        assert float(diagram.margin[a, b]) == pytest.approx(float(best.margin), rel=1e-9)


@pytest.mark.x64
def test_the_boundary_is_the_closed_form():
    diagram = phase_diagram(model, 1, np.linspace(0, 3, 64), np.linspace(0.1, 3, 48), 3)
    points = np.asarray(diagram.boundary())
    star = float(
        boundary_weight(
            cast(STRENGTH) / (cast(STRENGTH) ** 2 + cast(NOISE) ** 2), cast(STRENGTH), 1, 3
        )
    )
    assert len(points) > 30
    np.testing.assert_allclose(
        points[:, 1] / (points[:, 0] ** 2 + points[:, 1] ** 2), star, rtol=1e-13
    )


@pytest.mark.x64
def test_an_orthogonal_mixing_changes_nothing_with_equal_noise():
    def mixed(noise, strength, mixing=None):
        features = pt.Features([2.0, strength, 0.5], mixing=mixing)
        return pt.ContrastiveProblem(features, ambient=pt.AdditiveNoise(noise))

    axes = np.linspace(0.1, 1.5, 6), np.linspace(0.2, 2.5, 5)
    plain, turned = (
        phase_diagram(lambda x, y, q=q: mixed(x, y, q), 1, *axes, 3) for q in (None, cast(ROTATION))
    )
    np.testing.assert_allclose(turned.margin, plain.margin, atol=1e-12)
    np.testing.assert_allclose(turned.tau, plain.tau, atol=1e-9)
    np.testing.assert_allclose(turned.boundary(), plain.boundary(), atol=1e-10)


def test_flips_and_masks_change_the_weights_as_their_moments():
    diagram = phase_diagram(disrupted, 1, cast([0.0, 0.2, 0.5]), cast([0.0, 0.4]), 2)
    phi = cast(STRENGTH)
    for a, mask in enumerate((0.0, 0.4)):
        for b, flip in enumerate((0.0, 0.2, 0.5)):
            cross = phi**2 * cast([1, ((1 - mask) * (1 - 2 * flip)) ** 2, 1])
            second = phi**2 * cast([1, 1 - mask, 1]) + cast(NOISE) ** 2
            want = feature_complexity(jnp.sqrt(cross) / second, phi, 1).margin(2)
            np.testing.assert_allclose(diagram.margin[a, b], want, atol=1e-5)
    assert np.isnan(np.asarray(diagram.margin[:, 2])).all()
    assert (np.asarray(diagram.layer[:, 2]) == 0).all()


def test_downstream_strengths_follow_those_of_training_unless_they_are_given():
    def problem(noise, strength):
        features = pt.Features([strength, 1.0, 0.5])
        return pt.ContrastiveProblem(features, pt.AdditiveNoise([1.0, noise, 0.05]))

    x, y = cast([0.1]), cast([0.2, 3.0])
    fixed = pt.DownstreamProblem(pt.Features(cast(STRENGTH)), SignLabel(1))
    weights = lambda phi: jnp.stack(
        [phi / (phi**2 + 1), 1 / (1 + cast(0.1) ** 2), cast(0.5 / 0.2525)]
    )
    for task, after in (
        (1, lambda phi: phi),
        (SignLabel(1), lambda phi: phi),
        (fixed, lambda _: 2),
    ):
        diagram = phase_diagram(problem, task, x, y, 2)
        for a, phi in enumerate(y):
            strength = jnp.stack([cast(after(phi)), cast(1.0), cast(0.5)])
            want = feature_complexity(weights(phi), strength, 1).margin(2)
            assert float(diagram.margin[a, 0]) == pytest.approx(float(want), abs=1e-5)


def test_the_downstream_task_alone_may_vary():
    task = lambda first, last: pt.DownstreamProblem(pt.Features([first, 1.0, last]), SignLabel(1))
    diagram = phase_diagram(model(0.2, 1.0), task, cast([0.5, 2.0]), cast([0.5]), 2)
    assert float(diagram.margin[0, 0]) != float(diagram.margin[0, 1])
    assert diagram.names == ("first", "last")


def test_a_tie_at_the_cut_and_a_target_beyond_it_are_lost():
    def tied(noise, strength):
        return pt.ContrastiveProblem(pt.Features([1.0, strength]), pt.AdditiveNoise([0.5, noise]))

    for problem in (tied, lambda x, y: tied(x, y).moments()):
        task = 0 if problem is tied else Downstream(np.eye(2), [1.0, 0.0])
        diagram = phase_diagram(problem, task, cast([0.1, 0.5, 1.0]), cast([1.0]), 2, width=1)
        assert np.isnan(np.asarray(diagram.margin[0])).tolist() == [True, True, False]


def test_downstream_inputs_that_do_not_vary_have_a_curve_only_where_nothing_mixes():
    """Without variance along an axis: the axis is a mode of one problem and not of the other."""
    flat = Downstream(np.diag([1.0, 1.0, 0.0]), [0.0, 1.0, 0.0])
    x, y = cast([0.1, 0.5]), cast([1.0])
    apart = phase_diagram(model, flat, x, y, 2)
    want = best_layer(model(x[0], y[0]), flat, 2).margin
    assert float(apart.margin[0, 0]) == pytest.approx(float(want), abs=1e-5)
    with pytest.raises(ValueError, match=r"^downstream: got inputs that do not vary .*; want "):
        phase_diagram(rotated, flat, x, y, 2)


class Model(eqx.Module):
    """A problem of two numbers, with an array that is not one of them."""

    others: jax.Array

    def __call__(self, noise, strength):
        features = pt.Features([2.0, strength, 0.5])
        scale = jnp.concatenate([self.others[:1], noise[None], self.others[1:]])
        return pt.ContrastiveProblem(features, pt.AdditiveNoise(scale))


def test_other_values_do_not_compile_again():
    diagram = lambda others, x, y: phase_diagram(Model(cast(others)), 1, cast(x), cast(y), 2)
    first = diagram([1.0, 0.05], [0.5, 1.0], [1.0])
    axes, again = compiling(lambda: diagram([1.0, 0.05], [0.1, 2.0], [3.0]))
    model, once_more = compiling(lambda: diagram([0.3, 0.05], [0.5, 1.0], [1.0]))
    assert again + once_more == []
    assert len({float(d.margin[0, 0]) for d in (first, axes, model)}) == 3


def test_a_function_is_compiled_once_for_all_values():
    diagram = lambda x: phase_diagram(rotated, 1, cast(x), cast([0.5, 2.0]), 2)
    grid = lambda names: [name for name in names if "grid" in name]
    _, first = compiling(lambda: diagram([0.1, 0.5]).boundary())
    _, second = compiling(lambda: diagram([0.7, 0.9]).boundary())
    assert grid(first)
    assert not grid(second)


def test_axes_are_named_after_the_arguments():
    import matplotlib.pyplot as plt

    diagram = phase_diagram(model, 1, cast([0.5, 1.0]), cast([1.0, 2.0, 3.0]), 2)
    data = diagram.to_xarray()
    assert data["margin"].dims == ("y", "x")
    assert (data.attrs["x"], data.attrs["y"]) == ("noise", "strength")
    ax = diagram.plot()
    assert (ax.get_xlabel(), ax.get_ylabel()) == ("noise", "strength")
    plt.close(ax.figure)
    named = phase_diagram(model, 1, [0.5], [1.0], 2, names=("scale", "size"))
    assert named.names == ("scale", "size")
    assert phase_diagram(lambda *at: model(*at), 1, [0.5], [1.0], 2).names == ("x", "y")


SMALL = Downstream(np.eye(2), [1.0, 0.0])


@pytest.mark.parametrize(
    ("call", "names"),
    [
        (lambda: phase_diagram(model, 1, [1.0, 0.5], [1.0], 2), "x"),
        (lambda: phase_diagram(model, 1, [0.5], [[1.0]], 2), "y"),
        (lambda: phase_diagram(model, 1, [0.5], [0.0, 1.0], 2), "strength"),
        (lambda: phase_diagram(disrupted, 1, [1.1], [0.5], 2), "probability"),
        (lambda: phase_diagram(model, 1, [0.5], [1.0], 2, head_depth=3), "head_depth"),
        (lambda: phase_diagram(model, 3, [0.5], [1.0], 2), "downstream"),
        (lambda: phase_diagram(model, 1.0, [0.5], [1.0], 2), "downstream"),
        (
            lambda: phase_diagram(model, Downstream(np.eye(2), [1, 0]), [0.5], [1.0], 2),
            "downstream",
        ),
        (lambda: phase_diagram(model(0.1, 1.0), 1, [0.5], [1.0], 2), "problem"),
        (lambda: phase_diagram(lambda x, y: None, 1, [0.5], [1.0], 2), "problem"),
        (lambda: phase_diagram(lambda x, y: model(*sorted((x, y))), 1, [1], [1], 2), "problem"),
        (lambda: phase_diagram(lambda x, y: model(np.sqrt(x), y), 1, [1], [1], 2), "problem"),
        (lambda: phase_diagram(model, lambda x, y: int(x), [1], [1], 2), "downstream"),
    ],
)
def test_bad_input_is_named(call, names):
    with pytest.raises(ValueError, match=f"^{names}: got .*; want "):
        call()

"""Networks trained on NT-Xent, and their distances from two closed forms."""

import jax
import numpy as np
import pytest

import projhead_theory as pt
from projhead_theory.experiments import cosine_gap

pytestmark = [pytest.mark.x64, pytest.mark.usefixtures("standard_promotion")]

KEY = jax.random.key(0)


@pytest.fixture(scope="module")
def gap(standard_promotion):
    return cosine_gap([0.25, 1.0], [12], key=KEY, seeds=2, steps=400, batch_size=64)


def test_shares_follow_the_temperature_as_cosines_do(gap):
    """With few features neither is exact, but the one that knows of the cosine is nearer."""
    assert (gap.cosines < gap.products).all()


def test_a_distance_lies_between_nothing_and_all(gap):
    for distances in (gap.cosines, gap.products):
        assert distances.shape == (2, 1, 2)
        assert ((distances > 0) & (distances < 1)).all()


def test_means_have_intervals(gap):
    """Student's, over the seeds."""
    half = gap.half_widths[0][0, 0]
    a, b = np.asarray(gap.cosines)[0, 0]
    assert np.isclose(half, 12.7062 * abs(a - b) / 2, rtol=1e-4)


def test_the_same_key_gives_the_same_numbers(gap):
    again = cosine_gap([0.25, 1.0], [12], key=KEY, seeds=2, steps=400, batch_size=64)
    np.testing.assert_array_equal(again.cosines, gap.cosines)


def test_results_have_arrays_a_dictionary_and_a_figure(gap):
    data, arrays, figure = gap.to_dict(), gap.to_xarray(), gap.plot().figure
    assert data["cosines"]["mean"] == np.asarray(gap.cosines.mean(axis=-1)).tolist()
    assert arrays.products.dims == ("temperature", "features", "seed")
    assert [text.get_text() for text in figure.axes[0].get_legend().get_texts()] == [
        "cosines, 12 features",
        "inner products, 12 features",
    ]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"temperature": [0.0]}, "temperature: "),
        ({"temperature": 1.0}, r"temperature: got shape \(\)"),
        ({"features": []}, "features: got none"),
        ({"features": [1]}, "features: got 1"),
        ({"seeds": 1}, "seeds: got 1"),
        ({"steps": 0}, "steps: got 0"),
        ({"batch_size": 1}, "batch_size: got 1"),
        ({"confidence": 1.0}, "confidence: got 1.0"),
    ],
)
def test_bad_arguments_are_named(change, message):
    arguments = {"temperature": [1.0], "features": [4]} | change
    with pytest.raises(ValueError, match=message):
        cosine_gap(arguments.pop("temperature"), arguments.pop("features"), key=KEY, **arguments)


def test_an_annealed_optimiser_ends_at_rest():
    rate = pt.simulation.annealed(4)(0.1)
    weights = np.ones(3)
    state, sizes = rate.init(weights), []
    for _ in range(5):
        update, state = rate.update(weights, state, weights)
        sizes.append(float(np.abs(update).max()))
    assert sizes[0] > sizes[2] > sizes[4] == 0

"""The registry of claims, and chance, which all of its tests share."""

import pytest
from helpers.toys import CUBED, toy

from projhead_theory.claims import (
    FAMILY_ERROR,
    check,
    compare_values,
    family_level,
)
from projhead_theory.theorems import CLAIMS, find, register, verify

pytestmark = pytest.mark.x64


def test_unknown_claim_suggests_the_nearest():
    with pytest.raises(
        ValueError,
        match=r"^claim: got 'layerwise-lwa', which is unknown; did you mean 'layerwise-law'\?",
    ):
        find(["layerwise-lwa"])
    assert [c.name for c in find(["balancedness", "balancedness"])] == ["balancedness"]
    assert len(find()) == len(CLAIMS)


@pytest.fixture
def registry():
    """The registry, put back as it was."""
    before = dict(CLAIMS)
    yield CLAIMS
    CLAIMS.clear()
    CLAIMS.update(before)


def test_a_registered_claim_is_found(registry):
    """Under its name, in `find`, and last of all; registering it again changes nothing."""
    claim = toy(CUBED)
    assert register(claim) is claim
    assert register(claim) is claim
    assert find(["toy"]) == [claim]
    assert find()[-1] is claim
    (result,) = verify("toy")
    assert result.verified


def test_a_second_claim_of_one_name_is_refused(registry):
    register(toy())
    with pytest.raises(ValueError, match="got the name 'toy', which another claim has"):
        register(toy())
    with pytest.raises(ValueError, match="'layerwise-law', which another claim has"):
        register(toy(name="layerwise-law"))
    assert registry["layerwise-law"].statement != "A square is a square."


def levelled(levels, **fields):
    """A claim of three significance tests on each of four problems, that keeps the levels it is
    given.
    """

    def compare(predicted, measured, level=None):
        levels.append(level)
        return compare_values(predicted, measured.value, measured.errors)

    return toy(compare=compare, tests=3, **fields)


def test_chance_is_shared_among_all_tests(registry):
    """Bonferroni: the levels of all tests of all problems of a whole run add up to `FAMILY_ERROR`,
    however it is called.
    """
    alone, first, second = [], [], []
    check(levelled(alone))
    assert alone == [FAMILY_ERROR / 12] * 4
    assert sum(alone) * 3 == pytest.approx(FAMILY_ERROR)
    register(levelled(first, name="first"))
    register(levelled(second, name="second"))
    register(toy())
    list(verify("first", "second", "toy"))
    assert first == second == [FAMILY_ERROR / 24] * 4
    assert 3 * sum(first + second) == pytest.approx(FAMILY_ERROR)
    first.clear()
    list(verify("first", "second", "toy", quick=True))
    assert first == [FAMILY_ERROR / 12] * 2
    first.clear()
    check(levelled(first), level=0.25)
    assert first == [0.25] * 4


def test_controls_are_judged_at_the_level_of_the_claim():
    levels = []
    check(levelled(levels, controls=(CUBED,)), quick=True)
    assert levels == [FAMILY_ERROR / 6] * 3


def test_family_level_counts_the_library_s_tests():
    """Three claims test significance: finite-sample, 4 tests for each of its weights, that on
    support vector machines, and one test of a rate.
    """
    sample, curves = CLAIMS["finite-sample"], CLAIMS["measured-sample-complexity"]
    rate = CLAIMS["gaussian-start"]
    assert {c.name for c in find() if c.tests} == {sample.name, curves.name, rate.name}
    quick = sample.tests + 2 * curves.tests + rate.tests
    assert family_level(find(), quick=True) == FAMILY_ERROR / quick
    full = 2 * sample.tests + 20 * curves.tests + 3 * rate.tests
    assert family_level(find()) == FAMILY_ERROR / full
    assert family_level([toy()]) == FAMILY_ERROR
    assert sample.at_level(0.5).compare.keywords == {"level": 0.5}
    plain = toy()
    assert plain.at_level(0.5) is plain

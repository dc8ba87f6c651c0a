import pytest

from imos_engine.adapters import LearnedCase
from imos_engine.adapters.plateau import LAST, WORTH, recent_gain
from tests.engine.adapters.made import made_card


def cards(*gains, spread=0.004, accepted=True, provisional=False, new=2):
    """Versions of these gains, each of which learned from `new` labels more than the one before."""
    return [
        made_card(
            version=number,
            cases=tuple(
                LearnedCase(image_sha256=str(label), label_sha256=str(label), role="training")
                for label in range(4 + new * number)
            ),
            metrics={"overall": {"before": 0.7, "after": 0.7 + gain, "low": gain - spread, "high": gain + spread}},
            accepted=accepted,
            provisional=provisional,
        )
        for number, gain in enumerate(gains, start=1)
    ]


def test_versions_that_keep_gaining_have_not_reached_the_end():
    gain = recent_gain(cards(0.05, 0.03, 0.04, 0.03))
    assert gain.mean == pytest.approx(0.1 / 3)
    assert gain.low < gain.mean < gain.high
    assert gain.labels == 2 * LAST
    assert not gain.has_ended


def test_versions_that_gain_nothing_have_reached_it_whatever_the_first_ones_gained():
    gain = recent_gain(cards(0.2, 0.1, 0.002, -0.001, 0.003))
    assert gain.has_ended
    assert gain.high < WORTH


def test_what_may_be_chance_is_no_end():
    assert not recent_gain(cards(0.0, 0.0, 0.0, spread=0.05)).has_ended


def test_several_versions_tell_more_than_one():
    """Half-widths of independent numbers: those of the mean of three are the square root of three times smaller."""
    gain = recent_gain(cards(0.0, 0.0, 0.0, spread=0.009))
    assert gain.high == pytest.approx(0.009 / 3**0.5)


@pytest.mark.parametrize(
    "told",
    [cards(0.0, 0.0), cards(0.0, 0.0, 0.0, provisional=True), cards(0.0, 0.0, 0.0, 0.0, new=0), []],
    ids=["too few", "provisional", "the same labels again", "none"],
)
def test_without_enough_versions_that_learned_from_more_nothing_is_said(told):
    assert recent_gain(told) is None


def test_a_version_that_was_refused_changed_nothing():
    gain = recent_gain(cards(-0.3, -0.3, -0.3, accepted=False))
    assert gain.mean == 0
    assert gain.has_ended
    assert not recent_gain(cards(-0.01, -0.01, -0.01, spread=0.1, accepted=False)).has_ended

import pytest

from imos_engine.adapters.gate import GateRules, Pair, change_of, judge

RULES = GateRules()


def pairs(*differences, label="liver"):
    return [
        Pair(image=str(number), label=label, before=0.7, after=0.7 + difference)
        for number, difference in enumerate(differences)
    ]


@pytest.mark.parametrize(
    ("measured", "known_looks", "passes"),
    [
        (pairs(0.1, 0.05), (0.8, 0.8), True),
        (pairs(0.0, 0.0), (0.8, 0.8), True),
        (pairs(0.1, -0.05), (0.8, 0.79), True),
        (pairs(-0.1, 0.05), (0.8, 0.8), False),
        (pairs(0.1, 0.1, 0.1) + pairs(-0.03, label="spleen"), (0.8, 0.8), False),
        (pairs(0.1, 0.1, 0.1) + pairs(-0.01, label="spleen"), (0.8, 0.8), True),
        (pairs(0.1, 0.05), (0.8, 0.7), False),
        (pairs(0.1, 0.05), None, True),
        ([], (0.8, 0.8), False),
    ],
    ids=[
        "better", "equal", "one worse", "worse", "one label worse", "within the margin", "forgot", "unknown", "nothing",
    ],
)  # fmt: skip
def test_only_who_is_not_worse_passes(measured, known_looks, passes):
    verdict = judge(measured, known_looks=known_looks, rules=RULES)
    assert verdict.passes is passes
    assert ("passes" in verdict.reasons[0]) is passes


def test_a_refusal_names_what_fell():
    verdict = judge(pairs(0.2, 0.2) + pairs(-0.1, label="spleen"), known_looks=(0.8, 0.5), rules=RULES)
    assert "spleen fell from 0.700 to 0.600" in verdict.reasons[0]
    assert "random sequences" in verdict.reasons[0]


def test_a_change_is_the_mean_of_its_pairs_and_lies_in_its_interval():
    change = change_of(pairs(0.1, -0.02, 0.04, 0.0))
    assert change.difference == pytest.approx(0.03)
    assert change.low < 0.03 < change.high
    assert change.pairs == 4
    assert (change_of(pairs(0.1)).low, change_of(pairs(0.1)).high) == pytest.approx((0.1, 0.1))

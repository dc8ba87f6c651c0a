from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from imos_engine.propagation.schedule import forward_weight, frame_order, stretches
from imos_engine.sequence import BOTH_DIRECTIONS, Direction


@pytest.mark.parametrize("frame_range", [(0, 6), (2, 5), (3, 3)])
@pytest.mark.parametrize("start", [0, 3, 6])
def test_both_directions_together_visit_every_frame_once(start, frame_range):
    first, last = frame_range
    start = min(max(start, first), last)
    forward = frame_order(start, frame_range, Direction.FORWARD)
    backward = frame_order(start, frame_range, Direction.BACKWARD)
    assert sorted({*forward, *backward}) == list(range(first, last + 1))
    assert set(forward) & set(backward) == {start}


@pytest.mark.parametrize("direction", Direction)
def test_each_direction_starts_on_the_seed_and_moves_one_frame_at_a_time(direction):
    order = list(frame_order(4, (0, 9), direction))
    assert order[0] == 4
    assert {after - before for before, after in pairwise(order)} == {direction.value}


def test_between_two_annotated_frames_the_nearer_one_weighs_more():
    assert [forward_weight(index, [2, 6]) for index in (3, 4, 5)] == [0.75, 0.5, 0.25]


def test_beyond_the_annotated_frames_only_the_pass_that_comes_from_them_counts():
    assert [forward_weight(index, [4, 7]) for index in (0, 3)] == [0.0, 0.0]
    assert [forward_weight(index, [4, 7]) for index in (8, 30)] == [1.0, 1.0]


@pytest.mark.parametrize("given", [[5], [0, 5], [5, 9], [0, 5, 9]])
def test_no_pass_counts_on_an_annotated_frame(given):
    assert forward_weight(5, given) is None


def test_only_the_neighbouring_annotated_frames_matter():
    for index in range(4, 8):
        assert forward_weight(index, [0, 1, 3, 8, 20]) == forward_weight(index, [3, 8])


def test_weights_mirror_when_the_sequence_is_reversed():
    given, last = [2, 3, 9], 12
    for index in range(last + 1):
        weight, mirrored = forward_weight(index, given), forward_weight(last - index, [3, 9, 10])
        assert mirrored == (None if weight is None else pytest.approx(1 - weight))


@pytest.mark.parametrize("directions", [BOTH_DIRECTIONS, {Direction.FORWARD}, {Direction.BACKWARD}])
def test_a_change_is_seen_up_to_the_kept_frames_around_it(directions):
    random = np.random.default_rng(0)
    for _ in range(60):
        role = random.choice(["changed", "kept", "free", "free", "free"], 15)
        changed, kept = (set(np.flatnonzero(role == name).tolist()) for name in ("changed", "kept"))
        first, last = sorted(random.integers(0, 15, 2).tolist())

        def sees(frame, one, kept=kept):
            between = range(min(frame, one), max(frame, one) + 1)
            way = Direction.FORWARD if frame > one else Direction.BACKWARD
            return not kept.intersection(between) and (frame == one or way in directions)

        expected = [frame for frame in range(first, last + 1) if any(sees(frame, one) for one in changed)]
        found = stretches(changed, kept, (first, last), frozenset(directions))
        assert [frame for start, stop in found for frame in range(start, stop + 1)] == expected

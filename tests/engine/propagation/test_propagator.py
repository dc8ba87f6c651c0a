from __future__ import annotations

import numpy as np
import pytest

from imos_engine.config import Precision
from imos_engine.propagation.schedule import forward_weight
from imos_engine.sequence import BOTH_DIRECTIONS, Direction, FrameSequence, Seed
from tests.engine.sequences import GREY, moving_frames, moving_images, seed_on

from .carrying import BACKWARD, FORWARD, nearly_same, propagate, propagator_of, same


@pytest.mark.parametrize("case", range(12))
def test_every_frame_of_the_range_is_yielded_once_whatever_is_asked(case):
    random = np.random.default_rng(case)
    count = int(random.integers(1, 9))
    first, last = sorted(int(index) for index in random.integers(0, count, 2))
    inside = int(random.integers(first, last + 1))
    indices = {inside, *(int(index) for index in random.integers(0, count, 2))}
    seeds = [seed_on(index, *random.choice([1, 2, 5], size=random.integers(1, 3), replace=False)) for index in indices]
    propagator = propagator_of(end_after=None if case % 2 else 1)
    directions = (BOTH_DIRECTIONS, FORWARD, BACKWARD)[case % 3]
    results = propagate(
        moving_frames(count), seeds, propagator=propagator, directions=directions, frame_range=(first, last)
    )
    assert sorted(results) == list(range(first, last + 1))
    known = {0, *(object_id for seed in seeds for object_id in seed.objects)}
    for result in results.values():
        assert result.labels.shape == (48, 64)
        assert set(np.unique(result.labels)) <= known
        assert result.confidence.keys() == known - {0}
        assert all(0 <= sure <= 1 for sure in result.confidence.values())


@pytest.mark.parametrize("settings", [{}, {"size": 40}, {"size": 40, "precision": Precision.BFLOAT16}])
def test_annotated_frames_come_back_exactly_as_given(settings):
    crumbs = np.random.default_rng(0).choice([0, 3, 9], (48, 64))  # resizing would lose them
    seeds = [seed_on(1, 3, 9), Seed(index=4, labels=crumbs, objects=frozenset({3, 9})), seed_on(6, 3, objects={3, 9})]
    results = propagate(moving_frames(8), seeds, propagator=propagator_of(**settings))
    for seed in seeds:
        assert np.array_equal(results[seed.index].labels, seed.labels)
        assert results[seed.index].confidence == {3: 1.0, 9: 1.0}


def test_beside_what_was_given_other_objects_are_predicted_on_an_annotated_frame():
    seeds = [seed_on(0, 1, 2), seed_on(4, 1, objects={1}, offset=5)]
    result = propagate(moving_frames(8), seeds, directions=FORWARD)[4]
    assert np.array_equal(result.labels == 1, seeds[1].labels == 1)
    assert (result.labels == 2).any()
    assert result.confidence[1] == 1.0


def test_an_object_declared_absent_is_absent_there():
    seeds = [seed_on(0, 1, 2), seed_on(4, 1, objects={1, 2})]
    result = propagate(moving_frames(8), seeds)[4]
    assert not (result.labels == 2).any()
    assert result.confidence[2] == 1.0


@pytest.mark.parametrize("index", [0, 2, 5])
def test_a_seed_that_speaks_about_no_object_changes_nothing(index):
    seed, silent = seed_on(3, 1), Seed(index=index, labels=np.zeros((48, 64), np.uint8), objects=frozenset())
    assert same(propagate(moving_frames(6), [seed, silent]), propagate(moving_frames(6), [seed]))


def test_an_object_that_enters_later_is_nowhere_before():
    seeds = [seed_on(0, 1), seed_on(4, 2, objects={2})]
    results = propagate(moving_frames(8), seeds, directions=FORWARD)
    assert not any((results[index].labels == 2).any() for index in range(4))
    assert any((results[index].labels == 2).any() for index in range(5, 8))


def test_an_object_that_enters_later_is_carried_backward_before_its_entry():
    seeds = [seed_on(0, 1), seed_on(4, 2, objects={2})]
    results = propagate(moving_frames(6), seeds)
    assert any((results[index].labels == 2).any() for index in range(4))


def test_one_direction_leaves_the_frames_on_the_other_side_empty():
    forward = propagate(moving_frames(7), [seed_on(3, 1)], directions=FORWARD)
    backward = propagate(moving_frames(7), [seed_on(3, 1)], directions=BACKWARD)
    assert not any(forward[index].labels.any() for index in range(3))
    assert not any(backward[index].labels.any() for index in range(4, 7))
    both = propagate(moving_frames(7), [seed_on(3, 1)])
    for index in range(7):
        expected = forward if index >= 3 else backward
        assert np.array_equal(both[index].labels, expected[index].labels)


def test_a_frame_that_only_the_forward_pass_reached_gets_its_answer(monkeypatch):
    propagator, frames, seeds = propagator_of(), moving_frames(8), [seed_on(0, 1), seed_on(7, 1, offset=6)]
    passes = {direction: list(propagator.sweep(frames, seeds, direction)) for direction in Direction}
    early_end = {Direction.FORWARD: passes[Direction.FORWARD], Direction.BACKWARD: passes[Direction.BACKWARD][:3]}
    monkeypatch.setattr(
        propagator, "_pass", lambda run, direction: ((step.index, {0: step}) for step in early_end[direction])
    )
    results = propagate(frames, seeds, propagator=propagator)
    assert sorted(results) == list(range(8))
    for step in passes[Direction.FORWARD][1:5]:
        assert ((step.probabilities[1] > 0.5).numpy() == results[step.index].labels).mean() > 0.99


def test_between_two_seeds_both_passes_are_blended_by_distance():
    frames, seeds, propagator = moving_frames(6), [seed_on(0, 1), seed_on(5, 1, offset=6)], propagator_of()
    passes = {
        direction: {step.index: step.probabilities[1] for step in propagator.sweep(frames, seeds, direction)}
        for direction in Direction
    }
    results = propagate(frames, seeds)
    for index in range(1, 5):
        share = forward_weight(index, [0, 5])
        blended = share * passes[Direction.FORWARD][index] + (1 - share) * passes[Direction.BACKWARD][index]
        assert ((blended > 0.5).numpy() == results[index].labels).mean() > 0.99


def test_a_reversed_sequence_gives_the_reversed_answer():
    images, seed = moving_images(7), seed_on(2, 1, 2)
    mirrored = Seed(index=4, labels=seed.labels, objects=seed.objects)
    forward = propagate(FrameSequence(images, GREY), [seed])
    backward = propagate(FrameSequence(images[::-1], GREY), [mirrored])
    assert all(np.array_equal(forward[index].labels, backward[6 - index].labels) for index in range(7))


def test_the_values_of_ids_do_not_matter():
    def renamed(seed: Seed) -> Seed:
        return Seed(index=seed.index, labels=seed.labels * 300, objects=frozenset(300 * key for key in seed.objects))

    seeds = [seed_on(1, 1, 2), seed_on(5, 2)]
    plain = propagate(moving_frames(7), seeds)
    other = propagate(moving_frames(7), [renamed(seed) for seed in seeds])
    for index in range(7):
        assert np.array_equal(plain[index].labels.astype(int) * 300, other[index].labels)
    assert plain[0].labels.dtype == np.uint8
    assert other[0].labels.dtype == np.uint16


def test_the_order_in_which_seeds_are_given_does_not_matter():
    seeds = [seed_on(1, 1, 2), seed_on(3, 2), seed_on(6, 1, offset=5)]
    assert nearly_same(propagate(moving_frames(8), seeds), propagate(moving_frames(8), seeds[::-1]))


def test_a_seed_outside_the_range_still_informs_the_frames_inside():
    near, far = seed_on(1, 1), seed_on(6, 1, offset=6)
    alone = propagate(moving_frames(7), [near], frame_range=(0, 4))
    informed = propagate(moving_frames(7), [near, far], frame_range=(0, 4))
    assert sorted(informed) == [0, 1, 2, 3, 4]
    assert not same(alone, informed)


@pytest.mark.parametrize("size", [(37, 53), (16, 100), (5, 7)])
@pytest.mark.parametrize("internal", [None, 40])
@pytest.mark.parametrize("colour", [False, True])
def test_frames_of_any_size_and_colour_are_answered_at_their_own_size(size, internal, colour):
    seed = seed_on(1, 1, size=size)
    results = propagate(moving_frames(3, *size, colour=colour), [seed], propagator=propagator_of(size=internal))
    assert {result.labels.shape for result in results.values()} == {size}
    assert np.array_equal(results[1].labels, seed.labels)


def test_a_single_frame_comes_back_as_given():
    seed = seed_on(0, 1, 2)
    assert np.array_equal(propagate(moving_frames(1), [seed])[0].labels, seed.labels)


def test_bfloat16_gives_nearly_the_same_labels():
    seeds = [seed_on(0, 1), seed_on(5, 1)]
    exact = propagate(moving_frames(6), seeds)
    fast = propagate(moving_frames(6), seeds, propagator=propagator_of(precision=Precision.BFLOAT16))
    assert nearly_same(exact, fast, share=0.9)

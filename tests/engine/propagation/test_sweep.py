from __future__ import annotations

import pytest
import torch

from imos_engine.config import MemoryConfig, Precision, PropagationConfig
from imos_engine.memory import MemoryStore
from imos_engine.propagation import Propagator, sweep
from imos_engine.propagation.group_seeds import GroupSeeds, SeedMasks
from imos_engine.propagation.sweep import impose
from imos_engine.sequence import Direction
from tests.engine.narrow import narrow_network
from tests.engine.sequences import moving_frames, seed_on

SETTINGS = {"size": None, "window": None, "precision": Precision.FLOAT32, "end_after": None, "encode_batch": 1}
MEMORY = MemoryConfig(
    write_every=2, max_working_frames=4, min_working_frames=2, prototypes=6, max_long_term=20, read_top_k=5
)


def steps(count, seeds, direction=Direction.FORWARD, *, memory=MEMORY, **settings):
    propagator = Propagator(narrow_network(), memory=memory, settings=PropagationConfig(**SETTINGS | settings))
    return list(propagator.sweep(moving_frames(count), seeds, direction))


def seed_masks(*, given):
    masks = torch.zeros(2, 4, 4)
    masks[0, :2] = 1
    return SeedMasks(masks=masks, given=torch.tensor(given))


def test_the_users_masks_win_over_the_prediction_everywhere():
    imposed = impose(seed_masks(given=[True, True]), torch.rand(2, 4, 4))
    assert torch.equal(imposed.argmax(0), torch.tensor([[1] * 4] * 2 + [[0] * 4] * 2))


def test_an_object_that_the_user_did_not_speak_about_keeps_its_prediction_beside_the_given_ones():
    predicted = torch.stack((torch.rand(4, 4), torch.full((4, 4), 0.9)))
    imposed = impose(seed_masks(given=[True, False]), predicted)
    assert (imposed.argmax(0) == torch.tensor([1, 1, 2, 2])[:, None]).all()
    assert imposed[2, :2].max() < 1e-5


def test_where_a_given_mask_is_soft_it_still_wins_over_what_was_predicted():
    soft = SeedMasks(masks=torch.stack((torch.full((4, 4), 0.6), torch.zeros(4, 4))), given=torch.tensor([True, False]))
    imposed = impose(soft, torch.full((2, 4, 4), 0.9))
    assert (imposed.argmax(0) == 1).all()
    assert imposed[2].max() < 1e-5


@pytest.mark.parametrize("direction", Direction)
def test_a_sweep_visits_frames_in_its_direction_from_the_first_seed_it_meets(direction):
    found = [step.index for step in steps(7, [seed_on(2, 1), seed_on(4, 1)], direction)]
    assert found == ([2, 3, 4, 5, 6] if direction is Direction.FORWARD else [4, 3, 2, 1, 0])


def test_every_step_is_a_distribution_over_background_and_objects():
    for step in steps(6, [seed_on(0, 1, 2)]):
        assert step.probabilities.shape == (3, 48, 64)
        torch.testing.assert_close(step.probabilities.sum(0), torch.ones(48, 64))


def test_objects_exist_only_from_the_frame_on_which_they_were_first_given():
    for step in steps(8, [seed_on(0, 1), seed_on(4, 2, objects={2})]):
        assert step.entered.tolist() == [True, step.index >= 4]
        assert (step.probabilities[2].max() > 0.01) == (step.index >= 4)


@pytest.mark.parametrize("preload_seeds", [True, False])
def test_before_an_object_was_given_its_absence_is_not_remembered(monkeypatch, preload_seeds):
    told = []

    class WatchedStore(MemoryStore):
        def write(self, *arguments, known, permanent=False):
            told.append(known.tolist())
            super().write(*arguments, known=known, permanent=permanent)

    monkeypatch.setattr(sweep, "MemoryStore", WatchedStore)
    steps(8, [seed_on(0, 1), seed_on(4, 2, objects={2})], preload_seeds=preload_seeds)
    first, second = [True, False], [False, True]
    beforehand = [first, second]
    expected = (
        [*beforehand, first, first, [True, True]] if preload_seeds else [first, first, [True, True], [True, True]]
    )
    assert told == expected  # on frames 0, 2, 4 and 6; what was given beforehand is not written twice


@pytest.mark.parametrize("end_after", [1, 3])
def test_a_sweep_ends_once_nothing_has_been_visible_for_long_enough_and_resumes_at_the_next_seed(end_after):
    network = narrow_network()
    with torch.no_grad():
        network.decoder.pred.bias.fill_(-100)  # predicts nothing, ever
    propagator = Propagator(network, settings=PropagationConfig(**SETTINGS | {"end_after": end_after}))
    seeds = [seed_on(0, 1), seed_on(8, 1)]
    visited = [step.index for step in propagator.sweep(moving_frames(16), seeds, Direction.FORWARD)]
    assert visited == [*range(end_after + 1), *range(8, 9 + end_after)]


def test_an_object_counts_as_visible_only_with_enough_pixels_of_its_own():
    seeds = [seed_on(0, 1, 2)]
    pixels = [step.probabilities.argmax(0).flatten().bincount(minlength=3)[1:] for step in steps(8, seeds)[1:]]
    smallest = int(max(both.max() for both in pixels[:2])) + 1  # neither object has as many on frames 1 and 2
    assert all(both.sum() >= smallest for both in pixels)
    assert len(steps(8, seeds, end_after=2, min_pixels=smallest)) == 1 + 2
    assert len(steps(8, seeds, end_after=2, min_pixels=1)) == 8


def test_memory_frames_are_written_at_seeds_and_at_intervals_and_never_last():
    sizes = [step.memory_sizes[0] // 12 for step in steps(7, [seed_on(0, 1), seed_on(3, 1)], preload_seeds=False)]
    assert sizes == [1, 1, 2, 3, 3, 4, 4]  # frames 0, 2, 3, 5; the last would be due at 7
    assert [step.memory_sizes[0] // 12 for step in steps(3, [seed_on(0, 1)])] == [1, 1, 1]


def test_memory_stays_bounded_over_long_sequences():
    sizes = [step.memory_sizes for step in steps(80, [seed_on(0, 1)])]
    assert max(working for working, _ in sizes) <= (MEMORY.max_working_frames - 1) * 12
    assert max(long_term for _, long_term in sizes) == MEMORY.max_long_term


def test_what_was_predicted_beside_a_given_object_does_not_stay_for_good():
    seeds = [seed_on(0, 1, 2), *(seed_on(index, 1, objects={1}) for index in range(2, 40, 2))]
    working = max(step.memory_sizes[0] for step in steps(40, seeds))
    assert working <= (len(seeds) + MEMORY.max_working_frames - 1) * 12


def test_a_sweep_in_which_every_seed_is_known_beforehand_equals_one_that_meets_its_only_seed():
    for known, met in zip(
        steps(8, [seed_on(0, 1, 2)], preload_seeds=True),
        steps(8, [seed_on(0, 1, 2)], preload_seeds=False),
        strict=True,
    ):
        torch.testing.assert_close(known.probabilities, met.probabilities)
        assert known.memory_sizes == met.memory_sizes


def test_both_directions_share_what_they_make_of_a_seed(monkeypatch):
    made = []
    make = GroupSeeds._entry
    monkeypatch.setattr(GroupSeeds, "_entry", lambda seeds, index: (made.append(index), make(seeds, index))[1])
    propagator = Propagator(narrow_network(), memory=MEMORY, settings=PropagationConfig(**SETTINGS))
    list(propagator.propagate(moving_frames(8), [seed_on(2, 1), seed_on(5, 1)]))
    assert made == [2, 5]


def test_a_seed_far_ahead_helps_at_once_when_seeds_are_known_beforehand():
    seeds = [seed_on(0, 1), seed_on(7, 1, offset=6)]
    alone, known, met = (
        steps(8, seeds[:1]), steps(8, seeds, preload_seeds=True), steps(8, seeds, preload_seeds=False)
    )  # fmt: skip
    assert not torch.allclose(alone[2].probabilities, known[2].probabilities, atol=1e-3)
    torch.testing.assert_close(alone[2].probabilities, met[2].probabilities)


def test_frames_are_encoded_in_batches_without_changing_the_answer():
    seeds = [seed_on(0, 1, 2)]
    for one, batched in zip(steps(9, seeds), steps(9, seeds, encode_batch=4), strict=True):
        torch.testing.assert_close(one.probabilities, batched.probabilities, atol=1e-3, rtol=0)

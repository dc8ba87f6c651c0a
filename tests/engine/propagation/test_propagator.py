from __future__ import annotations

from itertools import islice

import numpy as np
import pytest
import torch

from imos_engine.config import MemoryConfig, Precision, PropagationConfig
from imos_engine.propagation import FeatureCache, FrameResult, Propagator
from imos_engine.propagation.schedule import forward_weight
from imos_engine.sequence import BOTH_DIRECTIONS, Direction, FrameSequence, Seed
from tests.engine.narrow import narrow_network
from tests.engine.sequences import GREY, moving_frames, moving_images, seed_on

FORWARD, BACKWARD = (frozenset({direction}) for direction in Direction)
EXACT = {"size": None, "precision": Precision.FLOAT32, "end_after": None, "encode_batch": 1}
MEMORY = MemoryConfig(
    write_every=2, max_working_frames=4, min_working_frames=2, prototypes=6, max_long_term=20, read_top_k=5
)


def propagator_of(network=None, *, features: FeatureCache | None = None, device: str = "cpu", **settings) -> Propagator:
    return Propagator(
        network or narrow_network(),
        memory=MEMORY,
        settings=PropagationConfig(**EXACT | settings),
        features=features,
        device=device,
    )


def propagate(frames, seeds, *, propagator: Propagator | None = None, **options) -> dict[int, FrameResult]:
    results = list((propagator or propagator_of()).propagate(frames, seeds, **options))
    assert len(results) == len({result.index for result in results})
    return {result.index: result for result in results}


def same(one: dict[int, FrameResult], other: dict[int, FrameResult]) -> bool:
    return one.keys() == other.keys() and all(
        np.array_equal(one[index].labels, other[index].labels) and one[index].confidence == other[index].confidence
        for index in one
    )


def nearly_same(one: dict[int, FrameResult], other: dict[int, FrameResult], *, share: float = 0.99) -> bool:
    assert one.keys() == other.keys()
    return all((one[index].labels == other[index].labels).mean() > share for index in one)


def blind_network():
    """Predicts nothing, ever."""
    network = narrow_network()
    with torch.no_grad():
        network.decoder.pred.bias.fill_(-100)
    return network


class WatchedFrames:
    """Counts the frames that were asked for."""

    def __init__(self, count: int) -> None:
        self._frames = moving_frames(count)
        self.size = self._frames.size
        self.asked: list[int] = []

    def __len__(self) -> int:
        return len(self._frames)

    def normalised(self, start: int, stop: int) -> torch.Tensor:
        self.asked += range(start, stop)
        return self._frames.normalised(start, stop)


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
    monkeypatch.setattr(propagator, "_start", lambda run, direction: iter(early_end[direction]))
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


def test_two_requests_to_one_propagator_equal_two_requests_to_two():
    requests = [
        (moving_frames(8), [seed_on(0, 1, 2)]),
        (moving_frames(6), [seed_on(3, 7), seed_on(5, 7)]),
        (moving_frames(5, 32, 80), [seed_on(2, 1, size=(32, 80))]),
    ]
    shared = propagator_of()
    for frames, seeds in [*requests, *requests]:
        assert same(propagate(frames, seeds, propagator=shared), propagate(frames, seeds))


def test_a_cancelled_run_stops_encoding_and_leaves_nothing_behind():
    frames, propagator = WatchedFrames(12), propagator_of()
    run = propagator.propagate(frames, [seed_on(0, 1)], directions=FORWARD)
    assert [result.index for result in islice(run, 3)] == [0, 1, 2]
    run.close()
    assert max(frames.asked) < 5
    assert same(propagate(frames, [seed_on(6, 1)], propagator=propagator), propagate(frames, [seed_on(6, 1)]))


def test_between_two_frames_the_caller_computes_in_its_own_mode():
    propagator = propagator_of()
    for steps in (
        propagator.propagate(moving_frames(3), [seed_on(1, 1)]),
        propagator.sweep(moving_frames(3), [seed_on(1, 1)], Direction.FORWARD),
    ):
        for _ in steps:
            assert torch.is_grad_enabled()
            assert not torch.is_inference_mode_enabled()


def test_an_abandoned_run_leaves_the_callers_mode_alone():
    run = propagator_of().propagate(moving_frames(3), [seed_on(1, 1)])
    next(run)
    assert torch.ones(1, requires_grad=True).add(1).requires_grad
    run.close()
    assert torch.is_grad_enabled()


def test_a_second_request_on_the_same_image_finds_every_frame_encoded():
    cache, frames, seeds = FeatureCache(1 << 28), moving_frames(9), [seed_on(3, 1), seed_on(6, 2)]
    propagator = propagator_of(features=cache)
    first = propagate(frames, seeds, propagator=propagator, image_key="image")
    assert propagator.timings.cached_frames < propagator.timings.frames
    second = propagate(frames, seeds, propagator=propagator, image_key="image")
    assert same(first, second)
    assert same(first, propagate(frames, seeds))
    assert propagator.timings.cached_frames == propagator.timings.frames
    assert propagator.timings.encode == 0


def test_a_correction_encodes_only_frames_that_are_new():
    frames, propagator = moving_frames(9), propagator_of(features=FeatureCache(1 << 28))
    propagate(frames, [seed_on(2, 1)], propagator=propagator, image_key="image", frame_range=(0, 4))
    corrected = [seed_on(2, 1), seed_on(6, 1)]
    propagate(frames, corrected, propagator=propagator, image_key="image", frame_range=(2, 6))
    assert propagator.timings.frames - propagator.timings.cached_frames == len({5, 6})


@pytest.mark.parametrize("kept_frames", [0, 1, 4.5])
def test_results_do_not_depend_on_how_much_the_cache_can_keep(kept_frames):
    frames, seeds = moving_frames(7), [seed_on(1, 1), seed_on(5, 1)]
    everything = FeatureCache(1 << 28)
    propagate(frames, seeds, propagator=propagator_of(features=everything), image_key=0)
    budget = int(kept_frames * everything.held_bytes / 7)
    cache = FeatureCache(budget)
    propagator = propagator_of(features=cache)
    for _ in range(2):
        assert same(propagate(frames, seeds, propagator=propagator, image_key=0), propagate(frames, seeds))
        assert cache.held_bytes <= budget


def test_a_pass_that_has_lost_its_objects_stops_encoding_and_the_rest_is_empty():
    frames, propagator = WatchedFrames(40), propagator_of(blind_network(), end_after=3, encode_batch=4)
    results = propagate(frames, [seed_on(20, 1)], propagator=propagator)
    assert sorted(results) == list(range(40))
    assert not any(result.labels.any() for index, result in results.items() if index != 20)
    assert min(frames.asked) >= 20 - 3 - 4
    assert max(frames.asked) <= 20 + 3 + 4


def test_a_lost_object_is_looked_for_again_from_the_next_seed():
    propagator = propagator_of(blind_network(), end_after=2)
    seeds = [seed_on(0, 1), seed_on(12, 1), seed_on(24, 1)]
    results = propagate(moving_frames(25), seeds, propagator=propagator)
    assert [index for index, result in sorted(results.items()) if result.labels.any()] == [0, 12, 24]


def test_a_seed_outside_the_range_still_informs_the_frames_inside():
    near, far = seed_on(1, 1), seed_on(6, 1, offset=6)
    alone = propagate(moving_frames(7), [near], frame_range=(0, 4))
    informed = propagate(moving_frames(7), [near, far], frame_range=(0, 4))
    assert sorted(informed) == [0, 1, 2, 3, 4]
    assert not same(alone, informed)


@pytest.mark.parametrize(
    ("seeds", "options", "message"),
    [
        ([], {}, "no seed: annotate at least one frame"),
        ([seed_on(0, objects=set())], {}, "no seed: annotate at least one frame"),
        ([seed_on(9, 1)], {}, r"seed on frame 9, but the sequence has frames 0 to 5"),
        ([seed_on(-1, 1)], {}, r"seed on frame -1"),
        ([seed_on(0, 1, size=(48, 63))], {}, r"seed on frame 0 has shape \(48, 63\), frames have \(48, 64\)"),
        ([seed_on(2, 1), seed_on(2, 2)], {}, "two seeds on one frame"),
        ([seed_on(2, 1)], {"frame_range": (3, 5)}, r"no seed within frames 3 to 5; seeds are on frames \[2\]"),
        ([seed_on(2, 1), seed_on(4, objects=[])], {"frame_range": (3, 5)}, r"no seed within frames 3 to 5"),
        ([seed_on(2, 1)], {"frame_range": (0, 6)}, r"frame range 0 to 6 does not lie within frames 0 to 5"),
        ([seed_on(2, 1)], {"frame_range": (3, 1)}, r"frame range 3 to 1"),
        ([seed_on(2, 1)], {"frame_range": (-1, 2)}, r"frame range -1 to 2"),
        ([seed_on(2, 1)], {"directions": frozenset()}, "no direction: carry seeds forward, backward or both ways"),
    ],
)
def test_what_cannot_be_carried_is_refused_with_a_sentence(seeds, options, message):
    with pytest.raises(ValueError, match=message):
        propagate(moving_frames(6), seeds, **options)


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


def test_the_stages_account_for_the_time_and_every_visit_is_counted():
    propagator = propagator_of()
    propagate(moving_frames(8), [seed_on(3, 1)], propagator=propagator)
    timings = propagator.timings
    stages = [timings.encode, timings.read, timings.decode, timings.write, timings.merge]
    assert all(seconds > 0 for seconds in stages)
    assert sum(stages) <= timings.total
    assert timings.frames >= 9  # both passes visit the seed
    assert timings.cached_frames == 0


def test_propagating_leaves_the_callers_network_as_it_was():
    network = narrow_network().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    propagate(moving_frames(3), [seed_on(1, 1)], propagator=propagator_of(network))
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


@pytest.mark.gpu
@pytest.mark.parametrize("precision", Precision)
def test_a_run_on_cuda_agrees_with_one_on_the_processor(precision):
    seeds, settings = [seed_on(0, 1, 2), seed_on(7, 1)], {"precision": precision, "encode_batch": 4, "size": 64}
    on_cpu = propagate(moving_frames(8), seeds, propagator=propagator_of(**settings))
    on_gpu = propagate(moving_frames(8), seeds, propagator=propagator_of(device="cuda", **settings))
    assert nearly_same(on_cpu, on_gpu, share=0.9)

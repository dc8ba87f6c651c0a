"""One run after another: cancelling, caching, ending early, refusing."""

from __future__ import annotations

from itertools import islice

import pytest
import torch

from imos_engine.config import Precision
from imos_engine.propagation import FeatureCache
from imos_engine.sequence import Direction
from tests.engine.narrow import narrow_network
from tests.engine.sequences import moving_frames, seed_on

from .carrying import FORWARD, WatchedFrames, blind_network, nearly_same, propagate, propagator_of, same


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

from __future__ import annotations

from threading import Thread

import pytest
import torch

from imos_engine.config import Precision
from imos_engine.network import FrameFeatures
from imos_engine.network.inference import prepare_for_inference
from imos_engine.propagation import FeatureCache, Timings
from imos_engine.propagation.features import FrameEncoder
from imos_engine.propagation.resizing import Box, FrameGrid
from tests.engine.narrow import narrow_network, random_frames
from tests.engine.propagation.carrying import WatchedFrames
from tests.engine.sequences import moving_frames

NETWORK = prepare_for_inference(narrow_network(), precision=Precision.FLOAT32, device="cpu")


def features_of(seed: int = 0) -> FrameFeatures:
    with torch.inference_mode():
        return NETWORK.encode_frames(random_frames(1, 16, 16, seed=seed))


def bytes_of(features: FrameFeatures) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in features.tensors)


ONE = bytes_of(features_of())


def encoder_of(frames, *, batch: int = 4, cache: FeatureCache | None = None, image_key: object = None) -> FrameEncoder:
    return FrameEncoder(NETWORK, frames, batch=batch, timings=Timings(), cache=cache, image_key=image_key)


def whole_frame(encoder: FrameEncoder) -> FrameGrid:
    return FrameGrid.fit(Box.whole(encoder._frames.size), None)


def visit(encoder: FrameEncoder, order: range) -> list[FrameFeatures]:
    with torch.inference_mode():
        return [
            encoder.features(index, whole_frame(encoder), order[position + 1 :]) for position, index in enumerate(order)
        ]


@pytest.mark.parametrize("budget", [0, 1, 2.5, 4, 100])
def test_the_cache_never_exceeds_its_budget_and_fills_it(budget):
    cache = FeatureCache(int(budget * ONE))
    for key in range(10):
        cache.put(key, features_of(key))
        assert cache.held_bytes <= budget * ONE
    assert sum(key in cache for key in range(10)) == min(int(budget), 10)


def test_the_least_recently_used_features_are_dropped_first():
    cache = FeatureCache(3 * ONE)
    for key in "abc":
        cache.put(key, features_of())
    cache.get("a")
    cache.put("d", features_of())
    assert [key for key in "abcd" if key in cache] == ["a", "c", "d"]


def test_the_cache_returns_what_was_put_in_and_nothing_for_other_keys():
    cache, features = FeatureCache(10 * ONE), features_of()
    cache.put("a", features)
    assert cache.get("a") is features
    assert cache.get("b") is None


def test_putting_the_same_key_twice_counts_once():
    cache = FeatureCache(10 * ONE)
    cache.put("a", features_of())
    cache.put("a", features_of())
    assert cache.held_bytes == ONE


def test_the_cache_stays_consistent_when_threads_share_it():
    cache, features = FeatureCache(3 * ONE), features_of()

    def use(name: int) -> None:
        for key in range(50):
            cache.put((name, key), features)
            cache.get((name, key - 1))

    threads = [Thread(target=use, args=(name,)) for name in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert cache.held_bytes == 3 * ONE
    assert sum((name, key) in cache for name in range(4) for key in range(50)) == 3


@pytest.mark.parametrize("order", [range(9), range(8, -1, -1)], ids=["forward", "backward"])
@pytest.mark.parametrize("batch", [1, 4, 20])
def test_every_frame_is_encoded_once_in_batches_and_as_if_alone(order, batch):
    frames = WatchedFrames(9, 32, 32)
    found = visit(encoder_of(frames, batch=batch), order)
    assert sorted(frames.asked) == list(range(9))
    alone = encoder_of(moving_frames(9, 32, 32), batch=1)
    for index, features in zip(order, found, strict=True):
        with torch.inference_mode():
            expected = alone.features(index, whole_frame(alone), ())
        torch.testing.assert_close(features.tensors, expected.tensors, atol=1e-4, rtol=1e-4)


def test_frames_in_the_cache_are_not_encoded_again():
    frames, cache = WatchedFrames(6, 32, 32), FeatureCache(1 << 24)
    visit(encoder_of(frames, cache=cache, image_key="image"), range(3))
    encoder = encoder_of(frames, cache=cache, image_key="image")
    visit(encoder, range(6))
    assert sorted(frames.asked) == list(range(6))
    assert encoder._timings.frames == 6
    assert encoder._timings.cached_frames == 3


def test_a_window_that_moves_is_encoded_anew_and_never_answers_for_another():
    encoder = encoder_of(moving_frames(4, 32, 48), batch=4, cache=FeatureCache(1 << 24), image_key="image")
    left, right = FrameGrid.fit(Box(0, 0, 32, 32), None), FrameGrid.fit(Box(0, 16, 32, 32), None)
    with torch.inference_mode():
        found = [encoder.features(index, grid, range(index + 1, 4)) for index, grid in enumerate((left, left, right))]
        alone = [
            encoder_of(moving_frames(4, 32, 48)).features(index, grid, ())
            for index, grid in enumerate((left, left, right))
        ]
    for one, expected in zip(found, alone, strict=True):
        torch.testing.assert_close(one.tensors, expected.tensors, atol=1e-4, rtol=1e-4)


def test_another_image_or_another_size_does_not_find_them():
    cache = FeatureCache(1 << 24)
    visit(encoder_of(moving_frames(2, 32, 32), cache=cache, image_key="image"), range(2))
    for frames, image_key in ((moving_frames(2, 32, 32), "other"), (moving_frames(2, 32, 48), "image")):
        encoder = encoder_of(frames, cache=cache, image_key=image_key)
        visit(encoder, range(2))
        assert encoder._timings.cached_frames == 0


def test_without_an_image_key_nothing_is_kept():
    cache = FeatureCache(1 << 24)
    visit(encoder_of(moving_frames(2, 32, 32), cache=cache), range(2))
    assert cache.held_bytes == 0


def test_the_budget_counts_every_byte_that_stays_allocated():
    frames = WatchedFrames(8, 32, 32)
    alone = visit(encoder_of(frames, batch=1), range(1))[0]
    cache = FeatureCache(3 * bytes_of(alone))
    visit(encoder_of(frames, batch=8, cache=cache, image_key="image"), range(8))
    held = [tensor for features in cache._held.values() for tensor in features.tensors]
    allocated = {tensor.untyped_storage().data_ptr(): tensor.untyped_storage().nbytes() for tensor in held}
    assert sum(allocated.values()) <= cache.held_bytes


def test_grey_and_the_same_image_in_three_equal_colours_are_encoded_alike():
    grey = moving_frames(2, 37, 53)

    class Colour:
        size = grey.size

        def __len__(self) -> int:
            return 2

        def normalised(self, start: int, stop: int) -> torch.Tensor:
            return grey.normalised(start, stop).clone(memory_format=torch.contiguous_format)

    grid = FrameGrid.fit(Box.whole(grey.size), None)
    for image in (0, 1):
        torch.testing.assert_close(encoder_of(grey).image(image, grid), encoder_of(Colour()).image(image, grid))

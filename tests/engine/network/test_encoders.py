from __future__ import annotations

import torch

from imos_engine.network.encoders import KeyProjection
from tests.engine.narrow import NARROW, narrow_network, random_frames, random_masks


def test_shrinkage_is_at_least_1_and_selection_lies_between_0_and_1():
    torch.manual_seed(0)
    keys = KeyProjection(10, 6)(10 * torch.randn(2, 10, 5, 7))
    assert keys.shrinkage.min() >= 1
    assert keys.selection.min() >= 0
    assert keys.selection.max() <= 1


def test_keys_are_float32_even_from_features_in_half_precision():
    projection = KeyProjection(10, 6).to(torch.bfloat16)
    keys = projection(torch.randn(1, 10, 3, 3, dtype=torch.bfloat16))
    assert {part.dtype for part in keys} == {torch.float32}


def test_the_key_encoders_features_halve_their_size_and_double_their_channels():
    f16, f8, f4 = narrow_network().key_encoder(random_frames(1, 64, 96))
    assert [feature.shape[2:] for feature in (f4, f8, f16)] == [(16, 24), (8, 12), (4, 6)]
    assert tuple(feature.shape[1] for feature in (f4, f8, f16)) == NARROW.feature_channels


def test_the_value_encoder_sees_the_image_the_mask_and_the_other_masks():
    network = narrow_network()
    frames, masks, seen = random_frames(2), random_masks(2, 3), []
    network.value_encoder.conv1.register_forward_pre_hook(lambda module, inputs: seen.append(inputs[0]))
    with torch.no_grad():
        network.value_encoder(frames, network.encode_frames(frames).f16, masks)
    for batch in range(2):
        for channel in range(3):
            others = sum(masks[batch, other] for other in range(3) if other != channel)
            expected = torch.stack((*frames[batch], masks[batch, channel], others))
            torch.testing.assert_close(seen[0][batch * 3 + channel], expected)


def test_values_tell_an_object_from_the_others_around_it():
    network = narrow_network()
    frames, masks = random_frames(1), random_masks(1, 2)
    with torch.no_grad():
        f16 = network.encode_frames(frames).f16
        first, second = network.value_encoder(frames, f16, masks)
        swapped_first, swapped_second = network.value_encoder(frames, f16, masks.flip(1))
    torch.testing.assert_close(first, swapped_second)
    torch.testing.assert_close(second, swapped_first)
    assert (first - second).abs().max() > 1e-3

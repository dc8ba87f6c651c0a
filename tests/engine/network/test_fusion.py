from __future__ import annotations

import pytest
import torch

from imos_engine.network.fusion import (
    ChannelGate,
    FusionBlock,
    SpatialGate,
    add_to_objects,
    fold_objects,
    unfold_objects,
)


@pytest.mark.parametrize("objects", [1, 4])
def test_fusion_equals_plain_convolutions_over_concatenated_channels(objects):
    torch.manual_seed(objects)
    fusion = FusionBlock(6, 5, 16)
    frame, per_object = torch.randn(2, 6, 4, 5), torch.randn(2, objects, 5, 4, 5)
    for batch in range(2):
        for channel in range(objects):
            joined = torch.cat((frame[batch], per_object[batch, channel]))[None]
            blended = fusion.block1(joined)
            expected = fusion.block2(blended + fusion.attention(blended))[0]
            found = fusion(fusion.frame_share(frame), fold_objects(per_object))
            torch.testing.assert_close(unfold_objects(found, objects)[batch, channel], expected, atol=1e-5, rtol=1e-5)


def test_a_frames_feature_reaches_its_own_objects_only():
    frames = torch.tensor([1.0, 10.0]).view(2, 1, 1, 1)
    objects = torch.arange(6.0).view(6, 1, 1, 1)  # three per frame
    assert add_to_objects(objects, frames).flatten().tolist() == [1, 2, 3, 13, 14, 15]


def test_folding_objects_into_the_batch_can_be_undone():
    x = torch.arange(2 * 3 * 4).view(2, 3, 4, 1, 1)
    assert torch.equal(unfold_objects(fold_objects(x), 3), x)


def test_gates_only_ever_weaken_and_never_mix_channels_or_pixels():
    torch.manual_seed(0)
    x = torch.randn(2, 32, 4, 5)
    by_channel = ChannelGate(32)(x) / x
    by_pixel = SpatialGate()(x) / x
    for gate in (by_channel, by_pixel):
        assert (gate > 0).all()
        assert (gate < 1).all()
    torch.testing.assert_close(by_channel, by_channel[:, :, :1, :1].expand_as(x), atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(by_pixel, by_pixel[:, :1].expand_as(x), atol=1e-4, rtol=1e-4)


def test_widths_that_leave_no_shortcut_to_share_are_refused_with_the_reason():
    fusion = FusionBlock(6, 10, 16)
    with pytest.raises(ValueError, match="differ"):
        fusion.frame_share(torch.zeros(1, 6, 2, 2))

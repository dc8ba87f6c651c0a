from __future__ import annotations

import pytest
import torch

from imos_engine.config import AdapterConfig, Block
from imos_engine.network.backbone import BasicBlock, BottleneckBlock, residual_blocks, residual_stage


def evaluated(block):
    return block.eval().requires_grad_(False)


@pytest.mark.parametrize("block", Block)
@pytest.mark.parametrize("stride", [1, 2])
def test_a_stage_widens_and_shrinks_as_its_kind_says(block, stride):
    stage = evaluated(residual_stage(block, 6, 8, 3, stride=stride))
    assert stage(torch.randn(1, 6, 8, 12)).shape == (1, 8 * block.expansion, 8 // stride, 12 // stride)
    assert len(residual_blocks(stage)) == 3
    assert [child.downsample is None for child in stage[1:]] == [True, True]


@pytest.mark.parametrize("kind", [BasicBlock, BottleneckBlock])
@pytest.mark.parametrize("stride", [1, 2])
def test_an_adapter_fits_beside_the_convolution_of_every_stride(kind, stride):
    block = evaluated(kind(8, 8, stride=stride))
    x = torch.randn(1, 8, 6, 10)
    before = block(x)
    block.attach_adapter(AdapterConfig(initial_gate=1.0))
    assert evaluated(block)(x).shape == before.shape


def test_the_adapter_of_a_basic_block_runs_beside_its_second_convolution():
    block = evaluated(BasicBlock(8, 8, stride=1))
    block.attach_adapter(AdapterConfig(initial_gate=1.0))
    evaluated(block)
    x = torch.randn(2, 8, 5, 6)
    inner = torch.relu(block.bn1(block.conv1(x)))
    expected = torch.relu(block.bn2(block.conv2(inner)) + block.adapter(inner) + x)
    torch.testing.assert_close(block(x), expected)


def test_the_adapter_of_a_bottleneck_block_is_added_after_norm_and_relu():
    block = evaluated(BottleneckBlock(32, 8, stride=1))
    block.attach_adapter(AdapterConfig(initial_gate=1.0))
    evaluated(block)
    x = torch.randn(2, 32, 5, 6)
    inner = torch.relu(block.bn1(block.conv1(x)))
    middle = torch.relu(block.bn2(block.conv2(inner))) + block.adapter(inner)
    torch.testing.assert_close(block(x), torch.relu(block.bn3(block.conv3(middle)) + x))

from __future__ import annotations

import pytest
import torch

from imos_engine.config import AdapterConfig
from imos_engine.network.adapter import ConvAdapter


@pytest.mark.parametrize("stride", [1, 2])
def test_an_adapter_keeps_channels_and_strides_like_the_convolution_beside_it(stride):
    adapter = ConvAdapter(12, stride=stride, config=AdapterConfig())
    beside = torch.nn.Conv2d(12, 12, 3, stride=stride, padding=1)
    x = torch.randn(2, 12, 8, 10)
    assert adapter(x).shape == beside(x).shape


def test_an_adapters_output_is_proportional_to_its_gate():
    adapter = ConvAdapter(8, stride=1, config=AdapterConfig(initial_gate=0.5)).eval()
    x = torch.randn(1, 8, 4, 4)
    with torch.no_grad():
        half = adapter(x)
        adapter.gate.fill_(1.0)
        torch.testing.assert_close(adapter(x), 2 * half)
        adapter.gate.zero_()
        assert not adapter(x).any()


def test_a_reduction_beyond_the_channels_leaves_one_channel():
    adapter = ConvAdapter(2, stride=1, config=AdapterConfig(reduction=4))
    assert adapter.conv.out_channels == 1


def test_a_gradient_reaches_a_fresh_adapter():
    adapter = ConvAdapter(8, stride=1, config=AdapterConfig())
    adapter(torch.randn(2, 8, 4, 4)).sum().backward()
    assert adapter.conv.weight.grad.abs().sum() > 0
    assert adapter.gate.grad.abs().sum() > 0

from __future__ import annotations

import pytest
import torch
from torch import nn

from imos_engine.config import AdapterConfig, Precision
from imos_engine.network import ImosNetwork
from imos_engine.network.inference import prepare_for_inference
from tests.engine.narrow import EVERY_KIND, EVERY_KIND_IDS, narrow_network, random_frames, random_masks


@torch.no_grad()
def masks_and_state(network: ImosNetwork) -> tuple[torch.Tensor, torch.Tensor]:
    """One frame remembered and decoded again: every part of the network has run."""
    parameter = next(network.parameters())
    frames, masks = (x.to(parameter.device, parameter.dtype) for x in (random_frames(2), random_masks(2, 3)))
    features = network.encode_frames(frames)
    hidden = network.initial_hidden(2, 3, 3, 4)
    values, hidden = network.encode_values(frames, features.f16, masks, hidden, deep_update=True)
    hidden, _, probabilities = network.decode(features, values, hidden)
    return probabilities.cpu(), hidden.cpu()


@pytest.mark.parametrize("config", EVERY_KIND, ids=EVERY_KIND_IDS)
def test_the_prepared_network_computes_the_same_function(config):
    network = narrow_network(config)
    prepared = prepare_for_inference(network, precision=Precision.FLOAT32, device="cpu")
    for expected, found in zip(masks_and_state(network), masks_and_state(prepared), strict=True):
        torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("config", EVERY_KIND, ids=EVERY_KIND_IDS)
def test_the_prepared_network_has_no_batch_norm_left_and_learns_nothing(config):
    prepared = prepare_for_inference(narrow_network(config).train(), precision=Precision.FLOAT32, device="cpu")
    assert not any(isinstance(module, nn.BatchNorm2d) for module in prepared.modules())
    assert not any(parameter.requires_grad for parameter in prepared.parameters())


@pytest.mark.parametrize("config", EVERY_KIND, ids=EVERY_KIND_IDS)
def test_bfloat16_gives_nearly_the_same_masks(config):
    network = narrow_network(config)
    prepared = prepare_for_inference(network, precision=Precision.BFLOAT16, device="cpu")
    expected, found = masks_and_state(network)[0], masks_and_state(prepared)[0]
    assert found.dtype == torch.float32
    assert (found - expected).abs().mean() < 0.02


def test_preparing_leaves_the_original_as_it_was():
    network = narrow_network(EVERY_KIND[2]).train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    prepare_for_inference(network, precision=Precision.BFLOAT16, device="cpu")
    assert network.training
    assert network.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())


def test_what_is_written_to_the_original_later_does_not_reach_the_prepared_copy():
    network = narrow_network()
    prepared = prepare_for_inference(network, precision=Precision.FLOAT32, device="cpu")
    before = masks_and_state(prepared)[0]
    with torch.no_grad():
        network.decoder.pred.bias.add_(1)
    network.attach_adapters(AdapterConfig())
    assert torch.equal(masks_and_state(prepared)[0], before)


@pytest.mark.gpu
def test_the_prepared_network_agrees_between_processor_and_cuda():
    network = narrow_network(EVERY_KIND[3])
    on_cpu = prepare_for_inference(network, precision=Precision.FLOAT32, device="cpu")
    on_gpu = prepare_for_inference(network, precision=Precision.FLOAT32, device="cuda")
    assert (masks_and_state(on_cpu)[0] - masks_and_state(on_gpu)[0]).abs().max() < 2e-2  # TF32 convolutions

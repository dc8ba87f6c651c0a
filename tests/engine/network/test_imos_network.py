from __future__ import annotations

import json
from dataclasses import replace

import pytest
import torch

from imos_engine.config import PRESETS, AdapterConfig, NetworkConfig
from imos_engine.network import STRIDE, ImosNetwork
from tests.engine.narrow import EVERY_KIND, EVERY_KIND_IDS, NARROW, narrow_network, random_frames, random_masks

OBJECTS, HEIGHT, WIDTH = 3, 3, 4  # at stride 16


def shapes_of(network: ImosNetwork) -> dict[str, list[int]]:
    return {name: list(value.shape) for name, value in network.state_dict().items()}


def without_memory(config: NetworkConfig) -> ImosNetwork:
    with torch.device("meta"):
        return ImosNetwork(config)


def random_state(network: ImosNetwork, batch: int = 2) -> tuple[torch.Tensor, torch.Tensor]:
    random = torch.Generator().manual_seed(5)
    config = network.config
    readout = torch.randn(batch, OBJECTS, config.value_channels, HEIGHT, WIDTH, generator=random)
    return readout, torch.randn(batch, OBJECTS, config.hidden_channels, HEIGHT, WIDTH, generator=random)


def everything(network: ImosNetwork) -> list[torch.Tensor]:
    """What the network computes, from pixels to masks."""
    frames, masks = random_frames(2), random_masks(2, OBJECTS)
    readout, hidden = random_state(network)
    with torch.no_grad():
        features = network.encode_frames(frames)
        values, deep = network.encode_values(frames, features.f16, masks, hidden, deep_update=True)
        updated, logits, probabilities = network.decode(features, readout, hidden)
    return [*features.tensors, values, deep, updated, logits, probabilities]


def test_the_xmem_preset_has_exactly_the_published_keys_and_shapes(shared):
    published = json.loads((shared / "fixtures" / "xmem_keys.json").read_text())
    assert shapes_of(without_memory(PRESETS["xmem"])) == published


def test_adapters_add_exactly_the_published_keys_and_shapes(shared):
    added = json.loads((shared / "fixtures" / "imos_adapter_keys.json").read_text())
    plain = shapes_of(without_memory(PRESETS["xmem"]))
    assert shapes_of(without_memory(replace(PRESETS["xmem"], adapter=AdapterConfig()))) == plain | added


def test_adapters_add_the_number_of_parameters_that_imos_reports():
    network = without_memory(PRESETS["xmem"])
    before = sum(parameter.numel() for parameter in network.parameters())
    network.attach_adapters(AdapterConfig())
    assert sum(parameter.numel() for parameter in network.parameters()) - before == 2_905_603


@pytest.mark.parametrize("preset", PRESETS)
def test_an_adapter_sits_in_every_residual_block_and_nowhere_else(preset):
    network = without_memory(replace(PRESETS[preset], adapter=AdapterConfig()))
    gates = [name for name, _ in network.named_parameters() if name.endswith("adapter.gate")]
    config = network.config
    assert len(gates) == sum(config.key_depths) + sum(config.value_depths)
    assert all(name.startswith(("key_encoder.", "value_encoder.")) for name in gates)


@pytest.mark.parametrize("config", EVERY_KIND[:2], ids=EVERY_KIND_IDS[:2])
def test_fresh_adapters_with_zero_gate_leave_every_output_exactly_unchanged(config):
    network = narrow_network(config)
    before = everything(network)
    network.attach_adapters(AdapterConfig(initial_gate=0))
    assert all(torch.equal(old, new) for old, new in zip(before, everything(network), strict=True))


@pytest.mark.parametrize("config", EVERY_KIND[:2], ids=EVERY_KIND_IDS[:2])
def test_fresh_adapters_with_the_usual_gate_change_masks_a_little(config):
    network = narrow_network(config)
    before = everything(network)[-1]
    network.attach_adapters(AdapterConfig())
    change = (everything(network)[-1] - before).abs().mean()
    assert 0 < change < 0.05


@pytest.mark.parametrize("config", EVERY_KIND[:2], ids=EVERY_KIND_IDS[:2])
def test_attaching_then_detaching_adapters_gives_the_same_network(config):
    network = narrow_network(config)
    before, state = everything(network), network.state_dict()
    network.attach_adapters(AdapterConfig(initial_gate=1))
    assert network.config == replace(config, adapter=AdapterConfig(initial_gate=1))
    network.detach_adapters()
    assert network.config == config
    assert network.state_dict().keys() == state.keys()
    assert all(torch.equal(old, new) for old, new in zip(before, everything(network), strict=True))


@pytest.mark.parametrize("training", [True, False])
def test_a_fresh_adapter_is_in_the_mode_of_its_network(training):
    network = narrow_network().train(training)
    network.attach_adapters(AdapterConfig())
    assert all(module.training is training for module in network.modules())


def test_in_evaluation_mode_frames_do_not_influence_each_other():
    network = narrow_network(EVERY_KIND[3])
    frames = random_frames(3)
    with torch.no_grad():
        together = network.encode_frames(frames)
        for index in range(3):
            alone = network.encode_frames(frames[index : index + 1])
            for expected, found in zip(alone.tensors, together[index : index + 1].tensors, strict=True):
                torch.testing.assert_close(found, expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("config", EVERY_KIND, ids=EVERY_KIND_IDS)
def test_shapes_are_those_of_the_docstrings(config):
    network = narrow_network(config)
    key, shrinkage, selection, f16, s16, s8, s4, values, deep, updated, logits, probabilities = everything(network)
    assert key.shape == selection.shape == (2, config.key_channels, HEIGHT, WIDTH)
    assert shrinkage.shape == (2, 1, HEIGHT, WIDTH)
    assert f16.shape == (2, config.feature_channels[2], HEIGHT, WIDTH)
    assert [tensor.shape[2:] for tensor in (s16, s8, s4)] == [(3, 4), (6, 8), (12, 16)]
    assert values.shape == (2, OBJECTS, config.value_channels, HEIGHT, WIDTH)
    assert deep.shape == updated.shape == (2, OBJECTS, config.hidden_channels, HEIGHT, WIDTH)
    assert logits.shape == probabilities.shape == (2, OBJECTS + 1, STRIDE * HEIGHT, STRIDE * WIDTH)


def test_probabilities_of_objects_and_background_sum_to_1_everywhere():
    probabilities = everything(narrow_network())[-1]
    torch.testing.assert_close(probabilities.sum(1), torch.ones_like(probabilities[:, 0]))
    assert probabilities.std() > 0.05  # the narrow network of the tests says something


def test_objects_are_decoded_alike_in_whichever_order_they_come():
    network = narrow_network()
    order = [2, 0, 1]
    readout, hidden = random_state(network)
    with torch.no_grad():
        features = network.encode_frames(random_frames(2))
        updated, logits, _ = network.decode(features, readout, hidden)
        shuffled, shuffled_logits, _ = network.decode(features, readout[:, order], hidden[:, order])
    torch.testing.assert_close(shuffled, updated[:, order])
    torch.testing.assert_close(shuffled_logits[:, 1:], logits[:, 1:][:, order], atol=1e-4, rtol=1e-4)


def test_sensory_memory_of_one_object_does_not_depend_on_the_others():
    network = narrow_network()
    readout, hidden = random_state(network)
    with torch.no_grad():
        features = network.encode_frames(random_frames(2))
        together, _, _ = network.decode(features, readout, hidden)
        alone, _, _ = network.decode(features, readout[:, 1:2], hidden[:, 1:2])
    torch.testing.assert_close(alone, together[:, 1:2])


def test_values_of_an_object_know_the_other_masks_only_by_their_sum():
    network = narrow_network()
    frames, masks = random_frames(1), random_masks(1, 3)
    merged = torch.stack((masks[:, 0], masks[:, 1] + masks[:, 2]), dim=1)
    with torch.no_grad():
        f16 = network.encode_frames(frames).f16
        three, _ = network.encode_values(
            frames, f16, masks, network.initial_hidden(1, 3, HEIGHT, WIDTH), deep_update=True
        )
        two, _ = network.encode_values(
            frames, f16, merged, network.initial_hidden(1, 2, HEIGHT, WIDTH), deep_update=True
        )
    torch.testing.assert_close(three[:, 0], two[:, 0], atol=1e-5, rtol=1e-5)
    assert (three[:, 1] - two[:, 1]).abs().max() > 1e-3


def test_sensory_memory_changes_only_when_asked():
    network = narrow_network()
    frames, masks = random_frames(2), random_masks(2, OBJECTS)
    readout, hidden = random_state(network)
    with torch.no_grad():
        features = network.encode_frames(frames)
        assert torch.equal(network.decode(features, readout, hidden, update_hidden=False)[0], hidden)
        assert torch.equal(network.encode_values(frames, features.f16, masks, hidden, deep_update=False)[1], hidden)
        assert not torch.equal(network.decode(features, readout, hidden)[0], hidden)
        assert not torch.equal(network.encode_values(frames, features.f16, masks, hidden, deep_update=True)[1], hidden)


def test_sensory_memory_starts_at_zero_for_every_object():
    hidden = narrow_network().initial_hidden(2, 5, 3, 4)
    assert hidden.shape == (2, 5, NARROW.hidden_channels, 3, 4)
    assert not hidden.any()

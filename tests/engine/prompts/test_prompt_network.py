from __future__ import annotations

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from imos_engine.prompts import PromptNetwork, PromptNetworkConfig, PromptWeightsError, load_prompt_network
from imos_engine.prompts.prompt_network import save_prompt_network
from imos_engine.prompts.view import CHANNELS

NARROW = PromptNetworkConfig(view=32, filters=(8, 8, 8))


@pytest.fixture
def network():
    torch.manual_seed(0)
    return PromptNetwork(NARROW).eval()


def test_every_pixel_of_a_view_gets_a_logit(network):
    assert network(torch.zeros(3, CHANNELS, 32, 32)).shape == (3, 1, 32, 32)


def test_views_of_one_batch_do_not_see_each_other(network):
    views = torch.from_numpy(np.random.default_rng(0).normal(size=(2, CHANNELS, 32, 32)).astype(np.float32))
    torch.testing.assert_close(network(views)[1:], network(views[1:]))


def test_saved_weights_come_back_with_their_settings(network, tmp_path):
    path = tmp_path / "weights.safetensors"
    save_prompt_network(path, network, dtype=torch.float32)
    loaded = load_prompt_network(path)
    assert loaded.config == NARROW
    assert not loaded.training
    for name, value in network.state_dict().items():
        torch.testing.assert_close(loaded.state_dict()[name], value, rtol=0, atol=0)


def test_half_precision_on_disk_hardly_changes_the_answer(network, tmp_path):
    save_prompt_network(tmp_path / "half.safetensors", network)
    views = torch.ones(1, CHANNELS, 32, 32)
    torch.testing.assert_close(
        load_prompt_network(tmp_path / "half.safetensors")(views), network(views), atol=0.02, rtol=0
    )


def not_there(path, network):
    pass


def no_weights(path, network):
    path.write_text("hello")


def other_weights(path, network):
    save_file({"weight": torch.zeros(1)}, path)


def other_shape(path, network):
    save_prompt_network(path, PromptNetwork(PromptNetworkConfig(view=32)))
    state = load_file(path)
    save_file(state, path, metadata={"imos_prompts": '{"view": 32, "filters": [8, 8, 8], "fold": 2}'})


def a_part_missing(path, network):
    save_prompt_network(path, network)
    state = load_file(path)
    del state["unet.input_block.conv1.conv.weight"]
    save_file(state, path, metadata={"imos_prompts": '{"view": 32, "filters": [8, 8, 8], "fold": 2}'})


def impossible_settings(path, network):
    save_file({}, path, metadata={"imos_prompts": '{"view": 33, "filters": [8, 8, 8], "fold": 2}'})


def unknown_settings(path, network):
    save_file({}, path, metadata={"imos_prompts": '{"depth": 33, "filters": [8]}'})


def settings_that_are_no_table(path, network):
    save_file({}, path, metadata={"imos_prompts": "[1, 2]"})


@pytest.mark.parametrize(
    ("spoil", "reason"),
    [
        (not_there, "no file of prompt weights at"),
        (no_weights, "cannot be read as .safetensors"),
        (other_weights, "holds no weights for prompts"),
        (other_shape, "does not fit"),
        (a_part_missing, "1 weights are missing"),
        (impossible_settings, "multiple of"),
        (unknown_settings, "describes no prompt network"),
        (settings_that_are_no_table, "describes no prompt network"),
    ],
)
def test_a_file_that_cannot_be_used_is_refused_with_a_reason(spoil, reason, network, tmp_path):
    path = tmp_path / "weights.safetensors"
    spoil(path, network)
    with pytest.raises(PromptWeightsError, match=reason):
        load_prompt_network(path)


@pytest.mark.parametrize("wrong", [{"filters": (8, 8)}, {"filters": (8, 0, 8)}, {"view": 40}, {"fold": 0}])
def test_a_network_that_cannot_be_built_is_refused(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 (each has its own sentence)
        PromptNetworkConfig(**wrong)

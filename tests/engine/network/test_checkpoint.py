from __future__ import annotations

import json
import pickle
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file

from imos_engine.config import PRESETS, AdapterConfig
from imos_engine.network import checkpoint
from imos_engine.network.checkpoint import CONFIG_KEY, CheckpointError, load_network, read_metadata, save_network
from tests.engine.narrow import EVERY_KIND, EVERY_KIND_IDS, NARROW, narrow_network


@pytest.fixture
def narrow_xmem(monkeypatch):
    """Published files are read as the xmem preset; here that preset is narrow, so that files are small."""
    monkeypatch.setitem(PRESETS, "xmem", NARROW)


def same_weights(one, other, *, tolerance=0.0):
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(
        torch.allclose(value.double(), theirs[name].double(), atol=tolerance, rtol=tolerance)
        for name, value in ours.items()
    )


@pytest.mark.parametrize("config", EVERY_KIND, ids=EVERY_KIND_IDS)
def test_a_saved_network_comes_back_exactly_and_needs_no_other_argument(tmp_path, config):
    network = narrow_network(config)
    save_network(tmp_path / "weights.safetensors", network)
    loaded = load_network(tmp_path / "weights.safetensors")
    assert loaded.config == config
    assert same_weights(network, loaded)
    assert not any(module.training for module in loaded.modules())


def test_half_precision_on_disk_comes_back_close_in_half_the_bytes(tmp_path):
    network = narrow_network()
    full, half = tmp_path / "full.safetensors", tmp_path / "half.safetensors"
    save_network(full, network)
    save_network(half, network, dtype=torch.float16)
    loaded = load_network(half)
    assert {parameter.dtype for parameter in loaded.parameters()} == {torch.float32}
    assert same_weights(network, loaded, tolerance=1e-3)
    assert half.stat().st_size < 0.7 * full.stat().st_size


def test_further_text_is_kept_beside_the_settings(tmp_path):
    save_network(tmp_path / "weights.safetensors", narrow_network(), metadata={"steps": "40000"})
    metadata = read_metadata(tmp_path / "weights.safetensors")
    assert metadata["steps"] == "40000"
    assert json.loads(metadata[CONFIG_KEY])["width"] == NARROW.width


@pytest.mark.parametrize("change", ["missing", "unexpected", "reshaped"])
def test_weights_that_do_not_fit_are_refused_with_the_list_of_keys(tmp_path, change):
    path = tmp_path / "weights.safetensors"
    save_network(path, narrow_network())
    state, metadata = load_file(path), read_metadata(path)
    if change == "missing":
        del state["decoder.pred.bias"], state["key_proj.d_proj.bias"]
        expected = "2 missing: decoder.pred.bias, key_proj.d_proj.bias"
    elif change == "unexpected":
        state["decoder.extra"] = torch.zeros(1)
        expected = "1 not known: decoder.extra"
    else:
        state["decoder.pred.bias"] = torch.zeros(7)
        expected = r"1 of another shape: decoder.pred.bias \(7,\) instead of \(1,\)"
    save_file(state, path, metadata=metadata)
    with pytest.raises(CheckpointError, match=expected):
        load_network(path)


def test_a_long_list_of_keys_is_cut_with_a_count(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_network(path, narrow_network())
    save_file({"only": torch.zeros(1)}, path, metadata=read_metadata(path))
    missing = len(narrow_network().state_dict())
    with pytest.raises(CheckpointError, match=rf"{missing} missing: .* and {missing - 5} more; 1 not known: only"):
        load_network(path)


@pytest.mark.parametrize(
    "header",
    [None, {}, {CONFIG_KEY: "{"}, {CONFIG_KEY: "[]"}, {CONFIG_KEY: "{}"}, {CONFIG_KEY: '{"depth": 3}'}],
    ids=["no header", "no settings", "half a text", "a list", "empty settings", "foreign settings"],
)
def test_a_file_that_does_not_describe_its_network_is_refused(tmp_path, header):
    path = tmp_path / "weights.safetensors"
    save_file(narrow_network().state_dict(), path, metadata=header)
    with pytest.raises(CheckpointError, match=r"weights\.safetensors"):
        load_network(path)


def test_invalid_settings_in_a_file_are_refused_with_the_reason(tmp_path):
    path = tmp_path / "weights.safetensors"
    settings = NARROW.to_dict() | {"value_channels": 3}
    save_file(narrow_network().state_dict(), path, metadata={CONFIG_KEY: json.dumps(settings)})
    with pytest.raises(CheckpointError, match="at least 16 channels"):
        load_network(path)


@pytest.mark.parametrize("name", ["weights.safetensors", "weights.pth"])
@pytest.mark.parametrize("content", [b"", b"not weights at all", bytes(64)])
def test_a_file_of_another_kind_is_refused(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(CheckpointError, match=name):
        load_network(tmp_path / name)


def test_half_a_file_is_refused(tmp_path):
    path = tmp_path / "weights.safetensors"
    save_network(path, narrow_network())
    path.write_bytes(path.read_bytes()[:-100])
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_network(path)


def test_an_absent_file_is_named(tmp_path):
    with pytest.raises(CheckpointError, match=r"no file of weights at .*nowhere\.safetensors"):
        load_network(tmp_path / "nowhere.safetensors")


@pytest.mark.parametrize("adapter", [None, AdapterConfig()], ids=["XMem", "iMOS"])
@pytest.mark.parametrize("wrapped", [False, True], ids=["weights", "training checkpoint"])
def test_published_files_load_with_or_without_adapters(tmp_path, narrow_xmem, adapter, wrapped):
    network = narrow_network(replace(NARROW, adapter=adapter))
    state = dict(network.state_dict())
    torch.save({"it": 110_000, "network": state} if wrapped else state, tmp_path / "published.pth")
    loaded = load_network(tmp_path / "published.pth")
    assert loaded.config.adapter == adapter
    assert same_weights(network, loaded)


def test_a_published_file_that_does_not_fit_is_refused_with_the_list_of_keys(tmp_path, narrow_xmem):
    state = dict(narrow_network().state_dict())
    state["decoder.prediction.bias"] = state.pop("decoder.pred.bias")
    torch.save(state, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"missing: decoder\.pred\.bias; 1 not known: decoder\.prediction\.bias"):
        load_network(tmp_path / "other.pth")


@pytest.mark.parametrize("content", [[torch.zeros(1)], {"network": {"weight": 3}}, torch.zeros(2), {3: torch.zeros(1)}])
def test_a_published_file_without_a_dictionary_of_tensors_is_refused(tmp_path, narrow_xmem, content):
    torch.save(content, tmp_path / "other.pth")
    with pytest.raises(CheckpointError, match=r"other\.pth"):
        load_network(tmp_path / "other.pth")


class _Attack:
    """Unpickling it would create a file."""

    def __init__(self, target: Path) -> None:
        self.target = target

    def __reduce__(self):
        return Path.touch, (self.target,)


@pytest.mark.parametrize("write", [torch.save, lambda value, path: path.write_bytes(pickle.dumps(value))])
def test_code_inside_a_published_file_is_refused_and_never_run(tmp_path, write):
    touched = tmp_path / "touched"
    write({"network": _Attack(touched)}, tmp_path / "attack.pth")
    with pytest.raises(CheckpointError, match="weights only"):
        load_network(tmp_path / "attack.pth")
    assert not touched.exists()


def test_an_interrupted_save_leaves_the_old_file_and_nothing_beside_it(tmp_path, monkeypatch):
    path = tmp_path / "weights.safetensors"
    old = narrow_network(seed=1)
    save_network(path, old)

    def disk_full(tensors, target, metadata):
        Path(target).write_bytes(b"half")
        raise OSError("no space left on device")

    monkeypatch.setattr(checkpoint, "save_file", disk_full)
    with pytest.raises(OSError, match="no space"):
        save_network(path, narrow_network(seed=2))
    assert same_weights(load_network(path), old)
    assert list(tmp_path.iterdir()) == [path]


def test_saving_replaces_the_old_file_and_leaves_nothing_beside_it(tmp_path):
    path = tmp_path / "weights.safetensors"
    for seed in (1, 2):
        save_network(path, narrow_network(seed=seed))
    assert same_weights(load_network(path), narrow_network(seed=2))
    assert list(tmp_path.iterdir()) == [path]


def test_who_has_the_old_file_open_keeps_reading_it_whole(tmp_path):
    path, opened = tmp_path / "weights.safetensors", tmp_path / "opened.safetensors"
    save_network(path, narrow_network(seed=1))
    opened.hardlink_to(path)
    save_network(path, narrow_network(seed=2))
    assert same_weights(load_network(opened), narrow_network(seed=1))

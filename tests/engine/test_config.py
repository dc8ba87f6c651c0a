from __future__ import annotations

import json
from dataclasses import FrozenInstanceError, replace

import pytest

from imos_engine.config import PRESETS, AdapterConfig, Block, MemoryConfig, NetworkConfig, PropagationConfig


@pytest.mark.parametrize("adapter", [None, AdapterConfig(reduction=8, initial_gate=0.1)])
@pytest.mark.parametrize("preset", PRESETS)
def test_a_network_configuration_survives_json(preset, adapter):
    config = replace(PRESETS[preset], adapter=adapter)
    assert NetworkConfig.from_dict(json.loads(json.dumps(config.to_dict()))) == config


def test_features_double_their_channels_per_stage_and_bottlenecks_quadruple_them():
    assert NetworkConfig(width=8, key_block=Block.BASIC).feature_channels == (8, 16, 32)
    assert NetworkConfig(width=8, key_block=Block.BOTTLENECK).feature_channels == (32, 64, 128)


@pytest.mark.parametrize("config", [NetworkConfig(), AdapterConfig(), MemoryConfig(), PropagationConfig()])
def test_settings_cannot_be_changed_and_take_no_positions(config):
    with pytest.raises(FrozenInstanceError):
        config.width = 3
    with pytest.raises(TypeError, match="positional"):
        type(config)(1)


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (AdapterConfig, {"reduction": 0}, "reduction must be at least 1, got 0"),
        (NetworkConfig, {"width": 0}, "at least 1 channel, got 0"),
        (NetworkConfig, {"hidden_channels": -2}, "at least 1 channel, got -2"),
        (NetworkConfig, {"value_channels": 15}, "at least 16 channels, got 15"),
        (NetworkConfig, {"decoder_channels": (8, 8, 8)}, "at least 16 channels, got 8"),
        (MemoryConfig, {"write_every": 0}, "write_every must be at least 1 frame, got 0"),
        (MemoryConfig, {"min_working_frames": 1}, "got 1 and 10"),
        (MemoryConfig, {"max_working_frames": 5}, "got 5 and 5"),
        (MemoryConfig, {"prototypes": 0}, "prototypes must be at least 1 element, got 0"),
        (MemoryConfig, {"max_long_term": 100}, "max_long_term must be 0 or hold one set of 128 prototypes, got 100"),
        (MemoryConfig, {"read_top_k": 0}, "read_top_k must be None or at least 1, got 0"),
        (PropagationConfig, {"size": 31}, "size must be None or at least 32 pixels, got 31"),
        (PropagationConfig, {"encode_batch": 0}, "encode_batch must be at least 1 frame, got 0"),
        (PropagationConfig, {"end_after": 0}, "end_after must be None or at least 1 frame, got 0"),
        (PropagationConfig, {"min_pixels": 0}, "min_pixels must be at least 1, got 0"),
        (PropagationConfig, {"feature_cache_bytes": -1}, "feature_cache_bytes must be at least 0, got -1"),
    ],
)
def test_settings_that_cannot_work_cannot_exist(kind, values, message):
    with pytest.raises(ValueError, match=message):
        kind(**values)


@pytest.mark.parametrize(
    ("kind", "values"),
    [
        (AdapterConfig, {"reduction": 1, "initial_gate": 0}),
        (MemoryConfig, {"max_long_term": 0, "read_top_k": None}),
        (MemoryConfig, {"max_long_term": 128, "min_working_frames": 2, "max_working_frames": 3, "write_every": 1}),
        (PropagationConfig, {"size": None, "end_after": None}),
        (PropagationConfig, {"size": 32, "encode_batch": 1, "end_after": 1, "feature_cache_bytes": 0}),
    ],
)
def test_the_extremes_that_work_are_accepted(kind, values):
    assert {name: getattr(kind(**values), name) for name in values} == values

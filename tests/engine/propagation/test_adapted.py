import json
from dataclasses import asdict, replace
from time import perf_counter

import numpy as np
import pytest
import torch

from imos_engine.config import AdapterConfig, Precision, PropagationConfig, RefinerConfig
from imos_engine.network.adapter_weights import ADAPTER_KEY, adapter_weights, load_adapter, put_on, save_adapter
from imos_engine.network.checkpoint import CheckpointError, write_tensors
from imos_engine.propagation import AdaptedPropagator, FeatureCache, Propagator
from tests.engine.adapters.made import made_weights
from tests.engine.narrow import NARROW, NARROW_BOTTLENECK, narrow_network
from tests.engine.sequences import moving_frames, seed_on

REFINED = replace(NARROW, refiner=RefinerConfig(channels=(8, 16)))
SETTINGS = PropagationConfig(size=48, precision=Precision.FLOAT32)


def confidences(propagator, **options):
    results = propagator.propagate(moving_frames(6), [seed_on(2, 1)], **options)
    return np.array([result.evidence[1].entropy if 1 in result.evidence else 0.0 for result in results])


def dressed(weights, config=NARROW):
    network = narrow_network(config)
    put_on(network, weights)
    return Propagator(network, settings=SETTINGS)


@pytest.mark.parametrize("parts", [(), ("decoder",), ("refiner",), ("decoder", "refiner")])
def test_wearing_adapters_equals_a_network_that_has_them(parts):
    propagator = AdaptedPropagator(narrow_network(REFINED), settings=SETTINGS)
    bare = confidences(propagator)
    for seed in (1, 2, 1):
        weights = made_weights(seed=seed, parts=parts, config=REFINED)
        propagator.wear(weights, identity=seed)
        worn = confidences(propagator)
        np.testing.assert_allclose(worn, confidences(dressed(weights, REFINED)), rtol=1e-4, atol=1e-6)
        assert not np.allclose(worn, bare)
    propagator.wear(None)
    np.testing.assert_array_equal(confidences(propagator), bare)


def test_frames_encoded_under_one_version_are_not_served_under_another():
    cached = AdaptedPropagator(narrow_network(), settings=SETTINGS, features=FeatureCache(1 << 24))
    uncached = AdaptedPropagator(narrow_network(), settings=SETTINGS)
    for weights, identity in ((None, None), (made_weights(seed=1), 1), (made_weights(seed=2), 2)):
        for propagator in (cached, uncached):
            propagator.wear(weights, identity=identity)
        np.testing.assert_allclose(confidences(cached, image_key="image"), confidences(uncached), rtol=1e-3, atol=1e-5)
        within_one_run = cached.timings.cached_frames
        confidences(cached, image_key="image")
        assert cached.timings.cached_frames > within_one_run


def test_switching_between_versions_that_were_worn_costs_less_than_a_millisecond_or_two():
    propagator = AdaptedPropagator(narrow_network(), settings=SETTINGS)
    versions = [made_weights(seed=seed) for seed in (1, 2)]
    for identity, weights in enumerate(versions):
        propagator.wear(weights, identity=identity)
    took = []
    for turn in range(20):
        started = perf_counter()
        propagator.wear(versions[turn % 2], identity=turn % 2)
        took.append(perf_counter() - started)
    assert min(took) < 0.002


def test_adapters_of_another_network_are_refused_and_nothing_changes():
    propagator = AdaptedPropagator(narrow_network(), settings=SETTINGS)
    before = confidences(propagator)
    with pytest.raises(CheckpointError, match="does not fit"):
        propagator.wear(made_weights(config=NARROW_BOTTLENECK), identity=1)
    np.testing.assert_array_equal(confidences(propagator), before)


def test_a_network_that_refuses_adapters_keeps_those_it_had():
    network = narrow_network()
    put_on(network, made_weights(seed=1))
    before = {name: value.clone() for name, value in network.state_dict().items()}
    with pytest.raises(CheckpointError, match="does not fit"):
        put_on(network, made_weights(config=NARROW_BOTTLENECK))
    assert all(torch.equal(before[name], value) for name, value in network.state_dict().items())


def test_adapter_weights_come_back_from_disk_and_other_files_are_refused(tmp_path):
    weights = made_weights(seed=3, parts=("decoder", "refiner"), config=REFINED)
    save_adapter(tmp_path / "a.safetensors", weights)
    loaded = load_adapter(tmp_path / "a.safetensors")
    network = narrow_network(REFINED)
    put_on(network, loaded)
    taken = adapter_weights(network, parts=loaded.parts)
    assert taken.tensors.keys() == weights.tensors.keys()
    assert all(torch.equal(taken.tensors[name], value) for name, value in weights.tensors.items())
    (tmp_path / "b.safetensors").write_bytes(b"nothing")
    for name in ("b.safetensors", "c.safetensors"):
        with pytest.raises(CheckpointError):
            load_adapter(tmp_path / name)


def test_a_file_of_an_earlier_release_which_keeps_every_bit_of_a_decoder_loads(tmp_path):
    weights = made_weights(seed=3, parts=("decoder",))
    exact = {name: value + 1e-6 if value.is_floating_point() else value for name, value in weights.tensors.items()}
    write_tensors(tmp_path / "a.safetensors", exact, {ADAPTER_KEY: json.dumps(asdict(weights.config))})
    loaded = load_adapter(tmp_path / "a.safetensors")
    assert loaded.parts == {"decoder"}
    assert all(torch.equal(loaded.tensors[name], value) for name, value in exact.items())


def test_what_replaces_a_part_takes_half_of_its_bytes_and_comes_back_as_it_was_measured(tmp_path):
    network = narrow_network(REFINED)
    network.attach_adapters(AdapterConfig())
    alone, along = adapter_weights(network), adapter_weights(network, parts=("refiner",))
    for name, weights in (("alone", alone), ("along", along)):
        save_adapter(tmp_path / name, weights)
    added = (tmp_path / "along").stat().st_size - (tmp_path / "alone").stat().st_size
    exact = sum(parameter.numel() * 4 for parameter in network.refiner.parameters())
    assert 0 < added < 0.5 * exact + 10_000
    loaded = load_adapter(tmp_path / "along")
    assert loaded.parts == {"refiner"}
    assert all(torch.equal(loaded.tensors[name], value) for name, value in along.tensors.items())

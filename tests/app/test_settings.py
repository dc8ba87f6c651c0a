"""What `--conf` may say, and the sentence when it says something else."""

import pytest

from imos_engine.config import Precision, PropagationConfig
from lib.labels import DEFAULT_LABELS
from lib.settings import MODELS, ConfError, read_settings


def read(weights, /, **conf):
    return read_settings({"weights": str(weights), **conf}, app_dir=weights.parent)


def test_without_a_word_every_model_is_offered_with_the_engines_own_settings(weights):
    settings = read(weights, device="cpu")
    assert settings.models == MODELS
    assert settings.propagation == PropagationConfig()
    assert settings.labels == DEFAULT_LABELS


def test_every_key_reaches_its_setting(weights):
    conf = {"models": "imos", "device": "cpu", "size": "96", "precision": "float32", "cache_mb": "5", "threads": "3"}
    settings = read(weights, **conf, labels="left kidney, cyst")
    assert settings.models == ("imos",)
    assert settings.device == "cpu"
    assert settings.threads == 3
    assert settings.labels == {"left kidney": 3, "cyst": 37}
    assert settings.propagation == PropagationConfig(
        size=96, precision=Precision.FLOAT32, feature_cache_bytes=5 * 2**20
    )
    assert read(weights, size="full", device="cpu").propagation.size is None


def test_the_network_chooses_the_bundled_weights(tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "imos_xmem.safetensors").touch()
    assert read_settings({"network": "xmem", "device": "cpu"}, app_dir=tmp_path).weights.name == "imos_xmem.safetensors"


def test_marks_are_solved_by_the_bundled_weights_where_they_are_unless_told_otherwise(weights, tmp_path):
    assert read(weights, device="cpu").prompts is None
    (tmp_path / "model").mkdir()
    bundled, network = tmp_path / "model" / "imos_prompts.safetensors", tmp_path / "model" / "imos_small.safetensors"
    bundled.touch()
    network.touch()
    chosen = [
        read_settings({"device": "cpu", **conf}, app_dir=tmp_path).prompts
        for conf in ({}, {"prompts": "learned"}, {"prompts": "classical"})
    ]
    assert chosen == [bundled, bundled, None]


def test_weights_that_are_fetched_on_request_are_named_with_the_command_that_fetches_them(tmp_path):
    with pytest.raises(ConfError, match=r"imos fetch xmem --output .*/model/imos_xmem\.safetensors"):
        read_settings({"network": "xmem", "device": "cpu"}, app_dir=tmp_path)
    with pytest.raises(ConfError, match="imos_small") as refusal:
        read_settings({"device": "cpu"}, app_dir=tmp_path)
    assert "imos fetch" not in str(refusal.value)


@pytest.mark.parametrize(
    ("conf", "words"),
    [
        ({"modles": "imos"}, ["modles", "did you mean models?"]),
        ({"models": "imos,deepedit"}, ["deepedit", "imos_scribbles"]),
        ({"network": "huge"}, ["huge", "xmem", "small"]),
        ({"weights": "/nowhere.safetensors"}, ["/nowhere.safetensors", "no such file"]),
        ({"device": "abacus"}, ["abacus", "cpu"]),
        ({"size": "31"}, ["31", "at least 32"]),
        ({"size": "big"}, ["big", "full"]),
        ({"precision": "float16"}, ["float16", "bfloat16"]),
        ({"labels": "liver,liver"}, ["twice"]),
        ({"labels": "/nowhere.txt"}, ["/nowhere.txt", "no file"]),
        ({"cache_mb": "-1"}, ["cache_mb", "at least 0"]),
        ({"threads": "0"}, ["threads", "at least 1"]),
        ({"prompts": "guessed"}, ["guessed", "learned", "classical"]),
        ({"prompts": "learned"}, ["no weights at", "imos_prompts.safetensors", "give classical"]),
    ],
)
def test_a_pair_that_cannot_be_used_is_refused_with_what_can(weights, conf, words):
    with pytest.raises(ConfError) as refusal:
        read(weights, **{"device": "cpu", **conf})
    assert all(word in str(refusal.value) for word in ["--conf", *words])

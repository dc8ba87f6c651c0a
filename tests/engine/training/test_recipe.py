import json
from pathlib import Path

import pytest

import imos_engine.training
from imos_engine.training import Phase, TrainingConfig, config_from_dict, read_recipe
from imos_engine.training.recipe import Trainable

RECIPES = sorted((Path(imos_engine.training.__file__).parent / "recipes").glob("*.toml"))


@pytest.mark.parametrize("path", RECIPES, ids=lambda path: path.stem)
def test_every_bundled_recipe_is_valid_and_survives_json(path):
    config = read_recipe(path)
    assert config_from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_an_unknown_setting_is_refused_by_name():
    with pytest.raises(ValueError, match="stesp"):
        config_from_dict({"phases": [{"stesp": 3}]})


@pytest.mark.parametrize(
    "wrong",
    [{}, {"steps": 3, "minutes": 1.0}, {"steps": 0}, {"steps": 3, "size": 100}, {"steps": 3, "frames": 1}],
)
def test_a_phase_without_one_clear_length_or_with_an_impossible_shape_cannot_exist(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 (each has its own sentence)
        Phase(**wrong)


def test_another_duration_keeps_the_shares_of_the_phases():
    config = TrainingConfig(phases=(Phase(minutes=30.0), Phase(minutes=10.0)))
    assert [phase.minutes for phase in config.lasting(8.0).phases] == [6.0, 2.0]


def test_validation_clips_may_not_be_training_clips():
    with pytest.raises(ValueError, match="seed"):
        TrainingConfig(phases=(Phase(steps=1),), seed=990_001)


def test_trainable_adapters_are_those_in_the_encoders_blocks():
    name = "key_encoder.layer2.0.adapter.conv.weight"
    assert Trainable.ADAPTERS.covers(name)
    assert not Trainable.ADAPTERS.covers("decoder.pred.weight")
    assert Trainable.ADAPTERS_AND_DECODER.covers("decoder.pred.weight")
    assert not Trainable.ADAPTERS_AND_DECODER.covers("key_encoder.conv1.weight")
    assert Trainable.EVERYTHING.covers("key_encoder.conv1.weight")
    assert Trainable.DECODER.covers("decoder.pred.weight")
    assert not Trainable.DECODER.covers(name)
    assert not Trainable.DECODER.covers("key_proj.key_proj.weight")


def test_a_phase_may_train_something_else_than_the_run():
    plain = {"phases": [{"steps": 1, "trainable": "decoder"}, {"steps": 1}]}
    config = config_from_dict(plain)
    assert [config.trainable_in(phase) for phase in config.phases] == [Trainable.DECODER, Trainable.EVERYTHING]
    assert config_from_dict(json.loads(json.dumps(config.as_dict()))) == config


def test_an_unknown_choice_of_parameters_is_answered_with_those_there_are():
    with pytest.raises(ValueError, match="adapters\\+decoder"):
        config_from_dict({"phases": [{"steps": 1, "trainable": "encoder"}]})

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from imos_engine.cli import main
from imos_engine.cli.train_prompts import RECIPES
from imos_engine.prompts import PromptNetworkConfig, load_prompt_network
from imos_engine.prompts.view import ALLOWED, CHANNELS, KNOWN, PREVIOUS
from imos_engine.training.prompts import PromptTraining, prompt_training_from_dict, read_prompt_recipe, train_prompts
from imos_engine.training.prompts.examples import Batch
from imos_engine.training.prompts.loop import Run, prompt_loss
from imos_engine.training.prompts.recipe import PromptValidation

SHORT = PromptTraining(
    steps=4,
    batch=2,
    per_clip=2,
    slice_size=48,
    average_decay=0.5,
    bfloat16=False,
    checkpoint_every=2,
    log_every=1,
    network=PromptNetworkConfig(view=16, filters=(8, 8, 8)),
    validation=PromptValidation(every=2, batches=1),
)


def stop_after(steps):
    asked = []
    return lambda: asked.append(1) or len(asked) >= steps


@pytest.fixture(scope="module")
def whole(tmp_path_factory):
    return train_prompts(SHORT, output_dir=tmp_path_factory.mktemp("whole"))


def test_the_same_recipe_gives_the_same_weights(whole, tmp_path):
    again, first = load_file(train_prompts(SHORT, output_dir=tmp_path)), load_file(whole)
    assert all(torch.equal(first[name], again[name]) for name in first)


@pytest.mark.parametrize("stop", [1, 3])
def test_a_resumed_run_equals_an_uninterrupted_one_bit_by_bit(whole, tmp_path, stop):
    train_prompts(SHORT, output_dir=tmp_path, should_stop=stop_after(stop))
    train_prompts(SHORT, output_dir=tmp_path)
    states = [torch.load(folder / "checkpoint.pt", weights_only=True) for folder in (whole.parent, tmp_path)]
    assert states[0]["step"] == states[1]["step"] == 4
    for part in ("network", "average"):
        assert all(torch.equal(value, states[1][part][name]) for name, value in states[0][part].items())


def test_a_run_leaves_weights_that_load_and_a_log(whole):
    assert load_prompt_network(whole).config == SHORT.network
    lines = [json.loads(line) for line in (whole.parent / "log.jsonl").read_text().splitlines()]
    assert [line["step"] for line in lines if "loss" in line] == [1, 2, 3, 4]
    assert all(0 <= line["validation_dice"] <= 1 for line in lines if "validation_dice" in line)


def test_a_checkpoint_of_another_network_is_refused(whole):
    other = prompt_training_from_dict({**SHORT.as_dict(), "network": {"view": 32, "filters": [8, 8, 8]}})
    with pytest.raises(ValueError, match="another output folder"):
        train_prompts(other, output_dir=whole.parent)


def test_a_run_in_minutes_ends_on_time(tmp_path):
    ticks = iter(range(0, 6000, 60))
    train_prompts(SHORT.lasting(2.0), output_dir=tmp_path, clock=lambda: next(ticks))
    assert torch.load(tmp_path / "checkpoint.pt", weights_only=True)["step"] == 2


def test_a_second_look_changes_the_weights(whole, tmp_path):
    once = replace(SHORT, second_look_every=SHORT.steps + 1)  # step 0 takes one in any case
    other, first = load_file(train_prompts(once, output_dir=tmp_path)), load_file(whole)
    assert any(not torch.equal(first[name], other[name]) for name in first)


def test_a_second_look_gives_answers_as_previous_masks_to_examples_that_had_none():
    torch.manual_seed(0)
    run, views = Run(SHORT), torch.rand(2, CHANNELS, 16, 16)
    views[:, [PREVIOUS, KNOWN]] = 0
    views[1, PREVIOUS, :8], views[1, KNOWN] = 1, 1
    views[0, ALLOWED, 8:], views[0, ALLOWED, :8] = 0, 1
    batch = Batch(views=views, masks=torch.zeros(2, 1, 16, 16), counted=torch.ones(2, 1, 16, 16))
    seen = run.second_look(batch).views
    torch.testing.assert_close(seen[1], views[1], rtol=0, atol=0)
    assert (seen[0, KNOWN] == 1).all()
    assert (seen[0, PREVIOUS, :8] > 0).all()
    assert (seen[0, PREVIOUS, 8:] == 0).all()
    others = [channel for channel in range(CHANNELS) if channel not in (PREVIOUS, KNOWN)]
    torch.testing.assert_close(seen[0, others], views[0, others], rtol=0, atol=0)


def test_pixels_that_do_not_count_change_nothing_of_the_loss():
    torch.manual_seed(0)
    logits, masks = torch.randn(2, 1, 8, 8), (torch.rand(2, 1, 8, 8) > 0.5).float()
    counted = torch.ones(2, 1, 8, 8)
    counted[..., :4] = 0
    changed = logits.clone()
    changed[..., :4] = 50
    batch = Batch(views=torch.empty(0), masks=masks, counted=counted)
    torch.testing.assert_close(prompt_loss(changed, batch), prompt_loss(logits, batch))
    assert prompt_loss(30 * (2 * masks - 1), batch) < 0.01 < prompt_loss(logits, batch)


@pytest.mark.parametrize("path", sorted(RECIPES.glob("*.toml")), ids=lambda path: path.stem)
def test_every_bundled_recipe_is_valid_and_survives_json(path):
    recipe = read_prompt_recipe(path)
    assert prompt_training_from_dict(json.loads(json.dumps(recipe.as_dict()))) == recipe


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"steps": 3, "minutes": 1.0},
        {"steps": 0},
        {"steps": 3, "batch": 0},
        {"steps": 3, "warm_up": 1.0},
        {"steps": 3, "seed": 990_002},
        {"steps": 3, "stesp": 4},
        {"steps": 3, "network": {"depth": 4}},
    ],
)
def test_a_recipe_that_makes_no_sense_is_refused(wrong):
    with pytest.raises(ValueError):  # noqa: PT011 (each has its own sentence)
        prompt_training_from_dict(wrong)


def test_the_command_trains_by_a_recipe_file(tmp_path, capsys):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text(
        "steps = 1\nbatch = 2\nper_clip = 2\nslice_size = 48\n"
        "[network]\nview = 16\nfilters = [8, 8, 8]\n[validation]\nbatches = 1\n"
    )
    assert main(["train-prompts", "--recipe", str(recipe), "--output", str(tmp_path / "run"), "--quiet"]) == 0
    assert Path(capsys.readouterr().out.strip()).is_file()
    assert main(["train-prompts", "--recipe", "huge", "--output", str(tmp_path / "run")]) == 1
    assert "there is no recipe huge" in capsys.readouterr().err


def test_a_run_begins_with_the_weights_that_it_is_given(whole, tmp_path):
    still = replace(SHORT, learning_rate=(0.0, 0.0), steps=1)
    kept = load_file(train_prompts(still, output_dir=tmp_path, weights=whole))
    learned = {name: value for name, value in load_file(whole).items() if "running" not in name and "num_" not in name}
    assert all(torch.equal(value, kept[name]) for name, value in learned.items())


def test_weights_of_another_network_are_refused(whole, tmp_path):
    other = replace(SHORT, network=PromptNetworkConfig(view=16, filters=(8, 16, 16)))
    with pytest.raises(ValueError, match="the recipe asks for"):
        train_prompts(other, output_dir=tmp_path, weights=whole)

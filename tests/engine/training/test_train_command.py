import logging
import os
import signal
import threading
import time

import pytest
import torch

from imos_engine.cli import main

ENDLESS = """\
workers = 0
log_every = 1
precision = "float32"
[validation]
clips = 1
frames = 2
size = 32
[[phases]]
steps = 1000000
frames = 2
size = 32
batch = 1
"""


def interrupt_after_a_step(folder, number):
    """Send this process the signal once the log tells of a step."""
    log, patience = folder / "log.jsonl", time.monotonic() + 240
    while time.monotonic() < patience and not (log.is_file() and '"loss"' in log.read_text()):
        time.sleep(0.05)
    os.kill(os.getpid(), number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_run_is_saved_and_says_how_to_go_on(tmp_path, tiny_weights, caplog, number):
    caplog.set_level(logging.INFO)
    recipe, output = tmp_path / "endless.toml", tmp_path / "run"
    recipe.write_text(ENDLESS)
    threading.Thread(target=interrupt_after_a_step, args=(output, number), daemon=True).start()
    arguments = ["--recipe", str(recipe), "--output", str(output), "--weights", str(tiny_weights), "--device", "cpu"]
    with pytest.raises(SystemExit) as ended:
        main(["train", *arguments, "--quiet"])
    assert ended.value.code == 128 + number
    assert "the same command goes on from there" in caplog.messages[-1]
    assert torch.load(output / "checkpoint.pt", weights_only=True)["position"]["total_steps"] >= 1
    assert (output / "weights.safetensors").is_file()


def test_the_list_names_every_bundled_recipe_with_its_length(capsys):
    assert main(["train", "--list"]) == 0
    printed = capsys.readouterr().out
    assert "small " in printed
    assert "93 minutes" in printed
    assert "3 phases" in printed


@pytest.mark.parametrize("given", [[], ["--recipe", "small"], ["--output", "runs/a"]])
def test_a_missing_option_is_answered_with_what_to_give(given, capsys):
    assert main(["train", *given]) == 1
    assert "--list" in capsys.readouterr().err


@pytest.mark.parametrize("minutes", ["0", "-3"])
def test_no_time_at_all_is_refused(minutes, tmp_path, capsys):
    assert main(["train", "--recipe", "small", "--output", str(tmp_path), f"--minutes={minutes}"]) == 1
    assert "longer than nothing" in capsys.readouterr().err

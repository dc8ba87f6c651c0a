import json
import os
import signal

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from imos_engine.config import Precision
from imos_engine.network.checkpoint import load_network, read_metadata
from imos_engine.training import Phase, TrainingConfig, ValidationConfig, config_from_dict, train
from imos_engine.training.curves import read_series
from imos_engine.training.interruption import interruptible, interrupts_held_back
from imos_engine.training.journal import Journal, read_log
from imos_engine.training.loop import synthetic_source
from imos_engine.training.run_folder import run_folder_path
from imos_engine.training.samples import outline, overlay

from .conftest import MovingSquares

CONFIG = TrainingConfig(
    phases=(Phase(steps=2, frames=2, size=32, batch=1), Phase(steps=1, frames=2, size=32, batch=2)),
    precision=Precision.FLOAT32,
    validation=ValidationConfig(every=2, clips=2, frames=3, size=32),
    keep_snapshots=2,
    log_every=1,
    workers=0,
)


@pytest.fixture(scope="module")
def runs(tmp_path_factory):
    """Two short runs from the same seed, random weights included."""
    folder = tmp_path_factory.mktemp("runs")
    for name in ("one", "other"):
        train(CONFIG, output_dir=folder / name, source=MovingSquares)
    return folder


def test_the_same_seed_and_recipe_give_the_same_weights_bit_by_bit(runs):
    one, other = (load_file(runs / name / "weights.safetensors") for name in ("one", "other"))
    assert all(torch.equal(one[name], other[name]) for name in one)


def test_a_run_keeps_its_recipe_as_it_was_read_and_where_it_ran(runs):
    assert config_from_dict(json.loads((runs / "one" / "recipe.json").read_text())) == CONFIG
    (start,) = json.loads((runs / "one" / "environment.json").read_text())
    assert start["first_step"] == 0
    assert start["torch"] == torch.__version__
    assert start["device"] == "cpu"


def test_every_validation_draws_the_curves_and_a_sample(runs):
    assert [path.name for path in sorted((runs / "one" / "samples").iterdir())] == [
        "step_0000002.png",
        "step_0000003.png",
    ]
    assert (runs / "one" / "curves.png").read_bytes().startswith(b"\x89PNG")


def test_drawing_keeps_no_figure_alive(runs):
    from matplotlib import pyplot

    assert pyplot.get_fignums() == []


def test_snapshots_are_half_as_large_and_know_what_they_cost(runs):
    snapshot = runs / "one" / "snapshots" / "step_0000002.safetensors"
    assert [path.name for path in snapshot.parent.iterdir()] == [snapshot.name]
    assert load_file(snapshot)["decoder.pred.weight"].dtype == torch.float16
    assert read_metadata(snapshot)["steps"] == "2"
    assert read_metadata(snapshot)["frames"] == "4"
    load_network(snapshot)


def test_a_resumed_run_forgets_what_was_logged_after_its_checkpoint(tmp_path):
    log = tmp_path / "log.jsonl"
    starts = [(0, (1, 2, 3), {1: 1, 2: 2, 3: 3}), (2, (3,), {1: 1, 2: 2, 3: 23}), (0, (1,), {1: 1})]
    for first, steps, expected in starts:
        with Journal(tmp_path, first_step=first, show_progress=False) as journal:
            for step in steps:
                journal.record(step, loss=10 * first + step)
        assert read_series(log)["loss"] == expected


def test_a_line_cut_short_by_a_crash_is_left_out(tmp_path):
    (tmp_path / "log.jsonl").write_text('{"step": 1, "loss": 0.5}\n{"step": 2, "lo')
    assert list(read_log(tmp_path / "log.jsonl")) == [{"step": 1, "loss": 0.5}]


def test_small_values_survive_the_log(tmp_path):
    with Journal(tmp_path, first_step=0, show_progress=False) as journal:
        journal.record(1, learning_rate=1.25e-7)
    assert next(read_log(tmp_path / "log.jsonl"))["learning_rate"] == 1.25e-7


def test_a_file_in_the_folders_place_is_answered_with_a_sentence(tmp_path):
    (tmp_path / "run").write_text("")
    with pytest.raises(ValueError, match="give a folder"):
        run_folder_path(tmp_path / "run")


def test_an_outline_is_the_border_of_each_label_and_nothing_within():
    labels = np.zeros((7, 7), dtype=np.int64)
    labels[1:6, 1:4], labels[1:6, 4:6] = 1, 2
    expected = labels > 0
    expected[2:5, 2] = False
    np.testing.assert_array_equal(outline(labels), expected)


def test_an_overlay_tints_the_prediction_and_draws_the_truth_over_it():
    truth = np.zeros((9, 9), dtype=np.int64)
    truth[2:7, 2:7] = 1
    grey = np.full((3, 9, 9), 0.5, dtype=np.float32)
    bare = overlay(grey, np.zeros_like(truth), np.zeros_like(truth))
    assert (bare == 128).all()
    drawn = overlay(grey, truth, truth)
    assert drawn[4, 4, 0] > drawn[4, 4, 2]  # reddish within
    assert drawn[2, 4].tolist() == [255, 90, 60]
    assert drawn[0, 0].tolist() == [128, 128, 128]


def test_a_signal_is_noted_and_nothing_dies():
    with interruptible() as interruption:
        assert not interruption()
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert interruption()
    assert interruption.signal is signal.SIGTERM
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_ctrl_c_is_held_back_from_what_is_started_meanwhile_and_only_then():
    with interrupts_held_back():
        assert signal.SIGINT in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())


def test_settings_of_a_phases_clips_reach_what_makes_them():
    assert synthetic_source(frames=2, size=32, seed=0, max_gap=1).settings.max_gap == 1
    with pytest.raises(ValueError, match="max_gap"):
        synthetic_source(frames=2, size=32, seed=0, gap=1)


def test_every_phase_gets_clips_of_its_own_settings(tmp_path):
    asked = []

    def source(*, frames, size, seed, **settings):
        asked.append(settings)
        return MovingSquares(frames=frames, size=size, seed=seed)

    plain = CONFIG.as_dict()
    plain["phases"] = [phase | {"steps": 1, "source": {"gap": gap}} for gap, phase in enumerate(plain["phases"], 1)]
    plain["validation"] = plain["validation"] | {"source": {"gap": 9}}
    train(config_from_dict(plain), output_dir=tmp_path, source=source)
    assert asked == [{"gap": 9}, {"gap": 1}, {"gap": 2}]

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel as nib
import numpy as np
import pytest

from imos_engine.cli import inputs, main
from imos_engine.metrics import score_sequence
from imos_engine.network.checkpoint import save_network
from imos_engine.propagation import Propagator
from imos_engine.volume_file import RGB24
from tests.engine.narrow import narrow_network
from tests.engine.sequences import moving_images

ENGINE_PARENT = Path(inputs.__file__).resolve().parents[2]
AFFINE = np.array([[0, -1.5, 0, 7], [1.2, 0, 0, -3], [0, 0, 4, 11], [0, 0, 0, 1.0]])  # rotated, flipped, anisotropic
SHAPE = (40, 48, 7)


def save(path: Path, array: np.ndarray, affine: np.ndarray = AFFINE) -> Path:
    nib.save(nib.Nifti1Image(array, affine), path)
    return path


def seed_volume(*slices: int, label: int = 5, axis: int = 2) -> np.ndarray:
    seeds = np.zeros(SHAPE, np.uint8)
    for index in slices:
        np.moveaxis(seeds, axis, 0)[index, 2:20, 3:30] = label
    return seeds


@pytest.fixture(scope="module")
def weights(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("weights") / "narrow.safetensors"
    save_network(path, narrow_network())
    return path


@pytest.fixture
def case(tmp_path, weights):
    """A folder with an image, seeds on slice 3, and a function that runs `imos propagate` there."""
    save(tmp_path / "image.nii.gz", np.moveaxis(moving_images(7, 40, 48), 0, 2).astype(np.float32))
    save(tmp_path / "seeds.nii.gz", seed_volume(3))

    def propagate(*more: str, **changed: str) -> int:
        files = {"image": "image.nii.gz", "seeds": "seeds.nii.gz", "out": "out.nii.gz", **changed}
        paths = [text for name, file in files.items() for text in (f"--{name}", str(tmp_path / file))]
        return main(["propagate", *paths, "--weights", str(weights), "--size", "48", "--quiet", *more])

    propagate.folder = tmp_path
    return propagate


def result(case) -> nib.Nifti1Image:
    return nib.load(case.folder / "out.nii.gz")


def voxels(case) -> np.ndarray:
    return np.asarray(result(case).dataobj)


def test_the_command_writes_labels_on_the_images_grid_and_prints_one_line_of_json(case, weights):
    command = [sys.executable, "-m", "imos_engine", "propagate", "--weights", str(weights), "--size", "48"]
    files = ["--image", "image.nii.gz", "--seeds", "seeds.nii.gz", "--out", "out.nii.gz"]
    environment = {"PYTHONPATH": str(ENGINE_PARENT), "PATH": "/usr/bin:/bin"}
    done = subprocess.run([*command, *files], cwd=case.folder, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("\n") == 1
    report = json.loads(done.stdout)
    assert report["seeds"] == [3]
    assert report["timings"]["frames"] >= 7
    assert report["timings"]["total"] >= report["timings"]["encode"] > 0
    assert "7/7" in done.stderr
    assert result(case).shape == SHAPE
    np.testing.assert_allclose(result(case).affine, AFFINE, atol=1e-5)


def test_annotated_slices_come_back_exactly_and_no_other_label_appears(case, capsys):
    seeds = seed_volume(1, 5)
    save(case.folder / "seeds.nii.gz", seeds)
    assert case() == 0
    np.testing.assert_array_equal(voxels(case)[..., [1, 5]], seeds[..., [1, 5]])
    assert set(np.unique(voxels(case))) <= {0, 5}
    assert json.loads(capsys.readouterr().out)["voxels"] == {"5": int((voxels(case) == 5).sum())}


def test_a_slice_annotated_for_one_label_comes_back_without_the_other(case):
    seeds = seed_volume(1, label=5) + seed_volume(4, label=250)
    save(case.folder / "seeds.nii.gz", seeds)
    assert case() == 0
    np.testing.assert_array_equal(voxels(case)[..., [1, 4]], seeds[..., [1, 4]])


def test_slices_named_as_annotated_stay_empty(case):
    assert case() == 0
    assert voxels(case)[..., [0, 5]].any(axis=(0, 1)).all()  # or the next lines would show nothing
    assert case("--slices", "0,5") == 0
    assert not voxels(case)[..., [0, 5]].any()


def test_a_label_missing_on_a_slice_is_absent_only_if_the_slice_is_named(case, monkeypatch):
    seen = []
    propagate = Propagator.propagate
    monkeypatch.setattr(Propagator, "propagate", lambda *given: seen.append(given[2]) or propagate(*given))
    save(case.folder / "seeds.nii.gz", seed_volume(1, label=5) + seed_volume(4, label=250))
    assert case() == case("--slices", "4") == 0
    assert [[sorted(seed.objects) for seed in seeds] for seeds in seen] == [[[5], [250]], [[5], [5, 250]]]


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_the_axis_is_the_one_along_which_seeds_are_planar_and_can_be_given(case, axis, capsys):
    seeds = seed_volume(4, axis=axis)[:, :, :7]
    save(case.folder / "seeds.nii.gz", seeds)
    assert case() == 0
    assert json.loads(capsys.readouterr().out)["axis"] == axis
    np.testing.assert_array_equal(voxels(case).take(4, axis), seeds.take(4, axis))
    assert case("--axis", "2") == 0
    assert json.loads(capsys.readouterr().out)["axis"] == 2


def test_colour_video_is_carried_as_rgb24(case):
    colour = (255 * np.moveaxis(moving_images(7, 40, 48, colour=True), 0, 2)).astype(np.uint8)
    stored = np.ascontiguousarray(colour).view(RGB24)[..., 0]
    save(case.folder / "image.nii.gz", stored)
    assert case() == 0
    assert result(case).shape == SHAPE
    np.testing.assert_array_equal(voxels(case)[..., 3], seed_volume(3)[..., 3])


def test_two_runs_give_the_same_labels(case):
    assert case(out="one.nii.gz") == case(out="two.nii.gz") == 0
    one, two = (np.asarray(nib.load(case.folder / name).dataobj) for name in ("one.nii.gz", "two.nii.gz"))
    np.testing.assert_array_equal(one, two)


FAILURES = {
    "image is absent": (["--axis", "2"], {"image": "nothing.nii.gz"}, "no file"),
    "image is no volume": ([], {"image": "text.nii.gz"}, "cannot be read"),
    "seeds on another grid": ([], {"seeds": "small.nii.gz"}, "image's grid"),
    "seeds elsewhere in space": ([], {"seeds": "shifted.nii.gz"}, "affine"),
    "seeds without a label": ([], {"seeds": "empty.nii.gz"}, "annotate the object"),
    "seeds with fractions": ([], {"seeds": "fractions.nii.gz"}, "whole numbers"),
    "seeds below zero": ([], {"seeds": "negative.nii.gz"}, "0 to 65535"),
    "slice outside": (["--slices", "7"], {}, "slices are 0 to 6"),
    "weights absent": (["--weights", "nothing.safetensors"], {}, "no file of weights"),
    "weights are no weights": (["--weights", __file__], {}, "cannot be read"),
    "unknown device": (["--device", "abacus"], {}, "abacus"),
    "device not here": (["--device", "cuda:99"], {}, "cuda:99"),
    "output has no known suffix": ([], {"out": "out.png"}, "end it in"),
    "output folder is absent": ([], {"out": "nowhere/out.nii.gz"}, "no folder"),
    "output replaces the image": ([], {"out": "image.nii.gz"}, "replace --image"),
    "size too small": (["--size", "8"], {}, "size"),
}


@pytest.mark.parametrize("failure", FAILURES)
def test_a_failure_is_one_sentence_an_exit_code_and_no_file(case, failure, capsys):
    more, changed, reason = FAILURES[failure]
    (case.folder / "text.nii.gz").write_text("no volume")
    shifted = AFFINE.copy()
    shifted[0, 3] += 5
    save(case.folder / "small.nii.gz", seed_volume(3)[:-1])
    save(case.folder / "shifted.nii.gz", seed_volume(3), shifted)
    save(case.folder / "empty.nii.gz", seed_volume())
    save(case.folder / "fractions.nii.gz", seed_volume(3).astype(np.float32) / 2)
    save(case.folder / "negative.nii.gz", -seed_volume(3).astype(np.int16))
    before = {path: path.read_bytes() for path in case.folder.iterdir()}
    assert case(*more, **changed) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("imos propagate: ")
    assert reason in printed.err
    assert printed.err.count("\n") == 1
    assert {path: path.read_bytes() for path in case.folder.iterdir()} == before


def test_a_propagation_that_breaks_off_keeps_the_old_result(case, monkeypatch):
    (case.folder / "out.nii.gz").write_bytes(b"the old result")

    def break_off(*_):
        raise RuntimeError("out of memory")
        yield

    monkeypatch.setattr(Propagator, "propagate", break_off)
    assert case() == 1
    assert (case.folder / "out.nii.gz").read_bytes() == b"the old result"
    assert sorted(path.name for path in case.folder.iterdir()) == ["image.nii.gz", "out.nii.gz", "seeds.nii.gz"]


@pytest.mark.parametrize("value", [0.0, np.nan])
def test_a_constant_or_undefined_image_propagates_with_a_warning(case, value, capsys):
    save(case.folder / "image.nii.gz", np.full(SHAPE, value, np.float32))
    assert case() == 0
    assert "warning" in capsys.readouterr().err
    np.testing.assert_array_equal(voxels(case)[..., 3], seed_volume(3)[..., 3])


def test_missing_bundled_weights_are_named_with_the_remedy(case, monkeypatch, capsys):
    monkeypatch.setattr(inputs, "DEFAULT_WEIGHTS", case.folder / "model" / "imos_small.safetensors")
    files = [f"--{name}={case.folder / name}.nii.gz" for name in ("image", "seeds", "out")]
    assert main(["propagate", *files]) == 1
    assert "--weights" in capsys.readouterr().err


def test_bundled_weights_lie_in_the_apps_model_folder():
    assert inputs.DEFAULT_WEIGHTS.parent == ENGINE_PARENT / "model"
    assert (ENGINE_PARENT / "imos_engine").is_dir()


def test_integers_stored_as_floats_are_seeds(case):
    save(case.folder / "seeds.nii.gz", seed_volume(3).astype(np.float64))
    assert case() == 0
    np.testing.assert_array_equal(voxels(case)[..., 3], seed_volume(3)[..., 3])


def truth_and_prediction(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    truth, prediction = seed_volume(1, 2, 3, 4), np.roll(seed_volume(2, 3, 4, 5), 2, axis=0)
    truth[:, 40:, 2:4] = prediction[:, 40:, 2:4] = 9
    save(folder / "truth.nii.gz", truth)
    save(folder / "prediction.nii.gz", prediction)
    return truth, prediction


def test_evaluation_of_a_prediction_prints_the_scores_of_every_label(tmp_path, capsys):
    truth, prediction = truth_and_prediction(tmp_path)
    files = [f"--{name}={tmp_path / name}.nii.gz" for name in ("truth", "prediction")]
    assert main(["evaluate", *files, "--slice", "3", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["labels"]
    assert set(rows) == {"5", "9"}
    masks = [np.moveaxis(volume == 5, 2, 0) for volume in (prediction, truth)]
    expected = score_sequence(*masks, seeds=[3])
    assert rows["5"] == pytest.approx(
        {"seed": 3, "j": expected.j, "f": expected.f, "jf": expected.jf, "dice": expected.dice}
        | {"leak": expected.leak, "frames": expected.frames}
    )


def test_evaluation_prints_a_table_and_seeds_each_label_on_its_largest_slice(tmp_path, capsys):
    truth_and_prediction(tmp_path)
    files = [f"--{name}={tmp_path / name}.nii.gz" for name in ("truth", "prediction")]
    assert main(["evaluate", *files]) == 0
    heading, first, second, mean = (line.split() for line in capsys.readouterr().out.splitlines())
    assert heading == ["label", "seed", "slices", "J", "F", "J&F", "Dice", "leak"]
    assert (first[:2], second[:2], mean[0]) == (["5", "1"], ["9", "2"], "mean")


def test_evaluation_of_an_image_carries_each_label_alone(case, weights, capsys, monkeypatch):
    truth_and_prediction(case.folder)
    seen = []
    propagate = Propagator.propagate
    monkeypatch.setattr(Propagator, "propagate", lambda *given: seen.append(given[2]) or propagate(*given))
    files = [f"--truth={case.folder / 'truth.nii.gz'}", f"--image={case.folder / 'image.nii.gz'}"]
    assert main(["evaluate", *files, "--weights", str(weights), "--size", "48", "--quiet", "--json"]) == 0
    assert [[(seed.index, set(np.unique(seed.labels)) - {0}) for seed in seeds] for seeds in seen] == [
        [(1, {5})],
        [(2, {9})],
    ]
    assert 0 <= json.loads(capsys.readouterr().out)["labels"]["5"]["j"] <= 1


@pytest.mark.parametrize(
    ("more", "reason"),
    [(["--labels", "4"], "has no label 4"), (["--slice", "6"], "not on slice 6"), (["--slice", "9"], "0 to 6")],
)
def test_evaluation_refuses_what_the_truth_does_not_hold(tmp_path, more, reason, capsys):
    truth_and_prediction(tmp_path)
    files = [f"--{name}={tmp_path / name}.nii.gz" for name in ("truth", "prediction")]
    assert main(["evaluate", *files, *more]) == 1
    assert reason in capsys.readouterr().err


def test_training_hands_the_recipe_to_the_training_loop(tmp_path, monkeypatch, capsys):
    recipe = tmp_path / "tiny.toml"
    recipe.write_text("[[phases]]\nsteps = 3\n")
    called = {}

    def train(config, **options):
        called.update(options, steps=config.phases[0].steps)
        return tmp_path / "run" / "weights.safetensors"

    monkeypatch.setattr("imos_engine.training.train", train)
    arguments = ["train", "--recipe", str(recipe), "--output", str(tmp_path / "run"), "--device", "cpu"]
    assert main([*arguments, "--quiet"]) == 0
    assert capsys.readouterr().out.strip() == str(tmp_path / "run" / "weights.safetensors")
    assert called["steps"] == 3
    assert called["resume"] is True
    assert called["show_progress"] is False
    assert main([*arguments, "--fresh"]) == 0
    assert called["resume"] is False


def test_an_unknown_recipe_is_answered_with_those_there_are(tmp_path, capsys):
    assert main(["train", "--recipe", "huge", "--output", str(tmp_path)]) == 1
    assert "small" in capsys.readouterr().err


@pytest.mark.parametrize("command", [[], ["propagate"], ["evaluate"], ["train"]])
def test_help_of_every_command_reads_to_its_end(command, capsys):
    with pytest.raises(SystemExit) as ended:
        main([*command, "--help"])
    assert ended.value.code == 0
    assert "usage: imos" in capsys.readouterr().out

from __future__ import annotations

import numpy as np
import pytest

from benchmarks import protocols
from benchmarks.cases import read_case
from benchmarks.methods import TRAINING_FREE
from benchmarks.protocols import Strokes, mask_from_strokes, measure_label, measure_rounds, worst_frame
from imos_engine.metrics import dice, score_sequence
from tests.benchmarks.labelled_folder import disk_volume, write_case


@pytest.fixture
def case(tmp_path):
    write_case(tmp_path, "a", disk_volume([0, 5, 6, 7, 6, 0], 1) + disk_volume([0, 4, 4, 6, 4, 0], 3, centre=(34, 26)))
    return read_case(tmp_path / "a")


def test_repeating_the_seed_scores_what_its_definition_says(case):
    result = measure_label(case, 1, "repeat", TRAINING_FREE["repeat"])
    truth = case.label_mask(1)
    score = score_sequence(np.stack([truth[3]] * 6), truth, seeds=[3])
    assert (result.case, result.modality, result.label, result.seed_frame) == ("a", "MRI", "organ 1", 3)
    assert (result.j, result.f, result.jf, result.dice) == (score.j, score.f, score.jf, score.dice)
    assert result.leak == 2 * truth[3].sum() / truth.sum()
    assert result.seconds_per_frame > 0


def test_a_method_sees_only_its_label_and_only_the_seed_frame(case):
    seen = []

    def spy(images, seeds):
        seen.append((images.shape, seeds))
        return case.label_mask(3)

    assert measure_label(case, 3, "spy", spy).jf == 1
    [(shape, seeds)] = seen
    assert shape == (6, 40, 32)
    assert list(seeds) == [3]
    np.testing.assert_array_equal(seeds[3], case.label_mask(3)[3])


def test_strokes_give_the_solvers_mask_and_the_same_one_every_time(case):
    given = []

    def spy(images, seeds):
        given.append(seeds[3])
        return case.label_mask(1)

    strokes = Strokes()
    result = measure_label(case, 1, "spy", spy, strokes=strokes)
    assert result.given == "3 strokes (classical)"
    np.testing.assert_array_equal(given[0], mask_from_strokes(case, 1, strokes))
    truth = case.label_mask(1)[3]
    assert 0.7 < dice(given[0], truth) < 1


def test_the_solver_sees_strokes_inside_the_object_and_the_seed_frame(case):
    seen = []

    def solver(image, prompts):
        seen.append((image, prompts))
        return np.full(image.shape, 0.4, np.float32) + 0.2 * prompts.scribbles_foreground

    mask = mask_from_strokes(case, 3, Strokes(solver="spy", solve=solver))
    [(image, prompts)] = seen
    assert np.corrcoef(image.ravel(), case.image[..., 3].ravel())[0, 1] > 0.99  # the same slice, in a window
    assert abs(image.mean()) < 1
    np.testing.assert_array_equal(mask, prompts.scribbles_foreground)
    assert not (mask & ~case.label_mask(3)[3]).any()


def test_the_annotator_paints_the_frame_with_most_wrong_pixels_each_round(case):
    truth = case.label_mask(1)
    rounds = measure_rounds(case, 1, "repeat", TRAINING_FREE["repeat"])
    frames = [3]
    for count in range(1, protocols.ROUNDS + 1):
        predicted = TRAINING_FREE["repeat"](truth, {index: truth[index] for index in frames})
        assert rounds.dice[count - 1] == dice(predicted, truth)
        frames.append(int((predicted ^ truth).sum((1, 2)).argmax()))
    assert rounds.frames == tuple(frames[: protocols.ROUNDS])
    assert len(set(rounds.frames)) == protocols.ROUNDS
    assert rounds.scores["mean"] == np.mean(rounds.dice)


def test_nothing_is_painted_once_nothing_is_wrong(case):
    rounds = measure_rounds(case, 1, "perfect", lambda images, seeds: case.label_mask(1))
    assert rounds.frames == (3,)
    assert rounds.dice == (1,) * protocols.ROUNDS
    assert worst_frame(case.label_mask(1), case.label_mask(1)) is None

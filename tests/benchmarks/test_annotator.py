"""The simulated annotator, with a stand-in for the server."""

import nibabel
import numpy as np
import pytest

from benchmarks.annotator import (
    ERASED,
    OBJECT,
    STRATEGIES,
    STROKES,
    SUGGESTED,
    Annotation,
    Answer,
    first_annotation,
    measure_label,
    middle_of_gap,
    print_sessions,
    write_image,
)
from benchmarks.cases import LabelledCase
from imos_engine.volume_file import read_volume

COUNT = 13


def truth():
    """A disc that grows until slice 9 and is absent from slice 10 on, (T, H, W)."""
    rows, columns = np.indices((40, 40))
    return np.stack([(np.hypot(rows - 20, columns - 20) < 6 + index) & (index < 10) for index in range(COUNT)])


@pytest.fixture
def case():
    labels = np.moveaxis(truth(), 0, 2).astype(np.int32)
    return LabelledCase(
        name="disc",
        modality="CT",
        image=(labels * 100).astype(np.int16),
        truth=labels,
        label_names={1: "disc"},
        spacing_mm=(1.0, 1.0, 2.0),
        slice_axis=2,
    )


class NearestMask:
    """A server that repeats the nearest annotated slice, and suggests a fixed row of slices."""

    def __init__(self, suggestions):
        self.said = []
        self._suggestions = iter(suggestions)

    def __call__(self, annotation):
        self.said.append(annotation)
        known = {**annotation.strokes, **annotation.masks}
        nearest = [min(known, key=lambda one: abs(one - index)) for index in range(COUNT)]
        return Answer(
            mask=np.stack([known[index] for index in nearest]), suggestion=next(self._suggestions, None), seconds=1.0
        )


def answer_of(annotation):
    return NearestMask([])(annotation)


def test_the_first_interaction_is_strokes_inside_the_largest_slice(case):
    first = first_annotation(case, 1)
    ((index, strokes),) = first.strokes.items()
    assert index == 9
    assert strokes.any()
    assert not (strokes & ~truth()[9]).any()
    np.testing.assert_array_equal(first_annotation(case, 1).strokes[9], strokes)


def test_all_strategies_begin_alike_and_then_each_takes_its_own_slices(case):
    servers = [NearestMask([0, 12, 5, 7]), NearestMask([]), NearestMask([])]
    asking = iter(servers)
    ours, middle, first = measure_label(case, 1, lambda: next(asking))
    assert ours.frames == (9, 0, 12, 5, 7)
    assert middle.frames == (9, 4, 1, 6, 2)  # 0 to 9 hold the label: the largest gap is below the strokes
    assert first.frames == (9, 9, 4, 1, 6)
    assert ours.dice[0] == middle.dice[0] == first.dice[0]
    assert {len(one.dice) for one in (ours, middle, first)} == {5}
    assert [len(server.said) for server in servers] == [5, 4, 4]  # the strokes were answered already
    np.testing.assert_array_equal(servers[0].said[1].masks[0], truth()[0])
    assert not servers[0].said[2].masks[12].any()


def test_an_annotator_stops_when_nothing_is_suggested(case):
    (ours,) = measure_label(case, 1, lambda: NearestMask([0]), [SUGGESTED])
    assert ours.frames == (9, 0)
    assert ours.dice[1:] == (ours.dice[1],) * 4


def test_the_largest_gap_lies_within_the_labels_true_ends():
    strokes = Annotation(strokes={2: truth()[2]})
    assert middle_of_gap(strokes, answer_of(strokes), truth()) == 6
    all_said = Annotation(strokes={}, masks={index: truth()[index] for index in range(10)})
    assert middle_of_gap(all_said, answer_of(all_said), truth()) is None


def test_what_is_sent_holds_strokes_masks_and_not_here():
    strokes = np.zeros((40, 40), bool)
    strokes[20, 18:23] = True
    annotation = Annotation(strokes={9: strokes}).with_mask(3, truth()[3]).with_mask(11, truth()[11])
    sent = annotation.label_map((COUNT, 40, 40), axis=0)
    np.testing.assert_array_equal(sent[9] == STROKES, strokes)
    np.testing.assert_array_equal(sent[3] == OBJECT, truth()[3])
    assert (sent[11] == ERASED).all()
    assert not sent[[0, 1, 2, 4, 5, 6, 7, 8, 10, 12]].any()
    assert annotation.with_mask(9, truth()[9]).strokes == {}


def test_all_are_printed_side_by_side(case, capsys):
    asking = iter([NearestMask([0, 12]), NearestMask([]), NearestMask([])])
    print_sessions(measure_label(case, 1, lambda: next(asking)))
    printed = capsys.readouterr().out
    assert all(name in printed for name in STRATEGIES)
    assert "after 5" in printed
    assert "1 of 1 labels: no further correction suggested" in printed
    assert "slices 9, 0, 12" in printed


def test_an_image_in_colour_is_stored_as_it_is(tmp_path, case):
    pixels = np.random.default_rng(0).integers(0, 255, (6, 5, 4, 3)).astype(np.uint8)
    coloured = LabelledCase(**{**vars(case), "image": pixels})
    path = write_image(tmp_path / "nowhere", coloured, tmp_path)
    np.testing.assert_array_equal(read_volume(path).array, pixels)
    np.testing.assert_allclose(np.diag(nibabel.load(path).affine), [-1, -1, 2, 1])

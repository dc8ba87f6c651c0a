"""What a reply says about the next correction, in numbers and in a sentence."""

import nibabel
import numpy as np
import pytest
import SimpleITK

from benchmarks.annotator import Annotation, HttpAnnotator
from imos_engine.propagation.next_slice import GainConfig
from imos_engine.sequence import Seed
from imos_engine.volume_file import Volume
from lib.infers.marks import Marks
from lib.infers.next_slice import next_slice
from lib.infers.seeds import SeedPlan, SeedReport
from lib.infers.segmentation import Segmentation
from lib.transforms.orientation import plane_of, position_of
from tests.app.images import BALL, CENTRE, CLICKS, SEED_SLICE, rotated_affine

SHAPE = (8, 9, 12)
AFFINE = np.array([[-0.8, 0, 0, 30], [0, -1.1, 0, 12], [0, 0, 2.5, -10], [0, 0, 0, 1.0]])


def volume(affine=AFFINE, shape=SHAPE):
    array = np.zeros(shape, np.int16)
    spacing = tuple(float(size) for size in np.linalg.norm(affine[:3, :3], axis=0))
    return Volume(array=array, spacing_mm=spacing, source=nibabel.Nifti1Image(array, affine))


def carried(confidence, *, given, axis=2, held=range(12), names=("liver",)):
    """Objects that were carried along an axis: `confidence` by name and slice, all marked on the slices `given`."""
    labels, frames = np.zeros(SHAPE, np.uint8), None
    frames = np.moveaxis(labels, axis, 0)
    marks = [Marks(name=name, object_id=number) for number, name in enumerate(names, start=1)]
    for entry in marks:
        for index in held:
            frames[index, 2 * entry.object_id : 2 * entry.object_id + 2, 2:6] = entry.object_id
    plan = SeedPlan(axis=axis)
    plan.seeds = [
        Seed(index=index, labels=frames[index], objects=frozenset(entry.object_id for entry in marks))
        for index in given
    ]
    return Segmentation(
        labels=labels,
        axis=axis,
        marks=marks,
        plan=plan,
        confidence={name: dict(confidence[name]) for name in names},
        presence={name: dict(confidence[name]) for name in names},
        seconds={},
        warnings=[],
    )


def even(value, count=12, **others):
    return {index: others.get(f"at{index}", value) for index in range(count)}


def test_the_doubtful_slice_is_named_with_plane_position_reason_and_gain():
    result = carried({"liver": even(0.95, at4=1.0, at9=0.2)}, given=[4])
    found, advice = next_slice(result, volume(), is_video=False)
    assert (found["slice"], found["axis"], found["label"], found["plane"]) == (9, 2, "liver", "axial")
    assert 0.005 < found["gain"] < 1
    assert "0.20" in found["reason"]
    assert advice.startswith("Correct slice 9 (axial, S 12.5 mm) of liver next: ")
    assert found["reason"] in advice


def test_the_gain_is_dice_of_the_whole_object():
    """All of it in doubt by half: a seed cannot win more than that half."""
    found, _ = next_slice(carried({"liver": even(0.5, at0=1.0)}, given=[0]), volume(), is_video=False)
    assert 0.1 < found["gain"] < 0.5


def test_of_two_objects_the_one_that_wins_more_is_named():
    result = carried({"liver": even(0.9, at4=1.0), "spleen": even(0.6, at4=1.0)}, given=[4], names=("liver", "spleen"))
    found, advice = next_slice(result, volume(), is_video=False)
    assert found["label"] == "spleen"
    assert "of spleen next" in advice


def test_an_empty_slice_is_said_to_be_empty():
    confidence = {"liver": even(0.99, at4=1.0, at8=0.1)}
    found, advice = next_slice(carried(confidence, given=[4], held=range(3, 8)), volume(), is_video=False)
    assert found["slice"] == 8
    assert "it is empty, and should not be with a chance of 90%" in advice


def test_when_little_can_be_won_it_says_so():
    result = carried({"liver": even(0.9999, at4=1.0)}, given=[4])
    found, advice = next_slice(result, volume(), is_video=False)
    assert found is None
    assert advice.startswith("No further correction is worth it: ")
    assert "0.005" in advice
    eager, _ = next_slice(result, volume(), is_video=False, config=GainConfig(least=0.0))
    assert eager is not None


def prompted(result, mode, *, slices=(4,)):
    """The same result, the object having been marked by a few marks."""
    result.plan.reports = [SeedReport(slice=index, axis=2, label="liver", mode=mode, pixels=9) for index in slices]
    return result


def test_a_mask_made_from_strokes_is_looked_at_first_and_the_way_on_is_told_too():
    result = prompted(carried({"liver": even(0.9, at4=1.0)}, given=[4]), "scribble")
    found, advice = next_slice(result, volume(), is_video=False)
    assert found["slice"] == 4
    assert 0.1 < found["gain"] < 0.2
    assert "made from strokes" in advice
    after, _ = next_slice(result, volume(), is_video=False, is_first=False)
    assert after["slice"] != 4  # it was looked at
    assert f"If it is right already, go on with slice {after['slice']} (axial" in advice


def test_far_more_doubt_elsewhere_comes_before_the_mask_made_from_strokes():
    result = prompted(carried({"liver": even(0.1, at4=1.0)}, given=[4]), "points")
    assert next_slice(result, volume(), is_video=False)[0]["slice"] != 4


def test_a_painted_mask_and_one_of_several_marked_slices_are_taken_as_they_are():
    confidence = {"liver": even(0.9, at4=1.0, at8=1.0)}
    assert next_slice(prompted(carried(confidence, given=[4]), "mask"), volume(), is_video=False)[0]["slice"] != 4
    both = prompted(carried(confidence, given=[4, 8]), "scribble", slices=(4, 8))
    assert next_slice(both, volume(), is_video=False)[0]["slice"] not in (4, 8)


def test_when_everything_is_marked_it_says_so():
    result = carried({"liver": even(1.0)}, given=range(12))
    assert next_slice(result, volume(), is_video=False) == (
        None,
        "No further correction is worth it: every slice that was asked for is marked.",
    )


def test_a_video_has_frames_instead_of_planes():
    result = carried({"tool": even(0.9, at4=1.0, at9=0.2)}, given=[4], names=("tool",))
    found, advice = next_slice(result, volume(), is_video=True)
    assert found["plane"] == "frame"
    assert advice.startswith("Correct frame 9 of tool next: ")


@pytest.mark.parametrize(
    ("axis", "plane", "position"), [(0, "sagittal", "R 27.6 mm"), (1, "coronal", "A 8.7 mm"), (2, "axial", "I 2.5 mm")]
)
def test_planes_and_positions_are_those_of_a_viewer(axis, plane, position):
    assert plane_of(axis, AFFINE) == plane
    assert position_of(axis, 3, AFFINE, SHAPE) == position


def test_a_position_is_where_itk_says_the_slice_lies():
    affine = rotated_affine(8, 0)
    image = SimpleITK.GetImageFromArray(np.zeros(SHAPE[::-1], np.uint8))
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ affine
    image.SetSpacing(np.linalg.norm(lps[:3, :3], axis=0))
    image.SetDirection((lps[:3, :3] / np.linalg.norm(lps[:3, :3], axis=0)).ravel())
    image.SetOrigin(lps[:3, 3])
    middle = image.TransformContinuousIndexToPhysicalPoint([(SHAPE[0] - 1) / 2, (SHAPE[1] - 1) / 2, 7])
    assert position_of(2, 7, affine, SHAPE) == f"S {middle[2]:.1f} mm"
    assert position_of(2, 7, rotated_affine(30, 0), SHAPE) is None  # askew: no single number tells where it lies


def test_over_http_the_sentence_comes_first_and_leads_on(server):
    client = {"client_id": "leads-on"}
    _, first = server.infer("plain", {**CLICKS, **client})
    assert next(iter(first)) == "advice"
    assert first["advice"] == first["imos"]["advice"]
    suggested = first["imos"]["next_slice"]
    assert f"slice {suggested['slice']} ({suggested['plane']}" in first["advice"]
    other = next(index for index in (2, 9) if index != suggested["slice"])
    further = {**CLICKS, **client, "foreground": [*CLICKS["foreground"], [22, 17, other]]}
    _, second = server.infer("plain", further)
    assert (second["imos"]["next_slice"] or {}).get("slice") not in (SEED_SLICE, other)


def test_over_http_what_the_simulated_annotator_said_is_kept_from_one_request_to_the_next(server):
    """What `benchmarks/annotator.py` measures with: strokes, then masks and "not here", all sent every time."""
    frames = np.moveaxis(BALL, 2, 0)
    strokes = frames[SEED_SLICE] & (np.indices(frames.shape[1:])[0] == CENTRE[0])
    annotation = Annotation(strokes={SEED_SLICE: strokes})
    ask = HttpAnnotator(server.url, server.studies / "plain.nii.gz", "liver", axis=2)
    assert ask(annotation).suggestion is not None
    for index, mask in ((4, frames[4]), (11, np.zeros_like(strokes)), (8, frames[8])):
        annotation = annotation.with_mask(index, mask)
        answer = ask(annotation)
        for said, expected in annotation.masks.items():
            np.testing.assert_array_equal(answer.mask[said], expected)
        assert answer.mask[SEED_SLICE][strokes].all()
        assert answer.suggestion not in annotation.slices


def test_over_http_a_look_at_the_marks_alone_suggests_nothing(server):
    _, answer = server.infer("plain", {**CLICKS, "propagate": False})
    assert answer["imos"]["next_slice"] is None
    assert answer["advice"].startswith("No further correction is worth it")

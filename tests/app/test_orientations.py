"""All 48 ways to store one volume: clicking the same point of the patient gives the same mask of the patient."""

from itertools import permutations, product

import nibabel
import numpy as np
import pytest
from nibabel.orientations import io_orientation, ornt_transform

from imos_engine.intensity import Intensity
from imos_engine.metrics.overlap import dice
from imos_engine.prompts import SlicePrompts
from imos_engine.propagation import FrameResult
from imos_engine.sequence import Direction, Seed, frames_along
from lib.transforms.orientation import FrameOrientation, patient_order
from tests.app.images import rotated_affine
from tests.app.server import APP, Server, start, stop

WEIGHTS = APP / "model" / "imos_small.safetensors"
SHAPE = (40, 44, 8)
AFFINE = rotated_affine(12, 2, spacing=(1.0, 1.0, 1.0))  # no axis is coarser than another: none is chosen by chance
CLICK = (15, 19, 5)
BESIDE = (33, 6, 5)
ORIENTATIONS = [
    np.array([*zip(order, signs, strict=True)])
    for order in permutations(range(3))
    for signs in product((1, -1), repeat=3)
]


def organ(shape=SHAPE):
    """A bent, growing thing that no mirror and no exchange of axes maps onto itself, (I, J, K) bool."""
    i, j, k = np.indices(shape, dtype=float)
    across, along = (i - 12 - 0.6 * k) / (5 + 0.4 * k), (j - 14 - 1.0 * k) / 9
    return (across - 0.4 * along**2) ** 2 + along**2 <= 1


def picture():
    """The organ among darker tissue and beside a brighter one, (I, J, K) int16."""
    i, j, _ = np.indices(SHAPE, dtype=float)
    tissue = np.where((i - 30) ** 2 / 30 + (j - 32) ** 2 / 60 <= 1, 230, 70) + 0.5 * i - 0.3 * j
    return (np.where(organ(), 150, tissue) + np.random.default_rng(3).normal(0, 5, SHAPE)).astype(np.int16)


def stored(orientation):
    """The volume as a file with other axes and directions; where its voxels lie in the patient stays."""
    return nibabel.Nifti1Image(picture(), AFFINE).as_reoriented(orientation)


def voxel_of(point, affine):
    """The stored voxel at a voxel of the volume as it was first."""
    there = np.linalg.inv(affine) @ AFFINE @ (*point, 1)
    return [int(index) for index in there[:3].round()]


@pytest.fixture(scope="module")
def server(tmp_path_factory):
    """A server with the bundled networks: they see the image."""
    if not WEIGHTS.is_file():
        pytest.skip(f"no bundled weights at {WEIGHTS}")
    folder = tmp_path_factory.mktemp("orientations")
    studies, downloads = folder / "studies", folder / "downloads"
    studies.mkdir()
    downloads.mkdir()
    for number, orientation in enumerate(ORIENTATIONS):
        nibabel.save(stored(orientation), studies / f"volume{number}.nii.gz")
    process, url = start(studies, folder, {"size": 48, "threads": 1, "device": "cpu"})
    yield Server(
        url=url, studies=studies, temporary=folder / "server-tmp", downloads=downloads, log=folder / "server.log"
    )
    stop(process)


def test_a_click_gives_the_same_mask_of_the_patient_in_all_48_orientations(server):
    masks = []
    for number, orientation in enumerate(ORIENTATIONS):
        affine = stored(orientation).affine
        params = {"foreground": [voxel_of(CLICK, affine)], "background": [voxel_of(BESIDE, affine)]}
        file, _ = server.client.infer("imos", f"volume{number}", params)
        answer = nibabel.load(file)
        turned = answer.as_reoriented(ornt_transform(io_orientation(answer.affine), io_orientation(AFFINE)))
        np.testing.assert_allclose(turned.affine, AFFINE, atol=1e-4)
        masks.append(np.asarray(turned.dataobj) > 0)
    assert dice(masks[0], organ()) > 0.8  # it is the organ that is found
    assert min(dice(masks[0], mask) for mask in masks) > 0.99


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_frames_look_alike_in_all_48_orientations(axis):
    shown = []
    for orientation in ORIENTATIONS:
        image = stored(orientation)
        along = patient_order(image.affine)[axis]
        view = FrameOrientation.along(along, image.affine)
        frames = frames_along(np.asarray(image.dataobj), along)
        shown.append(view.turn_frames(frames))
        for index in (0, 3):
            there = view.frame_number(index, len(frames))
            np.testing.assert_array_equal(view.turn(frames[index]), shown[-1][there])
            np.testing.assert_array_equal(view.restore(view.turn(frames[index])), frames[index])
    for frames in shown[1:]:
        np.testing.assert_array_equal(frames, shown[0])


def test_a_volume_stored_to_the_left_back_and_head_is_shown_as_it_is():
    view = FrameOrientation.along(2, np.diag([-1.0, -1.0, 1.0, 1.0]))
    frames = np.arange(24).reshape(2, 3, 4)
    np.testing.assert_array_equal(view.turn_frames(frames), frames)


@pytest.mark.parametrize("orientation", ORIENTATIONS[::7], ids=lambda orientation: str(orientation.ravel().tolist()))
def test_marks_stay_on_their_pixels(orientation):
    affine = stored(orientation).affine
    view, size = FrameOrientation.along(1, affine), (5, 7)
    mask = np.zeros(size, bool)
    mask[1:3, 2:6] = True
    marks = SlicePrompts(foreground=[(4, 6)], background=[(0, 5)], box=(1, 2, 2, 5), scribbles_foreground=mask)
    turned = view.turn_prompts(marks, size)
    numbered = view.turn(np.arange(35).reshape(size))
    assert [int(numbered[point]) for point in turned.foreground] == [34]
    assert [int(numbered[point]) for point in turned.background] == [5]
    top, left, bottom, right = turned.box
    inside = np.zeros(numbered.shape, bool)
    inside[top : bottom + 1, left : right + 1] = True
    np.testing.assert_array_equal(inside, view.turn(mask))
    np.testing.assert_array_equal(turned.scribbles_foreground, view.turn(mask))


class Echo:
    """Stands where a propagator does: notes what it is shown, and answers every frame with its first pixels."""

    def propagate(self, frames, seeds, *, directions, frame_range, image_key):
        self.seeds, self.directions, self.frame_range = seeds, directions, frame_range
        for index in range(frame_range[0], frame_range[1] + 1):
            labels = (frames.normalised(index, index + 1)[0, 0].numpy()).astype(np.int64)
            yield FrameResult(index=index, labels=labels, confidence={}, presence={}, evidence={})


@pytest.mark.parametrize("orientation", ORIENTATIONS[::5], ids=lambda orientation: str(orientation.ravel().tolist()))
def test_seeds_and_answers_are_turned_with_their_frames(orientation):
    affine = stored(orientation).affine
    view, echo = FrameOrientation.along(0, affine), Echo()
    frames = np.arange(4 * 5 * 6, dtype=np.float32).reshape(4, 5, 6)
    labels = np.zeros((5, 6), np.uint8)
    labels[1, 4] = 2
    answers = view.propagate(
        echo,
        frames,
        Intensity(low=0, high=1000, mean=0, deviation=0.001),
        [Seed(index=1, labels=labels, objects=frozenset({2}))],
        directions=frozenset({Direction.FORWARD}),
        frame_range=(1, 3),
        image_key=None,
    )
    answered = {answer.index: answer.labels for answer in answers}
    assert sorted(answered) == [1, 2, 3]
    for index, found in answered.items():
        np.testing.assert_allclose(found, frames[index], atol=1)
    assert echo.directions == frozenset({Direction.BACKWARD if view.reverse_time else Direction.FORWARD})
    (seed,) = echo.seeds
    np.testing.assert_array_equal(view.restore(seed.labels), labels)
    assert view.frame_number(seed.index, 4) == 1

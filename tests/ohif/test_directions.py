"""A click lands on its voxel and the mask where the object is, however the series was scanned."""

import numpy as np
import pytest
import SimpleITK

from imos_engine.metrics.overlap import dice
from tests.ohif.acquisitions import PLANES, Acquisition, write_series
from tests.ohif.store import labels_of_nrrd

SHAPE = (48, 40, 16)
CENTRE = (30, 14, 5)  # nearer to one end of every axis: a mirrored or permuted mask misses the object
RADII = (8.0, 6.0, 3.5)
BACKGROUND = [[5, 5, 5], [44, 34, 5], [30, 26, 5], [14, 14, 5]]


def object_at(centre=CENTRE):
    grid = np.indices(SHAPE, dtype=float)
    return sum(((axis - c) / r) ** 2 for axis, c, r in zip(grid, centre, RADII, strict=True)) <= 1


def picture(truth):
    noise = np.random.default_rng(0).normal(0, 6, SHAPE)
    return (np.where(truth, 320, 120) + noise).round().astype(np.int16)


@pytest.fixture(
    scope="module",
    params=[Acquisition(plane=plane, descending=descending) for plane in PLANES for descending in (False, True)],
    ids=lambda acquisition: f"{acquisition.plane}-{'descending' if acquisition.descending else 'ascending'}",
)
def answered(request, store, tmp_path_factory):
    """An acquisition, and the reply to clicks on its object."""
    series = store.add(write_series(tmp_path_factory.mktemp("series"), picture(object_at()), request.param))
    reply = store.post(series.uid, [list(CENTRE)], BACKGROUND)
    assert reply.status_code == 200, reply.text
    return request.param, reply.content


def test_a_click_is_answered_where_the_object_is(answered):
    labels, truth = labels_of_nrrd(answered[1]), object_at()
    assert labels.shape == SHAPE
    assert labels[CENTRE] > 0
    assert dice(labels > 0, truth) > 0.75
    np.testing.assert_allclose(np.argwhere(labels).mean(0), CENTRE, atol=1.5)


def test_the_reply_lies_in_the_patient_where_the_series_does(answered, tmp_path):
    acquisition, content = answered
    path = tmp_path / "reply.nrrd"
    path.write_bytes(content)
    image = SimpleITK.ReadImage(str(path))
    for voxel in ((0, 0, 0), CENTRE, tuple(side - 1 for side in SHAPE)):
        np.testing.assert_allclose(image.TransformIndexToPhysicalPoint(voxel), acquisition.position(voxel), atol=1e-3)


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_painted_end_stays_at_its_end(store, tmp_path, axis):
    """Only the clicked half of the volume is asked for: the other stays empty, along every axis."""
    truth = object_at()
    series = store.add(write_series(tmp_path, picture(truth), Acquisition(plane="oblique", descending=True)))
    first, last = CENTRE[axis] - 1, CENTRE[axis] + 3
    labels = store.infer(series.uid, [list(CENTRE)], BACKGROUND, slice_axis=axis, slice_range=[first, last])
    held = np.flatnonzero(labels.any(axis=tuple(other for other in range(3) if other != axis)))
    assert held.min() >= first
    assert held.max() <= last
    assert labels[CENTRE] > 0

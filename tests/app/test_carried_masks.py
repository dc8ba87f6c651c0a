"""With the bundled weights, masks follow what moves, however the volume is stored."""

import threading

import numpy as np
import pytest

from imos_engine.metrics.overlap import dice
from imos_engine.sequence import frames_along
from imos_engine.volume_file import read_volume
from lib.infers.carrier import Carrier
from lib.infers.request import read_request
from lib.infers.segmentation import segment
from lib.settings import read_settings
from tests.app.images import save_nifti
from tests.app.server import APP

SIDE, SLICES, SEED_SLICE = 96, 20, 9


def moving_discs():
    """Two discs that drift apart, one above the other, as a label map (I, J, K)."""
    i, j, k = np.indices((SIDE, SIDE, SLICES), dtype=float)
    labels = np.zeros(i.shape, np.uint8)
    labels[(i - 30 - 0.8 * k) ** 2 + (j - 34) ** 2 <= (13 + 0.2 * k) ** 2] = 1
    labels[(i - 62 + 0.5 * k) ** 2 + (j - 66) ** 2 <= 12**2] = 2
    return labels


def picture_of(labels):
    noise = np.random.default_rng(1).normal(0, 6, labels.shape)
    return (np.choose(labels, [60, 150, 190]) + noise).astype(np.int16)


@pytest.fixture(scope="module")
def carrier():
    weights = APP / "model" / "imos_small.safetensors"
    if not weights.is_file():
        pytest.skip(f"no bundled weights at {weights}")
    return Carrier(read_settings({"device": "cpu", "size": str(SIDE)}, app_dir=APP))


@pytest.fixture
def carry(carrier, tmp_path):
    """Carry a label map (I, J, K) from some slices of an image through all of it."""

    def run(image, seeds, **params):
        save_nifti(tmp_path / "image.nii.gz", image)
        request = read_request(
            {"image": str(tmp_path / "image.nii.gz"), **params}, label_file=None, default_device="cpu"
        )
        return segment(
            request,
            read_volume(request.image),
            seeds,
            propagator=carrier.propagator("cpu"),
            solve=carrier.solve,
            known_ids={},
            before=None,
            client_gone=threading.Event(),
        )

    return run


def seeds_of(labels, axis):
    seeds = np.zeros_like(labels)
    frames_along(seeds, axis)[SEED_SLICE] = frames_along(labels, axis)[SEED_SLICE]
    return seeds


def test_masks_follow_their_objects_better_than_the_seed_repeated(carry):
    truth = moving_discs()
    result = carry(picture_of(truth), seeds_of(truth, 2))
    repeated = np.repeat(truth[..., [SEED_SLICE]], SLICES, axis=2)
    for label in (1, 2):
        assert dice(result.labels == label, truth == label) > dice(repeated == label, truth == label) + 0.05
        assert dice(result.labels == label, truth == label) > 0.8


@pytest.mark.parametrize("order", [(2, 0, 1), (0, 2, 1), (1, 0, 2)])
@pytest.mark.parametrize("flipped", [(), (0,), (2,)])
def test_the_order_in_which_voxels_are_stored_does_not_matter(carry, order, flipped):
    def stored(volume):
        return np.ascontiguousarray(np.flip(volume.transpose(order), flipped))

    truth, axis = moving_discs(), order.index(2)
    result = carry(stored(picture_of(truth)), stored(seeds_of(truth, 2)))
    seed_slice = SLICES - 1 - SEED_SLICE if axis in flipped else SEED_SLICE
    assert {(report.axis, report.slice) for report in result.plan.reports} == {(axis, seed_slice)}
    assert dice(result.labels == 1, stored(truth) == 1) > 0.8
